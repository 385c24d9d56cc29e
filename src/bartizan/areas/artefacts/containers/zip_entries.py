"""Gives the content of an entry of a zip archive: a view of the file where it is stored, unpacked under the limits otherwise."""

from __future__ import annotations

from bartizan.areas.artefacts.containers.scope import Piece, Scope
from bartizan.areas.artefacts.containers.unpacking import Damaged, unpack
from bartizan.areas.artefacts.containers.zip_directory import Entry

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
_KINDS = {DEFLATED: "deflate", BZIP2: "bz2"}


def content(archive: Piece, entry: Entry, scope: Scope) -> Piece | None:
    """The content of `entry`; None where it cannot be read, which is then noted. Raises `LimitReached`."""
    name = archive.inner(entry.name)
    packed = archive.data[entry.start : entry.end]
    if entry.encrypted:
        scope.unsure(f"'{entry.name[:80]}' is encrypted and was not read", archive, entry.header)
        return None
    if entry.method == STORED:
        return archive.part(entry.start, entry.end, name)
    if entry.method == LZMA:
        return _unpacked(archive, entry, memoryview(bytes(packed[:0])), scope) if len(packed) < 9 else _lzma(archive, entry, packed, scope)
    if entry.method not in _KINDS:
        scope.unsure(f"'{entry.name[:80]}' is packed by method {entry.method}, which is not read here", archive, entry.header)
        return None
    try:
        data, _ = unpack(packed, _KINDS[entry.method], scope)
    except Damaged as error:
        if entry.listed:
            scope.unsure(f"'{entry.name[:80]}' is damaged: {error}", archive, entry.header)
        data = error.unpacked
    return _unpacked(archive, entry, data, scope)


def _unpacked(archive: Piece, entry: Entry, data: memoryview, scope: Scope) -> Piece:
    if entry.listed and len(data) != entry.size:
        text = f"'{entry.name[:80]}' unpacks to {len(data)} bytes where the directory says {entry.size}"
        scope.unsure(text, archive, entry.header)
    return Piece(data, archive.inner(entry.name), None, archive.depth + 1)


def _lzma(archive: Piece, entry: Entry, packed: memoryview, scope: Scope) -> Piece | None:
    """Method 14: a version, the size of the properties, the properties, the raw stream (APPNOTE.TXT 5.8.8)."""
    size = int.from_bytes(packed[2:4], "little")
    properties, first = bytes(packed[4 : 4 + size]), packed[4]
    if size != 5 or first >= 225 or (dictionary := int.from_bytes(properties[1:5], "little")) > 1 << 28:
        scope.unsure(f"'{entry.name[:80]}' has lzma properties that are not read here", archive, entry.header)
        return None
    alone = bytes([first]) + dictionary.to_bytes(4, "little") + b"\xff" * 8
    try:
        data, _ = unpack(memoryview(alone + bytes(packed[9:])), "lzma", scope)
    except Damaged as error:
        data = error.unpacked[: entry.size]
        if len(data) < entry.size:
            scope.unsure(f"'{entry.name[:80]}' is damaged: {error}", archive, entry.header)
    return _unpacked(archive, entry, data[: entry.size], scope)
