"""Keys that wrap the data keys of sealed files: from a file, a variable, or a key management service that never gives them away.

A key is named on the command line as one of

    FILE                        32 bytes, raw or as 64 hexadecimal digits or base64, in a file that others cannot read
    env:NAME                    the same as text in a variable
    vault+https://HOST/MOUNT/KEY    a key of the Transit engine of Vault or OpenBao; the token is in VAULT_TOKEN
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import ipaddress
import json
import os
import re
import secrets
import ssl
import stat
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from bartizan.evidence.files import open_regular, write_atomically
from bartizan.model.errors import InputError, Refused, one_line

KEY_BYTES = 32
TOKEN = "VAULT_TOKEN"  # noqa: S105 - the name of the variable, not a token
SECONDS = 20.0
"""How long a service may take to answer."""

MAX_ANSWER = 64 * 1024
_NONCE = 12


class WrappingKey(Protocol):
    """Wraps and unwraps keys of 32 bytes. `context` is bound to what is wrapped: another context does not unwrap it.

    `id` names the key without telling it, at most 200 characters. Both methods raise `InputError` where the key or its service cannot be
    used, `unwrap` raises `Refused` where `wrapped` was not made by this key for this context.
    """

    @property
    def id(self) -> str: ...

    def wrap(self, secret: bytes, context: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes: ...


class LocalKey:
    """A key of 32 bytes in our own memory; wraps with AES-256-GCM and a random nonce in front."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise InputError(f"a key has 32 bytes, not {len(key)}")
        self._key = key
        self.id = "local:" + hashlib.sha256(b"bartizan wrapping key id\0" + key).hexdigest()[:16]

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE)
        return nonce + AESGCM(self._key).encrypt(nonce, secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if len(wrapped) < _NONCE + 16:
            raise Refused("the wrapped key is cut short")
        try:
            return AESGCM(self._key).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], context)
        except InvalidTag:
            raise Refused("the wrong key, or its header was altered") from None


class TransitKey:
    """A key of the Transit engine of Vault or OpenBao, of a type with associated data (`aes256-gcm96`); it never leaves the service."""

    def __init__(self, address: str, token: str) -> None:
        parts = _address(address)
        mount, _, name = parts.path.strip("/").rpartition("/")
        self._parts, self._mount, self._name, self._token = parts, mount, name, token
        self.id = f"vault:{parts.hostname}/{mount}/{name}"[:200]

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        return self._ask("encrypt", {"plaintext": _base64(secret), "associated_data": _base64(context)}, "ciphertext").encode()

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            given = {"ciphertext": wrapped.decode("ascii"), "associated_data": _base64(context)}
            return base64.b64decode(self._ask("decrypt", given, "plaintext"), validate=True)
        except ValueError:
            raise Refused("the wrapped key is damaged") from None

    def _ask(self, verb: str, given: dict[str, str], wanted: str) -> str:
        """The text under `data.<wanted>` of the answer. Follows no redirect: the token is for this host alone."""
        host, port = str(self._parts.hostname), self._parts.port
        secure = self._parts.scheme == "https"
        connection = (
            http.client.HTTPSConnection(host, port, timeout=SECONDS, context=ssl.create_default_context())
            if secure
            else http.client.HTTPConnection(host, port, timeout=SECONDS)
        )
        try:
            headers = {"Content-Type": "application/json", "X-Vault-Token": self._token}
            connection.request("POST", f"/v1/{self._mount}/{verb}/{self._name}", json.dumps(given), headers)
            response = connection.getresponse()
            content = response.read(MAX_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise InputError(f"the key service does not answer: {type(error).__name__}: {error}", place=self.id) from None
        finally:
            connection.close()
        if response.status == 400 and verb == "decrypt":
            raise Refused("the key service does not unwrap it: the wrong key, or its header was altered", place=self.id)
        if response.status != 200:
            cure = f"check the token in {TOKEN} and its policy" if response.status in (401, 403) else None
            raise InputError(f"the key service answers with status {response.status}", place=self.id, cure=cure)
        try:
            found = json.loads(content)["data"][wanted]
        except (ValueError, KeyError, TypeError):
            found = None
        if not isinstance(found, str):
            raise InputError(f"the key service's answer holds no {wanted}", place=self.id)
        return found


def wrapping_key(spec: str, *, create: bool = False) -> WrappingKey:
    """The key that `spec` names (see above). `create` makes the file with a random key where it is not there.

    Raises `InputError`, and `Refused` where others can read the file.
    """
    if spec.startswith("env:"):
        name = spec.removeprefix("env:")
        value = os.environ.get(name)
        if not value:
            raise InputError(f"the variable {one_line(name, 60)} is empty", cure="set it to 64 hexadecimal digits")
        return LocalKey(_key_of(value.encode(), f"env:{name}"))
    if re.match(r"[a-z][a-z0-9+]*://", spec):
        token = os.environ.get(TOKEN)
        if not token:
            raise InputError(f"the variable {TOKEN} is empty", cure="set it to a token that may encrypt and decrypt with the key")
        return TransitKey(spec, token)
    path = Path(spec)
    if create:
        write_atomically(path, secrets.token_bytes(KEY_BYTES).hex().encode() + b"\n", 0o600, replace=False)
    try:
        with open_regular(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(1024)
    except OSError as error:
        cure = "make one with --new-key" if isinstance(error, FileNotFoundError) else None
        raise InputError(f"the key cannot be read: {error.strerror}", place=spec, cure=cure) from None
    if mode & 0o077:
        raise Refused(f"others can read the key (mode {mode:o})", place=spec, cure=f"chmod 600 {spec}")
    return LocalKey(_key_of(content, spec))


def _key_of(content: bytes, place: str) -> bytes:
    if len(content) == KEY_BYTES:
        return content
    text = content.strip()
    try:
        key = bytes.fromhex(text.decode("ascii")) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InputError("holds no key: 32 bytes, raw, as 64 hexadecimal digits or as base64", place=place)
    return key


def _address(address: str) -> SplitResult:
    try:
        parts = urlsplit(address.removeprefix("vault+"))
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"no address of a key: {error}", place=address) from None
    fits = address.startswith("vault+") and parts.scheme in ("http", "https") and host and not parts.query and not parts.username
    if not fits or not re.fullmatch(r"(/[A-Za-z0-9._-]+){2,}", parts.path) or ".." in parts.path:
        raise InputError("no address of a key", place=address, cure="write vault+https://HOST/MOUNT/KEY")
    if parts.scheme == "http" and not _is_loopback(str(host)):
        raise InputError("a key travels over http to another machine", place=address, cure="use https")
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
