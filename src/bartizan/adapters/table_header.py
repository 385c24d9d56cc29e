"""The columns of a table from its head alone, so that a misspelt name is known before anything is read or run."""

from __future__ import annotations

import csv
import gzip
import importlib
import io
import zlib
from pathlib import Path

HEAD = 1 << 20
"""Most bytes that are read for a header."""

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".data": ",", ".txt": ","}
"""What parts the cells, by the suffix of the file."""


def form_of(path: Path) -> tuple[str, bool]:
    """The suffix of `path` that says its form, in lower case, and whether it is packed by gzip (`rows.csv.gz` is `.csv`, packed)."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] == ".gz"
    return suffixes[-2] if packed and len(suffixes) > 1 else (suffixes[-1] if suffixes else ""), packed


def columns_of(path: Path) -> tuple[str, ...] | None:
    """The columns that the head of the table at `path` names, in their order.

    None where the head does not tell: no such file, json lines (a later line may have more), a format that this install cannot read, a
    header that is broken or longer than `HEAD` bytes. What is wrong with such a file is said by whoever reads the whole of it.
    """
    kind, packed = form_of(path)
    if not path.is_file():
        return None
    if kind == ".parquet":
        return _parquet(path)
    return _separated(path, SEPARATORS[kind], packed=packed) if kind in SEPARATORS else None


def _separated(path: Path, separator: str, *, packed: bool) -> tuple[str, ...] | None:
    try:
        with path.open("rb") as file:
            head = (gzip.GzipFile(fileobj=file) if packed else file).read(HEAD)
        first = next(csv.reader(io.StringIO(head.decode("utf-8-sig", "replace"), newline=""), delimiter=separator), None)
    except (OSError, EOFError, zlib.error, csv.Error):
        return None
    if first is None or (len(head) == HEAD and b"\n" not in head):
        return None
    return tuple(name.strip() for name in first)


def _parquet(path: Path) -> tuple[str, ...] | None:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
        arrow = importlib.import_module("pyarrow")
    except ImportError:
        return None
    try:
        return tuple(str(name).strip() for name in parquet.read_schema(path).names)
    except (arrow.ArrowException, OSError, ValueError):
        return None
