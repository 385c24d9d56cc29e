"""The files that a signature covers: all below a folder but the ignored ones, or one file; links only where they stay inside."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import msgspec

from bartizan.areas.provenance.signing.names import WHOLE, collisions, fault, order
from bartizan.model.errors import InputError, one_line

GIT = (".git", ".gitattributes", ".github", ".gitignore")
"""What version control leaves in a folder; not part of a model, and left out when signing unless asked for."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What lies below `root`: the files by name, in the order of a statement, and what may not be there, in words."""

    root: Path
    files: dict[str, Path]
    problems: tuple[str, ...]


def listing(path: Path, *, ignore: Iterable[str] = (), own: Path | None = None, allow_symlinks: bool = False) -> Listing:
    """The files of `path`, a folder or a file. Nothing is opened.

    `ignore` are names relative to the folder, each with all below it; `own` is the signature itself. A link is a problem unless
    `allow_symlinks` is set and it leads to a plain file below the same folder; a link to a folder always is. So are pipes, devices,
    names that `names.fault` refuses and names that look the same. Raises `InputError` where something cannot be read.
    """
    try:
        root = path.resolve(strict=True)
        mode = root.stat().st_mode
    except (OSError, RuntimeError) as error:
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}", place=str(path)) from None
    if stat.S_ISREG(mode):
        return Listing(root=root, files={WHOLE: root}, problems=())
    if not stat.S_ISDIR(mode):
        raise InputError("is neither a file nor a folder", place=str(path))
    skipped = {PurePosixPath(name) for name in ignore}
    own = own.resolve() if own is not None else None
    files: dict[str, Path] = {}
    problems: list[str] = []
    for name, entry in _entries(root, skipped):
        if own is not None and Path(entry.path) == own:
            continue
        wrong = fault(name) or _wrong(entry, name, root, allow_symlinks)
        if wrong:
            problems.append(wrong)
        else:
            files[name] = Path(entry.path)
    problems += collisions(files)
    return Listing(root=root, files={name: files[name] for name in sorted(files, key=order)}, problems=tuple(problems))


def _entries(root: Path, skipped: set[PurePosixPath]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Everything below `root` that is no folder, with its name; folders are entered, links are not."""
    waiting = [("", str(root))]
    while waiting:
        prefix, folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", place=prefix or str(root)) from None
        for entry in found:
            name = f"{prefix}/{entry.name}" if prefix else entry.name
            if skipped and PurePosixPath(name) in skipped:
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append((name, entry.path))
            else:
                yield name, entry


def _wrong(entry: os.DirEntry[str], name: str, root: Path, allow_symlinks: bool) -> str | None:
    shown = one_line(name, 120)
    if not entry.is_symlink():
        return None if entry.is_file(follow_symlinks=False) else f"'{shown}' is neither a file nor a folder"
    if not allow_symlinks:
        cure = "put the file itself there (sign and verify take --allow-symlinks)"
        return f"'{shown}' is a symbolic link, which could lead elsewhere tomorrow: {cure}"
    try:
        target = Path(entry.path).resolve(strict=True)
        mode = target.stat().st_mode
    except (OSError, RuntimeError):
        return f"'{shown}' is a link that leads nowhere"
    if not target.is_relative_to(root):
        return f"'{shown}' is a link that leads out of the folder"
    if stat.S_ISDIR(mode):
        return f"'{shown}' is a link to a folder, which no signature of this format can cover"
    return None if stat.S_ISREG(mode) else f"'{shown}' is a link to something that is no file"
