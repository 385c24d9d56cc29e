"""A new version of a file or folder takes the place of the old one in one step, whatever moment the process or the machine dies at.

All is written in a hidden folder beside the target, synced, and renamed. A folder changes places with its new version by the `exchange` of
`renameat2` (Linux); where the system has none, by two renames with a moment between them in which nothing has the name.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from bartizan.evidence.files import sync_folder
from bartizan.model.errors import InputError, Refused

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


class Workplace:
    """A hidden folder (mode 0700) beside `target` in which its new version is written; `with` removes it. What a killed run left there is
    removed by the next one. Raises `Refused` while another process works there, `InputError` where nothing can be written."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.folder = target.with_name(f".{target.name}.purge")
        self._lock: int | None = None

    def __enter__(self) -> Workplace:
        lock = self.folder.with_name(f"{self.folder.name}.lock")
        try:
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self.folder.is_symlink():
                raise Refused("is a link where a folder of our own should be", place=str(self.folder), cure="remove it")
            if self.folder.exists():
                shutil.rmtree(self.folder)
            self.folder.mkdir(mode=0o700)
        except BlockingIOError:
            self._unlock()
            raise Refused("is being purged by another process", place=str(self.target), cure="wait for it") from None
        except OSError as error:
            self._unlock()
            raise InputError(f"nothing can be written beside it: {error.strerror}", place=str(self.target)) from None
        except Refused:
            self._unlock()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.with_name(f"{self.folder.name}.lock").unlink(missing_ok=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def put(self, new: Path, target: Path) -> None:
        """Give `new`, a file or folder written here, the name `target`; what had it is gone with the workplace."""
        sync(new)
        if not target.exists() or target.is_file():
            os.replace(new, target)
        else:
            exchange(new, target, self.folder / "old")
        sync_folder(target.parent)


def sync(path: Path) -> None:
    """Make a file, or all of a folder, durable."""
    for folder, _, names in os.walk(path) if path.is_dir() else ((str(path.parent), [], [path.name]),):
        for name in names:
            one = Path(folder, name)
            said = os.lstat(one)
            if stat.S_ISREG(said.st_mode) and said.st_nlink == 1:  # what is linked was there before
                descriptor = os.open(one, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        sync_folder(Path(folder))


def exchange(new: Path, old: Path, aside: Path) -> None:
    """`new` and `old`, both folders on one file system, change places."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is not None and rename(_HERE, os.fsencode(new), _HERE, os.fsencode(old), _EXCHANGE) == 0:
        return
    os.rename(old, aside)
    os.rename(new, old)


def like(new: Path, old: Path) -> None:
    """Give the file or folder `new` the mode, and where that is allowed the owner and the attributes (access control lists), of `old`."""
    said = old.stat()
    if os.geteuid() == 0:
        os.chown(new, said.st_uid, said.st_gid)
    os.chmod(new, stat.S_IMODE(said.st_mode))
    for name in _attributes(old):
        with suppress(OSError):  # an attribute of the system, or a file system that keeps none
            os.setxattr(new, name, os.getxattr(old, name))


def _attributes(path: Path) -> list[str]:
    try:
        return os.listxattr(path)
    except OSError:
        return []


def folder_with(source: Path, target: Path, changed: Mapping[str, Path], removed: frozenset[str]) -> None:
    """Make the folder `target` as `source` is, but with the files `changed` by name, and without `removed`; what is the same is linked.

    Links are taken over as they are. Raises `InputError` where something is neither file, folder nor link.
    """
    for folder, folders, names in os.walk(source):
        inner = Path(folder).relative_to(source)
        (target / inner).mkdir(exist_ok=True)
        like(target / inner, Path(folder))
        for name in [*names, *(one for one in folders if Path(folder, one).is_symlink())]:
            key = (inner / name).as_posix()
            if key not in removed:
                _one(Path(folder, name), target / inner / name, changed.get(key))


def _one(old: Path, new: Path, changed: Path | None) -> None:
    mode = os.lstat(old).st_mode
    if changed is not None:
        like(changed, old)
        os.rename(changed, new)
    elif stat.S_ISLNK(mode):
        new.symlink_to(os.readlink(old))
    elif stat.S_ISREG(mode):
        os.link(old, new, follow_symlinks=False)
    else:
        raise InputError("is neither a file nor a folder", place=old.name)
