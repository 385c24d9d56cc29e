"""Digests of files at the speed of the hash: several files at once, each read once for SHA-256 and for its chunk tree."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeAlias

import msgspec

from bartizan.areas.provenance.signing.cache import Cache
from bartizan.areas.provenance.signing.chunk_tree import CHUNK, Tree, leaf_hash
from bartizan.areas.provenance.signing.opening import Stamp, opened, stamp, unchanged
from bartizan.model.errors import InputError, MissingExtra

Listener: TypeAlias = Callable[[int, int], None]
"""Told (bytes done, bytes in all) as files are finished."""

_BLOCK = 256 * 1024


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
        total = _new(algorithm)
        leaves: list[bytes] = []
        try:
            for start in range(span.start, span.stop, CHUNK):
                part = range(start, min(start + CHUNK, span.stop))
                leaf = leaf_hash(tree) if tree is not None else None
                for block in _blocks(file.fileno(), part):
                    total.update(block)
                    if leaf is not None:
                        leaf.update(block)
                leaves += [leaf.digest()] if leaf is not None else []
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", place=path.name) from None
        unchanged(path, before, file.fileno())
    made = Tree(tree, before.st_size, tuple(leaves)) if tree is not None else None
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


def _blocks(descriptor: int, span: range) -> Iterator[memoryview]:
    """The bytes of `span` in blocks that stay in the processor's cache between reading and hashing; the view is reused."""
    view = memoryview(bytearray(min(_BLOCK, len(span))))
    start = span.start
    while start < span.stop and (count := os.preadv(descriptor, [view[: span.stop - start]], start)):
        yield view[:count]
        start += count


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
