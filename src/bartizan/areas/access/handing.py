"""A copy of what somebody sees, to hand out: written batch by batch, whole or not at all."""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bartizan.areas.access.tables import polars
from bartizan.model.errors import InputError, MissingExtra

KNOWN = (".parquet", ".csv", ".jsonl")


def write(batches: Iterable[Any], target: Path) -> int:
    """Write the DataFrames of `batches` to `target` (.parquet, .csv or .jsonl), readable by its owner alone; returns the number of rows.

    Raises `InputError` for another format, or where it cannot be written; then no file is left.
    """
    suffix = target.suffix.lower()
    if suffix not in KNOWN:
        raise InputError(f"'{suffix}' is no format that is written", place=str(target), cure="one of " + ", ".join(KNOWN))
    part = target.with_name(f".{target.name}.part")
    opened = False
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        opened = True
        with os.fdopen(handle, "wb") as file:
            rows = _parquet(batches, file) if suffix == ".parquet" else _lines(batches, file, suffix)
        part.replace(target)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", place=str(target)) from None
    finally:
        if opened:
            part.unlink(missing_ok=True)
    return rows


def _parquet(batches: Iterable[Any], file: Any) -> int:
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")  # by name: listing commands does not lead to pyarrow
    except ImportError:
        raise MissingExtra("access", "pyarrow") from None
    writer, rows = None, 0
    try:
        for batch in batches:
            table = batch.to_arrow()
            writer = writer or parquet.ParquetWriter(file, table.schema)
            writer.write_table(table)
            rows += len(batch)
    finally:
        if writer is not None:
            writer.close()
    return rows


def _lines(batches: Iterable[Any], file: Any, suffix: str) -> int:
    pl = polars()
    rows = 0
    for batch, first in zip(batches, itertools.chain((True,), itertools.repeat(False)), strict=False):
        nested = [name for name, dtype in batch.schema.items() if dtype.is_nested() or dtype == pl.Binary]
        if nested and suffix == ".csv":
            raise InputError(f"'{nested[0]}' holds lists or bytes, which csv does not hold", cure="write .parquet")
        if suffix == ".csv":
            batch.write_csv(file, include_header=first)
        else:
            batch.write_ndjson(file)
        rows += len(batch)
    return rows
