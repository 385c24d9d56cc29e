"""Finds the files of a scan: what was named, and every regular file below a named folder. Links that lead out are told, not followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SKIPPED = frozenset({".git", ".hg", ".svn", "node_modules", ".venv", "venv", ".bartizan", ".mypy_cache", ".ruff_cache", ".tox"})
"""Folders that a walk does not enter; name one to have it scanned."""

MAX_FILES = 1_000_000
MAX_DEPTH = 64


@dataclass(frozen=True)
class Found:
    """One path: its size in bytes, or why it is not read. `out` marks a link that leads out of the folder."""

    path: str
    size: int = 0
    problem: str | None = None
    out: bool = False
    skipped: bool = False


def files_of(paths: Iterable[str | Path]) -> Iterator[Found]:
    """The files to scan, each once, sorted below each path."""
    seen: set[str] = set()
    for path in paths:
        for found in _below(os.fspath(path)):
            if found.path not in seen:
                seen.add(found.path)
                yield found


def _below(path: str) -> Iterator[Found]:
    try:
        mode = os.stat(path)
    except OSError as error:
        yield Found(path, problem=error.strerror or str(error))
        return
    if stat.S_ISDIR(mode.st_mode):
        yield from _walk(path, os.path.realpath(path), 0)
    else:
        yield _file(path, mode)


def _file(path: str, mode: os.stat_result) -> Found:
    if not stat.S_ISREG(mode.st_mode):
        return Found(path, problem="is no regular file")
    return Found(path, mode.st_size)


def _walk(folder: str, root: str, depth: int) -> Iterator[Found]:
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield Found(folder, problem=error.strerror or str(error))
        return
    for entry in ordered:
        try:
            yield from _entry(entry, root, depth)
        except OSError as error:
            yield Found(entry.path, problem=error.strerror or str(error))


def _entry(entry: os.DirEntry[str], root: str, depth: int) -> Iterator[Found]:
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        inside = target == root or target.startswith(root.rstrip(os.sep) + os.sep)
        if not inside:
            yield Found(entry.path, problem="is a link that leads out of the folder, and was not followed", out=True)
        elif not os.path.isdir(target):
            yield _file(entry.path, os.stat(target))
    elif entry.is_dir():
        if entry.name in SKIPPED:
            yield Found(entry.path, skipped=True)
        elif depth >= MAX_DEPTH:
            yield Found(entry.path, problem="lies too deep and was not entered")
        else:
            yield from _walk(entry.path, root, depth + 1)
    else:
        yield _file(entry.path, entry.stat())
