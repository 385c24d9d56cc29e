"""Tables, lines of text and plain files as streams of Arrow batches, a few megabytes at a time, from one reading of the file.

A csv file says nothing of types, so they are found the way that depends on its content alone: every column is as narrow as its cells so
far allow and is widened (integer, boolean, number, text, bytes) as soon as one does not fit. Then the rest of the file is looked through
for what else does not fit, and reading starts anew, once. Dates stay text unless the caller gives a type, and so do columns
with numbers too large to be told apart. Only an empty cell without quotes is null: "NA" is a value.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import csv, json, parquet

from bartizan.areas.provenance.passport.cells import ORDER, settled, too_large
from bartizan.areas.provenance.passport.encoding import type_name
from bartizan.areas.provenance.passport.source import Source
from bartizan.methods.one_pass import Batch
from bartizan.model.errors import InputError, one_line

BATCH = 65_536
"""Most rows of a batch."""

_MOMENT = 0.02
"""Seconds in which a thread that reads ahead finds the end."""

BLOCK = 4 * 1024 * 1024
"""Bytes that are parsed at a time."""

UNPACKED = 256 * 1024 * 1024
"""Bytes that the rows of a Parquet file may make in one batch, by their mean and by the longest values of its dictionaries."""

LONGEST = 64 * BLOCK
"""Longest line, in bytes."""


class Widened(Exception):
    """A value did not fit the type that its column was read with: read again with `types`, or in larger blocks."""

    def __init__(self, types: Mapping[str, Any], block: int = BLOCK) -> None:
        self.types, self.block = dict(types), block
        super().__init__("a column is of another type than it seemed")


class NoColumns(Exception):
    """The lines of a file do not fit one set of columns: read it as text."""


class Table:
    """One file as a stream of batches. `types` are Arrow types by column that are known already; `schema` is there once reading began.

    With `source` the bytes come from there, else from `path`.
    """

    def __init__(
        self, path: Path, kind: str, packed: str | None, types: Mapping[str, Any] | None = None, source: Source | None = None
    ) -> None:
        self.path, self.kind, self.packed = path, kind, packed
        self.types = dict(types or {})
        self.schema: Any = None
        self._given = frozenset(self.types)
        self.source = source
        self._block = BLOCK
        self._known: dict[str, Any] | None = None

    def again(self, wider: Widened) -> Table:
        """The same file, to be read from its start with the types that are known now."""
        table = Table(self.path, self.kind, self.packed, self.types, self.source)
        table._given, table._block = self._given, wider.block
        table._known = wider.types or self._known
        return table

    def batches(self) -> Iterator[Any]:
        """The batches of at most `BATCH` rows with the types of their values. Raises `Widened`, `NoColumns`, `InputError`."""
        for batch in self.rows():
            yield batch.typed

    def rows(self) -> Iterator[Batch]:
        """The batches of at most `BATCH` rows, with their cells where the file has no types. Raises as `batches`."""
        try:
            for batch in getattr(self, f"_{'csv' if self.kind == 'tsv' else self.kind}")():
                self._accept(batch.typed.schema)
                for start in range(0, batch.typed.num_rows, BATCH):
                    yield Batch(*(part if part is None else part.slice(start, BATCH) for part in batch))
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

    def _file(self) -> Any:
        """The bytes of the file as they lie there."""
        return str(self.path) if self.source is None else pa.PythonFile(self.source.stream(), mode="r")

    def _stream(self) -> Any:
        """The bytes of the file, unpacked."""
        if self.source is None:
            return pa.input_stream(str(self.path), compression=self.packed, buffer_size=1 << 20)
        return pa.input_stream(self.source.stream(), compression=self.packed)

    def _csv(self) -> Iterator[Batch]:
        parse = csv.ParseOptions(delimiter="\t" if self.kind == "tsv" else ",", newlines_in_values=True)
        with closing(self._stream()) as stream:
            head = _first(stream, self._block)
            if not head:
                return
            names = self._names(head, parse)
            kinds = self._known or {name: self.types.get(name, pa.null()) for name in names}
            self._known = kinds
            self.types = {name: self.types[name] for name in names if name in self.types}
            read = csv.ReadOptions(block_size=self._block)
            raw = {name: kind if kind not in ORDER else pa.binary() for name, kind in kinds.items()}
            convert = csv.ConvertOptions(column_types=raw, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False)
            joined = _Joined(head, stream)
            try:
                with csv.open_csv(io.BufferedReader(joined, buffer_size=1 << 20), read, parse, convert) as reader:
                    yield from self._cells(reader)
            except BaseException as error:
                joined.stop()
                if isinstance(error, pa.ArrowInvalid) and "straddling" in str(error) and self._block * 4 <= LONGEST:
                    raise Widened({}, self._block * 4) from None
                raise

    def _names(self, head: bytes, parse: Any) -> list[str]:
        """The names of the columns, as Arrow reads the first line that is not empty: from a buffer of its own, since a thread of Arrow that
        still reads a Python file when an error ends the program aborts it."""
        with csv.open_csv(pa.BufferReader(_line(head)), csv.ReadOptions(block_size=max(BLOCK, len(head))), parse) as reader:
            self._accept(reader.schema)
            names = list(reader.schema.names)
        self.schema = None
        return names

    def _cells(self, reader: Any) -> Iterator[Batch]:
        """The batches of `reader` with their types; where a type proves too narrow, all wider types are found before `Widened`."""
        assert self._known is not None
        kinds, given, late = dict(self._known), 0, False
        for batch in reader:
            found = [self._settled(name, cells, kinds[name]) for name, cells in zip(kinds, batch.columns, strict=True)]
            late = late or (given > 0 and any(new != old for (new, _, _), old in zip(found, kinds.values(), strict=True)))
            kinds = {name: new for name, (new, _, _) in zip(kinds, found, strict=True)}
            if not late:
                given += batch.num_rows
                yield Batch(*(pa.record_batch([column[part] for column in found], list(kinds)) for part in (1, 2)))
        if late:
            raise Widened(kinds, self._block)
        if not given:
            self._accept(pa.schema(list(kinds.items())))

    def _settled(self, name: str, cells: Any, kind: Any) -> tuple[Any, Any, Any]:
        if kind not in ORDER:
            return kind, cells, cells.cast(pa.string())
        return settled(cells, kind, given=name in self._given)

    def _jsonl(self) -> Iterator[Batch]:
        wanted = pa.schema(list(self._known.items())) if self._known else None
        given, late = 0, False
        for block in self._blocks():
            try:
                table = json.read_json(pa.BufferReader(block))
                found = pa.schema([(f.name, _untimed(f.type)) for f in table.schema])
                now = found if wanted is None else pa.unify_schemas([wanted, found], promote_options="permissive")
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                raise NoColumns from None
            late = late or (given > 0 and now != wanted)
            wanted = now
            if late:
                continue
            if table.schema != wanted:
                options = json.ParseOptions(explicit_schema=wanted, unexpected_field_behavior="error")
                table = json.read_json(io.BytesIO(block), parse_options=options).select(wanted.names)
            if any(pa.types.is_float64(field.type) and too_large(table[field.name]) for field in table.schema):
                raise NoColumns
            given += table.num_rows
            yield from map(Batch, table.to_batches())
        if late and wanted is not None:
            raise Widened({field.name: field.type for field in wanted})

    def _text(self) -> Iterator[Batch]:
        schema = pa.schema([("line", pa.binary())])
        for block in self._blocks():
            lines = block.split(b"\n")
            if not lines[-1]:
                lines.pop()
            yield Batch(pa.record_batch([pa.array(lines, pa.binary())], schema=schema))

    def _blocks(self) -> Iterator[bytes]:
        """The file in blocks that end with a line."""
        with closing(self._stream()) as stream:
            rest: list[bytes] = []
            size = 0
            while data := stream.read(BLOCK):
                end = data.rfind(b"\n") + 1
                if end:
                    yield b"".join([*rest, data[:end]])
                    rest, size = [data[end:]], len(data) - end
                else:
                    rest.append(data)
                    size += len(data)
                if size > LONGEST:
                    raise InputError(f"has a line of more than {LONGEST >> 20} MB", place=self.path.name)
            last = b"".join(rest)
            if last.strip() or (last and self.kind == "text"):
                yield last

    def _parquet(self) -> Iterator[Batch]:
        with parquet.ParquetFile(self._file(), pre_buffer=False) as file:
            self._accept(file.schema_arrow)
            # by one thread, column by column as they lie in the file, so that a source can hash them in their order
            # and fewer rows at once where long values stand in a dictionary, which may be written once and meant a million times
            yield from map(Batch, file.iter_batches(batch_size=_at_once(self.path), use_threads=self.source is None))

    def _arrow(self) -> Iterator[Batch]:
        with pa.memory_map(str(self.path)) if self.source is None else self._file() as source:
            if source.read(6) == b"ARROW1":
                file = pa.ipc.open_file(source)
                self._accept(file.schema)
                yield from (Batch(file.get_batch(n)) for n in range(file.num_record_batches))
            else:
                source.seek(0)
                yield from map(Batch, pa.ipc.open_stream(source))


def _at_once(path: Path) -> int:
    """How many rows of a Parquet file are unpacked at once, so that neither packed pages nor dictionaries make a batch much larger than
    `UNPACKED`."""
    with parquet.ParquetFile(path, pre_buffer=False) as file:
        groups = [file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)]
        texts = [n for n in range(file.metadata.num_columns) if file.metadata.schema.column(n).physical_type == "BYTE_ARRAY"]
        coded = {n for n in texts for group in groups if _may_unpack(group.column(n), group.num_rows)}
        names = [file.metadata.schema.column(n).path for n in coded]
    longest = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    if names:
        with parquet.ParquetFile(path, pre_buffer=False, read_dictionary=names) as file:
            for group in range(len(groups)):
                batch = next(file.iter_batches(batch_size=1, row_groups=[group], columns=names), None)
                longest = max(longest, sum(map(_longest, batch.columns)) if batch is not None else 0)
    return max(1, min(BATCH, UNPACKED // max(longest, 1)))


def _may_unpack(chunk: Any, rows: int) -> bool:
    """Could the values of this column, of which each is as long as the whole at most, be too large in a batch?"""
    return bool("DICTIONARY" in " ".join(chunk.encodings) and min(rows, BATCH) * chunk.total_uncompressed_size > UNPACKED)


def _longest(cells: Any) -> int:
    """Bytes of the longest value in the dictionary of `cells`; of nested cells nothing is known."""
    if not isinstance(cells, pa.DictionaryArray) or not len(cells.dictionary):
        return 0
    return int(pc.max(pc.binary_length(cells.dictionary)).as_py() or 0)


class _Joined(io.RawIOBase):
    """What was read already, and behind it the stream that it came from; nothing once it was stopped.

    Arrow reads ahead in a thread of its own. Where an error ends the program while that thread is in here, Python aborts it.
    """

    def __init__(self, head: bytes, stream: Any) -> None:
        super().__init__()
        self._head, self._stream = memoryview(head), stream
        self._lock, self._stopped = Lock(), False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._lock:
            if self._stopped:
                return 0
            data = self._head[: len(buffer)] if len(self._head) else self._stream.read(len(buffer))
            self._head = self._head[len(buffer) :]
            buffer[: len(data)] = data
            return len(data)

    def stop(self) -> None:
        """Whoever is reading ends, and whoever reads ahead finds the end a moment later."""
        with self._lock:
            self._stopped = True
        time.sleep(_MOMENT)


def _first(stream: Any, size: int) -> bytes:
    """The first `size` bytes, all there are where there are fewer."""
    parts = []
    while size > 0 and (data := stream.read(size)):
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def _line(head: bytes) -> bytes:
    """The first line with anything on it, and the empty ones before; a line ends where an even number of quotes stand before."""
    start = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    while start < len(head) and head[start : start + 1] in (b"\n", b"\r"):
        start += 1
    quotes, at = 0, start
    while at < len(head):
        ends = [place for place in (head.find(b"\n", at), head.find(b"\r", at)) if place >= 0]
        if not ends:
            return head
        end = min(ends)
        quotes += head.count(b'"', at, end)
        if quotes % 2 == 0:
            return head[: end + 1]
        at = end + 1
    return head


def _untimed(kind: Any) -> Any:
    """The type with text in place of dates and times that were guessed from text."""
    if pa.types.is_temporal(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_untimed(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(f.name, _untimed(f.type)) for f in kind])
    return kind
