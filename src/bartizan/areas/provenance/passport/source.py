"""A file that is opened once and hashed by the way: whatever reads it, in whatever order, each byte is hashed the first time it passes.

So the digest and the rows come from the same bytes, and a large file goes through memory once instead of once for each purpose.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

from bartizan.areas.provenance.signing.chunk_tree import CHUNK, Tree, leaf_hash
from bartizan.areas.provenance.signing.hashing import Digest
from bartizan.areas.provenance.signing.opening import opened, stamp, unchanged
from bartizan.model.errors import InputError

_BLOCK = 1 << 20
_GAP = 1 << 16
"""Most bytes that are read only to be hashed when a reader leaps ahead; beyond, they wait for the end."""


class Source:
    """The plain file `path` as a source of bytes. `with` closes it. Raises `InputError`, `Refused` for a link without `follow`.

    `tree` is the hash of the chunk tree, as in `digest_of`. Arrow reads from threads of its own, so each reading holds a lock.
    """

    def __init__(self, path: Path, *, tree: str, follow: bool = False) -> None:
        self.path = path
        self.read = 0
        """Bytes that were handed out, or read to be hashed."""
        self._file = opened(path, follow=follow)
        self._status = os.fstat(self._file.fileno())
        self.size = self._status.st_size
        self._lock = Lock()
        self._hash = _Running(tree)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self._file.close()

    def stream(self) -> Stream:
        """A new view of the file, from its start."""
        return Stream(self)

    def digest(self) -> Digest:
        """The digest of the whole file; what nobody read is read now. Raises `Refused` where it changed meanwhile, `InputError`."""
        while self._hash.done < self.size and self.at(self._hash.done, _BLOCK):
            pass
        with self._lock:
            unchanged(self.path, self._status, self._file.fileno())
        return Digest(self.size, self._hash.hex(), self._hash.tree(self.size), stamp(self._status))

    def at(self, start: int, count: int) -> bytes:
        """At most `count` bytes from `start`; none behind the end that the file had when it was opened."""
        with self._lock:
            if self._file.closed:
                return b""
            self._close_gap(start)
            data = self._pread(start, min(count, self.size - start))
            behind = start + len(data)
            if start <= self._hash.done < behind:
                self._hash.add(memoryview(data)[self._hash.done - start :])
            return data

    def _close_gap(self, start: int) -> None:
        """Hash what lies between what is hashed and `start`, where that is little: the seams between the columns of a parquet file."""
        while 0 < start - self._hash.done <= _GAP:
            data = self._pread(self._hash.done, min(_BLOCK, start - self._hash.done))
            if not data:
                return
            self._hash.add(memoryview(data))

    def _pread(self, start: int, count: int) -> bytes:
        if count <= 0:
            return b""
        try:
            data = os.pread(self._file.fileno(), count, start)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", place=self.path.name) from None
        self.read += len(data)
        return data


class Stream(io.RawIOBase):
    """A reader of a `Source` with a place of its own."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source, self._place = source, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._source.size}[whence])
        return self._place

    def read(self, size: int = -1) -> bytes:
        data = self._source.at(self._place, size if size is not None and size >= 0 else self._source.size)
        self._place += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Running:
    """SHA-256 of the bytes so far and of each chunk of them."""

    def __init__(self, tree: str) -> None:
        self.done = 0
        self._algorithm = tree
        self._total = hashlib.sha256()
        self._open = leaf_hash(tree)
        self._leaves: list[bytes] = []

    def add(self, data: memoryview) -> None:
        self._total.update(data)
        while len(data):
            room = CHUNK - self.done % CHUNK
            part = data[:room]
            self._open.update(part)
            self.done += len(part)
            data = data[room:]
            if self.done % CHUNK == 0:
                self._leaves.append(self._open.digest())
                self._open = leaf_hash(self._algorithm)

    def hex(self) -> str:
        return self._total.hexdigest()

    def tree(self, size: int) -> Tree:
        last = [self._open.digest()] if self.done % CHUNK else []
        return Tree(self._algorithm, size, (*self._leaves, *last))
