"""What is neither archive nor pickle: texts, graphs in protobuf, trees, media. Recognised by content, the name being a hint at most."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from bartizan.areas.artefacts.containers.scope import Piece, Scope

HERE = "bartizan.areas.artefacts.other_formats"

DATA: tuple[tuple[bytes, int, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "picture"), (b"\xff\xd8\xff", 0, "picture"), (b"GIF8", 0, "picture"), (b"BM", 0, "picture"),
    (b"WEBP", 8, "picture"), (b"WAVE", 8, "sound"), (b"fLaC", 0, "sound"), (b"OggS", 0, "sound"), (b"ID3", 0, "sound"),
    (b"ftyp", 4, "film"), (b"PAR1", 0, "Parquet table"), (b"ARROW1", 0, "Arrow table"), (b"ORC", 0, "ORC table"),
    (b"SQLite format 3\0", 0, "SQLite database"), (b"TFL3", 4, "TensorFlow Lite"), (b"CBM1", 0, "CatBoost"), (b"binf", 0, "XGBoost"),
    (b"MATLAB 5.0 MAT-file", 0, "MATLAB arrays"), (b"\xba\x16\x4f\x2f", 0, "fastText"), (b"wOFF", 0, "font"), (b"wOF2", 0, "font"),
    (b"\0\x01\0\0\0", 0, "font"), (b"CDF\x01", 0, "NetCDF arrays"), (b"CDF\x02", 0, "NetCDF arrays"), (b"%PDF-", 0, "document"),
    (b"gguf-split", 0, "data"), (b"BPEv", 0, "data"), (b"lmgg", 0, "ggml (old format)"), (b"tjgg", 0, "ggml (old format)"),
)  # fmt: skip
"""Formats that hold numbers, pictures or text alone: first bytes, where they stand, what it is."""

PROGRAMS: tuple[tuple[bytes, str], ...] = (
    (b"\x7fELF", "a program or library for Linux"), (b"MZ", "a program or library for Windows"),
    (b"\xcf\xfa\xed\xfe", "a program for macOS"),
    (b"\xca\xfe\xba\xbe", "a program for macOS or Java"), (b"#!", "a script"), (b"\0asm", "a WebAssembly program"),
)  # fmt: skip
"""First bytes of what is a program itself."""


def read_other(piece: Piece, scope: Scope) -> bool:
    """Judge what is no archive, no pickle and of no format with magic bytes of its own."""
    head = piece.head(8192)
    for magic, at, name in DATA:
        if head[at : at + len(magic)] == magic:
            scope.recognise(name)
            return True
    if head[:4] == b"\x28\xb5\x2f\xfd":
        scope.recognise("zstd stream")
        scope.unsure("a zstd stream, which is not read here: unpack it and scan what comes out", piece)
        return True
    for magic, name in PROGRAMS:
        if head[: len(magic)] == magic and (magic != b"MZ" or b"PE\0\0" in head):
            scope.recognise("program")
            if magic != b"#!" or (not piece.name and not scope.file.endswith((".py", ".sh"))):
                scope.unsure(f"is {name}: nothing here says what it does", piece, 0)
            return True
    return _text_or_graph(head, piece, scope)


def read_beside(piece: Piece, scope: Scope) -> bool:
    """Judge what something that was recognised is besides: a graph with an archive behind it, source that is an archive, too."""
    if piece.head(1) in _GRAPHS:
        _reader("graphs", "read_hidden_graph")(piece, scope)
    if file_name(piece, scope).endswith((".py", ".pyw")):
        _reader("source_code", "read_source")(piece, scope)
    return True


_GRAPHS = (b"\x08", b"\x0a", b"\x12", b"\x1a", b"\x22", b"\x2a", b"\x32", b"\x3a", b"\x42")
"""First bytes of graphs in protobuf: the tags of their fields."""


def _text_or_graph(head: bytes, piece: Piece, scope: Scope) -> bool:
    if not _is_text(head):
        if _reader("graphs", "read_graph")(piece, scope) or _tree_or_table(head, piece, scope):
            return True
        return _unknown(piece, scope)
    return _reader("texts", "read_text")(piece, scope)


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    control = sum(byte < 32 and byte not in b"\t\n\r\x0c\x1b" for byte in head)
    return control * 100 <= len(head)


def _tree_or_table(head: bytes, piece: Piece, scope: Scope) -> bool:
    if head[:2] == b"{L" or head[:3] == b"{i\x07":
        scope.recognise("XGBoost (UBJSON)")
        return True
    if piece.head(8, max(0, len(piece.data) - 8)) == b"\x57\xfb\x80\x8b\x24\x75\x47\xdb":
        scope.recognise("TensorFlow index of variables")
        return True
    if _is_matlab4(head):
        scope.recognise("MATLAB arrays")
        return True
    if ".data-0" in file_name(piece, scope):
        scope.recognise("TensorFlow variables")
        return True
    return False


def _is_matlab4(head: bytes) -> bool:
    """The header of a matrix in version 4: kind, rows, columns, imaginary or not, length of the name, and the name with its zero byte."""
    for order in ("little", "big"):
        kind, _, _, imaginary, length = (int.from_bytes(head[at : at + 4], order) for at in range(0, 20, 4))
        name = head[20 : 20 + length]
        if (
            len(head) > 20
            and kind < 5000
            and imaginary < 2
            and 1 < length < 64
            and name[-1:] == b"\0"
            and name[:-1].decode("latin-1").isidentifier()
        ):
            return True
    return False


def file_name(piece: Piece, scope: Scope) -> str:
    """The last part of the name of what is read, in lower case: of the entry, or of the file itself."""
    return piece.last_name or scope.file.replace("\\", "/").rpartition("/")[2].lower()


def _unknown(piece: Piece, scope: Scope) -> bool:
    """Bytes that no reader here understands: data where they lie in something that is understood, else for somebody to look at."""
    scope.recognise("unknown")
    if not piece.depth:
        scope.unsure("of no format that is read here", piece)
    return False


def _reader(module: str, function: str) -> Callable[[Piece, Scope], bool]:
    found: Callable[[Piece, Scope], bool] = getattr(importlib.import_module(f"{HERE}.{module}"), function)
    return found
