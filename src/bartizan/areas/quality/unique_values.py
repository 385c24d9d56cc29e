"""Whether a value stands twice among millions that pass in batches: sorted hashes of 64 bits, merged as they grow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

MOST = 16_000_000
"""Most values that are remembered: 128 MB of hashes. Among so many a pair of different values has the same hash with a chance of 7e-6."""

_GROWTH = 4


class Distinct:
    """Collects the hashes of values. `twice` is True as soon as a hash stood twice, None where there were too many to tell."""

    def __init__(self, most: int = MOST) -> None:
        self.size = 0
        self._most = most
        self._runs: list[Hashes] = []
        self._twice: bool | None = False

    def add(self, hashes: Hashes) -> None:
        """Take in the hashes of a batch."""
        self.size += len(hashes)
        if self._twice is not False:
            return
        if self.size > self._most:
            self._end(None)
            return
        self._push(np.sort(hashes))
        while len(self._runs) > 1 and len(self._runs[-2]) < _GROWTH * len(self._runs[-1]) and self._twice is False:
            self._merge()

    def merge(self, other: Distinct) -> None:
        """Take in what another one holds."""
        if self._twice is not False or other._twice is not False:
            self._end(True if self._twice or other._twice else None)
            self.size += other.size
            return
        for run in other._runs:
            self.add(run)

    @property
    def twice(self) -> bool | None:
        """Did a value stand twice? None where that is not known. Merges what is held."""
        while self._twice is False and len(self._runs) > 1:
            self._merge()
        return self._twice

    @property
    def open(self) -> bool:
        """Is it worth adding more?"""
        return self._twice is False

    def _merge(self) -> None:
        later = self._runs.pop()
        joined = np.concatenate((self._runs.pop(), later))
        joined.sort(kind="stable")
        self._push(joined)

    def _push(self, run: Hashes) -> None:
        if (run[1:] == run[:-1]).any():
            self._end(True)
        else:
            self._runs.append(run)

    def _end(self, twice: bool | None) -> None:
        self._twice = twice
        self._runs = []
