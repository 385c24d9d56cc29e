"""Reads what a zip archive says about itself in all the ways that real loaders do: every directory at its end, and every local header.

Loaders disagree. Python's zipfile trusts the last directory and shifts it by what was put in front; miniz, which torch reads with, shifts
nothing, takes the first of equal names without regard to case, and finds the data through the local header; streaming readers see local
headers alone. So nobody's choice is made here: all entries of all readings come out, and each disagreement is told (APPNOTE.TXT 6.3.10).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from bartizan.areas.artefacts.containers.scope import MIB, Scope

LOCAL = b"PK\x03\x04"
CENTRAL = b"PK\x01\x02"
END = b"PK\x05\x06"
END64 = b"PK\x06\x06"
LOCATOR64 = b"PK\x06\x07"

TAIL = 2 * 65_536 + 22
"""Bytes at the end in which a directory's end record is searched; its comment has at most 65,535."""

MAX_ENDS = 16
"""Most end records that are followed."""

MAX_GAP = 64 * MIB
"""Most bytes outside all entries that are searched for local headers nobody lists."""

_CENTRAL = struct.Struct("<4s4B4H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")


@dataclass(frozen=True)
class Entry:
    """One entry as one of the two places describes it. `start` is where its packed data begins, `packed` how long that is."""

    name: str
    method: int
    flags: int
    packed: int
    size: int
    header: int
    start: int
    listed: bool = True

    @property
    def encrypted(self) -> bool:
        return bool(self.flags & 1)

    @property
    def end(self) -> int:
        return self.start + self.packed


@dataclass
class Directory:
    """All entries of all readings, and where the readings disagree: (what, byte offset)."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[tuple[str, int]] = field(default_factory=list)
    listed: int = 0
    end: int = 0

    def names(self) -> set[str]:
        return {entry.name for entry in self.entries}


def read_directory(data: memoryview, scope: Scope) -> Directory | None:
    """What the archive in `data` holds; None where there is neither a directory nor a local header at the start. Raises `LimitReached`."""
    found = Directory()
    regions: list[tuple[int, int]] = []
    for start, end, at, part in _readings(data, scope):
        found.entries += part.entries
        found.problems += part.problems
        regions.append((start, end))
        found.listed += 1
        found.end = max(found.end, at + 22 + int.from_bytes(data[at + 20 : at + 22], "little"))
    begins = bytes(data[:4]) == LOCAL
    if not found.listed and not begins:
        return None
    if not found.listed:
        found.problems.append(("it has no readable directory: it is cut off, or made for readers that need none", 0))
    if found.listed > 1:
        found.problems.append(("it has several directories; loaders choose differently", regions[0][0]))
    _unlisted(data, regions, found, scope)
    _disagreements(found)
    return found


def _readings(data: memoryview, scope: Scope) -> list[tuple[int, int, int, Directory]]:
    """(start, end, end record, what it lists) for every directory that a loader may find.

    The offsets of a directory may be read with a shift or without; a reading in which nothing leads to a local header gives no loader
    anything, so it counts only where there is no other.
    """
    seen: set[tuple[int, int]] = set()
    readings = []
    for at in _ends(data):
        for start, origin in _directories(data, at):
            if (start, origin) not in seen:
                seen.add((start, origin))
                part = Directory()
                end = _central(data, start, origin, part, scope)
                if end > start:
                    readings.append((start, end, at, part))
    return [reading for reading in readings if reading[3].entries] or readings


def _ends(data: memoryview) -> Iterator[int]:
    """Where end records stand, last first."""
    begin = max(0, len(data) - TAIL)
    tail = bytes(data[begin:])
    at = tail.rfind(END)
    count = 0
    while at >= 0 and count < MAX_ENDS:
        if at + 22 <= len(tail):
            yield begin + at
            count += 1
        at = tail.rfind(END, 0, at)


def _directories(data: memoryview, at: int) -> Iterator[tuple[int, int]]:
    """(start of the directory, shift of all its offsets) for the end record at `at`: with and without a shift, 32 and 64 bit."""
    size, offset = struct.unpack("<LL", data[at + 12 : at + 20])
    yield from _shifts(data, at, size, offset)
    if at >= 20 and bytes(data[at - 20 : at - 16]) == LOCATOR64:
        (where,) = struct.unpack("<Q", data[at - 12 : at - 4])
        for begin in {where, at - 20 - 56}:
            if 0 <= begin <= len(data) - 56 and bytes(data[begin : begin + 4]) == END64:
                size, offset = struct.unpack("<QQ", data[begin + 40 : begin + 56])
                yield from _shifts(data, begin, size, offset)


def _shifts(data: memoryview, at: int, size: int, offset: int) -> Iterator[tuple[int, int]]:
    for start, origin in ((offset, 0), (at - size, at - size - offset)):
        if 0 <= start <= len(data) - 46 and bytes(data[start : start + 4]) == CENTRAL:
            yield start, origin


def _central(data: memoryview, at: int, origin: int, found: Directory, scope: Scope) -> int:
    """Read the directory at `at` into `found`; return where it ends."""
    while at + 46 <= len(data) and bytes(data[at : at + 4]) == CENTRAL:
        scope.spend_entries()
        fields = _CENTRAL.unpack(data[at : at + 46])
        flags, method = fields[5], fields[6]
        packed, size, name_size, extra_size, comment_size = fields[10], fields[11], fields[12], fields[13], fields[14]
        header = fields[18]
        raw = bytes(data[at + 46 : at + 46 + name_size])
        extra = bytes(data[at + 46 + name_size : at + 46 + name_size + extra_size])
        size, packed, header = _wide(extra, size, packed, header)
        entry = Entry(_name(raw), method, flags, packed, size, header + origin, 0)
        _locate(data, entry, at, found)
        at += 46 + name_size + extra_size + comment_size
    return at


def _name(raw: bytes) -> str:
    """The name as text. Python ends it at a zero byte, others do not; both begin alike."""
    return raw.decode("utf-8", "replace")


def _wide(extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """Sizes and offset from the ZIP64 field, where the narrow ones say so."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        if tag == 1:
            body = extra[at + 4 : at + 4 + length]
            numbers = list(struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8]))
            if size in (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF) and numbers:
                size = numbers.pop(0)
            if packed == 0xFFFFFFFF and numbers:
                packed = numbers.pop(0)
            if header == 0xFFFFFFFF and numbers:
                header = numbers.pop(0)
        at += 4 + length
    return size, packed, header


