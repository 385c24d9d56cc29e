"""A hash tree over the chunks of a file: the second look at a large file runs on all cores and says which part changed.

A leaf is the hash of a chunk, an inner node the hash of its two children (split as RFC 6962 does), the root the hash of the file's size,
the chunk's size and the top node. Leaf, node and root are hashed in separate domains: BLAKE3 with a derivation context of its own, or
SHA-256 with a byte in front.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from threading import local
from typing import Protocol, TypeAlias

import msgspec

from bartizan.areas.provenance.signing.opening import opened, unchanged
from bartizan.model.errors import MissingExtra

CHUNK = 4 * 1024 * 1024
"""Bytes of a chunk; the last one of a file may be shorter."""

_CONTEXT = "bartizan 2026-11 chunk tree "

Data: TypeAlias = bytes | bytearray | memoryview
_Hash: TypeAlias = Callable[[str, Data], bytes]


class Tree(msgspec.Struct, frozen=True):
    """The leaves of a file of `size` bytes, 32 bytes each, made with `algorithm` (`blake3` or `sha256`)."""

    algorithm: str
    size: int
    leaves: tuple[bytes, ...]
    chunk: int = CHUNK

    @property
    def root(self) -> str:
        """The root as 64 hexadecimal digits."""
        made = hasher(self.algorithm)
        head = self.size.to_bytes(8, "big") + self.chunk.to_bytes(8, "big")
        return made("root", head + _top(made, self.leaves)).hex()

    def differences(self, other: Tree) -> tuple[tuple[int, int], ...]:
        """The byte ranges, end exclusive, in which a file with the tree `other` differs from this one; neighbours joined."""
        last = max(self.size, other.size)
        found: list[tuple[int, int]] = []
        for index in range(max(len(self.leaves), len(other.leaves))):
            if self.leaves[index : index + 1] == other.leaves[index : index + 1]:
                continue
            start, end = index * self.chunk, min((index + 1) * self.chunk, last)
            if found and found[-1][1] == start:
                start = found.pop()[0]
            found.append((start, end))
        return tuple(found)


def best() -> str:
    """`blake3` where its package is installed, else `sha256`."""
    return "blake3" if find_spec("blake3") is not None else "sha256"


def hasher(algorithm: str) -> _Hash:
    """The hash of a domain (`leaf`, `node`, `root`) and data. Raises `MissingExtra` for `blake3` where it is not installed."""
    if algorithm == "sha256":
        return _sha256
    try:
        from blake3 import blake3
    except ImportError as error:
        raise MissingExtra("signing", "blake3") from error

    def made(domain: str, data: Data) -> bytes:
        return bytes(blake3(data, derive_key_context=_CONTEXT + domain).digest())

    return made


class LeafHash(Protocol):
    """The hash of one leaf as its bytes come."""

    def update(self, data: memoryview, /) -> object: ...

    def digest(self) -> bytes: ...


def leaf_hash(algorithm: str) -> LeafHash:
    """A new hash of a leaf, the same as `hasher(algorithm)` of all its bytes in the domain `leaf`. Raises `MissingExtra`."""
    if algorithm == "sha256":
        return hashlib.sha256(b"\0")
    try:
        from blake3 import blake3
    except ImportError as error:
        raise MissingExtra("signing", "blake3") from error
    return blake3(derive_key_context=_CONTEXT + "leaf")


def tree_of(path: Path, algorithm: str, *, workers: int | None = None, follow: bool = False) -> Tree:
    """The tree of the file `path`, its chunks read and hashed by `workers` threads (default: one for each core).

    Raises `Refused` where the file changes meanwhile, `InputError` where it cannot be read.
    """
    made = hasher(algorithm)
    with opened(path, follow=follow) as file:
        before = os.fstat(file.fileno())
        starts = range(0, before.st_size, CHUNK)
        threads = max(1, min(workers or os.cpu_count() or 1, len(starts)))
        read = _Reader(file.fileno(), made)
        if threads == 1:
            leaves = tuple(read(start) for start in starts)
        else:
            with ThreadPoolExecutor(threads) as pool:
                leaves = tuple(pool.map(read, starts))
        unchanged(path, before, file.fileno())
    return Tree(algorithm, before.st_size, leaves)


class _Reader:
    """Hashes the chunk that starts at an offset; each thread reads into a buffer of its own."""

    def __init__(self, descriptor: int, made: _Hash) -> None:
        self._descriptor = descriptor
        self._made = made
        self._own = local()

    def __call__(self, start: int) -> bytes:
        buffer: bytearray | None = getattr(self._own, "buffer", None)
        if buffer is None:
            buffer = self._own.buffer = bytearray(CHUNK)
        view = memoryview(buffer)
        held = 0
        while held < CHUNK and (count := os.preadv(self._descriptor, [view[held:]], start + held)):
            held += count
        return self._made("leaf", view[:held])


def _sha256(domain: str, data: Data) -> bytes:
    digest = hashlib.sha256({"leaf": b"\0", "node": b"\1", "root": b"\2"}[domain])
    digest.update(data)
    return digest.digest()


def _top(made: _Hash, leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return made("leaf", b"")
    # Pairing level by level, an odd last node moving up as it is, gives the same tree as RFC 6962's split at powers of two.
    level = list(leaves)
    while len(level) > 1:
        pairs = [made("node", level[i] + level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]
