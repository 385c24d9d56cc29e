"""The names of files that a statement may hold: relative, canonical, and one file each on every system."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from bartizan.model.errors import one_line

WHOLE = "."
"""The name of a single file that is signed by itself."""

MAX_NAME = 4096
"""Longest name, in characters."""


def fault(name: str) -> str | None:
    """Why `name` may not stand in a statement, or None where it may.

    Refused are absolute names, `..`, anything `pathlib` would write in another way, backslashes (a separator elsewhere), control
    characters, and what is no Unicode text.
    """
    if not name or len(name) > MAX_NAME:
        return "a name is empty or longer than 4096 characters"
    shown = one_line(name.encode("utf-8", "backslashreplace").decode(), 120)
    if any(0xD800 <= ord(c) <= 0xDFFF for c in name):
        return f"the name '{shown}' is no Unicode text"
    if "\\" in name or any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in name):
        return f"the name '{shown}' holds a backslash or a control character"
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return f"the name '{shown}' leads out of the folder"
    if name != WHOLE and str(path) != name:
        return f"the name '{shown}' is not in canonical form"
    return None


def collisions(names: Iterable[str]) -> list[str]:
    """What is wrong with `names` together: the same name twice, or two that differ in nothing but their Unicode normal form."""
    seen: dict[str, str] = {}
    problems = []
    for name in names:
        form = unicodedata.normalize("NFC", name)
        other = seen.setdefault(form, name)
        if other is not name and other == name:
            problems.append(f"'{one_line(name, 120)}' stands there twice")
        elif other != name:
            problems.append(f"two names look like '{one_line(form, 120)}' and differ in their Unicode form alone")
    return problems


def order(name: str) -> tuple[str, ...]:
    """The key by which the files of a statement are sorted: part by part, as `PurePosixPath` compares (`sub/b` before `sub.x`)."""
    return PurePosixPath(name).parts
