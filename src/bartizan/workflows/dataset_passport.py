"""What people do with a data set: record its passport, verify it, prove a row; and look at the whole of it without a manifest.

The rooms are joined here. What reads tables is loaded when it is used, so that a command line without the extra `data` still starts; every
installed check of data sets takes part in `scan`, and a duty that no check answers is reported as not covered, never as clean.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bartizan.areas.provenance.passport import statement
from bartizan.areas.provenance.passport.statement import Answer, Details, FileRecord, Parent, Passport
from bartizan.engine import registry
from bartizan.engine.parameters import parameters_of
from bartizan.engine.runner import run_job
from bartizan.methods.one_pass import Listener
from bartizan.model.checks import Check, Cost
from bartizan.model.errors import InputError, MissingExtra, UnknownName, nearest, one_line
from bartizan.model.findings import Budget, Finding, Job, Verdict
from bartizan.model.system import Appetite, Asset, Dataset, Kind, Phase, Stage, System, Task
from bartizan.workflows.data_reading import Answered, Found, Wanted, answer, journal_of, read
from bartizan.workflows.data_reading import passport_room as passport_room

if TYPE_CHECKING:
    from bartizan.areas.provenance.signing.keys import PrivateKey, PublicKey

DUTIES = {
    "provenance": "where the data comes from, and that nobody changed it",
    "pii": "personal data and secrets",
    "quality": "schema, labels, duplicates, outliers, leakage",
    "poisoning": "planted rows",
    "fairness": "groups and their labels",
    "access": "who may read it, and for how long",
}
"""What a look at a data set owes an answer to, by area."""


SHOWN = 20
"""Most files that lines name one by one."""

PICTURES = frozenset({".png", ".jpg", ".jpeg"})

TABLES = 8
"""Most tables of a folder that checks look at one by one."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: the area, the check, its verdict (None: not covered), what it found and what to do."""

    area: str
    check: str
    verdict: Verdict | None
    title: str
    why: str = ""
    remedy: str = ""
    finding: Finding | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """How checks look at a data set: the column with the labels, its schema, held-out data that must not share rows with it, the most
    seconds that one check may take, what to leave out (checks or areas), parameters (CHECK.NAME=VALUE), and who hears the name of each
    check, its number from 1 and how many there are."""

    label: str | None = None
    schema: Path | None = None
    test: Path | None = None
    seconds: float = 600.0
    skip: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    told: Callable[[str, int, int], None] | None = None


class DataScan(msgspec.Struct, frozen=True, kw_only=True):
    """A data set as it is: its passport (not signed), the answers by area, and for each kind of table in it a first schema as YAML, by the
    name of the first file of that kind."""

    path: str
    passport: Passport | None
    details: Details | None
    lines: tuple[Line, ...]
    schemas: dict[str, str] = {}

    @property
    def schema(self) -> str:
        """The first schema where there is one kind of table, else nothing."""
        return next(iter(self.schemas.values())) if len(self.schemas) == 1 else ""

    @property
    def failed(self) -> bool:
        return any(line.verdict is Verdict.FAIL for line in self.lines)


def record(
    path: Path,
    place: Path,
    key: PrivateKey,
    *,
    own: Iterable[Path] = (),
    ignore: Iterable[str] = (),
    parents: tuple[Parent, ...] = (),
    types: Mapping[str, str] | None = None,
    look: Look | None = None,
    fresh: bool = False,
    listener: Listener | None = None,
) -> Passport:
    """Record the data at `path`, sign with `key` and write the passport to `place`; raises what `recording.record` raises.

    With `look` the passport also holds what every check says of the data. A run that was stopped goes on where it was; `fresh` starts anew.
    """
    mine = (place, statement.details_path(place), *own)
    look_at = look or Look(skip=("pii", "quality"))
    wanted = _wanted(look_at, own=mine, ignore=tuple(ignore), parents=parents, types=dict(types or {}))
    node, root = _node(path, look_at)
    with journal_of(path, wanted, fresh=fresh) as journal:
        found = read(path, root, wanted, journal, listener=listener)
        made, details = found.passport, found.details
        if look is not None:
            _known_label(found, look)
            said = _whole(list(_answers(node, root, look, found)))
            answers = tuple(Answer(area=a.area, check=a.check, verdict=a.verdict, title=a.title) for a in said)
            made, details = statement.with_answers(made, details, answers)
        statement.write(place, made, details, key)
    return made


