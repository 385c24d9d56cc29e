"""How the command line shows things to people: tables that fit the terminal, verdicts with a colour and a word.

Whatever came from a manifest or a model is folded onto one line and stripped of control characters before it reaches a terminal.
"""

from __future__ import annotations

import json
import shutil
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence

import click
import msgspec

from bartizan.model.errors import one_line

COLOURS = {
    "pass": "green",
    "fail": "red",
    "inconclusive": "yellow",
    "unknown": "magenta",
    "critical": "red",
    "high": "red",
    "medium": "yellow",
    "low": "green",
    "open": "yellow",
    "within": "green",
}


def paint(word: str) -> str:
    """`word` in its colour; click drops the colour where the output is no terminal."""
    return click.style(word, fg=COLOURS.get(word.strip()))


def width(text: str) -> int:
    """Columns that `text` takes in a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fit(text: str, columns: int) -> str:
    """`text` cut with an ellipsis, or padded with spaces, to `columns`."""
    if width(text) > columns:
        kept = ""
        for c in text:
            if width(kept + c) > columns - 1:
                break
            kept += c
        text = kept + "…"
    return text + " " * (columns - width(text))


def terminal_width() -> int:
    """Columns of the terminal, 140 where there is none, 60 at least."""
    return max(60, shutil.get_terminal_size((140, 24)).columns)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, columns: int | None = None, wrapped: bool = False) -> str:
    """A plain table as wide as the terminal allows; the widest columns give way first. What does not fit is cut; in the last column it
    goes on in the next line where `wrapped`."""
    cells = [[one_line(str(c), 300) for c in row] for row in rows]
    sizes = [max(width(head), *(width(row[i]) for row in cells)) if cells else width(head) for i, head in enumerate(heads)]
    room = (columns or terminal_width()) - 2 * (len(heads) - 1)
    while sum(sizes) > room and max(sizes) > 12:
        widest = sizes.index(max(sizes))
        sizes[widest] -= min(sum(sizes) - room, max(1, sizes[widest] - 12))
    lines = ["  ".join(click.style(fit(head, size), bold=True) for head, size in zip(heads, sizes, strict=True)).rstrip()]
    for row in [part for whole in cells for part in (_folded(whole, sizes[-1]) if wrapped else [whole])]:
        shown = [fit(cell, size) for cell, size in zip(row, sizes, strict=True)]
        lines.append("  ".join(s.replace(s.strip(), paint(s.strip()), 1) if s.strip() in COLOURS else s for s in shown).rstrip())
    return "\n".join(lines)


def _folded(row: Sequence[str], size: int) -> list[list[str]]:
    """`row` with as many lines as its last cell takes."""
    first, *rest = textwrap.wrap(row[-1], max(size, 12)) or [""]
    return [[*row[:-1], first], *([*[""] * (len(row) - 1), line] for line in rest)]


def json_text(value: object) -> str:
    """`value` as indented JSON with a stable order."""
    try:
        return msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=2).decode()
    except UnicodeEncodeError:  # a file's name that is no Unicode text stands as an escape, which reads back as that name
        return json.dumps(msgspec.to_builtins(value), sort_keys=True, indent=2)
