"""The rows of a data set as a set: buckets of sorted row hashes under a Merkle tree, so that it can be proved that a row is not there.

A row's bucket is given by the first bits of its hash; there are as many buckets as keep about 128 rows in each. A proof shows one whole
bucket. Memory is bounded: beyond a quarter of a million rows the hashes go to 256 temporary files, by their first
byte.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from types import TracebackType
from typing import IO

import numpy as np

from bartizan.areas.provenance.passport.trees import leaf_hash, root

IN_BUCKET = 128
"""Rows of a bucket, about."""

IN_MEMORY = 250_000
"""Row hashes that are kept in memory."""

PARTS = 256


def bits_for(rows: int) -> int:
    """How many leading bits of a hash name its bucket in a set of `rows` rows."""
    return max(0, (max(rows, 1) // IN_BUCKET).bit_length())


def bucket_of(digest: bytes, bits: int) -> int:
    """The number of the bucket of a row hash."""
    return int.from_bytes(digest[:8], "big") >> (64 - bits) if bits else 0


def bucket_leaf(digests: bytes) -> bytes:
    """The leaf of a bucket: its hashes, sorted, one after the other."""
    return leaf_hash(b"rows" + digests)


class RowSet:
    """Collects row hashes; `with` removes the temporary files."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self.size = 0
        self._held = bytearray()
        self._limit = in_memory * 32
        self._parts: list[IO[bytes]] = []
        self._closing = ExitStack()
        self._mark: tuple[int, int] | None = None
        self._before: tuple[bytes, list[int]] | None = None

    def __enter__(self) -> RowSet:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.close()

    def add(self, joined: bytes) -> None:
        """Add row hashes, one after the other."""
        self.size += len(joined) // 32
        self._held += joined
        if len(self._held) > self._limit:
            self._spill()

    def mark(self) -> None:
        """Remember this moment for `rewind`."""
        self._mark, self._before = (self.size, len(self._held)), None

    def rewind(self) -> None:
        """Forget what was added since `mark`."""
        assert self._mark is not None
        self.size, held = self._mark
        if self._before is None:
            del self._held[held:]
            return
        kept, sizes = self._before
        self._held = bytearray(kept)
        for file, size in zip(self._parts, sizes, strict=True):
            file.seek(size)
            file.truncate()
        self._before = None

    def leaves(self) -> Iterator[bytes]:
        """The leaves of all buckets in their order."""
        bits = bits_for(self.size)
        return (bucket_leaf(digests) for digests in self.buckets(bits))

    def root(self) -> bytes:
        """The root over the buckets."""
        return root(list(self.leaves()))

    def buckets(self, bits: int) -> Iterator[bytes]:
        """The sorted hashes of each bucket."""
        if not self._parts:
            yield from _split(bytes(self._held), range(1 << bits), bits)
            return
        self._spill()
        assert bits >= 8, "a set that does not fit in memory has more than 256 buckets"
        for number, file in enumerate(self._parts):
            file.seek(0)
            each = 1 << (bits - 8)
            yield from _split(file.read(), range(number * each, (number + 1) * each), bits)

    def _unnamed(self) -> IO[bytes]:
        """A temporary file that no kill leaves behind."""
        return self._closing.enter_context(tempfile.TemporaryFile())

    def _spill(self) -> None:
        if not self._parts:
            self._parts = [self._unnamed() for _ in range(PARTS)]
        if self._mark is not None and self._before is None:
            self._before = bytes(self._held[: self._mark[1]]), [file.tell() for file in self._parts]
        held = np.frombuffer(bytes(self._held), np.uint8).reshape(-1, 32)
        order = np.argsort(held[:, 0], kind="stable")
        ends = np.searchsorted(held[order, 0], np.arange(PARTS + 1))
        for number, file in enumerate(self._parts):
            file.seek(0, 2)
            file.write(held[order[ends[number] : ends[number + 1]]].tobytes())
        self._held = bytearray()


def _split(joined: bytes, numbers: range, bits: int) -> Iterator[bytes]:
    """The sorted hashes of the buckets `numbers`, from hashes that all belong to them."""
    rows = np.frombuffer(joined, np.uint8).reshape(-1, 32)
    words = rows.view(">u8").astype(np.uint64)
    order = np.argsort(words[:, 0])
    first = words[order, 0]
    if (first[1:] == first[:-1]).any():
        order = np.lexsort((words[:, 3], words[:, 2], words[:, 1], words[:, 0]))
    ordered = rows[order]
    found = (words[order, 0] >> np.uint64(64 - bits)) if bits else np.zeros(len(rows), np.uint64)
    ends = np.searchsorted(found, np.arange(numbers.start, numbers.stop + 1, dtype=np.uint64))
    for start, end in pairwise(ends):
        yield ordered[start:end].tobytes()
