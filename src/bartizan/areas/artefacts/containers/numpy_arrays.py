"""Numpy's array files (NEP 1): a header, then numbers, or a pickle where the array holds Python objects."""

from __future__ import annotations

import ast
import re

from bartizan.areas.artefacts.containers.pickled import read_pickles
from bartizan.areas.artefacts.containers.scope import Piece, Scope
from bartizan.areas.artefacts.pickles.analysis import Loader

MAGIC = b"\x93NUMPY"
_PLAIN = re.compile(r"[|<>=]?[?biufcSUaVmMT]\d*(?:\[\d*\w+\])?|bool|u?int\d+|float\d+|complex\d+")
"""Type descriptions of numbers, text, times and raw bytes; the others are, or may be, objects."""

_LONG = re.compile(r"(\d)L\b")
"""Numbers as Python 2 wrote them."""

MAX_HEADER = 1 << 16
"""Longest header that is parsed; numpy itself refuses more than 10,000 bytes unless told to trust the file."""


def is_array(piece: Piece) -> bool:
    """Does it begin as an array file does?"""
    return piece.head(6) == MAGIC


def read_array(piece: Piece, scope: Scope) -> bool:
    """Judge an array file: numbers are data, objects are a pickle behind the header."""
    scope.recognise("numpy array")
    version = piece.head(8)[6:7]
    start = 10 if version == b"\x01" else 12
    length = int.from_bytes(piece.head(start - 8, 8), "little")
    end = start + length
    if length > MAX_HEADER or end > len(piece.data):
        scope.unsure("the header of the array does not end where it says", piece, 8)
        read_pickles(piece, scope, claimed=True, start=min(end, len(piece.data)), loader=Loader.PICKLE)
        return True
    try:
        header = ast.literal_eval(_LONG.sub(r"\1", piece.head(length, start).decode("latin-1").strip()))
        objects = has_objects(header["descr"])
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError):
        scope.unsure("the header of the array cannot be read", piece, start)
        objects = True
    if objects and not read_pickles(piece, scope, claimed=False, start=end, loader=Loader.PICKLE):
        scope.unsure("the array is said to hold Python objects, and no pickle follows", piece, end)
    return True


def has_objects(descr: object, depth: int = 0) -> bool:
    """Does a type description (of a plain or structured array) hold Python objects? What is not understood counts as objects."""
    if depth > 32:
        return True
    if isinstance(descr, str):
        return _PLAIN.fullmatch(descr) is None
    if isinstance(descr, tuple):
        return any(has_objects(part, depth + 1) for part in descr[1:2])
    if isinstance(descr, list):
        return any(has_objects(field, depth + 1) for field in descr)
    return True