def parent(path: Path, by: Path | None, key: PublicKey | None = None) -> Parent:
    """The entry of a lineage for what the passport at `path` describes; `by` is the program that turned it into something else."""
    import hashlib

    passport = statement.read(path, key, details=False).passport
    made = hashlib.sha256(by.read_bytes()).hexdigest() if by is not None else None
    name = by.name if by is not None else ""
    return Parent(name=passport.name, passport=passport.id, content=passport.content.root, transformation=made, by=name)


def scan(path: Path, look: Look, *, fresh: bool = False, listener: Listener | None = None) -> DataScan:
    """Look at the data at `path`: what it holds, and what every installed check of data sets says of it. A run that was stopped goes on
    where it was; `fresh` starts anew. Raises `InputError` where `path` cannot be read or holds nothing, `UnknownName` for a label that no
    table has and for a parameter that no check has."""
    node, root = _node(path, look)
    overrides_of(look.parameters)
    wanted = _wanted(look, strict=False, infer=True)
    try:
        journal = journal_of(path, wanted, fresh=fresh)
    except MissingExtra as error:
        lacking = Line(area="provenance", check="passport", verdict=None, title=f"not covered: {error}")
        return DataScan(path=str(path), passport=None, details=None, lines=_whole([lacking, *_answers(node, root, look, None)]))
    with journal:
        found = read(path, root, wanted, journal, listener=listener)
        if not found.passport.content.rows:
            raise InputError("holds no row", place=str(path), cure="name a file or folder with data in it")
        _known_label(found, look)
        said = [*_recorded(path, found), *(_inferred(path, found) if look.schema is None else ())]
        lines = _whole([*said, *_answers(node, root, look, found)])
    return DataScan(path=str(path), passport=found.passport, details=found.details, lines=lines, schemas=_dumped(path, found))


def _wanted(look: Look, **more: Any) -> Wanted:
    return Wanted(schema=look.schema, seconds=look.seconds, skip=look.skip, **more)


def _whole(lines: Sequence[Line]) -> tuple[Line, ...]:
    """The answers in the order of the duties, and each duty that none answers as not covered."""
    known = {line.area for line in lines}
    silent = [area for area in DUTIES if area not in known]
    missing = [Line(area=area, check="", verdict=None, title=f"not covered: nothing here looks at {DUTIES[area]}") for area in silent]
    order = {area: n for n, area in enumerate(DUTIES)}
    return tuple(sorted([*lines, *missing], key=lambda line: (order.get(line.area, 99), line.check)))


def _recorded(path: Path, found: Found) -> Iterator[Line]:
    """That the data was recorded, and what of it could not be read as its name says."""
    content = found.passport.content
    title = f"recorded, not signed: {found.passport.files.count} files, {content.rows} rows, content {content.root[:16]}…"
    remedy = f"Sign it: bartizan data record {path.name} --key data.pem --new-key ed25519"
    yield Line(area="provenance", check="passport", verdict=None, title=title, remedy=remedy)
    for error in found.broken[:SHOWN]:
        yield Line(area="provenance", check="passport", verdict=None, title=f"not covered: {one_line(str(error), 180)}")
    if len(found.broken) > SHOWN:
        title = f"not covered: {len(found.broken) - SHOWN} more files cannot be read"
        yield Line(area="provenance", check="passport", verdict=None, title=title)


def _inferred(path: Path, found: Found) -> Iterator[Line]:
    """That a schema was inferred, or why none was."""
    if not found.schemas:
        yield Line(area="quality", check="schema", verdict=None, title=f"not covered: {one_line(found.no_schema, 160)}")
        return
    several = f"{len(found.schemas)} kinds of tables, " if len(found.schemas) > 1 else ""
    for place in [*found.schemas][:SHOWN]:
        inner = place.relative_to(path.resolve()).as_posix() if several else ""
        remedy = f"Write it and review it: bartizan data gate {path / inner} --infer {place.name}.schema.yaml"
        of = f" of {one_line(inner, 80)}" if several else ""
        title = f"inferred{of}, not reviewed, nothing judged by it"
        yield Line(area="quality", check="schema", verdict=None, title=title, remedy=remedy)
    if len(found.schemas) > SHOWN:
        yield Line(area="quality", check="schema", verdict=None, title=f"inferred, not reviewed: {several}of which {SHOWN} are shown")


