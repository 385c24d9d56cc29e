"""Reduces a text to one byte for each code point, so that offsets stay true while digits, dashes and spaces of any script become plain.

Full-width and other decimal digits become ASCII digits, dashes `-`, spaces a space, letters and combining marks beyond ASCII the byte
`LETTER`, all else beyond ASCII the byte `OTHER`.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Codes: TypeAlias = "NDArray[np.uint8]"

LETTER = 0xE9
OTHER = 0xA1
_MATHEMATICAL_DIGITS = range(0x1D7CE, 0x1D800)


def fold(text: str) -> tuple[str, Codes]:
    """`text` reduced, as a string and as an array of bytes; both have `len(text)` places. Control characters stay as they are."""
    if text.isascii():
        return text, np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    codes = points.astype(np.uint8)
    beyond = np.flatnonzero(points > 0x7F)
    rare = points[beyond]
    folded = _table()[np.minimum(rare, 0xFFFF)]
    if rare.max() > 0xFFFF:
        digits = (rare >= _MATHEMATICAL_DIGITS.start) & (rare < _MATHEMATICAL_DIGITS.stop)
        folded[digits] = 48 + (rare[digits] - _MATHEMATICAL_DIGITS.start) % 10
    codes[beyond] = folded
    return codes.tobytes().decode("latin-1"), codes


@cache
def _table() -> Codes:
    """The byte for each code point of the basic plane; its last place also stands for all beyond."""
    return np.fromiter((_folded(point) for point in range(0x10000)), dtype=np.uint8, count=0x10000)


def _folded(point: int) -> int:
    if point < 0x80:
        return point
    if 0xFF01 <= point <= 0xFF5E:  # full-width forms of ASCII
        return point - 0xFEE0
    char = chr(point)
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return 48 + digit
    category = unicodedata.category(char)
    plain = {"Zs": 0x20, "Pd": 0x2D, "Zl": 0x0A, "Zp": 0x0A}.get(category)
    if plain is not None:
        return plain
    return LETTER if category[0] in "LM" else OTHER


DIGITS = str.maketrans("123456789", "000000000")
"""What texts that differ in digits alone become one text by."""


def pieces_of(text: str) -> list[str]:
    """The lines of a text of a hundred and more that hardly differ but in digits, such as a log, since nothing goes on in the next of
    them; else the text as a whole."""
    lines = text.splitlines(keepends=True)
    alike = len(lines) >= 100 and len({line.translate(DIGITS) for line in lines}) * 2 <= len(lines)
    return lines if alike else [text]
