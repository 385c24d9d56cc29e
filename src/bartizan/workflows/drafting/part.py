"""A part of the drafted system: what is known of it, and what to ask."""

from __future__ import annotations

import re
import unicodedata

import msgspec

from bartizan.model.errors import one_line


class Part(msgspec.Struct, kw_only=True):
    """One entry of a section. `said` are fields with values that a file proves, `hints` add to the question for a field, `notes` say why.

    `kind` is an asset's kind, or "dataset". `names` are strings by which source code may refer to it, `files` the sources it was told by.
    """

    id: str
    kind: str
    said: dict[str, str | list[str] | bool] = {}
    hints: dict[str, str] = {}
    notes: list[str] = []
    names: list[str] = []
    files: list[str] = []


def slug(text: str, fallback: str) -> str:
    """`text` as an id: lower-case letters, digits and dashes, at most 60 characters."""
    bare = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^a-z0-9]+", "-", bare).strip("-")[:60].strip("-")
    return plain or fallback


def shown(names: list[str], most: int = 6) -> str:
    """Some names on one line for a comment."""
    listed = ", ".join(one_line(name, 60) for name in names[:most])
    return f"{listed}, and {len(names) - most} more" if len(names) > most else listed


def unique(parts: list[Part]) -> None:
    """Give every part an id of its own: the later ones of equal name are numbered."""
    taken = {"system"}
    for part in parts:
        number, wanted = 2, part.id
        while part.id in taken:
            part.id = f"{wanted}-{number}"
            number += 1
        taken.add(part.id)
