"""A table as a lazy scan: nothing is read before a query runs, and then in a stream.

A csv file is scanned as text and each column cast to what the schema says, so that a cell that does not fit is a violation with its row
instead of an error of the reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bartizan.areas.quality.schema import Column, Type
from bartizan.model.errors import InputError, MissingExtra, one_line

SUFFIXES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet", ".pq", ".arrow", ".feather")
_PACKED = (".gz", ".zst")


def polars() -> Any:
    """The module polars. Raises `MissingExtra` where it is not installed."""
    try:
        import polars as pl
    except ImportError:
        raise MissingExtra("data", "polars") from None
    return pl


def is_text(path: Path) -> bool:
    """Whether the cells of the file are text that has to be cast."""
    return _kind(path) in (".csv", ".tsv", ".tab")


def scan(path: Path) -> Any:
    """The table at `path` (a file, or a folder of files of one format) as a LazyFrame. Raises `InputError`, `MissingExtra`."""
    pl = polars()
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and _kind(p) in SUFFIXES and not p.name.startswith("."))
        kinds = {_kind(p) for p in files}
        if len(kinds) != 1:
            raise InputError("holds no table" if not files else "holds tables of several formats", place=str(path), cure="name one file")
        return _scan(pl, files, kinds.pop())
    kind = _kind(path)
    if kind not in SUFFIXES:
        raise InputError("is no table that is scanned", place=str(path), cure="known: " + ", ".join(SUFFIXES))
    return _scan(pl, path, kind)


def failed(path: Path, error: Exception) -> InputError:
    """What polars says of a file that it cannot read, as our error."""
    if path.is_file() and not path.stat().st_size:
        return InputError("is empty", place=str(path), cure="name a table with a row in it")
    return InputError(f"cannot be read as a table: {one_line(str(error), 200)}", place=str(path))


def dtype_of(column: Column) -> Any:
    """The type that text is cast to for `column`, or None where it stays text."""
    pl = polars()
    exact = getattr(pl, column.dtype, None) if column.dtype else None
    usual = {
        Type.INTEGER: pl.Int64,
        Type.NUMBER: pl.Float64,
        Type.BOOLEAN: pl.Boolean,
        Type.DATE: pl.Date,
        Type.DATETIME: pl.Datetime("us"),
    }
    return exact or usual.get(column.type)


def cast(name: str, kind: Any) -> Any:
    """The expression that casts the text of the column `name`; null where it does not fit."""
    pl = polars()
    text = pl.col(name)
    if kind == pl.Boolean:
        low = text.str.to_lowercase()
        return pl.when(low.is_in(["true", "1"])).then(True).when(low.is_in(["false", "0"])).then(False).otherwise(None).alias(name)
    if kind == pl.Date:
        return text.str.to_date("%Y-%m-%d", strict=False).alias(name)
    if kind == pl.Datetime:
        plain = text.str.replace(r"(Z|\+00:00)$", "").str.replace("T", " ", literal=True)
        return plain.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us").alias(name)
    return text.cast(kind, strict=False).alias(name)


def as_said(frame: Any, columns: Mapping[str, Column], names: list[str]) -> Any:
    """The scan of a text file with its columns cast as the schema says; the text stays beside it under `text:NAME`."""
    pl = polars()
    kinds = {name: dtype_of(columns[name]) for name in names if name in columns}
    changed = {name: kind for name, kind in kinds.items() if kind is not None and kind != pl.String}
    kept = [pl.col(name).alias(f"text:{name}") for name in changed]
    return frame.with_columns(*kept, *(cast(name, kind) for name, kind in changed.items()))


def _kind(path: Path) -> str:
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _scan(pl: Any, source: Any, kind: str) -> Any:
    if kind in (".csv", ".tsv", ".tab"):
        separator = "," if kind == ".csv" else "\t"
        return pl.scan_csv(source, separator=separator, infer_schema=False, raise_if_empty=False, glob=False)
    if kind in (".jsonl", ".ndjson"):
        return pl.scan_ndjson(source, infer_schema_length=None)
    if kind in (".arrow", ".feather"):
        return pl.scan_ipc(source, glob=False)
    return pl.scan_parquet(source, glob=False)
