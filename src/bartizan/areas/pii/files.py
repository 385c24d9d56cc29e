"""Scans the file or folder that a data set lies in: tables column by column, all else line by line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bartizan.adapters.files import files_below, read_text, shown
from bartizan.adapters.table_header import form_of
from bartizan.adapters.tables import FORMATS, read_table
from bartizan.areas.pii.columns import Column, ColumnScan

if TYPE_CHECKING:
    from bartizan.areas.pii.reading import Reader

TABLES = frozenset(FORMATS) - {".txt", ".data"}
LINES = "lines"
"""Name of the only column of a file that is no table."""
UNREADABLE = 0.05
"""Share of characters that are no UTF-8 beyond which a file counts as no text."""

_NO_TEXT = frozenset(
    {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".npy", ".npz", ".wav", ".mp3", ".mp4", ".zip", ".tar"}
)


def scan_file(root: str | Path, path: Path, *, finder: Reader | None = None) -> tuple[dict[str, dict[str, Column]], tuple[str, ...]]:
    """The column map of each file below `path`, by its name relative to `root`, and the names of files that hold no text.

    `finder` reads texts for names, within its budget for all files together.
    Raises `InputError` for a file that cannot be read, `MissingExtra` where its format needs one.
    """
    maps: dict[str, dict[str, Column]] = {}
    skipped: list[str] = []
    for file, columns in _read(root, path, finder):
        if columns is None:
            skipped.append(shown(root, file))
        else:
            maps[shown(root, file)] = columns
    return maps, tuple(skipped)


def _read(root: str | Path, path: Path, finder: Reader | None) -> Iterator[tuple[Path, dict[str, Column] | None]]:
    for file in files_below(root, path):
        kind, _ = form_of(file)
        if kind in TABLES:
            frame = read_table(root, file)
            yield file, _scanned({name: frame[name].array for name in frame.columns}, finder)
            continue
        text = None if kind in _NO_TEXT else read_text(root, file)
        if text is None or "\0" in text[:4096] or text[:4096].count("\ufffd") > len(text[:4096]) * UNREADABLE:
            yield file, None
        else:
            yield file, {LINES: _scanned({"": text.splitlines()}, finder)[""]}


def _scanned(columns: dict[str, Any], finder: Reader | None) -> dict[str, Column]:
    scan = ColumnScan(finder=finder)
    scan.take(columns)
    return scan.finish()
