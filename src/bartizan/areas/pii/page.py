"""A text prepared for scanning: reduced to one byte a place, its runs of digits as arrays, and the words around a place."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bartizan.areas.pii import markers
from bartizan.areas.pii.folding import LETTER, Codes, fold
from bartizan.areas.pii.hits import Hit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bartizan.areas.pii.context import Ear

EDGE = "\0"
"""What separates texts that are scanned together: no hit and no context reaches across it."""


def table(characters: str, *, beyond: bool = False) -> NDArray[np.bool_]:
    table = np.zeros(256, dtype=np.bool_)
    table[[ord(c) for c in characters]] = True
    table[LETTER] = beyond
    return table


_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
ALNUM = table(DIGITS + _UPPER + _UPPER.lower(), beyond=True)
LATIN = table(_UPPER + _UPPER.lower())
_SHORT = 1 << 12
_ALNUM_BIT, _SIGN_BIT = 0x80, 0x40
_SIGNS = "@:."
_CLASSES = markers.marked((ALNUM * np.uint8(_ALNUM_BIT) + table(_SIGNS) * np.uint8(_SIGN_BIT)).tobytes())


@dataclass
class Page:
    """One text, or several with `EDGE` between them. `hint` is what is known of all of it, such as the name of its column."""

    text: str
    hint: str = ""
    flat: str = field(init=False)
    codes: Codes = field(init=False)
    """`text` reduced (`folding.fold`), with one `EDGE` before and three behind, so that every place has neighbours; see `hit`."""

    def __post_init__(self) -> None:
        flat, codes = fold(self.text)
        self.flat = f"{EDGE}{flat}{EDGE}{EDGE}{EDGE}"
        self.codes = np.concatenate((np.zeros(1, np.uint8), codes, np.zeros(3, np.uint8)))

    def hit(self, kind: str, start: int, end: int, score: float, why: str) -> Hit:
        """A hit at `flat[start:end]`, given in places of `text`."""
        return Hit(kind, start - 1, end - 1, self.text[start - 1 : end - 1], score, why)

    def before(self, start: int, length: int = 48) -> str:
        """The hint, and what stands within `length` places before `start` in the same text."""
        window = self.text[max(0, start - 1 - length) : start - 1]
        cut = window.rfind(EDGE)
        return f"{self.hint} {window[cut + 1 :]}" if self.hint else window[cut + 1 :]

    def behind(self, end: int, length: int = 16) -> str:
        """What stands within `length` places behind `end`; an `EDGE` in it ends every pattern."""
        return self.flat[end : end + length]

    def heard(self, ear: Ear, places: NDArray[np.intp], width: int) -> NDArray[np.uint8]:
        """Which lists of `ear` could stand in `before` of each of `places`, or in the hint."""
        heard = ear.before(self.codes, places, width)
        if self.hint:
            _, hint = fold(f" {self.hint}  ")
            heard |= ear.before(hint, np.array([len(hint) - 1]), len(hint))
        return heard

    @cached_property
    def _classes(self) -> NDArray[np.uint8]:
        """All that is asked of every single character, as bits."""
        return np.frombuffer(self.codes.tobytes().translate(_CLASSES), dtype=np.uint8)

    @cached_property
    def alnum(self) -> NDArray[np.bool_]:
        """Which places hold a letter or a digit."""
        return self._classes >= _ALNUM_BIT

    @cached_property
    def signs(self) -> dict[str, NDArray[np.intp]]:
        """Where each of `@`, `:` and `.` stands."""
        at = np.flatnonzero((self._classes & _SIGN_BIT) != 0)
        here = self.codes[at]
        return {sign: at[here == ord(sign)] for sign in _SIGNS}

    @cached_property
    def marks(self) -> dict[str, NDArray[np.intp]]:
        """Where the words of `markers` stand that are there."""
        if len(self.flat) < _SHORT:
            return markers.places_in_short(self.flat)
        return markers.places(self.codes, self._classes)

    @cached_property
    def runs(self) -> Runs:
        """The maximal runs of digits."""
        digit = (self.codes - np.uint8(48)) < 10
        edges = np.flatnonzero(digit[1:] != digit[:-1]) + 1
        return Runs(self.codes, edges[::2], edges[1::2])


class Runs:
    """Runs of digits: `start`, `end` and `length` as arrays, of which run `i` covers `[start[i], end[i])`."""

    def __init__(self, codes: Codes, start: NDArray[np.intp], end: NDArray[np.intp]) -> None:
        self.codes, self.start, self.end = codes, start, end
        self.length = end - start

    def chains(self, joined: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Groups of runs, given whether run i and i + 1 belong together: first run, run behind the last, digits."""
        first = np.concatenate(([0], np.flatnonzero(~joined) + 1))
        behind = np.concatenate((first[1:], [len(self.start)]))
        return first, behind, np.add.reduceat(self.length, first)
