"""Digests of files at the speed of the hash: several files at once, and for one large file a thread that reads ahead.

The reader can hash the chunks of the tree (`chunk_tree`) on its way, so that the tree costs time only where no core is free.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Protocol, TypeAlias

import msgspec

from bartizan.areas.provenance.signing.cache import Cache
from bartizan.areas.provenance.signing.chunk_tree import CHUNK, Tree, hasher
from bartizan.areas.provenance.signing.opening import Stamp, opened, stamp, unchanged
from bartizan.model.errors import InputError, MissingExtra

Listener: TypeAlias = Callable[[int, int], None]
"""Told (bytes done, bytes in all) as files are finished."""

_BLOCK = 1024 * 1024
_LARGE = 8 * _BLOCK
_AHEAD = 4


class Digest(msgspec.Struct, frozen=True):
    """What was found of one file: the bytes hashed, the hash in hexadecimal digits, its tree where asked for, and the file's stamp."""

    size: int
    hex: str
    tree: Tree | None = None
    stamp: Stamp = (0, 0, 0, 0, 0)


def digest_of(path: Path, *, tree: str | None = None, algorithm: str = "sha256", span: range | None = None, follow: bool = False) -> Digest:
    """The digest of `path`, or of the bytes in `span`. `tree` is the hash of the chunk tree, `algorithm` one of `statement.HASHES`.

    Raises `Refused` where the file changes meanwhile or is a link without `follow`, `InputError` where it cannot be read.
    """
    with opened(path, follow=follow) as file:
        before = os.fstat(file.fileno())
        span = span if span is not None else range(before.st_size)
        blocks = _Blocks(file, span, tree)
        total = _new(algorithm)
        try:
            for block in blocks.ahead() if len(span) > _LARGE and (os.cpu_count() or 1) > 1 else blocks.plain():
                total.update(block)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", place=path.name) from None
        unchanged(path, before, file.fileno())
    made = Tree(tree, before.st_size, tuple(blocks.leaves)) if tree is not None else None
    return Digest(len(span), total.hexdigest(), made, stamp(before))


def digests_of(
    files: Mapping[str, Path],
    *,
    tree: str | None = None,
    algorithm: str = "sha256",
    cache: Cache | None = None,
    workers: int | None = None,
    follow: bool = False,
    listener: Listener | None = None,
) -> dict[str, Digest]:
    """The digests of `files` by name, hashed by `workers` threads (default: one for each core), the largest first.

    With a `cache` a file whose size, times and inode are those of last time is not opened. Raises what `digest_of` raises.
    """
    sizes = {name: _size(path) for name, path in files.items()}
    whole, done = sum(sizes.values()), 0
    found: dict[str, Digest] = {}

    def one(name: str) -> tuple[str, Digest]:
        path = files[name]
        known = cache.get(path, tree, algorithm) if cache is not None else None
        if known is not None:
            return name, Digest(*known)
        digest = digest_of(path, tree=tree, algorithm=algorithm, follow=follow)
        if cache is not None:
            cache.put(path, digest.stamp, digest.hex, digest.tree, algorithm)
        return name, digest

    for name, digest in over(one, sorted(files, key=lambda name: -sizes[name]), workers):
        found[name] = digest
        done += digest.size
        if listener is not None:
            listener(done, whole)
    return {name: found[name] for name in files}


def over(one: Callable[[str], tuple[str, Digest]], names: Sequence[str], workers: int | None) -> Iterator[tuple[str, Digest]]:
    """`one` of each of `names`, in threads where there is more than one name."""
    threads = min(workers or os.cpu_count() or 1, len(names))
    if threads <= 1:
        yield from map(one, names)
        return
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield from pool.map(one, names)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", place=path.name) from None


class _Hash(Protocol):
    """The few methods of a hash object that are needed."""

    def update(self, data: memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


def _new(algorithm: str) -> _Hash:
    if algorithm == "blake3":
        try:
            from blake3 import blake3
        except ImportError as error:
            raise MissingExtra("signing", "blake3") from error
        return blake3()
    return hashlib.new(algorithm)


class _Blocks:
    """The blocks of a span of a file in order; with a tree, its leaves are collected on the way."""

    def __init__(self, file: BufferedReader, span: range, tree: str | None) -> None:
        self._descriptor = file.fileno()
        self._span = span
        self._made = hasher(tree) if tree is not None else None
        self._size = CHUNK if tree is not None else _BLOCK
        self.leaves: list[bytes] = []

    def plain(self) -> Iterator[memoryview]:
        buffer = memoryview(bytearray(min(self._size, max(1, len(self._span)))))
        for start in range(self._span.start, self._span.stop, self._size):
            yield self._read(buffer, start)

    def ahead(self) -> Iterator[memoryview]:
        """The same, read by a second thread while the last block is in use."""
        free: SimpleQueue[memoryview | None] = SimpleQueue()
        full: SimpleQueue[tuple[memoryview, memoryview] | BaseException | None] = SimpleQueue()
        for _ in range(_AHEAD):
            free.put(memoryview(bytearray(self._size)))

        def read() -> None:
            try:
                for start in range(self._span.start, self._span.stop, self._size):
                    buffer = free.get()
                    if buffer is None:
                        return
                    full.put((buffer, self._read(buffer, start)))
                full.put(None)
            except OSError as error:
                full.put(error)

        reader = Thread(target=read, name="bartizan reads ahead", daemon=True)
        reader.start()
        try:
            while (item := full.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item[1]
                free.put(item[0])
        finally:
            free.put(None)
            reader.join()

    def _read(self, buffer: memoryview, start: int) -> memoryview:
        wanted = min(self._size, self._span.stop - start)
        held = 0
        while held < wanted and (count := os.preadv(self._descriptor, [buffer[held:wanted]], start + held)):
            held += count
        block = buffer[:held]
        if self._made is not None:
            self.leaves.append(self._made("leaf", block))
        return block
