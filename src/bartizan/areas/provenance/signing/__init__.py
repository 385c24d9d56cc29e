"""Signatures of models and data sets in the OpenSSF model-signing format, which other tools verify and whose signatures we verify.

keys        Ed25519 and ECDSA keys as PEM
names       which file names a statement may hold
files       the files below a folder, with the rules on links
hashing     SHA-256 of files as fast as the hash allows, and a tree of chunks for a faster second look
statement   the in-toto statement that lists the files
bundle      the Sigstore bundle (v0.3) around the signed statement
making      `sign`
verifying   `verify`
"""
