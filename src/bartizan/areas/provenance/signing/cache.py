"""Digests remembered from last time, for files whose size, times and inode have not changed since.

Whoever can write a file can set its time back; so this is used only where the caller says that times are to be trusted.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from bartizan.areas.provenance.signing.chunk_tree import Tree
from bartizan.areas.provenance.signing.opening import Stamp, stamp
from bartizan.evidence.files import write_atomically


class _Row(msgspec.Struct, frozen=True):
    stamp: Stamp
    hex: str
    tree: Tree | None = None


_DECODER = msgspec.msgpack.Decoder(dict[str, _Row])


class Cache:
    """Digests by the path of the file, kept in the file `place` (mode 0600) when `save` is called. A damaged one counts as empty."""

    def __init__(self, place: Path) -> None:
        self.place = place
        try:
            self._rows = _DECODER.decode(place.read_bytes())
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            self._rows = {}

    def get(self, path: Path, tree: str | None, algorithm: str) -> tuple[int, str, Tree | None] | None:
        """(size, digest, tree) of `path` where it is as it was when noted and a tree is there if one is wanted, else None."""
        row = self._rows.get(f"{algorithm}:{path}")
        if row is None or (tree is not None and (row.tree is None or row.tree.algorithm != tree)):
            return None
        try:
            now = stamp(os.stat(path))
        except OSError:
            return None
        return (row.stamp[2], row.hex, row.tree if tree is not None else None) if now == row.stamp else None

    def put(self, path: Path, seen: Stamp, digest: str, tree: Tree | None, algorithm: str) -> None:
        """Note what was found of `path` when its stamp was `seen`."""
        self._rows[f"{algorithm}:{path}"] = _Row(seen, digest, tree)

    def save(self) -> None:
        """Write the cache. Raises `EvidenceError`."""
        self.place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.place, msgspec.msgpack.encode(self._rows), 0o600)


def usual_place() -> Path:
    """Where the cache lies unless the caller says otherwise: below `$XDG_CACHE_HOME`, by default `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bartizan" / "digests"