def _dumped(path: Path, found: Found) -> dict[str, str]:
    """The schemas as YAML, by the name of the first file of each kind."""
    if not found.schemas:
        return {}
    from bartizan.areas.quality.schema import dump

    base = path.resolve()
    return {place.relative_to(base).as_posix() if base.is_dir() else base.name: dump(schema) for place, schema in found.schemas.items()}


def _node(path: Path, look: Look) -> tuple[Dataset, Path]:
    """The data as a declared node, and the folder that holds all that belongs to it."""
    place = path.resolve()
    others = [other.resolve() for other in (look.test, look.schema) if other is not None]
    root = Path(os.path.commonpath([place.parent, *(other.parent for other in others)]))
    schema = look.schema.resolve().relative_to(root).as_posix() if look.schema is not None else None
    beside = place.with_name(f"{place.name}.access.yaml")
    access = beside.relative_to(root).as_posix() if beside.is_file() else None
    uri = place.relative_to(root).as_posix()
    label = look.label or ("folder" if _in_classes(place) else None)
    return Dataset(id="data", stage=Stage.TRAIN, uri=uri, label=label, schema=schema, access=access), root


def _in_classes(place: Path) -> bool:
    """Does the folder hold two folders and more with pictures, which then are their classes?"""
    folders = [inner for inner in place.iterdir() if inner.is_dir()] if place.is_dir() else []
    return sum(any(one.suffix.lower() in PICTURES for one in folder.iterdir()) for folder in folders) > 1


def _known_label(found: Found, look: Look) -> None:
    """Raises `UnknownName` where there are tables and none has the column with the labels."""
    tables = _tables(found)
    known = list(dict.fromkeys(column.name.strip() for table in tables for column in table.columns))
    if look.label is not None and tables and look.label not in known:
        close = nearest(look.label, known)
        raise UnknownName("column", look.label, [close] if close else known[:SHOWN], place=found.passport.name)


def _tables(found: Found) -> list[FileRecord]:
    return [file for file in found.details.files if file.rows and file.columns and file.format != "text"]


