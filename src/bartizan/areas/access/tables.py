"""The table that a policy is about: scanned lazily, its columns and what Cedar may compare of them, and its fingerprint."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bartizan.areas.access.policy import Column, Type
from bartizan.model.errors import InputError, MissingExtra, one_line

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_LINES = (".jsonl", ".ndjson")
_ARROW = (".arrow", ".feather")
_PARQUET = (".parquet", ".pq")
KNOWN = (*_SEPARATORS, *_LINES, *_ARROW, *_PARQUET)

PIECE = 1 << 20
"""Bytes at the beginning and at the end of a file that its fingerprint holds: those of a Parquet file have its schema and statistics."""


def polars() -> Any:
    """The module polars. Raises `MissingExtra` where it is not installed."""
    try:
        import polars as pl
    except ImportError:
        raise MissingExtra("access", "polars") from None
    return pl


def scan(path: Path, columns: Mapping[str, Column]) -> Any:
    """The table at `path`, a file or a folder of files, as a LazyFrame; the cells of a text file as `columns` says, else text. Nothing is
    read but what names columns.

    Raises `InputError` where it is no table, without repeating what stands in it.
    """
    pl = polars()
    files = files_of(path)
    suffix = files[0].suffix.lower()
    if suffix in _SEPARATORS:
        frame = pl.scan_csv(files, separator=_SEPARATORS[suffix], infer_schema=False, raise_if_empty=False, glob=False)
        names = _names(frame, path)
        return frame.with_columns([_cast(name, columns[name].type) for name in names if name in columns])
    if suffix in _LINES:
        return pl.scan_ndjson(files, infer_schema_length=None)
    frame = pl.scan_ipc(files, glob=False) if suffix in _ARROW else pl.scan_parquet(files, glob=False)
    coded = [name for name, dtype in types_of(frame, path).items() if isinstance(dtype, pl.Categorical | pl.Enum)]
    return frame.with_columns(pl.col(name).cast(pl.String) for name in coded) if coded else frame


def files_of(path: Path) -> list[Path]:
    """The file at `path`, or all tables below that folder, of one format. Raises `InputError` where there is none, before anything waits
    for a pipe or reads a device."""
    files = [path]
    if path.is_dir():
        files = sorted(found for found in path.rglob("*") if found.suffix.lower() in KNOWN and not found.name.startswith("."))
    if not files or len({file.suffix.lower() for file in files}) > 1:
        raise InputError("holds no table, or tables of several formats", place=str(path), cure="give one file, or files of one format")
    for file in files:
        if file.suffix.lower() not in KNOWN or not file.is_file():
            raise InputError("is no table that is read by a policy", place=str(file), cure="known: " + ", ".join(KNOWN))
        if any("\udc80" <= character <= "\udcff" for character in str(file)):
            cure = "rename it"
            raise InputError("has a name that is no UTF-8, which tables are not read by", place=one_line(repr(file.name), 80), cure=cure)
    return files


def types_of(frame: Any, path: Path) -> dict[str, Any]:
    """The Polars type of each column."""
    _names(frame, path)
    return dict(frame.collect_schema())


def _names(frame: Any, path: Path) -> list[str]:
    pl = polars()
    try:
        return list(frame.collect_schema().names())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: Exception) -> InputError:
    """What a reader says of a damaged table may hold cells, so its text is not passed on."""
    return InputError(f"cannot be read as a table ({type(error).__name__})", place=str(path))


def _cast(name: str, kind: Type) -> Any:
    pl = polars()
    text = pl.col(name)
    if kind is Type.BOOLEAN:
        low = text.str.to_lowercase()
        return pl.when(low.is_in(["true", "1"])).then(True).when(low.is_in(["false", "0"])).then(False).otherwise(None).alias(name)
    if kind is Type.DATE:
        return text.str.to_date("%Y-%m-%d", strict=False)
    if kind is Type.DATETIME:
        plain = text.str.replace(r"(Z|\+00:00)$", "").str.replace("T", " ", literal=True)
        return plain.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")
    return text if kind is Type.TEXT else text.cast(pl.Int64 if kind is Type.INTEGER else pl.Float64, strict=False)


def cedar_type(dtype: Any) -> str | None:
    """`Long`, `String`, `Boolean` or `datetime`: as what Cedar compares cells of this type; None where it cannot."""
    pl = polars()
    if dtype.is_integer():
        return None if dtype in (pl.UInt64, pl.Int128, pl.UInt128) else "Long"
    if dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum):
        return "String"
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        return "datetime"
    return "Boolean" if dtype == pl.Boolean else None


def fingerprint(path: Path) -> str:
    """SHA-256 (hex) over the size, the first and the last piece of each file: enough to tell versions apart, at a cost that hardly grows.

    It is no proof against somebody who edits the middle on purpose; the passport of a data set is.
    """
    held = hashlib.sha256()
    for part in files_of(path):
        try:
            with part.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                held.update(size.to_bytes(8, "big") + file.read(PIECE))
                if size > PIECE:
                    file.seek(max(PIECE, size - PIECE))
                    held.update(file.read(PIECE))
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", place=str(part)) from None
    return held.hexdigest()
