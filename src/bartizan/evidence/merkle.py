"""The Merkle tree hash of RFC 9162 section 2.1 (the same as RFC 6962's): leaf prefix 0x00, node prefix 0x01, SHA-256.

Only the frontier of a growing tree is kept: the roots of its complete subtrees, at most one for each bit of the size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

EMPTY_ROOT = hashlib.sha256().hexdigest()
"""The root of the tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """The 32-byte hash of one leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The 32-byte hash of an inner node from the hashes of its two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that grows by leaves at its right end, in memory logarithmic in `size`."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Append a leaf given by its hash."""
        size, node = self.size, leaf
        while size & 1:
            node = node_hash(self._roots.pop(), node)
            size >>= 1
        self._roots.append(node)
        self.size += 1

    def root(self) -> str:
        """The root over all leaves so far, as hex."""
        if not self._roots:
            return EMPTY_ROOT
        node = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            node = node_hash(left, node)
        return node.hex()


def root_of(leaves: Iterable[bytes]) -> str:
    """The root, as hex, of the tree over these leaf hashes."""
    tree = Frontier()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()
