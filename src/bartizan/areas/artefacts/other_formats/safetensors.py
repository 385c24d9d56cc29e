"""safetensors: eight bytes of length, a JSON table of tensors, the numbers. Held against what its own reader demands of a file."""

from __future__ import annotations

import struct
from typing import Any

from bartizan.areas.artefacts.containers.scope import Piece, Scope
from bartizan.areas.artefacts.other_formats.bounded_json import NotJson, parse

MAX_HEADER = 100_000_000
"""Longest header that the reference reader accepts."""

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16,
    "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
"""Bits of one number of each type."""


def read_safetensors(piece: Piece, scope: Scope) -> bool:
    """Judge a safetensors file; False where it is none."""
    head = piece.head(10)
    if len(head) < 10 or head[8:9] != b"{":
        return False
    (length,) = struct.unpack("<Q", head[:8])
    if length > MAX_HEADER or length < 2:
        return False
    scope.recognise("safetensors")
    if 8 + length > len(piece.data):
        scope.unsure("the header reaches beyond the end of the file", piece, 0)
        return True
    try:
        table = parse(piece.head(length, 8), piece, scope, start=8)
    except NotJson as error:
        scope.unsure(f"the header {error}", piece, 8)
        return True
    if not isinstance(table, dict):
        scope.unsure("the header is no table", piece, 8)
        return True
    _metadata(table.pop("__metadata__", {}), piece, scope)
    _tensors(table, len(piece.data) - 8 - length, piece, scope)
    return True


def _metadata(metadata: object, piece: Piece, scope: Scope) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        scope.unsure("the metadata are not text by name", piece, 8)


def _tensors(table: dict[str, Any], room: int, piece: Piece, scope: Scope) -> None:
    """Every tensor within the data, of the size its shape needs, one behind the other without holes."""
    spans = []
    for name, entry in table.items():
        wrong = _wrong(entry, room)
        if wrong:
            scope.unsure(f"the tensor '{name[:80]}' {wrong}", piece, 8)
        else:
            begin, end = entry["data_offsets"]
            spans.append((begin, end, name))
    at = 0
    for begin, end, name in sorted(spans):
        if begin != at:
            how = "lies over the one before it" if begin < at else "leaves a hole before it"
            scope.unsure(f"the tensor '{name[:80]}' {how}", piece, 8)
            return
        at = end
    if len(spans) == len(table) and at != room:
        scope.unsure(f"{room - at} bytes at the end belong to no tensor", piece, 8)


def _wrong(entry: object, room: int) -> str:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        return "is not described by type, shape and offsets"
    shape, offsets, dtype = entry["shape"], entry["data_offsets"], entry["dtype"]
    if not isinstance(dtype, str) or dtype not in BITS:
        return f"has the unknown type {str(dtype)[:40]}"
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
        return "has a shape or offsets that are no counts"
    if len(shape) > 64:
        return "has more than 64 dimensions"
    begin, end = offsets
    if not begin <= end <= room:
        return "reaches beyond the end of the file"
    bits = BITS[dtype]
    for length in shape:
        bits *= length
        if bits > 1 << 66:
            return "has a shape whose size overflows"
    return "" if bits == 8 * (end - begin) else "has offsets that do not fit its shape"


def _counts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, int) and not isinstance(item, bool) and item >= 0 for item in value)
