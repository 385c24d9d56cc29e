"""Tables, lines of text and plain files as streams of Arrow batches, a few megabytes at a time.

A csv file says nothing of types, so they are found the way that depends on its content alone: every column starts as what its first
megabytes look like and is widened (integer, boolean, number, text, bytes) as soon as one value does not fit; then reading starts anew.
Dates stay text unless the caller gives a type, and so do columns
with numbers too large to be told apart. Only an empty cell without quotes is null: "NA" is a value.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, json, parquet

from bartizan.areas.provenance.passport.encoding import type_name
from bartizan.model.errors import InputError, one_line

BATCH = 65_536
"""Most rows of a batch."""

BLOCK = 4 * 1024 * 1024
"""Bytes that are parsed at a time."""

EXACT = float(2**53)
"""From here on not every whole number is a number of 64 bits: two different cells could become one value."""

_WIDER = {"null": pa.int64(), "int64": pa.bool_(), "bool": pa.float64(), "double": pa.string(), "string": pa.binary()}
_COLUMN = re.compile(r"In CSV column #(\d+)")


class Widened(Exception):
    """A value did not fit the type that its column was read with: read again with `types`."""

    def __init__(self, types: Mapping[str, Any]) -> None:
        self.types = dict(types)
        super().__init__("a column is of another type than it seemed")


class NoColumns(Exception):
    """The lines of a file do not fit one set of columns: read it as text."""


class Table:
    """One file as a stream of batches. `types` are Arrow types by column that are known already; `schema` is there once reading began."""

    def __init__(self, path: Path, kind: str, packed: str | None, types: Mapping[str, Any] | None = None) -> None:
        self.path, self.kind, self.packed = path, kind, packed
        self.types = dict(types or {})
        self._given = set(self.types)
        self.schema: Any = None

    def again(self, types: Mapping[str, Any]) -> Table:
        """The same file, to be read from its start with `types`."""
        table = Table(self.path, self.kind, self.packed, types)
        table._given = self._given
        return table

    def batches(self) -> Iterator[Any]:
        """The batches of at most `BATCH` rows. Raises `Widened`, `InputError`."""
        try:
            for batch in getattr(self, f"_{'csv' if self.kind == 'tsv' else self.kind}")():
                self._accept(batch.schema)
                for start in range(0, batch.num_rows, BATCH):
                    yield batch.slice(start, BATCH)
        except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read as {self.kind}: {one_line(str(error), 200)}", place=self.path.name) from None

    def _accept(self, schema: Any) -> None:
        if self.schema is not None:
            return
        names = schema.names
        if len(set(names)) != len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise InputError(f"has two columns named '{one_line(twice, 80)}'", place=self.path.name, cure="rename one")
        self.schema = schema

    def fields(self) -> list[list[str]]:
        """[name, canonical type] of each column; empty before reading and for a file without a head."""
        return [[field.name, type_name(field.type)] for field in self.schema] if self.schema is not None else []

    def _stream(self) -> Any:
        return pa.input_stream(str(self.path), compression=self.packed, buffer_size=1 << 20)

    def _csv(self) -> Iterator[Any]:
        if not self._begins():
            return
        read = csv.ReadOptions(block_size=BLOCK)
        parse = csv.ParseOptions(delimiter="\t" if self.kind == "tsv" else ",", newlines_in_values=True)
        self._settle(read, parse)
        convert = csv.ConvertOptions(column_types=self.types, **_NULLS)
        try:
            with closing(self._stream()) as stream, csv.open_csv(stream, read, parse, convert) as reader:
                self._accept(reader.schema)
                for batch in reader:
                    self._exact(batch)
                    yield batch
        except pa.ArrowInvalid as error:
            raise self._wider(error) from None

    def _begins(self) -> bool:
        with closing(self._stream()) as stream:
            return bool(stream.read(1))

    def _settle(self, read: Any, parse: Any) -> None:
        try:
            with closing(self._stream()) as stream, csv.open_csv(stream, read, parse, csv.ConvertOptions(**_NULLS)) as reader:
                found = reader.schema
        except pa.ArrowInvalid as error:
            raise InputError(f"cannot be read as {self.kind}: {one_line(str(error), 200)}", place=self.path.name) from None
        self._accept(found)
        self.types = {field.name: self.types.get(field.name, _untimed(field.type)) for field in found}
        self.schema = None

    def _exact(self, batch: Any) -> None:
        """Raise `Widened` where a column of numbers holds one that 64 bits may not hold exactly, such as an id of twenty digits."""
        for field, column in zip(batch.schema, batch.columns, strict=True):
            if pa.types.is_float64(field.type) and field.name not in self._given and _too_large(column):
                raise Widened(self.types | {field.name: pa.string()})

    def _wider(self, error: Exception) -> Exception:
        found = _COLUMN.search(str(error))
        names = list(self.types)
        if found is None or int(found[1]) >= len(names):
            return error
        name = names[int(found[1])]
        wider = _WIDER.get(str(self.types[name]))
        return Widened(self.types | {name: wider}) if wider is not None else error

    def _jsonl(self) -> Iterator[Any]:
        wanted = self._json_schema()
        if wanted is None:
            return
        options = json.ParseOptions(explicit_schema=wanted, unexpected_field_behavior="error")
        for block in self._blocks():
            table = json.read_json(io.BytesIO(block), parse_options=options).select(wanted.names)
            for field in table.schema:
                if pa.types.is_float64(field.type) and _too_large(table[field.name]):
                    raise NoColumns
            yield from table.to_batches()

    def _json_schema(self) -> Any:
        """The columns that hold the values of all lines, from a first look at all of them; None for a file without lines."""
        wanted = None
        for block in self._blocks():
            try:
                found = json.read_json(io.BytesIO(block)).schema
                found = pa.schema([(f.name, _untimed(f.type)) for f in found])
                wanted = found if wanted is None else pa.unify_schemas([wanted, found], promote_options="permissive")
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                raise NoColumns from None
        return wanted

    def _text(self) -> Iterator[Any]:
        schema = pa.schema([("line", pa.binary())])
        for block in self._blocks():
            lines = block.split(b"\n")
            if not lines[-1]:
                lines.pop()
            yield pa.record_batch([pa.array(lines, pa.binary())], schema=schema)

    def _blocks(self) -> Iterator[bytes]:
        """The file in blocks that end with a line."""
        with closing(self._stream()) as stream:
            rest = b""
            while data := stream.read(BLOCK):
                end = data.rfind(b"\n") + 1
                if end:
                    yield rest + data[:end]
                    rest = data[end:]
                else:
                    rest += data
                if len(rest) > 64 * BLOCK:
                    raise InputError("has a line of more than 256 MB", place=self.path.name)
            if rest.strip() or (rest and self.kind == "text"):
                yield rest

    def _parquet(self) -> Iterator[Any]:
        with parquet.ParquetFile(self.path, pre_buffer=False) as file:
            self._accept(file.schema_arrow)
            yield from file.iter_batches(batch_size=BATCH)

    def _arrow(self) -> Iterator[Any]:
        with pa.memory_map(str(self.path)) as source:
            if source.read(6) == b"ARROW1":
                file = pa.ipc.open_file(source)
                self._accept(file.schema)
                yield from (file.get_batch(n) for n in range(file.num_record_batches))
            else:
                source.seek(0)
                yield from pa.ipc.open_stream(source)


_NULLS: dict[str, Any] = {"null_values": [""], "strings_can_be_null": True, "quoted_strings_can_be_null": False}


def _too_large(column: Any) -> bool:
    numbers = np.abs(column.drop_null().to_numpy())
    return bool((np.isfinite(numbers) & (numbers >= EXACT)).any())


def _untimed(kind: Any) -> Any:
    """The type with text in place of dates and times that were guessed from text."""
    if pa.types.is_temporal(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_untimed(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(f.name, _untimed(f.type)) for f in kind])
    return kind
