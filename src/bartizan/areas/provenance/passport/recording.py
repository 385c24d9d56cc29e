"""One pass over the data: the digests of its files, the hashes of its rows, the profile of its columns.

Memory does not grow with the rows: batches of 65,536 are read, encoded and hashed; what stays is one hash for each 4,096 rows, and the set
of row hashes goes to disk where it is large.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from bartizan import __version__
from bartizan.areas.provenance.passport import encoding
from bartizan.areas.provenance.passport.formats import format_of, logical_name
from bartizan.areas.provenance.passport.reading import NoColumns, Table, Widened
from bartizan.areas.provenance.passport.row_set import RowSet
from bartizan.areas.provenance.passport.statement import (
    Content,
    Details,
    FileRecord,
    Files,
    Parent,
    Passport,
    Profile,
    Roots,
    lineage_root,
)
from bartizan.areas.provenance.passport.trees import BlockTree, joined_root, leaf_hash, root
from bartizan.areas.provenance.signing.files import GIT, listing
from bartizan.areas.provenance.signing.hashing import Digest, digests_of
from bartizan.areas.provenance.signing.names import WHOLE
from bartizan.areas.provenance.signing.opening import stamp
from bartizan.model.errors import InputError, MissingExtra, Refused, UnknownName

Listener = Callable[[str, int, int], None]
"""Told (what is read, rows done in it, number of the file)."""

TREE = "sha256"


class _Column:
    """The running digest and profile of one column."""

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind
        self._fixed, self._rest = _blake3(), _blake3()
        self._nulls = self._count = 0
        self._mean = self._square = 0.0

    def add(self, column: encoding.Column, array: Any) -> None:
        self._fixed.update(column.fixed.tobytes())
        if column.rest is not None:
            self._rest.update(encoding.content(column.rest))
        self._nulls += array.null_count
        if self.kind.startswith(("int", "uint", "float")) and array.null_count < len(array):
            self._add_numbers(array)

    def _add_numbers(self, array: Any) -> None:
        values = (array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array).drop_null()
        numbers = np.asarray(values.cast(pa.float64(), safe=False))
        numbers = numbers[np.isfinite(numbers)]
        if not numbers.size:
            return
        mean, count = float(numbers.mean()), self._count + numbers.size
        shift = mean - self._mean
        self._square += float(((numbers - mean) ** 2).sum()) + shift * shift * self._count * numbers.size / count
        self._mean += shift * numbers.size / count
        self._count = count

    def profile(self) -> Profile:
        digest = _blake3()
        digest.update(self._fixed.digest() + self._rest.digest())
        known = self._count > 0 and math.isfinite(self._mean) and math.isfinite(self._square)
        return Profile(
            name=self.name,
            type=self.kind,
            digest=digest.digest().hex(),
            nulls=self._nulls,
            mean=_rounded(self._mean) if known else None,
            deviation=_rounded(math.sqrt(self._square / self._count)) if known else None,
        )


class Rows:
    """What was found of the rows of one file."""

    def __init__(self) -> None:
        self.tree = BlockTree()
        self.columns: list[_Column] = []
        self.names: list[list[str]] = []

    def add(self, batch: Any) -> bytes:
        """Take in a batch; returns the hashes of its rows, one after the other."""
        parts = encoding.columns_of(batch.columns)
        for column, part, array in zip(self.columns, parts, batch.columns, strict=True):
            column.add(part, array)
        joined = row_hashes(parts, batch.num_rows)
        self.tree.add(joined)
        return joined


def row_hashes(parts: list[encoding.Column], length: int) -> bytes:
    """The leaf hashes of the rows with these columns, one after the other."""
    data, offsets = encoding.slices(encoding.rows_of(parts, length))
    new, packed = hashlib.sha256, bytes(data)
    return b"".join([new(packed[a:b]).digest() for a, b in pairwise(offsets)])


def record(
    path: Path,
    *,
    at: str,
    name: str | None = None,
    own: Iterable[Path] = (),
    ignore: Iterable[str] = (),
    parents: tuple[Parent, ...] = (),
    types: Mapping[str, str] | None = None,
    listener: Listener | None = None,
) -> tuple[Passport, Details]:
    """The passport of the file or folder `path` as it is now, not signed.

    `at` is the time that it says (RFC 3339), `own` are files that do not count (the passport itself), `types` are Arrow types by column
    for csv files. Raises `Refused` for links and for a file that changes meanwhile, `InputError` for what cannot be read, `MissingExtra`.
    """
    left_out = sorted({*ignore, *GIT, *_inside(path.resolve(), own)}) if path.is_dir() else []
    found = listing(path, ignore=left_out)
    if found.problems:
        raise Refused(f"cannot be recorded: {found.problems[0]}", place=str(path))
    if not found.files:
        raise InputError("holds no file", place=str(path))
    digests = digests_of(found.files, tree=TREE, follow=not found.root.is_dir())
    known = {column: arrow_type(kind) for column, kind in (types or {}).items()}
    records = []
    with RowSet() as rows:
        for number, (inner, place) in enumerate(found.files.items()):
            records.append(file_record(inner, place, digests[inner], rows, known, _told(listener, inner, number)))
        _all_there(known, records)
        made = _passport(name or found.root.name or "data", at, tuple(records), rows.root().hex(), parents)
    details = Details(files=tuple(records), parents=parents, ignored=tuple(left_out))
    return _with_details(made, details), details


def file_record(
    name: str,
    place: Path,
    digest: Digest,
    into: RowSet,
    types: Mapping[str, Any],
    listener: Callable[[int], None] | None = None,
    *,
    whole: bool = False,
) -> FileRecord:
    """The record of one file; the hashes of its rows go `into` the set. With `whole` it is one row, whatever its name says."""
    kind, packed = format_of(place.name if name == WHOLE else name)
    base: dict[str, Any] = {"name": name, "size": digest.size, "sha256": digest.hex, "tree": digest.tree.root if digest.tree else ""}
    if whole or kind == "file":
        leaf = leaf_hash(b"file" + bytes.fromhex(digest.hex))
        into.add(leaf)
        return FileRecord(format="file", rows=1, root=leaf.hex(), **base)
    table = Table(place, kind, packed, types)
    into.mark()
    try:
        rows = _rows(table, into, listener)
    except NoColumns:
        into.rewind()
        kind = "text"
        rows = _rows(Table(place, kind, packed), into, listener)
    if stamp(place.stat()) != digest.stamp:
        raise Refused("was changed while it was read", place=name, cure="stop what writes to it and try again")
    blocks = rows.tree.close()
    return FileRecord(
        format=kind if packed is None else f"{kind}+{packed}",
        rows=rows.tree.size,
        root=joined_root(b"".join(blocks)).hex(),
        columns=tuple(column.profile() for column in rows.columns),
        blocks=tuple(block.hex() for block in blocks) if len(blocks) > 1 else (),
        types={column: str(given) for column, given in table.types.items() if column in types},
        **base,
    )


def _rows(table: Table, into: RowSet, listener: Callable[[int], None] | None) -> Rows:
    """All rows of `table`, from the start again whenever a column proves to be of a wider type."""
    into.mark()
    while True:
        rows = Rows()
        try:
            for batch in table.batches():
                if not rows.names:
                    rows.names = table.fields()
                    rows.columns = [_Column(*field) for field in rows.names]
                into.add(rows.add(batch))
                if listener is not None:
                    listener(rows.tree.size)
        except Widened as wider:
            into.rewind()
            table = table.again(wider.types)
            continue
        if not rows.names:
            rows.columns = [_Column(*field) for field in table.fields()]
        return rows


def content_leaves(files: Iterable[FileRecord]) -> list[tuple[bytes, FileRecord]]:
    """The contents of files in the order of their tree: by name without the endings that say how they are encoded."""
    found = [(file.content(WHOLE if file.name == WHOLE else logical_name(file.name)), file) for file in files]
    return sorted(found, key=lambda one: one[0])


def _passport(name: str, at: str, files: tuple[FileRecord, ...], rows: str, parents: tuple[Parent, ...]) -> Passport:
    schemas = sorted({file.schema for file in files if file.columns})
    columns = {(column.name, column.type) for file in files for column in file.columns}
    return Passport(
        name=name,
        recorded=at,
        tool=f"bartizan {__version__}",
        files=Files(count=len(files), size=sum(f.size for f in files), root=root([f.bytes_leaf() for f in files]).hex(), tree=TREE),
        content=Content(
            rows=sum(file.rows for file in files),
            root=root([leaf_hash(content) for content, _ in content_leaves(files)]).hex(),
            set=rows,
            columns=len(columns),
            schema=hashlib.sha256("".join(schemas).encode()).hexdigest() if len(schemas) != 1 else schemas[0],
        ),
        lineage=Roots(count=len(parents), root=lineage_root(parents)),
        details="0" * 64,
    )


def _all_there(types: Mapping[str, Any], records: Iterable[FileRecord]) -> None:
    """Raise `UnknownName` where a type was given for a column that no file has."""
    columns = {column.name for record in records for column in record.columns}
    for name in types:
        if name not in columns:
            raise UnknownName("column", name, sorted(columns))


def _with_details(made: Passport, details: Details) -> Passport:
    return msgspec.structs.replace(made, details=hashlib.sha256(details.encode()).hexdigest())


def _told(listener: Listener | None, name: str, number: int) -> Callable[[int], None] | None:
    return (lambda rows: listener(name, rows, number)) if listener is not None else None


def _inside(root_folder: Path, own: Iterable[Path]) -> list[str]:
    places = [place.parent.resolve() / place.name for place in own]
    return [place.relative_to(root_folder).as_posix() for place in places if place.is_relative_to(root_folder)]


def arrow_type(name: str) -> Any:
    """The Arrow type called `name`. Raises `InputError`."""
    try:
        return pa.type_for_alias(name)
    except ValueError:
        raise InputError(f"no Arrow type '{name}'", cure="for example int64, float64, string, timestamp[s], date32") from None


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _blake3() -> Any:
    try:
        from blake3 import blake3
    except ImportError:
        raise MissingExtra("data", "blake3") from None
    return blake3()


__all__ = ["TREE", "Listener", "arrow_type", "content_leaves", "file_record", "record", "row_hashes"]
