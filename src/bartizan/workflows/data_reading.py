"""One reading of a data set for all who want something of it: its passport, its first schema, and the answers of three checks.

Each of them takes part in the same reading and could do without the others; what one of them cannot judge, its check judges by itself.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from bartizan import __version__
from bartizan.engine import unknowns
from bartizan.engine.answers import answers
from bartizan.engine.runner import now
from bartizan.methods.one_pass import Consumer, Guarded, Listener
from bartizan.model.checks import Check
from bartizan.model.errors import BartizanError, InputError, MissingExtra, one_line
from bartizan.model.findings import Finding, Job
from bartizan.model.system import Dataset

if TYPE_CHECKING:
    from bartizan.areas.provenance.passport.journal import Journal
    from bartizan.areas.provenance.passport.statement import Details, Parent, Passport
    from bartizan.areas.quality.schema import Schema
    from bartizan.areas.quality.schema_profile import Profiler
    from bartizan.areas.quality.schema_stream import Gate

Answered = Callable[[Job], Iterable[Finding]]
"""What makes the findings of a job out of what passed by."""

PERSONAL, SECRETS, SCHEMA = "pii.personal_data", "pii.secrets", "quality.schema"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """How the data is read: what does not count, types of csv columns, the schema to judge by, the seconds that each part may take,
    checks and areas to leave out, whether a table that cannot be read ends it, and whether a schema is inferred."""

    own: tuple[Path, ...] = ()
    ignore: tuple[str, ...] = ()
    parents: tuple[Parent, ...] = ()
    types: Mapping[str, str] = {}
    schema: Path | None = None
    seconds: float = 600.0
    skip: tuple[str, ...] = ()
    strict: bool = True
    infer: bool = False

    def wants(self, check: str) -> bool:
        """Is the check not left out?"""
        return check not in self.skip and check.partition(".")[0] not in self.skip


class Found(NamedTuple):
    """What a reading found: the passport, not signed; a schema by the first file of each kind of table, or why there is none; the answers
    that need no other reading, by check; tables that could not be read."""

    passport: Passport
    details: Details
    schemas: Mapping[Path, Any]
    no_schema: str
    answered: Mapping[str, Answered]
    broken: tuple[InputError, ...]


def passport_room(name: str) -> Any:
    """A module of the passport that reads tables. Raises `MissingExtra` without the extra `data`."""
    try:
        return importlib.import_module(f"bartizan.areas.provenance.passport.{name}")
    except ModuleNotFoundError as error:
        raise MissingExtra("data", error.name) from None


def _room(name: str) -> Any:
    """A module of an area, by its name, since it may read tables."""
    return importlib.import_module(f"bartizan.areas.{name}")


def journal_of(path: Path, wanted: Wanted, *, fresh: bool = False) -> Journal:
    """The journal of such a reading, by which a stopped one goes on; `fresh` forgets what an earlier run noted. Raises `MissingExtra`."""
    passport_room("recording")
    room = passport_room("journal")
    purpose = [
        __version__,
        str(path.resolve()),
        wanted.types,
        wanted.schema is None,
        wanted.infer,
        wanted.wants(PERSONAL),
        wanted.wants(SECRETS),
    ]
    folder = hashlib.sha256(msgspec.json.encode([*purpose, sorted(wanted.ignore)])).hexdigest()[:32]
    found: Journal = room.Journal(room.journals() / folder, fresh=fresh)
    return found


def read(path: Path, root: Path, wanted: Wanted, journal: Journal, *, listener: Listener | None = None) -> Found:
    """Read the data at `path` once; names in answers are relative to `root`. Raises what `recording.record` raises."""
    room = passport_room("recording")
    parts = _Parts(path, root, wanted)
    broken: list[InputError] | None = None if wanted.strict or path.is_file() else []
    made, details = room.record(
        path, at=now(), own=wanted.own, ignore=wanted.ignore, parents=wanted.parents, types=wanted.types, listener=listener,
        consumers=parts.consumers, broken=broken, journal=journal,
    )  # fmt: skip
    parts.left_out(broken or ())
    schemas, why = parts.schemas()
    return Found(made, details, schemas, why, parts.answered(), tuple(broken or ()))


class _Parts:
    """Who takes part, and what becomes of it."""

    def __init__(self, path: Path, root: Path, wanted: Wanted) -> None:
        self._path, self._wanted = path, wanted
        self._profiler: Profiler | None = None
        self._gate: Gate | None = None
        self._scan: Any = None
        self._rules: Schema | None = None
        self._lacks = ""
        try:
            self._begin(root)
        except MissingExtra as error:
            self._lacks = str(error)
        parts: tuple[Consumer | None, ...] = (self._profiler, self._gate, self._scan)
        self._guards = {part: Guarded(part, wanted.seconds) for part in parts if part is not None}

    def _begin(self, root: Path) -> None:
        from bartizan.areas.quality.schema import load
        from bartizan.areas.quality.schema_profile import Profiler
        from bartizan.areas.quality.schema_stream import Gate

        wanted = self._wanted
        if wanted.wants(PERSONAL) or wanted.wants(SECRETS):
            finder = _room("pii.check_personal_data").reader_of("auto", wanted.seconds) if wanted.wants(PERSONAL) else None
            self._scan = _room("pii.passing").FilesScan(root, finder=finder)
        if wanted.schema is not None and wanted.wants(SCHEMA):
            self._rules = load(wanted.schema)
            self._gate = Gate(self._rules)
        if wanted.infer and wanted.schema is None:
            self._profiler = Profiler()

    @property
    def consumers(self) -> Sequence[Consumer]:
        return tuple(self._guards.values())

    def left_out(self, broken: Iterable[InputError]) -> None:
        """Say to those who would call the rest clean that not all was read."""
        if self._scan is not None:
            self._scan.skipped += [one_line(str(error), 160) for error in broken if error.place is None]

    def schemas(self) -> tuple[Mapping[Path, Any], str]:
        """The inferred schemas, or why there are none."""
        if self._profiler is None:
            return {}, self._lacks
        guard = self._guards[self._profiler]
        if not guard.ok:
            return {}, f"took more than {self._wanted.seconds:g} s" if guard.late else str(guard.error)
        if self._profiler.partial:
            return self._again()
        found = self._profiler.schemas()
        return found, "" if found else "there is no table with a row"

    def _again(self) -> tuple[Mapping[Path, Any], str]:
        """The schemas by a reading of their own, because an earlier run had read some of the files."""
        from bartizan.areas.quality.schema_profile import Profiler

        profiler = Profiler()
        passport_room("recording").record(
            self._path, at=now(), own=self._wanted.own, ignore=self._wanted.ignore, consumers=[profiler], broken=[]
        )
        found = profiler.schemas()
        return found, "" if found else "there is no table with a row"

    def answered(self) -> dict[str, Answered]:
        """The answers by check; one that failed on the way is left to the check itself, one that took too long is not."""
        parts: tuple[tuple[str, Consumer | None, Answered], ...] = (
            (PERSONAL, self._scan, self._personal), (SECRETS, self._scan, self._secrets), (SCHEMA, self._gate, self._schema)
        )  # fmt: skip
        found: dict[str, Answered] = {}
        for check, part, made in parts:
            if part is None or not self._wanted.wants(check):
                continue
            guard = self._guards[part]
            if guard.late:
                found[check] = unknowns.out_of_time
            elif guard.ok:
                found[check] = made
        return found

    def _personal(self, job: Job) -> Iterable[Finding]:
        assert self._scan is not None
        assert isinstance(job.subject, Dataset)
        tolerance = job.parameters.get("tolerance", 0.0)
        made = _room("pii.check_personal_data").findings(job, job.subject, self._scan.maps, self._scan.skipped, tolerance=float(tolerance))
        return tuple(made)

    def _secrets(self, job: Job) -> Iterable[Finding]:
        assert self._scan is not None
        return tuple(_room("pii.check_secrets").findings(job, self._scan.maps, self._scan.skipped))

    def _schema(self, job: Job) -> Iterable[Finding]:
        assert self._gate is not None
        assert self._rules is not None
        return tuple(_room("quality.check_schema").findings(job, self._gate.verdict(self._path), self._rules, self._path))


def answer(job: Job, check: Check, answered: Answered) -> tuple[Finding, ...]:
    """The findings of a job whose data passed by already; what has no answer is unknown, with the reason."""
    try:
        return answers(job, check, answered(job))
    except BartizanError as error:
        return unknowns.unknown(job, unknowns.Reason.REFUSED, str(error), remedy=error.cure)
