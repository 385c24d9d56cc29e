"""Which report format a file's suffix means, and the renderer behind it."""

from __future__ import annotations

from pathlib import Path

from bartizan.model.errors import InputError
from bartizan.model.report import Report
from bartizan.renderers import formats


def format_of(target: Path) -> str:
    """The format that the name of `target` asks for. Raises `InputError` naming the suffixes we know."""
    for name, (_, suffix) in formats.FORMATS.items():
        if target.name.endswith(suffix):
            return name
    known = ", ".join(suffix for _, suffix in formats.FORMATS.values())
    raise InputError("cannot tell the report's format from its name", place=str(target), cure=f"end it with one of {known}")


def render(report: Report, form: str) -> str:
    """`report` in the format called `form`."""
    return formats.render(report, form)
