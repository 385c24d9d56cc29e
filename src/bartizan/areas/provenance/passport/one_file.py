"""One file to its record: read once, hashed by the way, its rows handed to whoever takes part in the reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from bartizan.areas.provenance.passport.formats import format_of
from bartizan.areas.provenance.passport.journal import Hashes
from bartizan.areas.provenance.passport.reading import NoColumns, Table, Widened
from bartizan.areas.provenance.passport.rows import Rows
from bartizan.areas.provenance.passport.source import Source
from bartizan.areas.provenance.passport.statement import FileRecord
from bartizan.areas.provenance.passport.trees import joined_root, leaf_hash
from bartizan.areas.provenance.signing.hashing import Digest
from bartizan.areas.provenance.signing.names import WHOLE
from bartizan.areas.provenance.signing.opening import stamp
from bartizan.methods.one_pass import Form, Together
from bartizan.model.errors import InputError, Refused

Told = Callable[[int], None]
"""Told how many rows of the file are done."""

HEAD = 4096
"""Bytes by which a file counts as text or not."""

UNREADABLE = 0.05
"""Share of characters that are no UTF-8 beyond which it does not."""

NO_TEXT = frozenset(
    {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".npy", ".npz", ".wav", ".mp3", ".mp4", ".zip", ".tar"}
)
"""Endings of files that nobody reads as text."""


def file_record(
    name: str, place: Path, digest: Digest, into: Hashes, types: Mapping[str, Any], told: Told | None = None, *, whole: bool = False
) -> FileRecord:
    """The record of a file that was hashed already; the hashes of its rows go `into` the set. With `whole` it is one row, whatever its
    name says. Raises `Refused` where the file changed since, `InputError` where it cannot be read."""
    kind, packed = _format(name, place)
    if whole or kind == "file":
        return as_one(name, digest, into)
    made = _table(name, Table(place, kind, packed, types), into, Together(()), told)
    if stamp(place.stat()) != digest.stamp:
        raise _changed(name)
    return made(digest)


def table_record(name: str, table: Table, digest: Digest, into: Hashes) -> FileRecord:
    """The record of a file that was hashed already and is read as `table` says. Raises as `file_record`."""
    made = _table(name, table, into, Together(()), None)
    if stamp(table.path.stat()) != digest.stamp:
        raise _changed(name)
    return made(digest)


def read_file(
    name: str, source: Source, into: Hashes, types: Mapping[str, Any], consumers: Together, told: Told | None = None
) -> FileRecord:
    """The record of the file behind `source`, from one reading in which `consumers` take part. Raises as `file_record`."""
    kind, packed = _format(name, source.path)
    if kind == "file":
        _text(source, consumers)
        return as_one(name, source.digest(), into)
    made = _table(name, Table(source.path, kind, packed, types, source), into, consumers, told)
    digest = source.digest()
    if stamp(source.path.stat()) != digest.stamp:
        raise _changed(name)
    return made(digest)


def as_one(name: str, digest: Digest, into: Hashes) -> FileRecord:
    """The record of a file that counts as one row."""
    leaf = leaf_hash(b"file" + bytes.fromhex(digest.hex))
    into.add(leaf)
    return FileRecord(format="file", rows=1, root=leaf.hex(), **_bytes(name, digest))


def is_opaque(name: str, place: Path) -> bool:
    """Is it known by its name that nobody reads the file, as with pictures?"""
    kind, _ = _format(name, place)
    return kind == "file" and PurePosixPath(place.name).suffix.lower() in NO_TEXT


def _format(name: str, place: Path) -> tuple[str, str | None]:
    return format_of(place.name if name == WHOLE else name)


def _bytes(name: str, digest: Digest) -> dict[str, Any]:
    return {"name": name, "size": digest.size, "sha256": digest.hex, "tree": digest.tree.root if digest.tree else ""}


def _changed(name: str) -> Refused:
    return Refused("was changed while it was read", place=name, cure="stop what writes to it and try again")


def _table(name: str, table: Table, into: Hashes, consumers: Together, told: Told | None) -> Callable[[Digest], FileRecord]:
    """Read all rows; what comes back makes the record once the digest is known."""
    into.mark()
    given = frozenset(table.types)
    try:
        table, rows = _rows(table, into, consumers, told)
    except NoColumns:
        into.rewind()
        table, rows = _rows(Table(table.path, "text", table.packed, table.types, table.source), into, consumers, told)
    blocks = rows.tree.close()

    def made(digest: Digest) -> FileRecord:
        return FileRecord(
            format=table.kind if table.packed is None else f"{table.kind}+{table.packed}",
            rows=rows.tree.size,
            root=joined_root(b"".join(blocks)).hex(),
            columns=tuple(column.profile() for column in rows.columns),
            blocks=tuple(block.hex() for block in blocks) if len(blocks) > 1 else (),
            types={column: str(kind) for column, kind in table.types.items() if column in given},
            **_bytes(name, digest),
        )

    return made


def _rows(table: Table, into: Hashes, consumers: Together, told: Told | None) -> tuple[Table, Rows]:
    """All rows of `table`, from the start again where columns prove to be of wider types."""
    while True:
        rows: Rows | None = None
        try:
            for batch in table.rows():
                if rows is None:
                    rows = _begun(table, consumers)
                into.add(rows.add(batch.typed))
                consumers.take(batch)
                if told is not None:
                    told(rows.tree.size)
        except Widened as wider:
            into.rewind()
            table = table.again(wider)
            continue
        rows = rows or _begun(table, consumers)
        consumers.finish()
        return table, rows


def _begun(table: Table, consumers: Together) -> Rows:
    consumers.begin(table.path, Form.LINES if table.kind == "text" else Form.TABLE, table.schema)
    return Rows(table.fields())


def _text(source: Source, consumers: Together) -> None:
    """Hand on the lines of a file that is no table, where it holds text."""
    if not consumers:
        return
    if _is_text(source):
        try:
            for number, batch in enumerate(_lines(source)):
                if not number:
                    consumers.begin(source.path, Form.LINES, batch.typed.schema)
                consumers.take(batch)
            if source.size:
                consumers.finish()
                return
        except InputError:  # a line that no memory would hold
            pass
    consumers.begin(source.path, Form.OPAQUE, None)
    consumers.finish()


def _lines(source: Source) -> Iterator[Any]:
    return Table(source.path, "text", None, source=source).rows()


def _is_text(source: Source) -> bool:
    if source.path.suffix.lower() in NO_TEXT:
        return False
    head = source.at(0, HEAD)
    said = head.decode("utf-8-sig", errors="replace")
    return bool(head) and b"\0" not in head and said.count("\ufffd") <= len(said) * UNREADABLE
