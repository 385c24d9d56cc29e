"""Merkle trees as RFC 9162 section 2.1 makes them (SHA-256, leaf prefix 0, node prefix 1), by blocks, with inclusion paths.

A tree over millions of rows is kept as the roots of its blocks of 4,096 leaves: such a block is a complete subtree, so the root of the
blocks is the root of the leaves, and a path needs one block's leaves alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from bartizan.evidence.merkle import leaf_hash, node_hash

BLOCK = 4096
"""Leaves of a block; a power of two."""

EMPTY = hashlib.sha256().digest()
"""The root of a tree without leaves."""

MAX_PATH = 64
"""Longest path that is followed."""


def joined_root(joined: bytes | bytearray) -> bytes:
    """The root over leaves given by their hashes of 32 bytes, one after the other."""
    if not joined:
        return EMPTY
    new = hashlib.sha256
    level = bytes(joined)
    while len(level) > 32:
        whole = len(level) // 64 * 64
        pairs = [new(b"\1" + level[i : i + 64]).digest() for i in range(0, whole, 64)]
        level = b"".join(pairs) + level[whole:]  # an odd last node moves up as it is, which is the RFC's split at powers of two
    return level


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaves given by their hashes."""
    return joined_root(b"".join(leaves))


class BlockTree:
    """A tree that grows by leaves at its right end and keeps the roots of its blocks."""

    def __init__(self) -> None:
        self.size = 0
        self.blocks: list[bytes] = []
        self._open = bytearray()

    def add(self, joined: bytes) -> None:
        """Append leaves given by their hashes, one after the other."""
        self.size += len(joined) // 32
        self._open += joined
        whole = BLOCK * 32
        start = 0
        while len(self._open) - start >= whole:
            self.blocks.append(joined_root(self._open[start : start + whole]))
            start += whole
        del self._open[:start]

    def close(self) -> tuple[bytes, ...]:
        """The roots of all blocks, the last one maybe of fewer leaves; nothing may be added after."""
        if self._open:
            self.blocks.append(joined_root(self._open))
            self._open = bytearray()
        return tuple(self.blocks)


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The inclusion path of the leaf `index`, from the leaf's sibling up (RFC 9162 section 2.1.3)."""
    found: list[bytes] = []
    level = list(leaves)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            found.append(level[sibling])
        pairs = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
        index //= 2
    return found


def climbed(leaf: bytes, index: int, size: int, steps: Sequence[bytes]) -> bytes | None:
    """The root that `steps` lead to from `leaf` at `index` of `size` leaves, or None where they do not fit that tree."""
    if not 0 <= index < size or len(steps) > MAX_PATH:
        return None
    node, last, rest = leaf, size - 1, list(steps)
    while last:
        if index & 1:
            if not rest:
                return None
            node = node_hash(rest.pop(0), node)
        elif index < last:
            if not rest:
                return None
            node = node_hash(node, rest.pop(0))
        index >>= 1
        last >>= 1
    return None if rest else node


__all__ = ["BLOCK", "EMPTY", "BlockTree", "climbed", "joined_root", "leaf_hash", "path", "root"]
