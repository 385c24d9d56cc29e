"""One pass over the data: the digests of its files, the hashes of its rows, the profile of its columns.

Memory does not grow with the rows: batches of 65,536 are read, encoded and hashed; what stays is one hash for each 4,096 rows, and the set
of row hashes goes to disk where it is large.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from bartizan import __version__
from bartizan.areas.provenance.passport.formats import format_of, logical_name
from bartizan.areas.provenance.passport.journal import Entry, Journal
from bartizan.areas.provenance.passport.one_file import as_one, file_record, is_opaque, read_file
from bartizan.areas.provenance.passport.row_set import RowSet
from bartizan.areas.provenance.passport.rows import row_hashes
from bartizan.areas.provenance.passport.source import Source
from bartizan.areas.provenance.passport.statement import Content, Details, FileRecord, Files, Parent, Passport, Roots, lineage_root
from bartizan.areas.provenance.passport.trees import leaf_hash, root
from bartizan.areas.provenance.signing.files import GIT, Listing, listing
from bartizan.areas.provenance.signing.hashing import digests_of
from bartizan.areas.provenance.signing.names import WHOLE
from bartizan.methods.one_pass import Consumer, Form, Listener, Progress, Together
from bartizan.model.errors import InputError, Refused, UnknownName

TREE = "sha256"

TOGETHER = 256
"""Files without rows that are hashed by threads at a time."""


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
    consumers: Iterable[Consumer] = (),
    broken: list[InputError] | None = None,
    journal: Journal | None = None,
) -> tuple[Passport, Details]:
    """The passport of the file or folder `path` as it is now, not signed, from one reading in which `consumers` take part.

    `at` is the time that it says (RFC 3339), `own` are files that do not count (the passport itself), `types` are Arrow types by column
    for csv files. With `broken` a table that cannot be read counts as one row, what else may not be there (links, names that no statement
    can hold) is left out, and what is wrong is added there. With a `journal` a reading that was stopped goes on where it was. Raises
    `Refused` for links and for a file that changes meanwhile, `InputError` for what cannot be read, `MissingExtra`.
    """
    left_out = sorted({*ignore, *GIT, *_inside(path.resolve(), own)}) if path.is_dir() else []
    found = listing(path, ignore=left_out)
    if found.problems and broken is None:
        raise Refused(f"cannot be recorded: {found.problems[0]}", place=str(path))
    if broken is not None:
        broken += [InputError(problem) for problem in found.problems]
    if not found.files:
        raise InputError("holds no file" + (f" that can be read: {found.problems[0]}" if found.problems else ""), place=str(path))
    known = {column: arrow_type(kind) for column, kind in (types or {}).items()}
    with RowSet() as rows:
        records = _Reading(found, rows, known, Together(consumers), listener, broken, journal).records()
        _all_there(known, records)
        made = assembled(name or found.root.name or "data", at, records, rows.root().hex(), parents)
    details = Details(files=records, parents=parents, ignored=tuple(left_out))
    return with_details(made, details), details


class _Reading:
    """All files of a listing, each read once."""

    def __init__(
        self,
        found: Listing,
        into: RowSet,
        types: Mapping[str, Any],
        consumers: Together,
        listener: Listener | None,
        broken: list[InputError] | None,
        journal: Journal | None,
    ) -> None:
        self._files, self._follow = found.files, not found.root.is_dir()
        self._into, self._types, self._consumers, self._broken = into, types, consumers, broken
        self._told = listener
        self._size = sum(_size(place) for place in found.files.values()) if listener is not None or journal is not None else 0
        self._done = self._rows = self._known = 0
        self._journal = journal if journal is not None else Journal(Path())
        if journal is not None:
            journal.begin(len(found.files), self._size)

    def records(self) -> tuple[FileRecord, ...]:
        """The record of each file, in the order of the listing."""
        made: dict[str, FileRecord] = {}
        opaque: list[str] = []
        for number, (name, place) in enumerate(self._files.items()):
            entry = self._journal.found(name, place)
            if entry is not None:
                made[name] = self._restored(entry, place)
            elif self._by_bytes_alone(name, place):
                opaque.append(name)
                if len(opaque) == TOGETHER:
                    made |= self._hashed(opaque, number)
                    opaque = []
            else:
                made[name] = self._one(name, place, number)
        made |= self._hashed(opaque, len(self._files) - 1)
        return tuple(made[name] for name in self._files)

    def _restored(self, entry: Entry, place: Path) -> FileRecord:
        """The record of a file that an earlier run read."""
        if entry.start < 0:
            self._into.add(bytes.fromhex(entry.record.root))
        for piece in self._journal.hashes(entry):
            self._into.add(piece)
        self._consumers.restore(place, entry.kept)
        self._done += entry.record.size
        self._known += entry.record.size
        self._rows += entry.record.rows
        return entry.record

    def _hashed(self, names: list[str], number: int) -> dict[str, FileRecord]:
        """The records of files that count as one row each and are read by nobody."""
        places = {name: self._files[name] for name in names}
        made = {}
        for name, digest in digests_of(places, tree=TREE, follow=self._follow).items():
            self._consumers.begin(places[name], Form.OPAQUE, None)
            self._consumers.finish()
            made[name] = as_one(name, digest, self._into)
            self._journal.note(places[name], digest.stamp, made[name], None, self._consumers.kept())
            self._done += digest.size
            self._rows += 1
        if names and self._told is not None:
            self._told(Progress(names[-1], number, len(self._files), self._rows, self._done, self._size, self._known))
        return made

    def _by_bytes_alone(self, name: str, place: Path) -> bool:
        kind, _ = format_of(place.name if name == WHOLE else name)
        return kind == "file" if not self._consumers else is_opaque(name, place)

    def _one(self, name: str, place: Path, number: int) -> FileRecord:
        with Source(place, tree=TREE, follow=self._follow) as source:
            told = None if self._told is None else lambda rows: self._tell(name, number, rows, source)
            copied = self._journal.copied(self._into)
            copied.mark()
            try:
                made = read_file(name, source, copied, self._types, self._consumers, told)
            except InputError as error:
                if self._broken is None:
                    raise
                self._broken.append(error)
                copied.rewind()
                self._consumers.begin(place, Form.OPAQUE, None)
                self._consumers.finish()
                made = as_one(name, source.digest(), copied)
            else:
                self._journal.note(place, source.digest().stamp, made, copied, self._consumers.kept())
            self._done += source.size
            self._rows += made.rows
            return made

    def _tell(self, name: str, number: int, rows: int, source: Source) -> None:
        if self._told is not None:
            done = self._done + min(source.read, source.size)
            self._told(Progress(name, number, len(self._files), self._rows + rows, done, self._size, self._known))


def _size(place: Path) -> int:
    try:
        return place.stat().st_size
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", place=place.name) from None


def content_leaves(files: Iterable[FileRecord]) -> list[tuple[bytes, FileRecord]]:
    """The contents of files in the order of their tree: by name without the endings that say how they are encoded."""
    found = [(file.content(WHOLE if file.name == WHOLE else logical_name(file.name)), file) for file in files]
    return sorted(found, key=lambda one: one[0])


def assembled(name: str, at: str, files: tuple[FileRecord, ...], rows: str, parents: tuple[Parent, ...]) -> Passport:
    """The passport of `files`, without the digest of its details; `rows` is the root of their rows as a set."""
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


def with_details(made: Passport, details: Details) -> Passport:
    """The passport that holds the digest of these details."""
    return msgspec.structs.replace(made, details=hashlib.sha256(details.encode()).hexdigest())


def _inside(root_folder: Path, own: Iterable[Path]) -> list[str]:
    places = [place.parent.resolve() / place.name for place in own]
    return [place.relative_to(root_folder).as_posix() for place in places if place.is_relative_to(root_folder)]


def arrow_type(name: str) -> Any:
    """The Arrow type called `name`. Raises `InputError`."""
    try:
        return pa.type_for_alias(name)
    except ValueError:
        raise InputError(f"no Arrow type '{name}'", cure="for example int64, float64, string, timestamp[s], date32") from None


__all__ = ["TREE", "arrow_type", "content_leaves", "file_record", "record", "row_hashes"]
