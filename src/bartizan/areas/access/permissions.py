"""Who else on this machine can reach files: modes, groups, access control lists, owners, folders above, and links that lead out.

Reads `lstat`, the group and user databases, the attribute `system.posix_acl_access`, and the first bytes of files that all may read:
what `bartizan seal` encrypted gives nothing away.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import struct
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from bartizan.adapters.files import sealed
from bartizan.model.errors import InputError, one_line

MAX_ENTRIES = 200_000
"""Most files and folders that are looked at."""

ACL = "system.posix_acl_access"
_ACL_VERSION, _USER, _GROUP, _MASK = 2, 0x02, 0x08, 0x10


class Reach(StrEnum):
    """What somebody else can do: change the data, read it, or neither for certain."""

    WRITE = "write"
    READ = "read"
    NOTE = "note"


class Opening(NamedTuple):
    """One way in: the file or folder, what is wrong in words, how far it reaches, and the command that closes it."""

    path: Path
    what: str
    reach: Reach
    cure: str


class Acl(NamedTuple):
    """A named entry of an access control list: `user` or `group`, its id, and its effective rights (4 read, 2 write, 1 enter)."""

    kind: str
    id: int
    rights: int


def openings(path: Path, *, wide: int) -> Iterator[Opening]:
    """How others can reach the data at `path`, a file or a folder with all below. A group with `wide` members or more is as good as
    everybody. Raises `InputError` where there is too much to look at."""
    top = path.resolve()
    owner = os.lstat(top).st_uid
    trusted = {0, os.geteuid(), owner}
    ways = _Ways()
    yield from _above(top, trusted, ways)
    for number, found in enumerate(_below(top)):
        if number >= MAX_ENTRIES:
            raise InputError(f"holds more than {MAX_ENTRIES} files", place=path.name, cure="declare a narrower uri")
        mode = os.lstat(found)
        if stat.S_ISLNK(mode.st_mode):
            yield from _link(found, top)
            continue
        yield from _modes(found, mode, wide, ways)
        yield from _lists(found, mode.st_mode, wide)
        if mode.st_uid not in trusted:
            yield Opening(found, f"belongs to {user_name(mode.st_uid)}, not to {user_name(owner)}", Reach.WRITE, _chown(found, owner))


def acl_of(path: Path) -> tuple[Acl, ...]:
    """The named entries of the access control list of `path`; none where it has none or the file system knows of none.

    The attribute is a version (2) and entries of tag, rights and id, little endian, as the Linux kernel keeps it (posix_acl_xattr.h).
    """
    try:
        raw = os.getxattr(path, ACL, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ELOOP):
            return ()
        raise
    return parse_acl(raw)


def parse_acl(raw: bytes) -> tuple[Acl, ...]:
    """The named entries in the attribute `raw`, with the mask taken off their rights. Nothing where it is not of version 2."""
    if len(raw) < 4 or (len(raw) - 4) % 8 or struct.unpack_from("<I", raw)[0] != _ACL_VERSION:
        return ()
    entries = list(struct.iter_unpack("<HHI", raw[4:]))
    mask = next((rights for tag, rights, _ in entries if tag == _MASK), 7)
    kinds = {_USER: "user", _GROUP: "group"}
    return tuple(Acl(kinds[tag], id, rights & mask) for tag, rights, id in entries if tag in kinds)


@lru_cache(maxsize=256)
def members(group: int) -> int:
    """How many accounts of this machine are in `group`, by name or as their first group."""
    try:
        named = set(grp.getgrgid(group).gr_mem)
    except (KeyError, OverflowError):
        named = set()
    return len(named | {one.pw_name for one in _accounts() if one.pw_gid == group})


def user_name(user: int) -> str:
    """The name of an account, or its number where it has none."""
    try:
        return one_line(pwd.getpwuid(user).pw_name, 40)
    except (KeyError, OverflowError):
        return f"user {user}"


def group_name(group: int) -> str:
    """The name of a group, or its number where it has none."""
    try:
        return one_line(grp.getgrgid(group).gr_name, 40)
    except (KeyError, OverflowError):
        return f"group {group}"


@lru_cache(maxsize=1)
def _accounts() -> tuple[pwd.struct_passwd, ...]:
    return tuple(pwd.getpwall())


class _Ways:
    """Which folders every account can enter: they and all above them let others through."""

    def __init__(self) -> None:
        self._known: dict[Path, bool] = {}

    def lead_to(self, folder: Path) -> bool:
        if folder not in self._known:
            here = bool(os.lstat(folder).st_mode & stat.S_IXOTH)
            self._known[folder] = here and (folder.parent == folder or self.lead_to(folder.parent))
        return self._known[folder]


def _above(top: Path, trusted: set[int], ways: _Ways) -> Iterator[Opening]:
    """Folders above in which others can put something else in the place of the data."""
    for folder in top.parents:
        found = os.lstat(folder)
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX and ways.lead_to(folder):
            cure = f"chmod o-w {quoted(folder)}"
            yield Opening(folder, "is a folder above that every account can write to: the data can be replaced", Reach.WRITE, cure)
        if found.st_uid not in trusted:
            what = f"is a folder above that belongs to {user_name(found.st_uid)}, who can replace the data"
            yield Opening(folder, what, Reach.WRITE, f"chown {user_name(os.geteuid())} {quoted(folder)}")


def _below(top: Path) -> Iterator[Path]:
    """`top` and all below; links are named and not followed."""
    waiting = [top]
    while waiting:
        one = waiting.pop()
        yield one
        if not stat.S_ISDIR(os.lstat(one).st_mode):
            continue
        try:
            with os.scandir(one) as entries:
                waiting += sorted((Path(entry.path) for entry in entries), reverse=True)
        except OSError as error:
            raise InputError(f"cannot be looked into: {error.strerror}", place=one.name) from None


def _link(found: Path, top: Path) -> Iterator[Opening]:
    folder = top if top.is_dir() else top.parent
    try:
        target = found.resolve()
    except (OSError, RuntimeError):
        yield Opening(found, "is a link that leads in a circle", Reach.NOTE, f"rm {quoted(found)}")
        return
    if not target.is_relative_to(folder):
        what = "is a link that leads out of the data: who can change what it leads to changes the data"
        yield Opening(found, what, Reach.WRITE, f"cp --remove-destination {quoted(target)} {quoted(found)}")


def _modes(found: Path, said: os.stat_result, wide: int, ways: _Ways) -> Iterator[Opening]:
    mode = said.st_mode
    shown = stat.filemode(mode)
    sticky = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
    others = ways.lead_to(found if stat.S_ISDIR(mode) else found.parent)
    if mode & stat.S_IWOTH and not sticky and others:
        yield Opening(found, f"can be written to by every account ({shown})", Reach.WRITE, f"chmod o-rwx {quoted(found)}")
    elif mode & stat.S_IROTH and stat.S_ISREG(mode) and others and not sealed(found):
        yield Opening(found, f"can be read by every account ({shown})", Reach.READ, f"chmod o-rwx {quoted(found)}")
    many = members(said.st_gid)
    if many < wide:
        return
    who = f"the group {group_name(said.st_gid)} with {many} accounts"
    if mode & stat.S_IWGRP and not sticky:
        yield Opening(found, f"can be written to by {who} ({shown})", Reach.WRITE, f"chmod g-w {quoted(found)}")
    elif mode & stat.S_IRGRP and stat.S_ISREG(mode):
        yield Opening(found, f"can be read by {who} ({shown})", Reach.NOTE, f"chmod g-r {quoted(found)}")


def _lists(found: Path, mode: int, wide: int) -> Iterator[Opening]:
    for entry in acl_of(found):
        name = user_name(entry.id) if entry.kind == "user" else group_name(entry.id)
        cure = f"setfacl -x {entry.kind[0]}:{name if not name.startswith(('user ', 'group ')) else entry.id} {quoted(found)}"
        broad = entry.kind == "group" and members(entry.id) >= wide
        if entry.rights & 2:
            yield Opening(found, f"can be written to by the {entry.kind} {name}, by its access control list", Reach.WRITE, cure)
        elif entry.rights & 4 and stat.S_ISREG(mode):
            reach = Reach.READ if broad else Reach.NOTE
            yield Opening(found, f"can be read by the {entry.kind} {name}, by its access control list", reach, cure)


def _chown(found: Path, owner: int) -> str:
    return f"chown {user_name(owner)} {quoted(found)}"


def quoted(path: Path) -> str:
    """A path as one word of a shell command, whatever it is called."""
    text = str(path)
    if text.isprintable() and all(c.isalnum() or c in "/._-+=:,@%" for c in text) and not text.startswith("-"):
        return text
    if text.isprintable():
        return "'" + text.replace("'", "'\\''") + "'"
    return "$'" + "".join(c if c.isprintable() and c not in "\\'" else "".join(f"\\x{b:02x}" for b in os.fsencode(c)) for c in text) + "'"
