"""Reads lock files and project tables: poetry.lock, uv.lock, pylock.toml (PEP 751), Pipfile.lock, pyproject.toml."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bartizan.adapters.files import read_text, shown
from bartizan.areas.dependencies.requirement import STRONG_HASH, Dependency, Hold, hold_of
from bartizan.model.errors import InputError, Place, one_line

MAX_BYTES = 32 * 1024 * 1024
"""Largest lock file, in bytes, that is read."""

_NAME = re.compile(r"""\s*(?:name\s*=\s*["']([^"']{1,200})["']|["']([^"']{1,200})["']\s*:\s*\{)""")
_EXACT = re.compile(r"={2,3}\s*[^*,\s]+|\d+(?:\.\d+)*(?:[a-z]+\d*)?")


def _parsed(root: str | Path, path: Path, parse: Callable[[str], Any]) -> tuple[Mapping[str, Any], str]:
    text = read_text(root, path, MAX_BYTES)
    try:
        data = parse(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"cannot be read: {error or type(error).__name__}", place=shown(root, path)) from None
    if not isinstance(data, Mapping):
        raise InputError("holds no table", place=shown(root, path))
    return data, text


def _lines(text: str) -> dict[str, int]:
    """The first line on which each name is declared."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        match = _NAME.match(line[:400])
        if match:
            found.setdefault(match[1] or match[2], number)
    return found


def _hashes(value: Any, depth: int = 0) -> int:
    """How many strong hashes stand anywhere in a package's entry."""
    if isinstance(value, str):
        return int(bool(STRONG_HASH.fullmatch(value)))
    if depth > 6:
        return 0
    if isinstance(value, Mapping):
        own = sum(isinstance(v, str) and bool(STRONG_HASH.fullmatch(f"{k}:{v}")) for k, v in value.items())
        return own + sum(_hashes(v, depth + 1) for v in value.values())
    return sum(_hashes(v, depth + 1) for v in value) if isinstance(value, list) else 0


def _tables(value: Any) -> Iterator[Mapping[str, Any]]:
    yield from (entry for entry in value if isinstance(entry, Mapping)) if isinstance(value, list) else ()


def toml_lock(root: str | Path, path: Path) -> list[Dependency]:
    """The packages of poetry.lock, uv.lock or pylock.toml. Raises `InputError` where the file cannot be read."""
    data, text = _parsed(root, path, tomllib.loads)
    lines, name_of = _lines(text), shown(root, path)
    legacy = data.get("metadata", {}).get("files", {}) if isinstance(data.get("metadata"), Mapping) else {}
    found = []
    for entry in (*_tables(data.get("package")), *_tables(data.get("packages"))):
        name = str(entry.get("name", "?"))
        place = Place(name_of, lines.get(name, 0))
        if _is_local(entry):
            found.append(Dependency(name, Hold.LOCAL, place))
        elif _commit(entry) or _hashes(dict(entry)) or (isinstance(legacy, Mapping) and _hashes(legacy.get(name))):
            found.append(Dependency(name, Hold.HASHED, place, "", _version(entry)))
        else:
            found.append(Dependency(name, Hold.PINNED if entry.get("version") else Hold.LOOSE, place, "has no hash", _version(entry)))
    return found


def _version(entry: Mapping[str, Any]) -> str | None:
    """The one version that a lock's entry names."""
    version = entry.get("version")
    return version.strip().removeprefix("===").removeprefix("==").strip() if isinstance(version, str) and version.strip() else None


def _is_local(entry: Mapping[str, Any]) -> bool:
    source = entry.get("source")
    local = {"editable", "virtual", "directory"}
    if isinstance(source, Mapping) and (local & set(source) or source.get("type") in ("directory", "file")):
        return True
    return "directory" in entry


def _commit(entry: Mapping[str, Any]) -> bool:
    """Is the entry tied to one commit of a repository?"""
    source, vcs = entry.get("source"), entry.get("vcs")
    ids = [source.get("resolved_reference"), str(source.get("git", "")).rpartition("#")[2]] if isinstance(source, Mapping) else []
    ids += [vcs.get("commit-id")] if isinstance(vcs, Mapping) else []
    return any(isinstance(i, str) and re.fullmatch(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", i) for i in ids)


def pipfile_lock(root: str | Path, path: Path) -> list[Dependency]:
    """The packages of Pipfile.lock. Raises `InputError` where the file cannot be read."""
    data, text = _parsed(root, path, json.loads)
    lines, name_of, found = _lines(text), shown(root, path), []
    for section in ("default", "develop"):
        packages = data.get(section)
        for name, entry in packages.items() if isinstance(packages, Mapping) else ():
            place = Place(name_of, lines.get(name, 0))
            if not isinstance(entry, Mapping):
                found.append(Dependency(name, Hold.LOOSE, place, "cannot be read"))
            elif entry.get("path"):
                found.append(Dependency(name, Hold.LOCAL, place))
            elif _hashes(entry.get("hashes")) or re.fullmatch(r"[0-9a-f]{40}", str(entry.get("ref", ""))):
                found.append(Dependency(name, Hold.HASHED, place, "", _version(entry)))
            else:
                found.append(Dependency(name, Hold.PINNED if entry.get("version") else Hold.LOOSE, place, "has no hash", _version(entry)))
    return found


def project_table(root: str | Path, path: Path) -> list[Dependency]:
    """What pyproject.toml asks for at run time, in the tables of PEP 621 and of Poetry. Raises `InputError` where it cannot be read."""
    data, text = _parsed(root, path, tomllib.loads)
    name_of = shown(root, path)
    project, tool = data.get("project"), data.get("tool")
    asked = project.get("dependencies") if isinstance(project, Mapping) else None
    found = [hold_of(str(line), 0, Place(name_of, _line_of(text, str(line)))) for line in asked or () if isinstance(asked, list)]
    poetry = tool.get("poetry") if isinstance(tool, Mapping) else None
    tables = poetry.get("dependencies") if isinstance(poetry, Mapping) else None
    for name, value in tables.items() if isinstance(tables, Mapping) else ():
        if name != "python":
            found.append(_poetry(name, value, Place(name_of, _line_of(text, name))))
    return found


def _poetry(name: str, value: Any, place: Place) -> Dependency:
    if isinstance(value, Mapping) and "path" in value:
        return Dependency(name, Hold.LOCAL, place)
    version = value.get("version", "*") if isinstance(value, Mapping) else value
    if isinstance(version, str) and _EXACT.fullmatch(version.strip()):
        return Dependency(name, Hold.PINNED, place, "has no hash", version.strip().lstrip("=").strip())
    return Dependency(name, Hold.LOOSE, place, f"accepts {one_line(str(version), 60)}")


def _line_of(text: str, wanted: str) -> int:
    at = text.find(wanted)
    return text.count("\n", 0, at) + 1 if at >= 0 else 0


READERS: dict[str, Callable[[str | Path, Path], list[Dependency]]] = {
    "poetry.lock": toml_lock,
    "uv.lock": toml_lock,
    "pdm.lock": toml_lock,
    "Pipfile.lock": pipfile_lock,
    "pyproject.toml": project_table,
}
"""How each file of a well-known name is read; `pylock.*.toml` is read as `toml_lock`, anything else as a requirements file."""


def lock_beside(path: Path, names: Iterable[str] = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml")) -> Path | None:
    """The lock file in the folder of `path`, or None."""
    return next((path.parent / name for name in names if (path.parent / name).is_file()), None)