def overrides_of(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Parameters by check, from texts such as `quality.representation.groups=sex, age`. Raises `InputError` and `UnknownName`."""
    checks, given = registry.load(), dict[str, dict[str, Any]]()
    for text in texts:
        name, sign, value = text.partition("=")
        check_id, _, parameter = name.strip().rpartition(".")
        if not sign or not check_id:
            raise InputError(f"'{one_line(text, 80)}' is not CHECK.NAME=VALUE", cure="such as quality.representation.groups=sex,age")
        if check_id not in checks:
            raise UnknownName("check", check_id, list(checks))
        given.setdefault(check_id, {})[parameter] = _value(checks[check_id], parameter, value.strip())
        parameters_of(checks[check_id], Appetite(), given[check_id])
    return given


def _value(check: Check, name: str, text: str) -> Any:
    kind = next((parameter.type for parameter in check.parameters if parameter.name == name), "string")
    try:
        return text if kind == "string" else json.loads(text.lower())
    except ValueError:
        raise InputError(f"parameter '{name}' of {check.id} must be of type {kind}, not '{one_line(text, 40)}'") from None


def _answers(node: Dataset, root: Path, look: Look, found: Found | None) -> Iterator[Line]:
    answered = found.answered if found is not None else {}
    place = root / str(node.uri)
    tables = [f"{node.uri}/{file.name}" for file in _tables(found)] if found is not None and place.is_dir() else []
    jobs = list(_jobs(node, root, look, answered))
    for number, (check, job) in enumerate(jobs, 1):
        area = check.id.partition(".")[0]
        if check.id in look.skip or area in look.skip:
            yield Line(area=area, check=check.id, verdict=None, title="not covered: left out on request")
            continue
        if look.told is not None:
            look.told(check.id, number, len(jobs))
        made = answered.get(check.id)
        findings = answer(job, check, made) if made is not None else _judged(job, node, tables)
        yield from (_line(check, finding) for finding in {(f.title, f.verdict): f for f in findings}.values())
    if node.label is None:
        yield from _unlabelled(node, {check.id for check, _ in jobs} | set(look.skip))


def _judged(job: Job, node: Dataset, tables: Sequence[str]) -> Iterator[Finding]:
    """What a check finds; where it takes no folder, but `tables` lie in this one, what it finds in each of them."""
    findings = run_job(job).findings
    whole = job.subject is not node or any(f.verdict is not Verdict.UNKNOWN or f.details.get("reason") != "refused" for f in findings)
    if whole or not tables:
        yield from findings
        return
    for uri in tables[:TABLES]:
        yield from run_job(msgspec.structs.replace(job, subject=msgspec.structs.replace(node, uri=uri))).findings
    if len(tables) > TABLES:
        title = f"{len(tables) - TABLES} more tables: scan them one by one"
        yield msgspec.structs.replace(findings[0], title=title, why="", remedy="")


def _line(check: Check, finding: Finding) -> Line:
    known = finding.verdict is not Verdict.UNKNOWN
    return Line(
        area=check.id.partition(".")[0],
        check=check.id,
        verdict=finding.verdict if known else None,
        title=one_line(finding.title, 200) if known else f"not covered: {one_line(finding.title, 180)}",
        why=finding.why,
        remedy=finding.remedy,
        finding=finding,
    )


def _unlabelled(node: Dataset, seen: set[str]) -> Iterator[Line]:
    """Checks that would look at the data if they were told which column holds the labels."""
    labelled = msgspec.structs.replace(node, label="label")
    system = System(name="data", datasets=(labelled,), assets=())
    for check in registry.load().values():
        area = check.id.partition(".")[0]
        if Kind.DATASET not in check.kinds or check.applies is None or {check.id, area} & seen or check.id in _DECLARED:
            continue
        if check.applies(labelled, system) and not check.applies(node, system):
            yield Line(area=area, check=check.id, verdict=None, title="not covered: it needs the labels; name their column with --label")


def _jobs(node: Dataset, root: Path, look: Look, answered: Mapping[str, Answered]) -> Iterator[tuple[Check, Job]]:
    """A job for each installed check that says something of a data set by itself, or of it and its test data.

    Checks of models take part where they belong to the phase of data: there is no model to ask here.
    """
    test = look.test
    held = Dataset(id="test", stage=Stage.TEST, uri=test.resolve().relative_to(root).as_posix(), label=node.label) if test else None
    model = Asset(id="model", kind=Kind.MODEL, task=Task.OTHER, trained_on=("data",), tested_on=("test",))
    system = System(name="data", datasets=(node, *((held,) if held else ())), assets=(model,) if held else ())
    budget, overrides = Budget(seconds=look.seconds), overrides_of(look.parameters)
    for check in registry.load().values():
        fits = Kind.DATASET in check.kinds and (check.applies is None or check.applies(node, system))
        between = held is not None and _is_of_data(check)
        if not fits and not between and check.id not in answered:
            continue
        if fits and check.id in _DECLARED:
            continue
        subject: Dataset | Asset = model if between and not fits else node
        related = (node, held) if between and held is not None and not fits else ()
        yield (
            check,
            Job(
                check=check.id,
                version=check.version,
                threats=check.threats[:1],
                subject=subject,
                related=related,
                parameters=parameters_of(check, Appetite(), overrides.get(check.id)),
                budget=budget,
                root=str(root),
                about=((check.threats[0], "test" if subject is model else subject.id),),
            ),
        )


def _is_of_data(check: Check) -> bool:
    """Does a check of models compare training with test data, without the model and within seconds?"""
    compares = Kind.MODEL in check.kinds and {"test_sets", "training_sets"} <= set(check.reads)
    return compares and Phase.DATA in check.phases and check.cost is not Cost.SLOW


_DECLARED = frozenset({"provenance.declared_digests", "provenance.signature", "provenance.passport", "access.retention"})
"""Checks that compare the data with what a manifest declares: without one they have nothing to say."""
