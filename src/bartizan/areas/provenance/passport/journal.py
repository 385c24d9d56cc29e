"""What a reading has finished so far, so that one that was stopped goes on: an entry for each file, with the hashes of its rows beside.

    FOLDER/entries    one line a file: JSON, a blank, its HMAC; a torn or altered line ends what is believed
    FOLDER/rows       the hashes of rows, 32 bytes each, where the entries say

An entry is believed where the file has the same device, inode, size, times of content and of status (which no ordinary user can set back)
and the same first and last 64 KB, and where it was not written in the two seconds before it was read. The file is not hashed again; whoever
does not want that reads afresh. A passport that is wrong all the same does not verify: verifying believes no journal.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

import msgspec

from bartizan.areas.provenance.passport.statement import FileRecord
from bartizan.areas.provenance.signing.opening import Stamp, opened, stamp
from bartizan.model.errors import BartizanError

ENDS = 64 * 1024
"""Bytes at both ends of a file that are compared."""

LEAST_BYTES = 64 * 1024**2
LEAST_FILES = 2000
"""Smaller readings are not noted: they are as fast as going on would be."""

FRESH = 2_000_000_000
"""Nanoseconds that a file must have lain still before it was read."""

DAYS = 30
"""After so many days what was never gone on with is thrown away."""

_PIECE = 32 * 65_536


class Hashes(Protocol):
    """What takes in the hashes of rows."""

    def add(self, joined: bytes) -> None: ...

    def mark(self) -> None: ...

    def rewind(self) -> None: ...


class Entry(msgspec.Struct, frozen=True):
    """A finished file: its `stamp` when it was read, the hash of its `ends`, its record, where its row hashes lie, their digest, and what
    each of those who took part keeps of it."""

    name: str
    stamp: Stamp
    ends: str
    record: FileRecord
    start: int
    rows: str
    kept: tuple[bytes | None, ...]


class Journal:
    """The journal of one reading in `folder`, which is made when it begins; `with` keeps it where the body raises, else removes it.

    A folder that cannot be written, is open to others or is in use by another process keeps nothing, and nothing is believed.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self._folder, self._fresh = folder, fresh
        self._entries: dict[str, Entry] = {}
        self._lines: IO[bytes] | None = None
        self._rows: IO[bytes] | None = None
        self._key = b""

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        used = self._lines is not None
        for file in (self._rows, self._lines):
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()
        self._lines = self._rows = None
        if kind is None and used:
            shutil.rmtree(self._folder, ignore_errors=True)

    def begin(self, files: int, size: int) -> None:
        """Start noting, and read what an earlier run noted, where the work is large enough."""
        if size < LEAST_BYTES and files < LEAST_FILES:
            return
        with contextlib.suppress(OSError):
            self._open()

    def found(self, name: str, place: Path) -> Entry | None:
        """The entry of a file that is as it was when it was read, with its row hashes whole; else None."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        try:
            same = stamp(place.stat()) == entry.stamp and _ends(place) == entry.ends and self._digest(entry) == entry.rows
        except (OSError, BartizanError):
            return None
        return entry if same else None

    def hashes(self, entry: Entry) -> Iterator[bytes]:
        """The row hashes of an entry, in pieces."""
        assert self._rows is not None
        left, at = entry.record.rows * 32, entry.start
        while left and entry.start >= 0:
            data = os.pread(self._rows.fileno(), min(_PIECE, left), at)
            if not data:
                return
            yield data
            left, at = left - len(data), at + len(data)

    def copied(self, into: Hashes) -> Copied:
        """`into`, with a copy of what it takes in kept here."""
        return Copied(into, self._rows)

    def note(self, place: Path, seen: Stamp, record: FileRecord, copied: Copied | None, kept: Sequence[bytes | None]) -> None:
        """Note a finished file; `copied` took in its rows, and is None for a file that is one row."""
        if self._lines is None or time.time_ns() - max(seen[3:]) < FRESH or (copied is not None and copied.broken):
            return
        start, digest = (copied.start, copied.digest()) if copied is not None else (-1, "")
        try:
            entry = Entry(record.name, seen, _ends(place), record, start, digest, tuple(kept))
            line = msgspec.json.encode(entry)
            if copied is not None and self._rows is not None:
                self._rows.flush()
            self._lines.write(line + b" " + self._mac(line) + b"\n")
            self._lines.flush()
        except (OSError, BartizanError, UnicodeEncodeError):
            self._lines = None

    def _open(self) -> None:
        base = self._folder.parent
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
        state = base.stat()
        if state.st_mode & 0o077 or state.st_uid != os.getuid():
            return
        _forget_old(base)
        self._folder.mkdir(exist_ok=True, mode=0o700)
        lines = open(self._folder / "entries", "a+b", buffering=0, opener=_private)  # noqa: SIM115 - closed by __exit__
        try:
            fcntl.flock(lines, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._key = _key(base / "key")
            self._rows = open(self._folder / "rows", "a+b", buffering=1 << 20, opener=_private)  # noqa: SIM115
        except OSError:
            lines.close()
            raise
        self._lines = lines
        self._load(lines)

    def _load(self, lines: IO[bytes]) -> None:
        """Believe the lines up to the first that is not whole, and go on behind them."""
        assert self._rows is not None
        good = rows = 0
        lines.seek(0)
        for line in () if self._fresh else lines:
            body, _, mac = line.rstrip(b"\n").rpartition(b" ")
            if not line.endswith(b"\n") or not hmac.compare_digest(mac, self._mac(body)):
                break
            try:
                entry = msgspec.json.decode(body, type=Entry)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                break
            self._entries[entry.name] = entry
            good += len(line)
            rows = max(rows, entry.start + entry.record.rows * 32 if entry.start >= 0 else 0)
        lines.truncate(good)
        lines.seek(0, os.SEEK_END)
        self._rows.truncate(rows)
        self._rows.seek(0, os.SEEK_END)

    def _mac(self, line: bytes) -> bytes:
        return hmac.new(self._key, line, hashlib.sha256).hexdigest().encode()

    def _digest(self, entry: Entry) -> str:
        if entry.start < 0:
            return ""
        digest = hashlib.sha256()
        for piece in self.hashes(entry):
            digest.update(piece)
        return digest.hexdigest()


class Copied:
    """Hands row hashes on and copies them into a file."""

    def __init__(self, into: Hashes, file: IO[bytes] | None) -> None:
        self.start = file.tell() if file is not None else -1
        self.broken = file is None
        self._into, self._file = into, file
        self._hash = hashlib.sha256()

    def add(self, joined: bytes) -> None:
        self._into.add(joined)
        if self._file is not None and not self.broken:
            try:
                self._file.write(joined)
            except OSError:
                self.broken = True
            self._hash.update(joined)

    def mark(self) -> None:
        self._into.mark()

    def rewind(self) -> None:
        """Forget what was added since `mark`, which is all of it: a file is marked before its first row."""
        self._into.rewind()
        self._hash = hashlib.sha256()
        if self._file is not None and not self.broken:
            try:
                self._file.seek(self.start)
                self._file.truncate()
            except OSError:
                self.broken = True

    def digest(self) -> str:
        return self._hash.hexdigest()


def journals() -> Path:
    """Where journals lie: `bartizan/readings` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "bartizan" / "readings"


def _ends(place: Path) -> str:
    """SHA-256 over the first and the last bytes of a file."""
    with opened(place, follow=True) as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(os.pread(file.fileno(), ENDS, 0))
        digest.update(os.pread(file.fileno(), ENDS, max(0, size - ENDS)))
    return digest.hexdigest()


def _key(place: Path) -> bytes:
    """The key of all journals of this user, made on first use."""
    with contextlib.suppress(FileExistsError), open(place, "xb", opener=_private) as file:
        file.write(secrets.token_bytes(32))
    return place.read_bytes()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _forget_old(base: Path) -> None:
    with os.scandir(base) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and entry.stat().st_mtime < time.time() - DAYS * 86_400:
                shutil.rmtree(entry.path, ignore_errors=True)
