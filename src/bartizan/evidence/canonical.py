"""The bytes that are signed: canonical JSON of RFC 8785, for every value that a finding may hold.

RFC 8785 knows neither NaN nor integers beyond 2**53, and writes 1.0 as 1. Evidence must not be lost over that: numbers that it cannot
hold (and, where the type matters, floats without a fraction) are written as `{"$number": "<text>"}` and read back as what they were. A
dictionary that really has such a key gets one more `$` in front of it.
Strings that are no Unicode (lone surrogates out of file names) are written with backslash escapes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import Any, TypeVar

import msgspec
import rfc8785

from bartizan.model.errors import EvidenceError

T = TypeVar("T")

_LARGEST = 2**53 - 1
_NUMBER = "$number"


def plain(value: Any, exact: bool = False) -> Any:
    """`value` (a struct, a container, numpy scalars and arrays included) as JSON types that RFC 8785 can write.

    With `exact` a float without a fraction comes back as a float where nothing else says that it is one. Raises `EvidenceError` where it
    holds something that is no data.
    """
    try:
        return _writable(msgspec.to_builtins(value, str_keys=True, order="deterministic", enc_hook=_convert), exact)
    except (TypeError, ValueError, NotImplementedError, RecursionError) as error:
        raise EvidenceError(f"a value cannot be recorded: {error}", cure="give plain numbers, texts, lists and mappings") from error


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of what `plain` gave, or of what was read back as JSON. Raises `EvidenceError` where they cannot be written."""
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise EvidenceError(f"not canonical JSON: {error}") from error


def sha256(data: bytes) -> str:
    """SHA-256 of `data` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def parse(data: bytes, decoder: msgspec.json.Decoder[T], free: Callable[[T], Iterable[dict[str, Any]]]) -> T:
    """The struct that `data`, written by `canonical`, holds. Raises `msgspec.DecodeError` or its subclass `ValidationError`.

    `free` gives the dictionaries of a decoded struct whose values have no declared type.
    """
    if b'$number":' not in data:
        return decoder.decode(data)
    try:
        found = decoder.decode(data)
    except msgspec.ValidationError:  # such a number stands where a type is declared
        return msgspec.convert(_restored(msgspec.json.decode(data)), type=decoder.type)
    for values in free(found):
        restored = _entries(values)
        values.clear()
        values.update(restored)
    return found


def _convert(value: Any) -> Any:
    """numpy scalars and arrays, and paths; anything else is refused by msgspec's own rule."""
    if isinstance(value, PurePath):
        return value.as_posix()
    to_list = getattr(value, "tolist", None)
    if to_list is None:
        raise NotImplementedError(f"objects of type {type(value).__name__} are no data")
    return to_list()


def _writable(value: Any, exact: bool) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value) if -_LARGEST <= value <= _LARGEST else {_NUMBER: str(int(value))}
    if isinstance(value, float):
        held = math.isfinite(value) and not (exact and value.is_integer())
        return float(value) if held else {_NUMBER: repr(float(value))}
    if isinstance(value, dict):
        return {("$" + k if _reserved(k) else _text(k)): _writable(v, exact) for k, v in value.items()}
    return [_writable(v, exact) for v in value]


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
    return _entries(value)


def _entries(value: dict[str, Any]) -> dict[str, Any]:
    return {(k[1:] if k.startswith("$$") and _reserved(k) else k): _restored(v) for k, v in value.items()}


def _number(text: str) -> int | float:
    try:
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError as error:
        raise msgspec.ValidationError(f"not a number: {text[:40]}") from error
