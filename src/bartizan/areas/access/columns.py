"""One column of a table as a stream of cells, in constant memory, as the file writes it: the cells of a csv file are text."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import csv, json, parquet

from bartizan.model.errors import InputError, one_line

if TYPE_CHECKING:
    import polars as pl

ROWS = 65_536
BLOCK = 4 * 1024 * 1024
LONGEST = 64 * BLOCK
"""Longest line of a jsonl file, in bytes, that is read."""

SUFFIXES = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow",
}  # fmt: skip
_PACKED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


def table_kind(path: Path) -> tuple[str, str | None] | None:
    """(format, compression) by the name of a file, or None where it is no table."""
    suffixes = [s.lower() for s in path.suffixes]
    packed = _PACKED.get(suffixes[-1]) if suffixes else None
    kind = SUFFIXES.get(suffixes[-2] if packed and len(suffixes) > 1 else (suffixes[-1] if suffixes else ""))
    return None if kind is None or (packed and kind in ("parquet", "arrow")) else (kind, packed)


def names(path: Path) -> list[str]:
    """The columns of the table at `path`; those of a jsonl file as its first lines have them. Raises `InputError`."""
    kind, packed = _kind(path)
    try:
        if kind in ("csv", "tsv"):
            with closing(_stream(path, packed)) as stream:
                if not stream.read(1):
                    return []
            with closing(_stream(path, packed)) as stream, csv.open_csv(stream, *_csv(kind, None)) as reader:
                return list(reader.schema.names)
        if kind == "jsonl":
            first = next(_lines(path, packed), b"")
            return list(json.read_json(io.BytesIO(first)).schema.names) if first.strip() else []
        if kind == "parquet":
            with parquet.ParquetFile(path, pre_buffer=False) as file:
                return list(file.schema_arrow.names)
        return next((list(batch.schema.names) for batch in _arrow(path)), [])
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as {kind}: {one_line(str(error), 200)}", place=path.name) from None


def cells(path: Path, column: str) -> Iterator[pl.Series]:
    """The cells of `column` of the table at `path`, at most a few megabytes at a time. Raises `InputError`, also where it lacks."""
    import polars

    kind, packed = _kind(path)
    try:
        for part in _parts(path, kind, packed, column):
            found = polars.from_arrow(part)
            assert isinstance(found, polars.Series)
            yield found
    except KeyError:
        raise InputError(f"has no column '{one_line(column, 80)}'", place=path.name) from None
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as {kind}: {one_line(str(error), 200)}", place=path.name) from None


def frames(path: Path, wanted: Sequence[str]) -> Iterator[pl.DataFrame]:
    """The columns `wanted` of the table at `path`, some rows at a time. Raises `InputError`, also where one lacks."""
    import polars

    kind, packed = _kind(path)
    try:
        for part in _tables(path, kind, packed, list(wanted)):
            found = polars.from_arrow(part)
            assert isinstance(found, polars.DataFrame)
            yield found
    except KeyError as error:
        raise InputError(f"has no column {one_line(str(error), 80)}", place=path.name) from None
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as {kind}: {one_line(str(error), 200)}", place=path.name) from None


def _tables(path: Path, kind: str, packed: str | None, wanted: list[str]) -> Iterator[Any]:
    if kind in ("csv", "tsv"):
        with closing(_stream(path, packed)) as stream, csv.open_csv(stream, *_csv(kind, wanted)) as reader:
            yield from reader
    elif kind == "jsonl":
        for block in _lines(path, packed):
            table = json.read_json(io.BytesIO(block))
            known = {name: table[name] if name in table.schema.names else pa.nulls(table.num_rows, pa.string()) for name in wanted}
            yield pa.table(known)
    elif kind == "parquet":
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            for name in wanted:
                if name not in file.schema_arrow.names:
                    raise KeyError(name)
            yield from file.iter_batches(batch_size=ROWS, columns=wanted)
    else:
        for batch in _arrow(path):
            yield batch.select(wanted)


def _parts(path: Path, kind: str, packed: str | None, column: str) -> Iterator[Any]:
    if kind in ("csv", "tsv"):
        with closing(_stream(path, packed)) as stream, csv.open_csv(stream, *_csv(kind, [column])) as reader:
            for batch in reader:
                yield batch.column(column)
    elif kind == "jsonl":
        for block in _lines(path, packed):
            table = json.read_json(io.BytesIO(block))
            known = column in table.schema.names
            yield table[column].combine_chunks() if known else pa.nulls(table.num_rows, pa.string())
    elif kind == "parquet":
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            if column not in file.schema_arrow.names:
                raise KeyError(column)
            for batch in file.iter_batches(batch_size=ROWS, columns=[column]):
                yield batch.column(column)
    else:
        for batch in _arrow(path):
            yield batch.column(column)


def _kind(path: Path) -> tuple[str, str | None]:
    found = table_kind(path)
    if found is None:
        raise InputError("is not a table that can be read here", place=path.name, cure="known: " + ", ".join(SUFFIXES))
    return found


def _csv(kind: str, wanted: list[str] | None) -> tuple[Any, Any, Any]:
    typed = dict.fromkeys(wanted or (), pa.string())
    chosen: dict[str, Any] = {} if wanted is None else {"include_columns": wanted, "column_types": typed}
    null: dict[str, Any] = {"null_values": [""], "strings_can_be_null": True, "quoted_strings_can_be_null": True}
    parse = csv.ParseOptions(delimiter="\t" if kind == "tsv" else ",", newlines_in_values=True)
    return csv.ReadOptions(block_size=BLOCK), parse, csv.ConvertOptions(**chosen, **null)


def _stream(path: Path, packed: str | None) -> Any:
    return pa.input_stream(str(path), compression=packed, buffer_size=1 << 20)


def _lines(path: Path, packed: str | None) -> Iterator[bytes]:
    """The file in blocks of whole lines."""
    with closing(_stream(path, packed)) as stream:
        rest = b""
        while data := stream.read(BLOCK):
            end = data.rfind(b"\n") + 1
            if end:
                yield rest + data[:end]
                rest = data[end:]
            else:
                rest += data
            if len(rest) > LONGEST:
                raise InputError(f"has a line of more than {LONGEST} bytes", place=path.name)
        if rest.strip():
            yield rest


def _arrow(path: Path) -> Iterator[Any]:
    with pa.memory_map(str(path)) as source:
        if source.size() >= 6 and source.read(6) == b"ARROW1":
            file = pa.ipc.open_file(source)
            yield from (file.get_batch(n) for n in range(file.num_record_batches))
        else:
            source.seek(0)
            yield from pa.ipc.open_stream(source)
