"""GGUF: metadata by name, a table of tensors, the numbers. Counts and lengths are held against the file before anything is believed."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from bartizan.areas.artefacts.containers.scope import Piece, Scope
from bartizan.areas.artefacts.other_formats.chat_templates import judge_template

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_SIZES = {kind: struct.calcsize(code) for kind, code in _SCALARS.items()}

MAX_DEPTH = 4
"""Arrays within arrays; the format's own readers allow one."""

MAX_NAME = 65_535
MAX_TEMPLATE = 1 << 20

BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98),
    19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
"""Numbers in a block and bytes of a block, for each tensor type of ggml."""


class _Broken(Exception):
    """The file breaks the format here."""


@dataclass
class _Reader:
    data: memoryview
    big: bool
    at: int = 4

    def number(self, code: str) -> int:
        size = struct.calcsize(code)
        if self.at + size > len(self.data):
            raise _Broken("ends early")
        (value,) = struct.unpack((">" if self.big else "<") + code, self.data[self.at : self.at + size])
        self.at += size
        return int(value)

    def skip(self, count: int) -> None:
        if count < 0 or self.at + count > len(self.data):
            raise _Broken(f"claims {count} bytes where {len(self.data) - self.at} are left")
        self.at += count

    def text(self, limit: int) -> bytes:
        length = self.number("Q")
        start = self.at
        self.skip(length)
        return bytes(self.data[start : start + min(length, limit)])


def read_gguf(piece: Piece, scope: Scope) -> bool:
    """Judge a GGUF file."""
    scope.recognise("GGUF")
    version = int.from_bytes(piece.head(4, 4), "little")
    reader = _Reader(piece.data, big=version > 0xFFFF)
    try:
        version = reader.number("I")
        if version not in (2, 3):
            raise _Broken(f"has version {version}, which is not read here")
        _body(reader, piece, scope)
    except _Broken as error:
        scope.unsure(f"the GGUF header {error}", piece, reader.at)
    return True


def _body(reader: _Reader, piece: Piece, scope: Scope) -> None:
    tensors, entries = reader.number("Q"), reader.number("Q")
    left = len(reader.data) - reader.at
    if tensors > left // 24 or entries > left // 12:
        scope.unsafe(f"claims {tensors} tensors and {entries} metadata in {left} bytes, which overruns careless readers", piece, 8)
        return
    names: set[bytes] = set()
    alignment = 32
    for _ in range(entries):
        scope.spend_entries(0)
        at = reader.at
        name = reader.text(MAX_NAME)
        if name in names:
            scope.unsure(f"the metadata '{name.decode('utf-8', 'replace')[:80]}' stand there twice", piece, at)
        names.add(name)
        value = _value(reader, reader.number("I"), 0, scope, keep=name.startswith(b"tokenizer.chat_template"))
        if name == b"general.alignment" and isinstance(value, int):
            alignment = value
        if isinstance(value, bytes) and name.startswith(b"tokenizer.chat_template"):
            judge_template(value.decode("utf-8", "replace"), piece, scope, at)
    if not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
        raise _Broken(f"has the alignment {alignment}, which is no power of two")
    _tensors(reader, tensors, alignment, piece, scope)


def _value(reader: _Reader, kind: int, depth: int, scope: Scope, *, keep: bool) -> int | bytes | None:
    if kind in _SCALARS:
        if _SCALARS[kind] in "fd":
            reader.skip(_SIZES[kind])
            return None
        return reader.number(_SCALARS[kind])
    if kind == _STRING:
        return reader.text(MAX_TEMPLATE if keep else 0)
    if kind != _ARRAY or depth >= MAX_DEPTH:
        raise _Broken(f"holds a value of the unknown type {kind}" if kind != _ARRAY else "nests arrays too deep")
    inner, count = reader.number("I"), reader.number("Q")
    if inner in _SIZES:
        if count > len(reader.data):
            raise _Broken(f"claims an array of {count} items")
        reader.skip(count * _SIZES[inner])
        return None
    if count > (len(reader.data) - reader.at) // 8:
        raise _Broken(f"claims an array of {count} items")
    if inner == _STRING:
        _strings(reader, count, scope)
        return None
    for index in range(count):
        if index % 4096 == 0:
            scope.check_time()
        _value(reader, inner, depth + 1, scope, keep=False)
    return None


def _strings(reader: _Reader, count: int, scope: Scope) -> None:
    """Skips an array of strings; vocabularies have hundreds of thousands."""
    data, at, size = reader.data, reader.at, len(reader.data)
    read = struct.Struct((">" if reader.big else "<") + "Q").unpack_from
    for index in range(count):
        if index % 65_536 == 0:
            scope.check_time()
        if at + 8 > size:
            break
        at += 8 + read(data, at)[0]
    reader.at = min(at, size)
    if at > size or (count and reader.at == size and at + 8 > size and index + 1 < count):
        raise _Broken("claims more text than the file holds")


def _tensors(reader: _Reader, count: int, alignment: int, piece: Piece, scope: Scope) -> None:
    spans: list[tuple[int, int, str]] = []
    for _ in range(count):
        scope.spend_entries(0)
        at = reader.at
        name = reader.text(MAX_NAME).decode("utf-8", "replace")[:80]
        dimensions = reader.number("I")
        if dimensions > 8:
            raise _Broken(f"gives the tensor '{name}' {dimensions} dimensions")
        items = 1
        for _ in range(dimensions):
            items *= reader.number("Q")
        kind, offset = reader.number("I"), reader.number("Q")
        if items >= 1 << 62 or offset >= 1 << 62:
            scope.unsafe(f"the size of the tensor '{name}' overflows 64 bits, which overruns careless readers", piece, at)
            continue
        if offset % alignment:
            scope.unsure(f"the tensor '{name}' is not aligned to {alignment} bytes", piece, at)
        block = BLOCKS.get(kind)
        if block is None:
            scope.note(f"the tensor '{name}' has the type {kind}, whose size is not known here")
        size = -(-items // block[0]) * block[1] if block else 1
        spans.append((offset, offset + size, name))
    begin = -(-reader.at // alignment) * alignment
    room = len(reader.data) - begin
    last = 0
    for start, end, name in sorted(spans):
        if end > room:
            scope.unsure(f"the tensor '{name}' reaches beyond the end of the file", piece, begin)
            return
        if start < last:
            scope.unsure(f"the tensor '{name}' lies over the one before it", piece, begin)
            return
        last = end
