"""Keys that sign models and data sets, kept as PEM files: ECDSA on P-256, P-384 and P-521, and Ed25519.

ECDSA is what every verifier of the model-signing format reads; Ed25519 signatures only we verify. The hash goes with the curve (SHA-256,
SHA-384, SHA-512). A key is named by the SHA-256 of its public half in PEM, as the format does.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bartizan.evidence.files import open_regular, write_atomically
from bartizan.model.errors import InputError, Refused

_PEM = serialization.Encoding.PEM
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
_HASHES: dict[str, hashes.HashAlgorithm] = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}
_CURVES: dict[str, type[ec.EllipticCurve]] = {"p256": ec.SECP256R1, "p384": ec.SECP384R1}

ALGORITHMS = ("p256", "p384", "ed25519")
"""What `create` makes; P-521 is read, too."""

MAX_KEY_BYTES = 64 * 1024
"""Largest key file that is read."""

_Public: TypeAlias = ec.EllipticCurvePublicKey | Ed25519PublicKey
_Private: TypeAlias = ec.EllipticCurvePrivateKey | Ed25519PrivateKey


class PublicKey:
    """The half that verifies. `id` is 64 hexadecimal digits: SHA-256 of the PEM text."""

    def __init__(self, key: _Public) -> None:
        self._key = key
        self.pem = key.public_bytes(_PEM, _SPKI)
        self.id = hashlib.sha256(self.pem).hexdigest()

    @classmethod
    def load(cls, data: bytes, place: str | None = None) -> PublicKey:
        """The key in PEM `data`. Raises `InputError` where that is no public key of a kind we read."""
        cure = "give the file that ends in .pub and was written when the key was made"
        if b"PRIVATE KEY" in data:
            raise InputError("holds a private key; verifying wants the public one", place=place, cure=cure)
        try:
            return cls(_usable(serialization.load_pem_public_key(data)))
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InputError("is no ECDSA (P-256, P-384, P-521) or Ed25519 public key in PEM", place=place, cure=cure) from error

    @classmethod
    def read(cls, path: Path) -> PublicKey:
        """The key in the file `path`. Raises `InputError`."""
        return cls.load(_content(path, private=False), str(path))

    @property
    def algorithm(self) -> str:
        """`ed25519`, or `ecdsa-` and the name of the curve."""
        return f"ecdsa-{self._key.curve.name}" if isinstance(self._key, ec.EllipticCurvePublicKey) else "ed25519"

    def holds(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` is this key's over `message`."""
        try:
            if isinstance(self._key, ec.EllipticCurvePublicKey):
                self._key.verify(signature, message, ec.ECDSA(_HASHES[self._key.curve.name]))
            else:
                self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class PrivateKey:
    """The half that signs."""

    def __init__(self, key: _Private) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    @classmethod
    def generate(cls, algorithm: str = "p256") -> PrivateKey:
        """A new key in memory. Raises `InputError` for an algorithm that is not in `ALGORITHMS`."""
        if algorithm not in ALGORITHMS:
            raise InputError(f"no algorithm '{algorithm}'", cure=f"one of {', '.join(ALGORITHMS)}")
        if algorithm == "ed25519":
            return cls(Ed25519PrivateKey.generate())
        return cls(ec.generate_private_key(_CURVES[algorithm]()))

    @classmethod
    def read(cls, path: Path, password: bytes | None = None) -> PrivateKey:
        """The key in the PEM file `path`. Raises `InputError`, and `Refused` where others can read the file."""
        data = _content(path, private=True)
        try:
            key = serialization.load_pem_private_key(data, password)
            usable = _usable(key.public_key())
        except TypeError as error:
            cause = "needs a password" if password is None else "has no password"
            raise InputError(cause, place=str(path), cure="say which variable holds it: --password-env NAME") from error
        except (ValueError, AttributeError, UnsupportedAlgorithm) as error:
            cause = "is no ECDSA (P-256, P-384, P-521) or Ed25519 private key in PEM, or the password is wrong"
            raise InputError(cause, place=str(path)) from error
        assert isinstance(key, ec.EllipticCurvePrivateKey | Ed25519PrivateKey), type(usable)
        return cls(key)

    def pem(self, password: bytes | None = None) -> bytes:
        """The key as PEM PKCS#8, encrypted where there is a password: for a file of mode 0600."""
        seal = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        return self._key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, seal)

    def sign(self, message: bytes) -> bytes:
        """The signature over `message`: DER for ECDSA, 64 bytes for Ed25519."""
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(message, ec.ECDSA(_HASHES[self._key.curve.name]))
        return self._key.sign(message)


def create(path: Path, algorithm: str = "p256", password: bytes | None = None) -> PrivateKey:
    """Write a new private key to `path` (mode 0600) and its public half beside it with `.pub` behind the name.

    A key that is there already is read instead. Raises `InputError`, `Refused`.
    """
    if not path.exists():
        write_atomically(path, PrivateKey.generate(algorithm).pem(password), 0o600, replace=False)
    key = PrivateKey.read(path, password)
    write_atomically(public_path(path), key.public.pem, 0o644)
    return key


def public_path(path: Path) -> Path:
    """Where the public half of the key in `path` is written."""
    return path.with_name(path.name + ".pub")


def _usable(key: object) -> _Public:
    if isinstance(key, Ed25519PublicKey) or (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _HASHES):
        return key
    raise ValueError("not a kind of key that signs models")


def _content(path: Path, *, private: bool) -> bytes:
    try:
        with open_regular(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if private and mode & 0o077:
                raise Refused(f"others can read the private key (mode {mode:o})", place=str(path), cure=f"chmod 600 {path}")
            return file.read(MAX_KEY_BYTES)
    except OSError as error:
        raise InputError(f"the key cannot be read: {error.strerror}", place=str(path)) from None
