"""Ed25519 keys as we use them: the id of a key is the SHA-256 of its SubjectPublicKeyInfo in DER."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bartizan.model.errors import EvidenceError

_DER = serialization.Encoding.DER
_PEM = serialization.Encoding.PEM
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


class PublicKey:
    """The half that verifies. `id` is 64 hex digits, `der` the SubjectPublicKeyInfo."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.der = key.public_bytes(_DER, _SPKI)
        self.id = hashlib.sha256(self.der).hexdigest()

    @classmethod
    def load(cls, data: bytes, place: str | None = None) -> PublicKey:
        """A key from PEM or DER bytes. Raises `EvidenceError` where that is no Ed25519 public key."""
        try:
            load = serialization.load_pem_public_key if b"-----BEGIN" in data else serialization.load_der_public_key
            key = load(data)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise EvidenceError("not a public key", place=place, cure="give the PEM file that `bartizan keys export` wrote") from error
        if not isinstance(key, Ed25519PublicKey):
            raise EvidenceError("not an Ed25519 public key", place=place, cure="give the PEM file that `bartizan keys export` wrote")
        return cls(key)

    def pem(self) -> bytes:
        """The key as PEM, to be given to verifiers."""
        return self._key.public_bytes(_PEM, _SPKI)

    def holds(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` is this key's over `message`."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class Signer:
    """The half that signs. `successor(id)` gives the signer that a rotation which was cut short left behind, or None."""

    def __init__(self, key: Ed25519PrivateKey, successor: Callable[[str], Signer | None] | None = None) -> None:
        self._key = key
        self._successor = successor
        self.public = PublicKey(key.public_key())

    @classmethod
    def generate(cls) -> Signer:
        """A new key, kept in memory alone."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, data: bytes, place: str, successor: Callable[[str], Signer | None] | None = None) -> Signer:
        """A key from PEM PKCS#8. Raises `EvidenceError` where that is no unencrypted Ed25519 private key."""
        try:
            key = serialization.load_pem_private_key(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise EvidenceError("not a private key in PEM", place=place, cure="restore the file from its backup") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise EvidenceError("not an Ed25519 private key", place=place, cure="restore the file from its backup")
        return cls(key, successor)

    @property
    def id(self) -> str:
        """The id of the key, the same as its public half's."""
        return self.public.id

    def pem(self) -> bytes:
        """The private key as unencrypted PEM PKCS#8: for a file of mode 0600 and nothing else."""
        return self._key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature over `message`; the same for the same message."""
        return self._key.sign(message)

    def successor(self, id: str) -> Signer | None:
        """The signer with this id that replaces this one, if a rotation left it."""
        return self._successor(id) if self._successor is not None else None
