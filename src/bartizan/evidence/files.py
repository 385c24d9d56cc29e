"""Files that are either whole or absent, whatever moment the process or the machine dies at."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from io import BufferedReader
from pathlib import Path
from typing import IO

from bartizan.model.errors import EvidenceError


def open_regular(path: Path, *, follow: bool = True) -> BufferedReader:
    """Open the plain file `path` for reading, over a link only with `follow`; never waits, as opening a named pipe would.

    Raises `OSError`, also for a pipe, a device or a socket.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return open(descriptor, "rb")


def write_atomically(path: Path, data: bytes | IO[bytes], mode: int, *, replace: bool = True) -> bool:
    """Write `data`, or what a file still holds, to `path` by way of a temporary file beside it, synced before it gets its name.

    The file has `mode` from its first moment. With `replace` false an existing file stays, and the answer is False. Raises
    `EvidenceError`.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        try:
            with open(descriptor, "wb") as file:
                if isinstance(data, bytes):
                    file.write(data)
                else:
                    shutil.copyfileobj(data, file)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                os.replace(temporary, path)
            else:
                os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise EvidenceError(f"cannot be written: {error.strerror}", place=str(path)) from error
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
