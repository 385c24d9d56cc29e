"""The files of a folder, bounded and in a fixed order: links are not followed, hidden and generated folders are not entered."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

MAX_ENTRIES = 20_000
MAX_DEPTH = 16
GENERATED = frozenset(
    {
        "__pycache__",
        "node_modules",
        "site-packages",
        "venv",
        "env",
        "virtualenv",
        "build",
        "dist",
        "target",
        "htmlcov",
        "vendor",
        "egg-info",
    }
)
"""Folders that hold what a tool made or somebody else wrote."""


class File(msgspec.Struct, frozen=True):
    """A regular file: `path` from the folder with `/` between its parts, `size` in bytes."""

    path: str
    size: int

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> str:
        """The folder it lies in, "" for the top."""
        return self.path.rpartition("/")[0]

    @property
    def suffix(self) -> str:
        return os.path.splitext(self.name)[1].lower()


class Holdings(msgspec.Struct, frozen=True):
    """What was found: `files` sorted by path, `unnamed` how many have a name no manifest can hold, `cut` whether a limit was reached."""

    root: Path
    files: tuple[File, ...]
    unnamed: int
    cut: bool

    def head(self, file: File, limit: int) -> bytes:
        """The first `limit` bytes of a file; nothing where it cannot be read."""
        try:
            descriptor = os.open(self.root / file.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        except OSError:
            return b""
        with os.fdopen(descriptor, "rb") as stream:
            try:
                return stream.read(limit) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
            except OSError:
                return b""

    def text(self, file: File, limit: int) -> str:
        """The first `limit` bytes as text, with what is not UTF-8 replaced."""
        return self.head(file, limit).decode("utf-8", "replace").removeprefix("\ufeff")


def walk(root: Path) -> Holdings:
    """The regular files below `root`, at most `MAX_ENTRIES` entries and `MAX_DEPTH` folders deep. Unreadable folders count as empty."""
    files: list[File] = []
    pending = [("", 0)]
    seen = unnamed = 0
    cut = False
    while pending:
        folder, depth = pending.pop()
        for entry in _entries(root / folder):
            seen += 1
            if seen > MAX_ENTRIES:
                return Holdings(root, tuple(sorted(files, key=lambda f: f.path)), unnamed, cut=True)
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                if _entered(entry):
                    cut = cut or depth + 1 > MAX_DEPTH
                    pending += [(path, depth + 1)] if depth + 1 <= MAX_DEPTH else []
            elif entry.is_file(follow_symlinks=False):
                if not path.isprintable() or len(path) > 2000:
                    unnamed += 1
                else:
                    files.append(File(path, _size(entry)))
    return Holdings(root, tuple(sorted(files, key=lambda f: f.path)), unnamed, cut)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """At most one entry more than is looked at in all, by name."""
    try:
        with os.scandir(folder) as found:
            some = [entry for entry, _ in zip(found, range(MAX_ENTRIES + 1), strict=False)]
    except OSError:
        return []
    return sorted(some, key=lambda entry: entry.name)


def _entered(entry: os.DirEntry[str]) -> bool:
    name = entry.name.lower()
    if name.startswith(".") or name in GENERATED or name.endswith(".egg-info"):
        return False
    return not os.path.lexists(os.path.join(entry.path, "pyvenv.cfg"))


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0
