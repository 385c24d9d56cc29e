"""The bytes that are signed: canonical JSON of RFC 8785, for every value that a finding may hold.

RFC 8785 knows neither NaN nor integers beyond 2**53. A finding may hold both, and evidence must not be lost over that: such numbers are
written as `{"$number": "<text>"}` and read back as numbers. A dictionary that really has such a key gets one more `$` in front of it.
Strings that are no Unicode (lone surrogates out of file names) are written with backslash escapes.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import PurePath
from typing import Any, TypeVar

import msgspec
import rfc8785

from bartizan.model.errors import EvidenceError

T = TypeVar("T")

_LARGEST = 2**53 - 1
_NUMBER = "$number"


def plain(value: Any) -> Any:
    """`value` (a struct, a container, numpy scalars and arrays included) as JSON types that RFC 8785 can write.

    Raises `EvidenceError` where it holds something that is no data.
    """
    try:
        return _writable(msgspec.to_builtins(value, str_keys=True, order="deterministic", enc_hook=_convert))
    except (TypeError, ValueError, NotImplementedError, RecursionError) as error:
        raise EvidenceError(f"a value cannot be recorded: {error}", cure="give plain numbers, texts, lists and mappings") from error


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of what `plain` gave (or of what was read back as JSON)."""
    return rfc8785.dumps(value)


def sha256(data: bytes) -> str:
    """SHA-256 of `data` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def parse(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """The struct that `data`, written by `canonical`, holds. Raises `msgspec.DecodeError` or its subclass `ValidationError`."""
    if b'$number":' not in data:
        return decoder.decode(data)
    return msgspec.convert(_restored(msgspec.json.decode(data)), type=decoder.type)


def _convert(value: Any) -> Any:
    """numpy scalars and arrays, and paths; anything else is refused by msgspec's own rule."""
    if isinstance(value, PurePath):
        return value.as_posix()
    to_list = getattr(value, "tolist", None)
    if to_list is None:
        raise NotImplementedError(f"objects of type {type(value).__name__} are no data")
    return to_list()


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value) if -_LARGEST <= value <= _LARGEST else {_NUMBER: str(int(value))}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_NUMBER: repr(float(value))}
    if isinstance(value, dict):
        return {("$" + k if _reserved(k) else _text(k)): _writable(v) for k, v in value.items()}
    return [_writable(v) for v in value]


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _reserved(key: str) -> bool:
    return key.startswith("$") and key.lstrip("$") == "number"


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return [_restored(v) for v in value]
    if not isinstance(value, dict):
        return value
    text = value.get(_NUMBER)
    if len(value) == 1 and isinstance(text, str):
        return _number(text)
    return {(k[1:] if k.startswith("$$") and _reserved(k) else k): _restored(v) for k, v in value.items()}


def _number(text: str) -> int | float:
    try:
        return float(text) if text.lstrip("-") in {"nan", "inf"} else int(text)
    except ValueError as error:
        raise msgspec.ValidationError(f"not a number: {text[:40]}") from error
