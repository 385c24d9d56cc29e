"""Finds where digits stand in a known shape, such as 3-2-4 or 4 4 4 4, in whole arrays, and sums their check digits there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bartizan.areas.pii.folding import Codes
    from bartizan.areas.pii.page import Runs

JOINS = " -./"
"""The separators that join runs of digits to one shape."""
LONGEST = 7
"""Runs of the shape with most of them."""
WIDEST = 24
"""More than the places of the longest payment card with its separators."""
_JOIN_CODES = np.zeros(256, np.int64)
_JOIN_CODES[[ord(c) for c in JOINS]] = (1, 2, 3, 4)
_SPACE = 1
_ROWS = 1 << 12
_DOUBLED = np.array((0, 2, 4, 6, 8, 1, 3, 5, 7, 9), np.uint8)


def code(shape: str) -> int:
    """A shape as a number: eight bits a run, its length and the separator behind it."""
    parts = re.findall(r"([0-9]+)([^0-9]?)", shape)
    return sum((int(size) + 32 * int(_JOIN_CODES[ord(sep)] if sep else 0)) << (8 * i) for i, (size, sep) in enumerate(parts))


@dataclass(frozen=True)
class Spans:
    """Stretches of digits in a known shape: run `first` to run `last` of the page, shape number `shape`; sorted by both runs."""

    first: NDArray[np.intp]
    last: NDArray[np.intp]
    shape: NDArray[np.intp]
    start: NDArray[np.intp]
    end: NDArray[np.intp]

    def only(self, keep: NDArray[np.bool_]) -> Spans:
        """Those where `keep` is true."""
        return Spans(self.first[keep], self.last[keep], self.shape[keep], self.start[keep], self.end[keep])


class Shapes:
    """The shapes to look for; those that are not digits and single separators are no business of this class."""

    def __init__(self, shapes: Iterable[str]) -> None:
        digital = [shape for shape in shapes if re.fullmatch(r"[0-9]+(?:[-. /][0-9]+)*", shape)]
        self.names = sorted(digital, key=code)
        self.digits = np.array([sum(map(int, re.findall("[0-9]+", shape))) for shape in self.names])
        """How many digits each has."""
        self._codes = np.array([code(shape) for shape in self.names])
        self._heads = [self._beginnings(k) for k in range(LONGEST)]

    def _beginnings(self, k: int) -> NDArray[np.int64]:
        """The codes of the first k + 1 runs, each with its separator, of shapes that go on."""
        low = (1 << (8 * (k + 1))) - 1
        return np.array(sorted({whole & low for whole in self._codes.tolist() if whole > low} | {-1}))

    def spans(self, runs: Runs, joined: NDArray[np.bool_]) -> Spans:
        """Every stretch in a known shape that starts and ends at a space or at an end of its chain; `joined`: does i belong to i + 1."""
        first, behind, digits = runs.chains(joined)
        count = behind - first
        wanted = (digits >= 8) | ((count >= 3) & (digits >= 6))
        if not wanted.any():
            nothing = np.zeros(0, np.intp)
            return Spans(nothing, nothing, nothing, nothing, nothing)
        run = np.flatnonzero(np.repeat(wanted, count))
        join = np.where(np.append(joined, False)[run], _JOIN_CODES[runs.codes[runs.end[run]]], 0)
        part = np.minimum(runs.length[run], 31) + 32 * join
        begins = np.ones(len(run), np.bool_)
        begins[1:] = join[:-1] <= _SPACE
        ends = join <= _SPACE
        left = np.flatnonzero(begins)
        prefix = np.zeros(len(left), np.int64)
        found: list[tuple[NDArray[np.intp], ...]] = []
        for k in range(LONGEST):
            here = left + k
            known, place = _among(self._codes, prefix + ((part[here] & 31) << (8 * k)))
            known &= ends[here]
            found.append((run[left[known]], run[here[known]], place[known]))
            prefix = prefix + (part[here] << (8 * k))
            on = (join[here] > 0) & _among(self._heads[k], prefix)[0]
            left, prefix = left[on], prefix[on]
            if not len(left):
                break
        a, b, shape = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.argsort(a * LONGEST + (b - a), kind="stable")
        a, b, shape = a[order], b[order], shape[order]
        return Spans(a, b, shape, runs.start[a], runs.end[b])


def _among(ascending: NDArray[np.int64], asked: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Which of `asked` are among `ascending`, and where."""
    place = np.minimum(np.searchsorted(ascending, asked), len(ascending) - 1)
    return ascending[place] == asked, place


def luhn(codes: Codes, start: NDArray[np.intp], end: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Does the Luhn digit hold at each `[start, end)`, digits and separators of at most `WIDEST` places?"""
    holds = np.zeros(len(start), np.bool_)
    for top in range(0, len(start), _ROWS):
        a, b = start[top : top + _ROWS], end[top : top + _ROWS]
        place = b[:, None] - 1 - np.arange(WIDEST)
        value = codes[np.maximum(place, 0)] - np.uint8(48)
        digit = (value < 10) & (place >= a[:, None])
        value[~digit] = 0
        size = np.cumsum(digit, axis=1, dtype=np.uint8)
        total = np.where(size & 1, value, _DOUBLED[value]).sum(axis=1, dtype=np.uint16)
        holds[top : top + _ROWS] = total % 10 == 0
    return holds


def heads(codes: Codes, start: NDArray[np.intp]) -> NDArray[np.intp]:
    """The numbers that the four digits at each of `start` write."""
    digits = codes[start[:, None] + np.arange(4)] - np.uint8(48)
    return np.asarray(digits @ np.array((1000, 100, 10, 1)), np.intp)
