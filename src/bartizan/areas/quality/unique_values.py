"""Whether a value stands twice among millions that pass in batches: sorted hashes of 64 bits, merged as they grow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

MOST = 24_000_000
"""Most values that are remembered, of all columns together: 192 MB of hashes. Among so many in one column a pair of different values has
the same hash with a chance of 2e-5."""

PARTS = 16
"""Parts by the first bits of a hash, each merged by itself, so that merging needs little memory beside what is held."""

_BOUNDS = np.arange(1, PARTS, dtype=np.uint64) << np.uint64(60)
_GROWTH = 4


class Room:
    """How many values may still be remembered, by all who share it."""

    def __init__(self, left: int = MOST) -> None:
        self.left = left


class Distinct:
    """Collects the hashes of values. `twice` is True as soon as a hash stood twice, None where there was no `room` to tell."""

    def __init__(self, room: Room | None = None) -> None:
        self._room = room if room is not None else Room()
        self._held = 0
        self._parts: list[list[Hashes]] = [[] for _ in range(PARTS)]
        self._twice: bool | None = False

    def add(self, hashes: Hashes) -> None:
        """Take in the hashes of a batch."""
        if self._twice is not False:
            return
        self._held += len(hashes)
        self._room.left -= len(hashes)
        if self._room.left < 0:
            self._end(None)
            return
        ordered = np.sort(hashes)
        for runs, run in zip(self._parts, np.split(ordered, np.searchsorted(ordered, _BOUNDS)), strict=True):
            self._push(runs, run.copy())
            while len(runs) > 1 and len(runs[-2]) < _GROWTH * len(runs[-1]) and self._twice is False:
                self._merge(runs)

    def merge(self, other: Distinct) -> None:
        """Take in what another one holds, which is empty then."""
        if self._twice is not False or other._twice is not False:
            self._end(True if self._twice or other._twice else None)
            other.forget()
            return
        held = [run for runs in other._parts for run in runs]
        other.forget()
        for run in held:
            self.add(run)

    def forget(self) -> None:
        """Give back the room; nothing is known any more."""
        self._end(self._twice or None)

    @property
    def twice(self) -> bool | None:
        """Did a value stand twice? None where that is not known. Merges what is held."""
        for runs in self._parts:
            while self._twice is False and len(runs) > 1:
                self._merge(runs)
        return self._twice

    @property
    def open(self) -> bool:
        """Is it worth adding more?"""
        return self._twice is False

    def _merge(self, runs: list[Hashes]) -> None:
        later = runs.pop()
        joined = np.concatenate((runs.pop(), later))
        joined.sort(kind="stable")
        self._push(runs, joined)

    def _push(self, runs: list[Hashes], run: Hashes) -> None:
        if (run[1:] == run[:-1]).any():
            self._end(True)
        elif len(run) and self._twice is False:
            runs.append(run)

    def _end(self, twice: bool | None) -> None:
        self._twice = twice
        self._parts = [[] for _ in range(PARTS)]
        self._room.left += self._held
        self._held = 0
