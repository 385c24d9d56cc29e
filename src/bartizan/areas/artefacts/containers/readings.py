"""All readings of a run of bytes: whatever a loader could take them for is judged, and the content decides what that is, not the name."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from bartizan.areas.artefacts.containers.numpy_arrays import is_array, read_array
from bartizan.areas.artefacts.containers.pickled import read_pickles
from bartizan.areas.artefacts.containers.scope import Piece, Scope
from bartizan.areas.artefacts.containers.tar_archives import is_tar, read_tar
from bartizan.areas.artefacts.containers.unpacking import Damaged, stream_kinds, unpack
from bartizan.areas.artefacts.containers.zip_archives import read_zip

FORMATS = "bartizan.areas.artefacts.other_formats"

BY_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"GGUF", "gguf", "read_gguf"),
    (b"\x89HDF\r\n\x1a\n", "hdf5", "read_hdf5"),
    (b"7z\xbc\xaf\x27\x1c", "seven_zip", "read_seven_zip"),
)
"""First bytes, and the module and function that read what begins with them."""

WEAK = frozenset({"zlib", "lzma"})
"""Streams whose first bytes are so short that other data may begin alike."""

_HDF5 = b"\x89HDF\r\n\x1a\n"


def inspect(piece: Piece, scope: Scope) -> None:
    """Judge every reading of `piece`; what is found goes into `scope`. Raises `LimitReached`."""
    scope.check_depth(piece)
    scope.check_time()
    if not len(piece.data):
        scope.recognise("empty file")
        return
    claimed = read_zip(piece, scope, inspect)
    claimed = _compressed(piece, scope) or claimed
    if is_array(piece):
        claimed = read_array(piece, scope)
    if is_tar(piece):
        claimed = read_tar(piece, scope, inspect)
    for magic, module, function in BY_MAGIC:
        if piece.head(len(magic)) == magic:
            claimed = _other(module, function)(piece, scope) or claimed
    claimed = _behind_user_block(piece, scope) or claimed
    claimed = _other("safetensors", "read_safetensors")(piece, scope) or claimed
    pickled = not _begins_as_zip(piece) and read_pickles(piece, scope, inspect, claimed=claimed or _is_text(piece))
    if not claimed and not pickled:
        _other("recognition", "read_other")(piece, scope)
    else:
        _other("recognition", "read_beside")(piece, scope)


def _begins_as_zip(piece: Piece) -> bool:
    """As a pickle these bytes are a persistent id, at which plain loaders stop; the others take them for an archive."""
    return piece.head(4) == b"PK\x03\x04"


def _is_text(piece: Piece) -> bool:
    """Does it look like text that is no pickle of protocol 0? Such a pickle is read all the same, but must act to count."""
    head = piece.head(2048)
    return b"\0" not in head and head[:1] in b"{[<#\"'-*!%/ \t\r\n=@" and head[:1] != b""


def _other(module: str, function: str) -> Callable[[Piece, Scope], bool]:
    found: Callable[[Piece, Scope], bool] = getattr(importlib.import_module(f"{FORMATS}.{module}"), function)
    return found


def _behind_user_block(piece: Piece, scope: Scope) -> bool:
    """HDF5 may begin at 512, 1024, 2048 and so on, behind bytes of somebody else's."""
    at = 512
    while at < min(len(piece.data), 1 << 22):
        if piece.head(8, at) == _HDF5:
            return _other("hdf5", "read_hdf5")(piece, scope)
        at *= 2
    return False


def _compressed(piece: Piece, scope: Scope) -> bool:
    """Compressed streams: what they hold, and what stands behind them."""
    found = False
    for kind in stream_kinds(piece.head(16)):
        if kind not in WEAK:
            scope.recognise(f"{kind} stream")
        try:
            data, end = unpack(piece.data, kind, scope)
        except Damaged as error:
            if kind in WEAK and not len(error.unpacked):
                continue
            scope.unsure(str(error), piece)
            data, end = error.unpacked, len(piece.data)
        found = True
        scope.recognise(f"{kind} stream")
        inspect(Piece(data, piece.inner(f"{kind} content"), None, piece.depth + 1), scope)
        if end < len(piece.data):
            scope.note(f"{len(piece.data) - end} bytes follow after the {kind} stream")
    return found or _zfile(piece, scope)


def _zfile(piece: Piece, scope: Scope) -> bool:
    """Joblib's own format before 0.10: `ZF`, the length in 19 characters of hexadecimal, a zlib stream."""
    head = piece.head(32)
    if head[:4] not in (b"ZF0x", b"ZF0X"):
        return False
    for start in (21, 22):
        if piece.head(1, start) == b"\x78":
            try:
                data, _ = unpack(piece.data[start:], "zlib", scope)
            except Damaged as error:
                scope.unsure(str(error), piece)
                data = error.unpacked
            scope.recognise("joblib (old format)")
            inspect(Piece(data, piece.inner("zlib content"), None, piece.depth + 1), scope)
            return True
    return False
