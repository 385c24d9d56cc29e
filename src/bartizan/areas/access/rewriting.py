"""A file without some of its rows, everything else as it was: in constant memory, row for row in the old order.

Text formats keep the bytes of every row that stays (quotes, line ends, spaces, the byte-order mark and the head of a csv file). Parquet and
Arrow files are encoded anew with the schema, metadata, compression and row groups they had. Dictionaries are built anew from the rows that
stay: a dictionary that is carried over would still hold the values of the rows that are gone, and so would old statistics of columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from bartizan.model.errors import InputError, Refused, one_line

Mask: TypeAlias = npt.NDArray[np.bool_]

BLOCK = 4 * 1024 * 1024
LONGEST = 64 * BLOCK
"""Longest row of a text format, in bytes, that is read."""

SHORTEST = 4
"""Characters of a value that is looked for in metadata, where a shorter one may stand by chance."""

ROWS = 65_536
HELD = 64 * 1024 * 1024
"""Bytes of a row group of a parquet file that wait to be written."""

_BOM = b"\xef\xbb\xbf"


class Gone:
    """Which rows go, asked for in the order of the file. `masks` are arrays of any length, true where a row goes."""

    def __init__(self, masks: Iterator[Mask]) -> None:
        self._masks = masks
        self._open: Mask = np.zeros(0, np.bool_)
        self.kept = self.removed = 0

    def take(self, count: int) -> Mask:
        """What is said of the next `count` rows. Raises `Refused` where nothing is said of so many."""
        parts = [self._open[:count]]
        self._open, missing = self._open[count:], count - len(parts[0])
        while missing:
            following = next(self._masks, None)
            if following is None:
                raise Refused("has more rows than were judged")
            parts.append(following[:missing])
            self._open, missing = following[missing:], missing - len(parts[-1])
        found: Mask = np.concatenate(parts) if len(parts) > 1 else parts[0]
        gone = int(found.sum())
        self.removed += gone
        self.kept += count - gone
        return found

    def close(self) -> None:
        """Raise `Refused` where something was said of rows that are not there."""
        if len(self._open) or any(len(rest) for rest in self._masks):
            raise Refused("has fewer rows than were judged")


def rewrite(source: Path, target: Path, kind: str, packed: str | None, masks: Iterator[Mask]) -> Gone:
    """Write the table `source` without the rows of `masks` to the new file `target`; returns the counts.

    `kind` is csv, tsv, jsonl, text, parquet or arrow, `packed` None, gzip, bz2 or zstd. Raises `InputError` where `source` cannot be read,
    `Refused` where its rows are not those of the masks. `target` is worth nothing then.
    """
    gone = Gone(masks)
    try:
        _WRITERS[kind](source, target, packed, gone)
        gone.close()
    except (pa.ArrowException, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be written without some rows: {one_line(str(error), 200)}", place=source.name) from None
    except Refused as error:
        raise Refused(error.what, place=source.name, cure="it may be written in an unusual way; write it anew as parquet first") from None
    return gone


def _csv(delimiter: bytes) -> Callable[[Path, Path, str | None, Gone], None]:
    pattern = _record(delimiter)

    def write(source: Path, target: Path, packed: str | None, gone: Gone) -> None:
        with _both(source, target, packed) as (old, new):
            head = 1
            for rows in _records(old, pattern, source.name):
                new.write(b"".join(rows[:head]))
                rows, head = rows[head:], max(head - len(rows), 0)
                mask = gone.take(len(rows))
                new.write(b"".join([row for row, out in zip(rows, mask.tolist(), strict=True) if not out] if mask.any() else rows))

    return write


def _record(delimiter: bytes) -> re.Pattern[bytes]:
    """One line of a csv file with its end, as Arrow reads it: a quote counts at the start of a cell alone, and doubled inside one."""
    rest = rb"[^%b\r\n]*+" % delimiter
    cell = rb'(?:"(?:[^"]|"")*+"%b|(?!")%b)' % (rest, rest)
    return re.compile(rb"%b(?:%b%b)*+(?:\r\n|\n|\r|\Z)" % (cell, delimiter, cell))


def _records(old: Any, pattern: re.Pattern[bytes], name: str) -> Iterator[list[bytes]]:
    """The rows of a csv file, the head among them, with their ends, in blocks. An empty line is no row and goes with a neighbour."""
    rest, lead = b"", b""
    data = old.read(BLOCK)
    if data.startswith(_BOM):
        lead, data = _BOM, data[len(_BOM) :]
    while True:
        last = not data
        lines, rest = _split(rest + data, pattern, last=last)
        rows, lead = _joined(lines, lead)
        if rows:
            yield rows
        if last:
            return
        if len(rest) > LONGEST:
            raise InputError(f"has a row of more than {LONGEST} bytes", place=name)
        data = old.read(BLOCK)


def _split(block: bytes, pattern: re.Pattern[bytes], *, last: bool) -> tuple[list[bytes], bytes]:
    """The whole lines at the start of `block`, and what is left of it. A line that ends with the block may go on in the next one."""
    if b'"' not in block:
        lines = block.splitlines(keepends=True)
        return (lines, b"") if last or not lines else (lines[:-1], lines[-1])
    found, at = [], 0
    while at < len(block):
        match = pattern.match(block, at)
        if match is None or (match.end() == len(block) and not last):
            break
        found.append(match[0])
        at = match.end()
    if last and at < len(block):
        found.append(block[at:])
        at = len(block)
    return found, block[at:]


def _joined(lines: list[bytes], lead: bytes) -> tuple[list[bytes], bytes]:
    """The rows, each with the empty lines behind it, which are no rows; what stands before the first goes with it, or waits for it."""
    if lines and not lead and min(map(len, lines)) > 2:
        return lines, b""
    rows: list[bytes] = []
    for line in lines:
        if line not in (b"\n", b"\r\n", b"\r"):
            rows.append(lead + line)
            lead = b""
        elif rows:
            rows[-1] += line
        else:
            lead += line
    return rows, lead


def _lines(source: Path, target: Path, packed: str | None, gone: Gone, *, blank: bool) -> None:
    """Rows that are lines; with `blank` an empty line is a row as well."""
    with _both(source, target, packed) as (old, new):
        rest = b""
        while True:
            data = old.read(BLOCK)
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            rows = [line + b"\n" for line in lines]
            if not data and rest:
                rows.append(rest)
            counted = [True] * len(rows) if blank else [bool(row.strip()) for row in rows]
            mask = iter(gone.take(sum(counted)).tolist())
            new.write(b"".join([row for row, counts in zip(rows, counted, strict=True) if not counts or not next(mask)]))
            if not data:
                return
            if len(rest) > LONGEST:
                raise InputError(f"has a line of more than {LONGEST} bytes", place=source.name)


@contextmanager
def _both(source: Path, target: Path, packed: str | None) -> Iterator[tuple[Any, Any]]:
    """The bytes of both files, unpacked and packed on the way."""
    with (
        closing(pa.input_stream(str(source), compression=packed, buffer_size=1 << 20)) as old,
        closing(pa.output_stream(str(target), compression=packed, buffer_size=1 << 20)) as new,
    ):
        yield old, new


def _parquet(source: Path, target: Path, packed: str | None, gone: Gone) -> None:  # noqa: ARG001 - parquet packs its own pages
    with parquet.ParquetFile(source, pre_buffer=False) as file:
        schema, metadata = file.schema_arrow, file.metadata
        largest = max((metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)), default=ROWS)
        with parquet.ParquetWriter(target, schema, **_as_before(file)) as writer:
            waiting: list[Any] = []
            for batch in file.iter_batches(batch_size=min(ROWS, max(largest, 1))):
                waiting.append(_kept(batch, gone))
                if sum(b.num_rows for b in waiting) >= largest or sum(b.nbytes for b in waiting) >= HELD:
                    writer.write_table(pa.Table.from_batches(waiting, schema), row_group_size=largest)
                    waiting = []
            if any(batch.num_rows for batch in waiting) or not gone.kept:
                writer.write_table(pa.Table.from_batches(waiting, schema))


def named_in_metadata(path: Path, kind: str, values: Sequence[str]) -> bool:
    """Is one of `values`, of at least 4 characters, named in the metadata of a Parquet or Arrow file or of its columns, which is kept?"""
    if kind == "parquet":
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            schema, held = file.schema_arrow, file.metadata.metadata or {}
    elif kind == "arrow":
        with pa.memory_map(str(path)) as mapped:
            whole = mapped.size() >= 6 and mapped.read(6) == b"ARROW1"
            mapped.seek(0)
            schema, held = (pa.ipc.open_file(mapped) if whole else pa.ipc.open_stream(mapped)).schema, {}
    else:
        return False
    parts = [held, schema.metadata or {}, *(field.metadata or {} for field in schema)]
    said = [
        text.decode(errors="replace").casefold()
        for part in parts
        for name, one in part.items()
        if name != b"ARROW:schema"
        for text in (name, one)
    ]
    return any(value.casefold() in text for value in values if len(value) >= SHORTEST for text in said)


def _as_before(file: Any) -> dict[str, Any]:
    """How a parquet file was written, from its own metadata."""
    metadata = file.metadata
    chunks = [metadata.row_group(0).column(n) for n in range(metadata.num_columns)] if metadata.num_row_groups else []
    dictionaries = [c.path_in_schema for c in chunks if any("DICTIONARY" in encoding for encoding in c.encodings)]
    options: dict[str, Any] = {
        "version": metadata.format_version if metadata.format_version in ("1.0", "2.4", "2.6") else "2.6",
        "store_schema": b"ARROW:schema" in (metadata.metadata or {}),
        "use_dictionary": dictionaries or False,
        "use_compliant_nested_type": not any(".list.item" in c.path_in_schema for c in chunks),
        "write_statistics": any(c.is_stats_set for c in chunks) if chunks else True,
    }
    if chunks:
        options["compression"] = {c.path_in_schema: c.compression for c in chunks if c.compression != "UNCOMPRESSED"} or "NONE"
        options["use_deprecated_int96_timestamps"] = any(c.physical_type == "INT96" for c in chunks)
        ordered = metadata.row_group(0).sorting_columns
        if ordered:
            options["sorting_columns"] = ordered
    return options


def _arrow(source: Path, target: Path, packed: str | None, gone: Gone) -> None:  # noqa: ARG001 - its buffers are packed one by one
    with pa.memory_map(str(source)) as mapped:
        whole = mapped.size() >= 6 and mapped.read(6) == b"ARROW1"
        mapped.seek(0)
        reader = pa.ipc.open_file(mapped) if whole else pa.ipc.open_stream(mapped)
        batches = (reader.get_batch(n) for n in range(reader.num_record_batches)) if whole else iter(reader)
        schema = pa.schema([field.with_type(_undictionaried(field.type)) for field in reader.schema], reader.schema.metadata)
        first = next(batches, None)
        options = pa.ipc.IpcWriteOptions(compression="lz4" if first is not None and _was_packed(source, reader, first, whole) else None)
        opened = pa.ipc.new_file if whole else pa.ipc.new_stream
        with pa.OSFile(str(target), "wb") as out, opened(out, schema, options=options) as writer:
            for batch in [first] if first is not None else []:
                _write_plain(writer, batch, schema, gone)
            for batch in batches:
                _write_plain(writer, batch, schema, gone)


def _write_plain(writer: Any, batch: Any, schema: Any, gone: Gone) -> None:
    """A file of this format cannot change its dictionaries, and one from all rows would hold those that are gone: values stand plain."""
    for start in range(0, batch.num_rows, ROWS):
        kept = _kept(batch.slice(start, ROWS), gone)
        if kept.num_rows:
            writer.write_batch(pa.record_batch([_cast(c, f.type) for c, f in zip(kept.columns, schema, strict=True)], schema=schema))


def _was_packed(source: Path, reader: Any, first: Any, whole: bool) -> bool:
    count = reader.num_record_batches if whole else 1
    return bool(source.stat().st_size < 0.8 * first.nbytes * count)


def _kept(batch: Any, gone: Gone) -> Any:
    """The rows of a batch that stay, in buffers and dictionaries of their own."""
    mask = gone.take(batch.num_rows)
    schema = batch.schema
    if mask.any():
        plain = [_undictionaried(c.type) if _is_view(c.type) else c.type for c in batch.columns]  # views cannot be filtered
        batch = pa.record_batch([_cast(c, kind) for c, kind in zip(batch.columns, plain, strict=True)], names=schema.names)
        batch = batch.filter(pa.array(~mask))
    return pa.record_batch([_cast(_own(c), f.type) for c, f in zip(batch.columns, schema, strict=True)], schema=schema)


def _is_view(kind: Any) -> bool:
    return bool(pa.types.is_string_view(kind) or pa.types.is_binary_view(kind))


def _own(column: Any) -> Any:
    """The column without values in its dictionary that no row has."""
    if isinstance(column, pa.DictionaryArray):
        plain = column.dictionary_decode()
        indices = plain.dictionary_encode()
        return pa.DictionaryArray.from_arrays(indices.indices.cast(column.type.index_type), indices.dictionary, ordered=column.type.ordered)
    if _is_view(column.type):
        return _cast(column, _undictionaried(column.type))
    plain_type = _undictionaried(column.type)
    return column if plain_type == column.type else _cast(_cast(column, plain_type), column.type)


def _cast(column: Any, kind: Any) -> Any:
    if column.type == kind:
        return column
    return column.dictionary_decode().cast(kind) if isinstance(column, pa.DictionaryArray) else column.cast(kind)


def _undictionaried(kind: Any) -> Any:
    """The type without dictionaries and views, which hold more than the values of their rows, at every depth. Raises `InputError`."""
    if pa.types.is_dictionary(kind):
        return _undictionaried(kind.value_type)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_undictionaried(field.type)) for field in kind])
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_undictionaried(kind.value_type)))
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_undictionaried(kind.value_type)))
    if "dictionary<" in str(kind) or "_view" in str(kind):
        raise InputError(
            f"a column of type {one_line(str(kind), 80)} would keep values of rows that are gone", cure="write it as plain values"
        )
    return kind


_WRITERS: dict[str, Callable[[Path, Path, str | None, Gone], None]] = {
    "csv": _csv(b","),
    "tsv": _csv(b"\t"),
    "jsonl": lambda source, target, packed, gone: _lines(source, target, packed, gone, blank=False),
    "text": lambda source, target, packed, gone: _lines(source, target, packed, gone, blank=True),
    "parquet": _parquet,
    "arrow": _arrow,
}
"""How each format is written."""

KINDS = frozenset(_WRITERS)
