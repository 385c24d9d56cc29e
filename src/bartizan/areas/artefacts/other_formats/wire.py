"""Walks messages in protobuf's wire format without a schema (protobuf.dev, "Encoding"): numbers of fields, and where their content lies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bartizan.areas.artefacts.containers.scope import Scope

VARINT, FIXED64, BYTES, START_GROUP, END_GROUP, FIXED32 = range(6)

MAX_FIELDS = 5_000_000
"""Most fields of one message that are walked."""


class NotWire(ValueError):
    """Bytes that are no message."""


class Field(NamedTuple):
    """A field: its number, wire type, value (of a varint) or span (of bytes)."""

    number: int
    kind: int
    value: int
    start: int
    end: int


def fields(data: memoryview, start: int, end: int, scope: Scope) -> Iterator[Field]:
    """The fields of the message in `data[start:end]`, in order. Raises `NotWire`, `LimitReached`."""
    at, count = start, 0
    while at < end:
        count += 1
        if count > MAX_FIELDS:
            raise NotWire("has too many fields")
        if count % 4096 == 0:
            scope.check_time()
        tag, at = _varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise NotWire(f"has a field with the number {number}")
        if kind == VARINT:
            value, at = _varint(data, at, end)
            yield Field(number, kind, value, at, at)
        elif kind in (FIXED64, FIXED32, BYTES):
            if kind == BYTES:
                size, at = _varint(data, at, end)
            else:
                size = 8 if kind == FIXED64 else 4
            if at + size > end:
                raise NotWire("has a field that reaches beyond its end")
            yield Field(number, kind, 0, at, at + size)
            at += size
        else:
            raise NotWire("has a group, which no model uses")


def _varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift >= 70:
            break
    raise NotWire("ends within a number")


def text(data: memoryview, field: Field, limit: int = 1000) -> str:
    """The content of a field of bytes as text, cut to `limit` bytes."""
    return bytes(data[field.start : min(field.end, field.start + limit)]).decode("utf-8", "replace")