def _locate(data: memoryview, entry: Entry, at: int, found: Directory) -> None:
    """Follow a directory's entry to its local header, and note where the two differ."""
    local = _local(data, entry.header)
    if local is None:
        found.problems.append((f"the directory's entry '{entry.name[:80]}' leads to no local header", at))
        return
    placed = Entry(entry.name, entry.method, entry.flags, entry.packed, entry.size, entry.header, local.start)
    found.entries.append(placed)
    if placed.end > len(data):
        found.problems.append((f"the entry '{entry.name[:80]}' reaches beyond the end of the file", entry.header))
    streamed = bool(local.flags & 8) and local.packed == 0
    differs = local.name != entry.name or local.method != entry.method or (not streamed and local.packed != entry.packed)
    if differs:
        text = f"the directory says '{entry.name[:80]}', {entry.packed} bytes by method {entry.method}, the local header "
        text += f"'{local.name[:80]}', {local.packed} bytes by method {local.method}; loaders read them differently"
        found.problems.append((text, entry.header))
        found.entries.append(local)


def _local(data: memoryview, at: int) -> Entry | None:
    """The local header at `at`, as an entry of its own."""
    if not 0 <= at <= len(data) - 30 or bytes(data[at : at + 4]) != LOCAL:
        return None
    _, _, flags, method, _, _, _, packed, size, name_size, extra_size = _LOCAL.unpack(data[at : at + 30])
    raw = bytes(data[at + 30 : at + 30 + name_size])
    extra = bytes(data[at + 30 + name_size : at + 30 + name_size + extra_size])
    size, packed, _ = _wide(extra, size, packed, 0)
    return Entry(_name(raw), method, flags, packed, size, at, at + 30 + name_size + extra_size, listed=False)


def _unlisted(data: memoryview, regions: list[tuple[int, int]], found: Directory, scope: Scope) -> None:
    """Local headers that stand where no entry of a directory lies. A reader that streams would see them."""
    taken = sorted([(entry.header, entry.end) for entry in found.entries] + regions)
    at = searched = 0
    for begin, end in [*taken, (len(data), len(data))]:
        if begin > at:
            searched += begin - at
            if searched > MAX_GAP and found.listed:
                found.problems.append((f"more than {MAX_GAP // MIB} MiB lie outside all entries and were not read", at))
                return
            _search(data, at, min(begin, at + MAX_GAP), found, scope)
        at = max(at, end)


def _search(data: memoryview, at: int, stop: int, found: Directory, scope: Scope) -> None:
    while at < stop:
        window = bytes(data[at : min(stop + 3, at + MIB)])
        hit = window.find(LOCAL)
        if hit < 0:
            at += max(1, len(window) - 3) if at + len(window) < stop else len(window)
            continue
        at += hit
        entry = _local(data, at)
        if entry is None or at >= stop:
            at += 4
            continue
        scope.spend_entries()
        if entry.flags & 8 and not entry.packed:
            entry = Entry(entry.name, entry.method, entry.flags, stop - entry.start, 0, entry.header, entry.start, listed=False)
        found.entries.append(entry)
        if found.listed:
            found.problems.append((f"the entry '{entry.name[:80]}' stands in no directory; some readers see it", at))
        at = max(at + 4, min(entry.end, stop)) if entry.packed and not entry.flags & 8 else at + 4


def _disagreements(found: Directory) -> None:
    """Names that occur twice (without regard to case, as miniz compares) and entries that lie over one another."""
    by_name: dict[str, Entry] = {}
    for entry in found.entries:
        if not entry.listed:
            continue
        key = entry.name.partition("\0")[0].lower()
        first = by_name.setdefault(key, entry)
        if first is not entry and (first.header != entry.header or first.method != entry.method):
            text = f"the names '{first.name[:80]}' and '{entry.name[:80]}' are one to some loaders; which entry is read differs"
            found.problems.append((text, entry.header))
        if "\0" in entry.name:
            found.problems.append((f"the name '{entry.name[:80]}' holds a zero byte, where some loaders end it", entry.header))
    ordered = sorted((e for e in found.entries if e.listed and e.packed), key=lambda e: (e.header, e.end))
    for before, after in pairwise(ordered):
        if before.end > after.header and before.header != after.header:
            found.problems.append((f"the entries '{before.name[:80]}' and '{after.name[:80]}' lie over one another", after.header))
            break
