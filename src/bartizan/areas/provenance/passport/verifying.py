"""Is this data what its passport says? Every file, no file more, under the same names, and all of it signed by the key that is trusted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from bartizan.areas.provenance.passport.difference import Change, differences
from bartizan.areas.provenance.passport.formats import format_of, logical_name
from bartizan.areas.provenance.passport.recording import TREE, arrow_type, file_record
from bartizan.areas.provenance.passport.row_set import RowSet
from bartizan.areas.provenance.passport.statement import Details, FileRecord, Held, Parent, details_path, read
from bartizan.areas.provenance.signing.files import Listing, listing
from bartizan.areas.provenance.signing.hashing import digests_of
from bartizan.areas.provenance.signing.keys import PublicKey
from bartizan.areas.provenance.signing.names import WHOLE
from bartizan.methods.one_pass import Listener, Progress
from bartizan.model.errors import EvidenceError, InputError, one_line


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What verifying found: `problems` in words, each change behind them, and the passport that was proved."""

    problems: tuple[str, ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    held: Held

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(
    path: Path,
    passport: Path,
    key: PublicKey,
    *,
    content: bool = False,
    parents: Sequence[Path] = (),
    listener: Listener | None = None,
) -> Verified:
    """Compare the data at `path` with the passport that `key` must have signed.

    With `content` the rows count and not the bytes: files may be encoded anew or packed, but hold the same rows under the same columns.
    `parents` are passports that the lineage must name. Raises `EvidenceError` where a signature does not hold, `InputError` where
    something cannot be read, `Refused` where a file changes meanwhile.
    """
    held = read(passport, key)
    found = listing(path, ignore=held.details.ignored)
    own = {passport.resolve(), details_path(passport).resolve()}
    files = {name: place for name, place in found.files.items() if place.resolve() not in own}
    now = _now(held.details, files, found, content, listener)
    changes = differences(held.details, now)
    counted = [c for c in changes if not (content and c.harmless)]
    problems = [*found.problems, *(c.text for c in counted), *_lineage(held.details.parents, parents)]
    notes = [f"not covered: {', '.join(held.details.ignored)}"] if held.details.ignored and found.root.is_dir() else []
    if found.root.name != held.passport.name:
        notes.append(f"is called '{one_line(found.root.name, 120)}' here and was recorded as '{one_line(held.passport.name, 120)}'")
    notes += [c.text for c in changes if content and c.harmless]
    notes += [f"handed on to {one_line(h.to, 80)} at {h.at}" for h in held.hand_overs]
    return Verified(problems=tuple(problems), changes=changes, notes=tuple(notes), held=held)


def _now(details: Details, files: dict[str, Path], found: Listing, content: bool, listener: Listener | None) -> Details:
    """The details as they are now; a file whose bytes are as recorded is not read into rows again."""
    digests = digests_of(files, tree=TREE, follow=not found.root.is_dir())
    known = {record.name: record for record in details.files}
    alike = {logical_name(record.name): record for record in details.files}
    made: list[FileRecord] = []
    for number, (name, digest) in enumerate(digests.items()):
        before = known.get(name) or (alike.get(logical_name(name)) if content else None)
        if before is not None and (before.sha256, before.size) == (digest.hex, digest.size) and _reads_alike(before, name):
            made.append(msgspec.structs.replace(before, name=name))
            continue
        told = None if listener is None else partial(_tell, listener, name, number, len(digests))
        types = _types(before)
        with RowSet() as rows:
            try:
                made.append(file_record(name, files[name], digest, rows, types, told))
            except InputError:  # what was a table is none any more, which is a difference as well
                made.append(file_record(name, files[name], digest, rows, types, told, whole=True))
    return Details(files=tuple(made), parents=details.parents, ignored=details.ignored, answers=details.answers)


def _tell(listener: Listener, name: str, number: int, files: int, rows: int) -> None:
    listener(Progress(name, number, files, rows))


def _types(before: FileRecord | None) -> dict[str, object]:
    return {column: arrow_type(kind) for column, kind in before.types.items()} if before is not None else {}


def _reads_alike(before: FileRecord, name: str) -> bool:
    """Whether the bytes of a file under the name `name` are read into the same rows as when they were recorded."""
    if before.name == name or WHOLE in (before.name, name):
        return True
    kind, packed = format_of(name)
    return before.format == (kind if packed is None else f"{kind}+{packed}")


def _lineage(recorded: Sequence[Parent], parents: Sequence[Path]) -> list[str]:
    problems = []
    for path in parents:
        given = read(path, None, details=False).passport
        match = next((p for p in recorded if p.passport == given.id), None)
        if match is None:
            problems.append(f"was not made from what {one_line(path.name, 120)} describes")
        elif match.content != given.content.root:
            raise EvidenceError("the lineage contradicts the passport that it names", place=str(path))
    return problems
