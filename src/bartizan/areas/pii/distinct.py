"""Counts different values in bounded memory: small whole numbers by one bit each, texts by a sample of those with the least digests."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALL = 10**6
"""Whole numbers from `-SMALL` to `SMALL`, both left out, have at most six digits: too few for any identifier."""
_SPAN = 1 << 64


class SmallNumbers:
    """Which whole numbers of at most six digits have been seen: 250 KB at most."""

    def __init__(self) -> None:
        self._bits: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._from = 0  # the number of the first bit, a multiple of 8

    def __len__(self) -> int:
        return int(np.unpackbits(self._bits).sum())

    def add(self, numbers: NDArray[Any]) -> NDArray[np.intp]:
        """Note `numbers` (not empty, each of at most six digits); the places of those that are new, each of which may stand there twice."""
        low, high = int(numbers.min()) & ~7, int(numbers.max()) + 1
        seen = np.zeros(-(-(high - low) // 8) * 8, np.bool_)
        seen[numbers - low] = True
        packed = np.packbits(seen)
        self._reach(low, low + len(seen))
        at = (low - self._from) // 8
        held = self._bits[at : at + len(packed)]
        new = packed & ~held
        held |= packed
        if not new.any():
            return np.empty(0, np.intp)
        return np.flatnonzero(np.unpackbits(new).view(np.bool_)[numbers - low])

    def __contains__(self, number: int) -> bool:
        byte, bit = divmod(number - self._from, 8)
        return 0 <= byte < len(self._bits) and bool(self._bits[byte] & (128 >> bit))

    def _reach(self, low: int, high: int) -> None:
        """Make room for the numbers from `low` to `high`."""
        if not len(self._bits):
            self._from = low
        start, end = min(low, self._from), max(high, self._from + 8 * len(self._bits))
        if end - start > 8 * len(self._bits):
            wider = np.zeros((end - start) // 8, np.uint8)
            at = (self._from - start) // 8
            wider[at : at + len(self._bits)] = self._bits
            self._bits, self._from = wider, start


class LargeNumbers:
    """Which whole numbers of 64 bits have been seen: eight bytes each, in sorted runs, each at least twice as long as the next."""

    def __init__(self) -> None:
        self.runs: list[NDArray[np.int64]] = []

    def new(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of `numbers` have not been seen."""
        fresh = np.ones(len(numbers), np.bool_)
        for run in self.runs:
            place = np.searchsorted(run, numbers)
            fresh &= run[np.minimum(place, len(run) - 1)] != numbers
        return fresh

    def add(self, numbers: NDArray[np.int64]) -> None:
        """Note `numbers`, sorted and none of them seen."""
        if len(numbers):
            self.runs.append(numbers)
        while len(self.runs) > 1 and len(self.runs[-2]) < 2 * len(self.runs[-1]):
            self.runs[-2:] = [np.sort(np.concatenate(self.runs[-2:]), kind="stable")]


class Entry:
    """A value of a sample: its text where it is kept, how often it came, and whether it is of the kind that is counted apart."""

    __slots__ = ("count", "marked", "text")

    def __init__(self, text: str, count: int, marked: bool) -> None:
        self.text, self.count, self.marked = text, count, marked


class Sample:
    """Of all values that are added, those with the least digests: drawn evenly, whatever the order, each with its exact count.

    At most `size` values, with texts of `characters` in all. The number of all different values is estimated from the largest digest that
    has room, with a standard error of 1 / sqrt(size) (Bar-Yossef et al., "Counting distinct elements in a data stream", 2002); while all
    have room it is exact.
    """

    def __init__(self, size: int, characters: int | None = None) -> None:
        self.size, self.characters = size, characters
        self._entries: dict[int, Entry] = {}
        self._heap: list[int] = []
        self._limit = _SPAN  # values with this digest or a larger one have no room
        self._held = 0

    def add(self, key: str, count: int = 1, *, text: str = "", marked: bool = False) -> None:
        """Add `count` rows that hold the value `key`; its `text` is kept with it."""
        digest = digest_of(key)
        if digest >= self._limit:
            return
        entry = self._entries.get(digest)
        if entry is not None:
            entry.count += count
            return
        self._entries[digest] = Entry(text, count, marked)
        self._held += len(text)
        heapq.heappush(self._heap, -digest)
        while len(self._heap) > self.size or (self.characters is not None and self._held > self.characters):
            self._limit = -heapq.heappop(self._heap)
            self._held -= len(self._entries.pop(self._limit).text)

    def __iter__(self) -> Iterator[Entry]:
        """The entries in the order of their digests."""
        return (self._entries[digest] for digest in sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def complete(self) -> bool:
        """Are all values that were added in it?"""
        return self._limit == _SPAN

    def estimate(self) -> int:
        """How many different values were added."""
        return len(self) if self.complete else max(len(self), round(len(self) * _SPAN / max(self._limit, 1)))

    def marked(self) -> int:
        """How many of them were marked."""
        share = sum(entry.marked for entry in self._entries.values()) / max(len(self), 1)
        return round(share * self.estimate())


def digest_of(key: str) -> int:
    """64 bits of BLAKE2b: the same in every process."""
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
