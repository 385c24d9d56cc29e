"""The words near a place: which kinds of personal data they speak of.

A window of text is split into words once; whole words and the beginnings of words are looked up in sets, and a pattern is tried only where
a word could begin one of its phrases. `Ear` asks that for thousands of places at once, by the first three letters of the words before them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from bartizan.areas.pii.folding import LETTER, Codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORD = re.compile(r"[^\W\d_]{2,}")
_ASCII_WORD = re.compile(r"[a-z]{2,}")
_LEADING = re.compile(r"[^\W\d_]+(?![?*{])")


def words(window: str) -> list[str]:
    """The words of two letters and more in `window`, in lower case."""
    return (_ASCII_WORD if window.isascii() else _WORD).findall(window.lower())


class Window:
    """A stretch of text that is asked for several lists of phrases: its words are found once."""

    __slots__ = ("lower", "text", "words")

    def __init__(self, text: str) -> None:
        self.text, self.lower = text, text.lower()
        self.words: list[str] = (_ASCII_WORD if text.isascii() else _WORD).findall(self.lower)


class Phrases:
    """Alternatives of a pattern, each of which begins with at least two letters at the beginning of a word."""

    def __init__(self, whole: str) -> None:
        """`whole` is in lower case."""
        self.pattern = re.compile(rf"(?i)(?<![^\W\d_])(?:{whole})")
        self._lower = re.compile(rf"(?<![^\W\d_])(?:{whole})")
        beginnings: dict[str, list[str]] = {}
        enough: dict[str, list[str]] = {}
        for alternative in _alternatives(whole):
            found = _LEADING.match(alternative)
            if found is None or len(found[0]) < 2:
                raise ValueError(f"does not begin with two letters: {alternative}")
            beginnings.setdefault(found[0][:2], []).append(found[0])
            if re.fullmatch(r"(?:[a-z]\?)?", alternative[found.end() :]):
                enough.setdefault(found[0][:2], []).append(found[0])
        self.beginnings = {two: tuple(found) for two, found in beginnings.items()}
        self._enough = {two: tuple(found) for two, found in enough.items()}

    def possible(self, window: Window) -> bool:
        """Does a word of `window` begin as a phrase does? Where not, `search` finds none."""
        beginnings = self.beginnings
        for word in window.words:
            known = beginnings.get(word[:2])
            if known is not None and word.startswith(known):
                return True
        return False

    def search(self, window: Window | str) -> bool:
        """Does `window` hold a phrase?"""
        if isinstance(window, str):
            window = Window(window)
        beginnings = self.beginnings
        for word in window.words:
            known = beginnings.get(word[:2])
            if known is not None and word.startswith(known):
                if word.startswith(self._enough.get(word[:2], ())):
                    return True
                if not window.text.isascii():
                    return self.pattern.search(window.text) is not None
                place = window.lower.find(word)  # most often it stands there, which saves the search
                return self._lower.match(window.lower, place) is not None or self._lower.search(window.lower) is not None
        return False


def _alternatives(whole: str) -> Iterator[str]:
    """The alternatives of the outermost level of a pattern."""
    depth, start = 0, 0
    for place, char in enumerate(f"{whole}|"):
        depth += (char == "(") - (char == ")")
        if char == "|" and depth == 0:
            yield whole[start:place]
            start = place + 1


_LETTERS = 28  # no letter, a to z, any letter beyond ASCII
_BEYOND = _LETTERS - 1
_CLASS = np.zeros(256, np.uint8)
_CLASS[97:123] = _CLASS[65:91] = np.arange(1, 27)
_CLASS[LETTER] = _BEYOND
_ROWS = 1 << 13
_MANY = 16
_CLOSE = 400  # a page with more than one place in so many characters is heard as a whole


class Ear:
    """Which of at most eight lists of words could stand before a place: never misses a word, and may hear one that is not there.

    A word counts by its first three letters, of which those beyond ASCII are all alike; list `i` is bit `1 << i` of an answer.
    """

    def __init__(self, *lists: Iterable[str]) -> None:
        self._table = np.zeros(_LETTERS**3, np.uint8)
        self._bits = [1 << i for i in range(len(lists))]
        for bit, words in enumerate(lists):
            for word in words:
                letters = [_readings(char) for char in word[:3]]
                for key in product(*letters, *[range(_LETTERS)] * (3 - len(letters))):
                    self._table[key[0] * _LETTERS**2 + key[1] * _LETTERS + key[2]] |= 1 << bit

    def before(self, codes: Codes, places: NDArray[np.intp], width: int) -> NDArray[np.uint8]:
        """The lists heard within `width` places before each of `places`, in the same text; no letter stands at a place itself."""
        if not len(places):
            return np.zeros(0, np.uint8)
        if len(places) > _MANY and len(places) * _CLOSE > len(codes):
            return self._everywhere(codes, places, width)
        heard = np.zeros(len(places), np.uint8)
        for top in range(0, len(places), _ROWS):
            self._hear(codes, places[top : top + _ROWS], width, heard[top : top + _ROWS])
        return heard

    def _everywhere(self, codes: Codes, places: NDArray[np.intp], width: int) -> NDArray[np.uint8]:
        """The same, faster for many places: all words of the page are looked up, and then which of them is the last before a place."""
        letter = np.append(_CLASS[codes], np.zeros(2, np.uint8))
        begins = letter[:-2] > 0
        begins[1:] &= (letter[:-3] == 0) | (letter[:-3] == _BEYOND)
        at = np.flatnonzero(begins)
        lists = self._lists(letter, at)
        at, lists = at[lists > 0], lists[lists > 0]
        edges = np.append(-1, np.flatnonzero(codes == 0))
        low = np.maximum(places - width, edges[np.searchsorted(edges, places) - 1] + 1)
        heard = self._lists(letter, low)  # a word that the window cuts counts as it stands in it
        for bit in self._bits:
            words = np.append(-1, at[(lists & bit) > 0])
            heard[words[np.searchsorted(words, places) - 1] >= low] |= bit
        return heard

    def _lists(self, letter: NDArray[np.uint8], at: NDArray[np.intp]) -> NDArray[np.uint8]:
        """The lists that have a word of the three letters at each of `at`."""
        three = letter[at].astype(np.intp) * _LETTERS**2 + letter[at + 1].astype(np.intp) * _LETTERS + letter[at + 2]
        return np.asarray(self._table[three], np.uint8)

    def _hear(self, codes: Codes, places: NDArray[np.intp], width: int, heard: NDArray[np.uint8]) -> None:
        window = codes[np.maximum(places[:, None] + np.arange(-width, 1), 0)]
        letter = _CLASS[window]
        begins = letter[:, :-2] > 0
        begins[:, 1:] &= (letter[:, :-3] == 0) | (letter[:, :-3] == _BEYOND)  # a combining mark is no letter of a word
        edge = window[:, :-1] == 0
        if edge.any():
            begins &= ~np.logical_or.accumulate(edge[:, ::-1], axis=1)[:, -1:0:-1]
        row, column = np.nonzero(begins)
        lists = self._lists(letter.ravel(), row * letter.shape[1] + column)
        for bit in self._bits:
            heard[row[(lists & bit) > 0]] |= bit


def _readings(char: str) -> tuple[int, ...]:
    """The classes of `char` and of the letters beyond ASCII that become it in lower case."""
    return (ord(char) - 96, _BEYOND) if "a" <= char <= "z" else (_BEYOND,)
