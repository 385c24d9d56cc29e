"""Opens a file to hash it: plain files only, over a link only where that was allowed, and the same bytes from first to last."""

from __future__ import annotations

import errno
import os
from io import BufferedReader
from pathlib import Path
from typing import TypeAlias

from bartizan.evidence.files import open_regular
from bartizan.model.errors import InputError, Refused

Stamp: TypeAlias = tuple[int, int, int, int, int]
"""What changes when a file does, as far as its folder knows: device, inode, size, times of content and of status in ns."""


def opened(path: Path, *, follow: bool = False) -> BufferedReader:
    """The plain file `path`, open for reading. Raises `InputError`, and `Refused` for a link where `follow` is not set."""
    try:
        return open_regular(path, follow=follow)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused("became a symbolic link", place=path.name) from None
        raise InputError(f"cannot be read: {error.strerror}", place=path.name) from None


def stamp(status: os.stat_result) -> Stamp:
    """The stamp of a file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def unchanged(path: Path, before: os.stat_result, descriptor: int) -> None:
    """Raise `Refused` where the open file is not as it was `before`."""
    if stamp(os.fstat(descriptor)) != stamp(before):
        raise Refused("was changed while it was read", place=path.name, cure="stop what writes to it and try again")
