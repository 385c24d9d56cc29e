"""The table of report formats: the module that renders each, loaded when it is used, and the suffix of its files."""

from __future__ import annotations

import importlib

from bartizan.model.report import Report

FORMATS: dict[str, tuple[str, str]] = {
    "html": ("html_page", ".html"),
    "markdown": ("markdown", ".md"),
    "json": ("json_report", ".json"),
    "csv": ("csv_table", ".csv"),
    "sarif": ("sarif", ".sarif"),
    "junit": ("junit", ".xml"),
}
"""Name of the format: module in this package, suffix."""


def render(report: Report, form: str) -> str:
    """`report` in the format called `form`, a key of `FORMATS`."""
    module = importlib.import_module(f"bartizan.renderers.{FORMATS[form][0]}")
    text = module.render(report)
    assert isinstance(text, str)
    return text
