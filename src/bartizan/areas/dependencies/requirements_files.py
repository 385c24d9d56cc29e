"""Reads requirements files as pip does (pip's documentation, 'Requirements File Format'): continuation lines, comments, markers,
hashes, `-r` and `-c` includes below the project's folder, editable installs, direct references."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from bartizan.adapters.files import local_path, read_text, shown
from bartizan.areas.dependencies.requirement import MAX_LINE, STRONG_HASH, Dependency, Hold, hold_of
from bartizan.model.errors import BartizanError, Place, one_line

MAX_DEPTH = 10
"""Deepest chain of `-r` includes that is followed."""

MAX_DEPENDENCIES = 20_000
"""Most dependencies that are read from one declared place."""

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_HASH = re.compile(r"\s--hash[=\s]\s*(\S+)")
_OPTION = re.compile(r"\s--(?:hash|global-option|config-settings|install-option)\b.*$")
_INCLUDE = re.compile(r"(-r|--requirement|-c|--constraint)(?:\s*=\s*|\s*)(\S.*)")
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s*=\s*|\s+)(\S.*)")
_LOCAL = re.compile(r"(?:\.{0,2}/|\.$|[A-Za-z]:\\|file:)|.*(?:\.whl|\.tar\.gz|\.zip)$")
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Each logical line with the number of its first physical line; comments and blank lines are left out."""
    begun, parts = 0, [""]
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.rstrip("\r")
        comment = line.lstrip().startswith("#")
        if not comment:
            begun = begun or number
            line = _COMMENT.sub("", line) if "#" in line and len(line) <= MAX_LINE else line
            if line.endswith("\\"):
                parts.append(line[:-1])
                continue
            parts.append(line)
        joined = "".join(parts).strip()
        if joined:
            yield begun, joined
        begun, parts = 0, [""]
    rest = "".join(parts).strip()
    if rest:
        yield begun, rest


class RequirementsReader:
    """Reads one requirements file and what it includes; `constraints` hold what `-c` files pin."""

    def __init__(self, root: str | Path) -> None:
        self._root = root
        self._seen: set[Path] = set()
        self._constraints: dict[str, Dependency] = {}

    def read(self, path: Path) -> list[Dependency]:
        """The dependencies that `path` asks for, includes resolved. Raises `InputError` where a file cannot be read."""
        lines = list(self._gather(path.resolve(), 0))
        return [found for text, place in lines[:MAX_DEPENDENCIES] if (found := self._dependency(text, place)) is not None]

    def _gather(self, path: Path, depth: int) -> Iterator[tuple[str, Place]]:
        if path in self._seen:
            return
        self._seen.add(path)
        name = shown(self._root, path)
        for number, line in logical_lines(read_text(self._root, path)):
            place = Place(name, number)
            include = _INCLUDE.match(line) if len(line) < MAX_LINE else None
            if include is None:
                yield line, place
            elif include[1] in ("-r", "--requirement"):
                yield from self._included(path, include[2], place, depth)
            else:
                self._constrain(path, include[2], place)

    def _included(self, path: Path, uri: str, place: Place, depth: int) -> Iterator[tuple[str, Place]]:
        try:
            target = self._beside(path, uri, place)
        except BartizanError as error:
            yield f"\0include '{one_line(uri, 60)}': {error.what}", place
            return
        if depth >= MAX_DEPTH:
            yield f"\0include '{one_line(uri, 60)}': nested too deeply", place
            return
        yield from self._gather(target, depth + 1)

    def _beside(self, path: Path, uri: str, place: Place) -> Path:
        if "://" in uri:
            return local_path(self._root, uri, place)
        inside = path.parent.relative_to(Path(self._root).resolve())
        return local_path(self._root, str(inside / uri.strip().strip("\"'")), place)

    def _constrain(self, path: Path, uri: str, place: Place) -> None:
        try:
            target = self._beside(path, uri, place)
        except BartizanError:
            return
        for number, line in logical_lines(read_text(self._root, target)):
            found = self._dependency(line, Place(shown(self._root, target), number))
            if found is not None:
                self._constraints.setdefault(found.name, found)

    def _dependency(self, line: str, place: Place) -> Dependency | None:
        """What one logical line asks for; None for an option that asks for nothing."""
        if line.startswith("\0"):
            return Dependency("include", Hold.LOOSE, place, line[1:])
        if len(line) > MAX_LINE:
            hashes, text = len(STRONG_HASH.findall(line)), line.split(" ", 1)[0][:MAX_LINE]
            return hold_of(text, hashes, place, self._constraints)
        editable = _EDITABLE.match(line)
        if editable or _LOCAL.match(line.split(" ", 1)[0].split(";", 1)[0].split("#", 1)[0]) or "://" in line.split(" ", 1)[0]:
            return self._direct(editable[1] if editable else line, place)
        if line.startswith("-"):
            return None
        hashes = sum(bool(STRONG_HASH.fullmatch(found)) for found in _HASH.findall(line))
        return hold_of(_OPTION.sub("", line).strip(), hashes, place, self._constraints)

    def _direct(self, text: str, place: Place) -> Dependency:
        """A path or an address without a name before it."""
        address = _words(text)[0]
        egg = _EGG.search(address)
        name = egg[1] if egg else one_line(address.rpartition("/")[2] or address, 60)
        if "://" not in address or address.startswith("file:"):
            return Dependency(name, Hold.LOCAL, place)
        hashes = sum(bool(STRONG_HASH.fullmatch(found)) for found in _HASH.findall(text))
        safe = re.sub(r"[^A-Za-z0-9._-]", "-", name).strip("-._") or "direct"
        return hold_of(f"{safe} @ {address}", hashes, place)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text) or [text]
    except ValueError:
        return text.split() or [text]
