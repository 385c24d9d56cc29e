"""Rows leave a data set: chosen, written out of it, proved to be gone, certified, looked for elsewhere, noted in the chain of evidence.

The rooms are joined here: `access` says which rows and writes files without them, `provenance` hashes, signs and proves. Nothing that was
there is touched before the new data was read back and compared, row for row.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bartizan import __version__
from bartizan.areas.access.replacing import Workplace, folder_with, like
from bartizan.areas.provenance.passport import statement
from bartizan.areas.provenance.passport.formats import format_of
from bartizan.areas.provenance.passport.statement import Details, FileRecord, Parent, Passport
from bartizan.areas.provenance.signing.files import listing
from bartizan.areas.provenance.signing.names import WHOLE
from bartizan.engine.runner import now
from bartizan.evidence.files import write_atomically
from bartizan.methods.one_pass import Listener, Progress
from bartizan.model.errors import InputError, Refused
from bartizan.workflows.dataset_passport import passport_room
from bartizan.workflows.purge_order import MOST_PROOFS, PROOFS, Order, Purged, access_room, beside, leaves_of, rule_of

if TYPE_CHECKING:
    from bartizan.areas.access.purging import Copies, Seen
    from bartizan.areas.provenance.passport.deletion import Deletion
    from bartizan.areas.provenance.signing.keys import PrivateKey


class _Start(msgspec.Struct, frozen=True, kw_only=True):
    """The data as it is: its passport, the signed line of it, its files, and the folder or file itself."""

    passport: Passport
    details: Details
    line: bytes
    root: Path
    files: dict[str, Path]


def purge(path: Path, key: PrivateKey, order: Order, *, listener: Listener | None = None) -> Purged:
    """Write the data at `path` without the rows of `order`, with a new passport, a certificate and proofs, all signed by `key`.

    The passport of the data is the one given or beside it; without one it is recorded first. Raises `Refused` where the data is not what
    its passport says or a file cannot be written without its rows, `InputError` where something cannot be read or is there already,
    `EvidenceError` where a proof does not hold. After an error all is as it was.
    """
    start = _started(path, key, order, listener)
    target = order.output if order.output is not None else start.root
    _free(start, target, order)
    with Workplace(target) as place, passport_room("removal").Removed(min(order.proofs, MOST_PROOFS)) as removed:
        run = _Run(start, order, place, removed, listener)
        run.through()
        if run.unjudged and len(run.unjudged) == len(run.counts):
            raise InputError("has no columns to judge rows by", place=path.name, cure="name rows by proofs: --rows-from")
        if not len(removed) or order.dry:
            return Purged(files=run.counts, seen=run.seen, unjudged=tuple(run.unjudged), copies=_copies(order, run))
        return run.finished(key, target)


def _started(path: Path, key: PrivateKey, order: Order, listener: Listener | None) -> _Start:
    place = order.passport or statement.passport_path(path)
    if order.passport is None and not place.exists():
        passport, details = passport_room("recording").record(path, at=now(), listener=listener)
        line = _sealed(passport, key)
    else:
        held = statement.read(place, None)
        passport, details, line = held.passport, held.details, b"\n".join(held.lines)
    found = listing(path, ignore=details.ignored)
    own = {one.resolve() for one in (place, statement.details_path(place))}
    files = {name: one for name, one in found.files.items() if one.resolve() not in own}
    if found.problems:
        raise Refused(f"cannot be purged: {found.problems[0]}", place=str(path))
    if set(files) != {record.name for record in details.files}:
        raise passport_room("removal").changed(path.name)
    return _Start(passport=passport, details=details, line=line, root=found.root, files=files)


def _free(start: _Start, target: Path, order: Order) -> None:
    """Raise `InputError` where the result cannot be written as it is asked for, or something of it is there already."""
    if order.opening is not None and order.opening.exists():
        raise InputError("is there already", place=str(order.opening), cure="name another file for the opening")
    if order.output is None or order.dry:
        return
    if start.root.is_dir() and target.resolve().is_relative_to(start.root):
        raise InputError("lies in the data itself", place=str(target), cure="name an output elsewhere")
    if start.root.is_file() and format_of(target.name) != format_of(start.root.name):
        raise InputError("would be of another format than the data", place=str(target), cure=f"give it the ending of {start.root.name}")
    taken = next((one for one in (target, statement.passport_path(target), *beside(target).values()) if one.exists()), None)
    if taken is not None:
        raise InputError("is there already", place=str(taken), cure="name another output")
    if not target.parent.is_dir():
        raise InputError("the folder of the output is not there", place=str(target), cure="make it first")


def _sealed(passport: Passport, key: PrivateKey) -> bytes:
    from bartizan.areas.provenance.signing import bundle

    return bundle.sealed(passport.encode(), key)


class _Run:
    """One purge: first through all files, then, where rows go, the passport, the proofs and the certificate."""

    def __init__(self, start: _Start, order: Order, place: Workplace, removed: Any, listener: Listener | None) -> None:
        self.start, self.order, self.place, self.removed, self._listener = start, order, place, removed, listener
        purging = access_room("purging")
        self._chooser = purging.Chooser(order.wish) if order.wish is not None else None
        self._leaves = leaves_of(order)
        self.seen: Seen = self._chooser.seen if self._chooser is not None else purging.Seen()
        self.copies = access_room("copies").Hunt(order.also, order.wish) if order.also else None
        self.counts: dict[str, tuple[int, int]] = {}
        self.left = passport_room("row_set").RowSet()
        self.unjudged: list[str] = []
        self.retyped: list[str] = []
        self.linked: list[str] = []
        self.naming: list[str] = []
        self._changed: dict[str, Path] = {}
        self._records: dict[str, FileRecord] = {}

    def through(self) -> None:
        """Read every file, write those that lose rows, read them back and compare."""
        for number, record in enumerate(self.start.details.files):
            source = self.start.files[record.name]
            if record.format == "file":
                self._whole(record, source)
            else:
                self._table(record, source, number)

    def _whole(self, record: FileRecord, source: Path) -> None:
        """A file that counts as one row: it goes, or stays."""
        leaf = bytes.fromhex(record.root)
        if _digest(source).hex != record.sha256:
            raise passport_room("removal").changed(record.name)
        gone = leaf in self._leaves and record.name not in self.order.keep
        if self._chooser is not None or record.name in self.order.keep:
            self.unjudged.append(record.name)
        if gone:
            self.removed.add(leaf, record.schema)
        else:
            self.left.add(leaf)
            self._records[record.name] = record
        self.counts[record.name] = (int(gone), int(not gone))

    def _table(self, record: FileRecord, source: Path, number: int) -> None:
        removal = passport_room("removal")
        reading = removal.Pass(record, source, self._choose(record, number), self.removed, self.left)
        kind, _, packed = record.format.partition("+")
        if self._stays(record):
            self.unjudged.append(record.name)
        written = self.place.folder / f"{number:08d}" / source.name
        written.parent.mkdir()
        if self.order.dry or self._stays(record):
            for _ in reading.masks():
                pass
        else:
            access_room("rewriting").rewrite(source, written, kind, packed or None, reading.masks())
        self.counts[record.name] = (reading.gone, reading.kept)
        if not reading.gone or self.order.dry:
            written.unlink(missing_ok=True)
            self._records[record.name] = record
            return
        like(written, source)
        if self.order.output is None and source.stat().st_nlink > 1:
            self.linked.append(record.name if record.name != WHOLE else source.name)
        subjects = self.order.wish.subjects if self.order.wish is not None else {}
        if access_room("rewriting").named_in_metadata(written, kind, [one for values in subjects.values() for one in values]):
            self.naming.append(record.name if record.name != WHOLE else source.name)
        self._changed[record.name], self._records[record.name] = written, self._read_back(record, written, reading)

    def _read_back(self, record: FileRecord, written: Path, reading: Any) -> FileRecord:
        """The record of the new file, after comparing it row for row with what was to stay. Raises `Refused`."""
        one_file, tables, removal = passport_room("one_file"), passport_room("reading"), passport_room("removal")
        digest, order = _digest(written), removal.InOrder()
        made: FileRecord = one_file.table_record(record.name, reading.table(written), digest, order)
        same = made.schema == record.schema or not reading.kept
        if not same or (made.rows, order.hex()) != (reading.kept, reading.stayed()):
            cure = "it is written in an unusual way; write it anew, as parquet say, and record that"
            raise Refused("cannot be written without some rows so that the others stay the same", place=record.name, cure=cure)
        kind, _, packed = record.format.partition("+")
        if kind != "jsonl":
            return made
        plain: FileRecord = one_file.table_record(record.name, tables.Table(written, kind, packed or None), digest, removal.InOrder())
        if plain.schema == record.schema:
            return made
        self.left.rewind()  # read by itself the file has other types now, and its rows other hashes
        self.retyped.append(record.name)
        again: FileRecord = one_file.table_record(record.name, tables.Table(written, kind, packed or None), digest, self.left)
        return again

    def _stays(self, record: FileRecord) -> bool:
        """Whether nothing in the file is judged: it is kept on request, or the wish is about columns and it has none."""
        return record.name in self.order.keep or (self._chooser is not None and record.format.startswith("text"))

    def _choose(self, record: FileRecord, number: int) -> Any:
        """What judges the batches of one file. Lines of text have no columns, so only proofs take rows out of them."""
        import numpy as np

        kept, done = self._stays(record), 0

        def choose(batch: Any, joined: bytes) -> Any:
            nonlocal done
            done += batch.num_rows
            if self._listener is not None:
                self._listener(Progress(record.name, number, len(self.start.files), done))
            if kept:
                return np.zeros(batch.num_rows, np.bool_)
            mask = self._chooser(batch, record.name) if self._chooser is not None else _among(joined, self._leaves)
            if self.copies is not None and mask.any():
                self.copies.learn(batch, mask)
            return mask

        return choose

    def finished(self, key: PrivateKey, target: Path) -> Purged:
        """Sign, prove, put everything in its place."""
        deletion = passport_room("deletion")
        salt = deletion.new_salt()
        rule = rule_of(self.order, self._leaves)
        passport, details = self._passport(target.name, deletion.keyed(salt, rule))
        line = _sealed(passport, key)
        places = beside(target)
        proved, unproved = self._prove(line)
        copies = self._elsewhere()
        made = deletion.Deletion(
            name=target.name,
            at=now(),
            tool=f"bartizan {__version__}",
            before=deletion.State.of(self.start.passport),
            after=deletion.State.of(passport),
            removed=len(self.removed),
            rule=deletion.keyed(salt, rule),
            rows=self.removed.digest(salt),
            kinds=self.order.wish.kinds if self.order.wish is not None else ("rows",),
            undated=self.seen.undated,
            undecided=self.seen.undecided,
            unjudged=len(self.unjudged),
            in_place=self.order.output is None,
            elsewhere=deletion.Search(files=copies.files, found=copies.found, unread=len(copies.unread)) if copies is not None else None,
        )
        with _chain(self.order.state) as note:
            self._put(self._new(), target, details, line, places)
            note(made)
        write_atomically(places["certificate"], deletion.seal(made, key), 0o644)
        written = {"data": target, "passport": statement.passport_path(target), **places}
        if self.order.opening is not None:
            opening = deletion.Opening(salt=salt.hex(), rule=rule)
            write_atomically(self.order.opening, msgspec.json.encode(opening), 0o600, replace=False)
            written["opening"] = self.order.opening
        return Purged(
            files=self.counts, seen=self.seen, deletion=made, written=written, proofs=proved, unproved=unproved, copies=copies,
            unjudged=tuple(self.unjudged),
            retyped=tuple(self.retyped),
            linked=tuple(self.linked),
            naming=tuple(self.naming),
            left_out=self.start.details.ignored if self.order.output is not None and self.start.root.is_dir() else (),
        )  # fmt: skip

    def _elsewhere(self) -> Copies | None:
        """What stands elsewhere. Rows that stay are read once more where only some columns are shared."""
        if self.copies is not None and self.copies.doubtful:
            removal, reading = passport_room("removal"), passport_room("reading")
            for name, record in self._records.items():
                if record.format == "file":
                    continue
                kind, _, packed = record.format.partition("+")
                place = self._changed.get(name, self.start.files[name])
                for batch in reading.Table(place, kind, packed or None, removal.types_of(record)).batches():
                    self.copies.discount(batch)
        return _copies(self.order, self)

    def _passport(self, name: str, rule: str) -> tuple[Passport, Details]:
        recording = passport_room("recording")
        records = tuple(self._records[r.name] for r in self.start.details.files if r.name in self._records)
        if not records:
            raise Refused("every file would go, and with it the data set", place=str(self.start.root), cure="delete it as a whole")
        old = self.start.passport
        parents = (Parent(name=old.name, passport=old.id, content=old.content.root, transformation=rule, by="purge"),)
        made = recording.assembled(name, now(), records, self.left.root().hex(), parents)
        details = Details(files=records, parents=parents, ignored=self.start.details.ignored)
        return recording.with_details(made, details), details

    def _prove(self, line: bytes) -> tuple[int, int]:
        """Write the proofs, one a line; returns how many, and how many rows there is none for."""
        proving, removal = passport_room("proving"), passport_room("removal")
        wanted = self.removed.sample()
        proved = 0
        with (self.place.folder / "proofs").open("wb") as out:
            for _, proof in removal.absences(line, self.left, wanted):
                if proof is not None:
                    out.write(proving.encode(proof) + b"\n")
                    proved += 1
        return proved, len(wanted) - proved

    def _new(self) -> Path:
        """The new data, complete, in the workplace."""
        if not self.start.root.is_dir():
            return self._changed[WHOLE]
        data = self.place.folder / "data"
        gone = frozenset(self.start.files) - frozenset(self._records)
        if self.order.output is None:
            folder_with(self.start.root, data, self._changed, gone)
            return data
        data.mkdir()
        like(data, self.start.root)
        for name in self._records:
            place = data / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if name in self._changed:
                os.rename(self._changed[name], place)
            else:
                shutil.copy2(self.start.files[name], place)
        return data

    def _put(self, data: Path, target: Path, details: Details, line: bytes, places: Mapping[str, Path]) -> None:
        """The data first: until it has its name all is as it was, and from then on its passport only has to follow."""
        folder, place = self.place.folder, statement.passport_path(target)
        (folder / "details").write_bytes(details.encode())
        (folder / "passport").write_bytes(line + b"\n")
        (folder / "before").write_bytes(self.start.line + b"\n")
        (folder / "proofs").chmod(0o600)
        self.place.put(folder / "before", places["before"])
        self.place.put(data, target)
        self.place.put(folder / "details", statement.details_path(place))
        self.place.put(folder / "passport", place)
        self.place.put(folder / "proofs", places["proofs"])


def _digest(place: Path) -> Any:
    from bartizan.areas.provenance.signing.hashing import digests_of

    return digests_of({WHOLE: place}, tree=passport_room("recording").TREE, follow=True)[WHOLE]


def _copies(order: Order, run: _Run) -> Copies | None:
    if run.copies is None:
        return None
    target = order.output if order.output is not None else run.start.root
    passports = [run.order.passport or statement.passport_path(run.start.root), statement.passport_path(target)]
    own = [run.start.root, run.place.folder, target, *passports, *map(statement.details_path, passports)]
    found: Copies = run.copies.search(own)
    return found


@contextmanager
def _chain(folder: Path | None) -> Iterator[Callable[[Deletion], object]]:
    """What notes a deletion in the chain of evidence in `folder`. It is opened before anything is replaced, so that it fails in time."""
    from bartizan.evidence import Keyring, Store
    from bartizan.model.access import Purge

    if folder is None:
        yield lambda _: None
        return
    with Store.open(folder, key=Keyring(folder / "keys").signer()) as store:
        yield lambda made: store.note_purge(
            Purge(
                dataset=made.name,
                before=made.before.passport,
                after=made.after.passport,
                certificate=made.id,
                removed=made.removed,
                left=made.after.rows,
                kinds=made.kinds,
            )
        )


def _among(joined: bytes, leaves: frozenset[bytes]) -> Any:
    import numpy as np

    first = np.frombuffer(joined, ">u8").reshape(-1, 4)[:, 0] if joined else np.zeros(0, ">u8")
    near = np.isin(first, np.array([int.from_bytes(leaf[:8], "big") for leaf in leaves], ">u8"))
    for row in np.flatnonzero(near).tolist():
        near[row] = joined[row * 32 : row * 32 + 32] in leaves
    return near


__all__ = ["MOST_PROOFS", "PROOFS", "Order", "Purged", "purge"]
