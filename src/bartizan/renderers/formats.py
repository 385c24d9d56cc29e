"""The formats of the report by name: which module writes each, with which suffix. A module is loaded when its format is asked for."""

from __future__ import annotations

import importlib
from types import ModuleType

from bartizan.model.errors import UnknownName
from bartizan.model.report import Report

FORMATS: dict[str, tuple[str, str]] = {
    "html": ("html_page", ".html"),
    "markdown": ("markdown", ".md"),
    "json": ("json_report", ".json"),
    "findings-csv": ("findings_table", ".findings.csv"),
    "csv": ("csv_table", ".csv"),
    "sarif": ("sarif", ".sarif"),
    "junit": ("junit", ".xml"),
}
"""Name to module in this folder and suffix. Where the suffix of one ends with that of another, the longer stands first."""


def render(report: Report, name: str) -> str:
    """`report` in the format called `name`. The same report gives the same bytes. Raises `UnknownName`."""
    text: str = _module(name).render(report)
    return text


def media_type(name: str) -> str:
    """The media type of a format, such as `text/html`. Raises `UnknownName`."""
    kind: str = _module(name).MEDIA_TYPE
    return kind


def _module(name: str) -> ModuleType:
    if name not in FORMATS:
        raise UnknownName("format", name, list(FORMATS))
    return importlib.import_module(f"bartizan.renderers.{FORMATS[name][0]}")
