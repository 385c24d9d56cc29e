"""Resolves a declared uri to a local file without leaving the project's folder, and reads it within stated limits.

A manifest is input: its uris may point at `/etc/shadow`, at a link that leads out, or at a web address. Everything that reads a declared
file goes through `local_path`, and everything that reads text goes through `read_text`.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bartizan.model.errors import InputError, Place, Refused

MAX_TEXT_BYTES = 8 * 1024 * 1024
"""Largest text file, in bytes, that is read whole."""

MAX_FILES = 20_000
"""Most files that a walk of one folder visits."""

MAX_DEPTH = 32
"""Deepest folder, counted from where the walk starts, that a walk visits."""

_SKIPPED_FOLDERS = frozenset({".git", ".hg", ".svn", "__pycache__", ".venv", "venv", "node_modules", ".bartizan", ".mypy_cache", ".tox"})

SEALED = b"bartizan-seal-1\n"
"""How a file begins that `bartizan seal` wrote."""


def local_path(root: str | Path, uri: str, place: Place | None = None) -> Path:
    """The existing file or folder below `root` that `uri` names: a relative path or a `file:` address.

    Links are followed and the end must still lie below `root`. Raises `Refused` for an escape, a device or a pipe, `InputError` for a
    remote address or something that is not there.
    """
    relative = _path_of(uri, place)
    base = Path(root).resolve()
    try:
        found = (base / relative).resolve()
        if not found.is_relative_to(base):
            cure = "declare a path below the manifest's folder"
            raise Refused(f"'{uri}' leads out of the project's folder", place=place, cure=cure)
        mode = found.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"'{uri}' is not there", place=place, cure="create it or correct the uri in the manifest") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"'{uri}' cannot be read: {error}", place=place) from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise Refused(f"'{uri}' is neither a file nor a folder", place=place)
    return found


def _path_of(uri: str, place: Place | None) -> str:
    """The path that `uri` means on this machine, not yet resolved."""
    if "\0" in uri or not uri.strip():
        raise Refused("the uri is empty or holds a zero byte", place=place)
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise InputError(f"'{uri}' is not a uri: {error}", place=place) from None
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise InputError(f"'{uri}' names another host", place=place, cure="copy it here and declare the copy")
        return unquote(parts.path)
    if parts.scheme and len(parts.scheme) > 1 and "/" not in parts.scheme:
        cure = "copy it below the manifest's folder and declare the copy"
        raise InputError(f"'{uri}' is remote ({parts.scheme}): only local files are read", place=place, cure=cure)
    return uri


def shown(root: str | Path, path: Path) -> str:
    """`path` as it is shown to people: relative to `root` with forward slashes, without folders of this machine."""
    try:
        return path.resolve().relative_to(Path(root).resolve()).as_posix() or "."
    except ValueError:
        return path.name


def read_bytes(root: str | Path, path: Path, limit: int = MAX_TEXT_BYTES) -> bytes:
    """The content of `path`, at most `limit` bytes. Raises `InputError` where there is more or it cannot be read."""
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", place=shown(root, path)) from None
    if len(data) > limit:
        raise InputError(f"is larger than {limit} bytes", place=shown(root, path), cure="split it or declare a smaller file")
    return data


def read_text(root: str | Path, path: Path, limit: int = MAX_TEXT_BYTES) -> str:
    """The text of `path` as UTF-8 without byte-order mark; bytes that are not UTF-8 become the replacement character."""
    return read_bytes(root, path, limit).decode("utf-8-sig", errors="replace")


def sealed(file: Path) -> bool:
    """Whether `file` is encrypted by `bartizan seal`."""
    try:
        with file.open("rb") as stream:
            return stream.read(len(SEALED)) == SEALED
    except OSError:
        return False


def files_below(root: str | Path, path: Path) -> Iterator[Path]:
    """`path` itself where it is a file, else the regular files below it, sorted, without links, caches and version control.

    Raises `InputError` where there are more than `MAX_FILES`.
    """
    if path.is_file():
        yield path
        return
    for seen, found in enumerate(_walk(path, 0)):
        if seen >= MAX_FILES:
            raise InputError(f"holds more than {MAX_FILES} files", place=shown(root, path), cure="declare a narrower uri")
        yield found


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_symlink():
            continue
        if entry.is_dir():
            if depth < MAX_DEPTH and entry.name not in _SKIPPED_FOLDERS:
                yield from _walk(entry, depth + 1)
        elif entry.is_file():
            yield entry
