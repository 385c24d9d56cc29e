"""Keyed replacements: one value has one pseudonym under one key, and without the key no search over all values finds it back."""

from __future__ import annotations

import datetime as dt
import hmac
import os
import secrets
from functools import lru_cache
from pathlib import Path

from bartizan.areas.pii.ff1 import FF1, SMALLEST_DOMAIN
from bartizan.model.errors import InputError

KEY_BYTES = 32
_CURE = f"make one: (umask 077; openssl rand -hex {KEY_BYTES} > NAME.key)"
_LETTERS = "abcdefghijklmnop"


def load_key(path: Path, *, create: bool = True) -> bytes:
    """The key in the file `path`, 32 bytes in hexadecimal; a new random one, readable by the owner alone, where there is no file.

    Raises `InputError` where the file holds something else, is readable by others, or is missing and `create` is false.
    """
    try:
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        if not create:
            raise InputError("there is no key", place=str(path), cure="name the file of the key that was used before") from None
        return _new_key(path)
    except (OSError, UnicodeDecodeError):
        raise InputError("is no key, which is text", place=str(path), cure=_CURE) from None
    if path.stat().st_mode & 0o077:
        raise InputError("the key can be read by other users", place=str(path), cure="chmod 600")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InputError(f"is not a key: {KEY_BYTES} bytes in hexadecimal", place=str(path), cure=_CURE)
    return key


def _new_key(path: Path) -> bytes:
    key = secrets.token_bytes(KEY_BYTES)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(key.hex() + "\n")
    except OSError as error:
        raise InputError(f"the key cannot be written: {error.strerror}", place=str(path)) from None
    return key


class Pseudonyms:
    """Replacements under one key (HMAC-SHA-256, RFC 2104; FF1 of NIST SP 800-38G for what keeps its format).

    `kind` separates domains: the same digits as a card and as a telephone number get different pseudonyms.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise InputError(f"a key of {len(key)} bytes can be guessed", cure=f"use {KEY_BYTES} random bytes")
        self._key = key
        self._cipher = FF1(self._derived(b"format")[:32])

    def _derived(self, purpose: bytes) -> bytes:
        return hmac.digest(self._key, b"bartizan pseudonyms\0" + purpose, "sha256")

    def token(self, kind: str, value: str) -> str:
        """Twenty letters (80 bits), the same for the same value however it is written: case and separators do not count."""
        digest = hmac.digest(self._key, f"{kind}\0{_plain(value)}".encode("utf-8", "surrogatepass"), "sha256")
        return "".join(_LETTERS[byte >> 4] + _LETTERS[byte & 15] for byte in digest[:10])

    def digits(self, kind: str, value: str, turn: int = 0) -> str | None:
        """`value` with its digits encrypted in place and all else kept; None where fewer than six digits give too small a domain."""
        found = [c for c in value if c.isdecimal()]
        if 10 ** len(found) < SMALLEST_DOMAIN:
            return None
        numerals = [int(c) for c in found]
        encrypted = iter(self._cipher.encrypt(numerals, tweak=f"{kind}\0{turn}".encode()))
        return "".join(str(next(encrypted)) if c.isdecimal() else c for c in value)

    def days(self, subject: str, widest: int) -> int:
        """By how many days all dates of `subject` move: from -widest to widest, never 0."""
        number = int.from_bytes(hmac.digest(self._key, b"days\0" + subject.encode("utf-8", "surrogatepass"), "sha256")[:8], "big")
        shift = number % (2 * widest) - widest
        return shift if shift < 0 else shift + 1

    def shifted(self, written: str, subject: str, widest: int) -> str | None:
        """The ISO date, or date and time, `written`, moved by the days of `subject`; None where it is no such date."""
        try:
            moment = dt.datetime.fromisoformat(written.strip())
            moved = moment + dt.timedelta(days=self.days(subject, widest))
        except (ValueError, OverflowError):
            return None
        return moved.date().isoformat() if len(written.strip()) <= 10 else moved.isoformat(sep=written.strip()[10])


@lru_cache(maxsize=4096)
def _plain(value: str) -> str:
    """`value` as it counts for sameness: letters in one case and digits, where it has enough of them, else all of it."""
    kept = (
        "".join(c for c in value.casefold() if c.isalnum() or c in "@._+-")
        if "@" in value
        else "".join(c for c in value.casefold() if c.isalnum())
    )
    return kept if len(kept) >= 3 else value
