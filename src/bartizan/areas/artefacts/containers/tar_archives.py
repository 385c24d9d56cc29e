"""Tar archives, read as Python's tarfile reads them: checkpoints of several toolkits, and torch's format before 2017."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

from bartizan.areas.artefacts.containers.scope import Piece, Scope

Inspect = Callable[[Piece, Scope], None]

_TORCH_MEMBERS = frozenset({"storages", "tensors", "pickle"})
_BROKEN = (tarfile.TarError, OSError, ValueError, EOFError, OverflowError, IndexError, KeyError)


def is_tar(piece: Piece) -> bool:
    """Does the first block carry a valid checksum? That, and not the word `ustar`, is what makes a tar archive for the loaders."""
    head = piece.head(512)
    if len(head) < 512 or not head[0]:
        return False
    digits = head[148:156].strip(b" \0")
    try:
        said = int(digits, 8)
    except ValueError:
        return False
    rest = head[:148] + b" " * 8 + head[156:]
    return said in (sum(rest), sum(rest) - 256 * sum(byte > 127 for byte in rest))


def read_tar(piece: Piece, scope: Scope, inspect: Inspect) -> bool:
    """Judge each member by its content, and the names for leading out of the folder they are unpacked in. Raises `LimitReached`."""
    scope.recognise("tar archive")
    names: set[str] = set()
    try:
        with tarfile.open(fileobj=_View(piece.data), mode="r:", errorlevel=1) as archive:
            for member in archive:
                scope.spend_entries()
                names.add(member.name)
                _member(member, piece, scope, inspect)
    except _BROKEN as error:
        scope.unsure(f"the tar archive is damaged ({error})", piece)
    if names >= {"storages", "pickle"} or len(names & _TORCH_MEMBERS) == 3:
        scope.recognise("torch (tar format)")
        scope.unsure("torch's tar format mixes pickles with raw numbers, and is not followed to its end", piece)
    return True


def _member(member: tarfile.TarInfo, piece: Piece, scope: Scope, inspect: Inspect) -> None:
    if leads_out(member.name) or ((member.issym() or member.islnk()) and leads_out(member.linkname)):
        target = f" -> '{member.linkname[:80]}'" if member.linkname else ""
        scope.unsafe(f"unpacking '{member.name[:80]}'{target} leads out of the folder", piece, member.offset)
    if member.ischr() or member.isblk() or member.isfifo():
        scope.unsafe(f"'{member.name[:80]}' would become a device or a pipe", piece, member.offset)
    if not member.isreg():
        return
    if member.sparse is not None:
        scope.unsure(f"'{member.name[:80]}' is stored with holes and was not read", piece, member.offset)
        return
    end = member.offset_data + member.size
    if end > len(piece.data):
        scope.unsure(f"'{member.name[:80]}' reaches beyond the end of the file", piece, member.offset)
    inspect(piece.part(member.offset_data, end, piece.inner(member.name)), scope)


def leads_out(name: str) -> bool:
    """Would a file of that name be written outside the folder that an archive is unpacked in?"""
    plain = name.replace("\\", "/")
    return plain.startswith("/") or plain[1:2] == ":" or ".." in plain.split("/")


class _View(io.RawIOBase):
    """A file over a run of bytes that copies nothing but what is read."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size is None or size < 0 else self._at + size
        found = bytes(self._data[self._at : end])
        self._at += len(found)
        return found
