"""What people do with a data set: record its passport, verify it, prove a row; and look at the whole of it without a manifest.

The rooms are joined here. What reads tables is loaded when it is used, so that a command line without the extra `data` still starts; every
installed check of data sets takes part in `scan`, and a duty that no check answers is reported as not covered, never as clean.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bartizan.areas.provenance.passport import statement
from bartizan.areas.provenance.passport.statement import Answer, Details, Parent, Passport
from bartizan.engine import registry
from bartizan.engine.parameters import parameters_of
from bartizan.engine.runner import now, run_job
from bartizan.methods.one_pass import Listener
from bartizan.model.checks import Check
from bartizan.model.errors import BartizanError, MissingExtra, one_line
from bartizan.model.findings import Budget, Finding, Job, Verdict
from bartizan.model.system import Appetite, Asset, Dataset, Kind, Stage, System, Task

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
    seconds that one check may take, what to leave out (checks or areas), and who hears the name of each check."""

    label: str | None = None
    schema: Path | None = None
    test: Path | None = None
    seconds: float = 600.0
    skip: tuple[str, ...] = ()
    told: Callable[[str], None] | None = None


class DataScan(msgspec.Struct, frozen=True, kw_only=True):
    """A data set as it is: its passport (not signed), the answers by area, and a first schema as YAML where it is a table."""

    path: str
    passport: Passport | None
    details: Details | None
    lines: tuple[Line, ...]
    schema: str = ""

    @property
    def failed(self) -> bool:
        return any(line.verdict is Verdict.FAIL for line in self.lines)


def passport_room(name: str) -> Any:
    """A module of the passport that reads tables. Raises `MissingExtra` without the extra `data`."""
    try:
        return importlib.import_module(f"bartizan.areas.provenance.passport.{name}")
    except ModuleNotFoundError as error:
        raise MissingExtra("data", error.name) from None


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
    listener: Listener | None = None,
) -> Passport:
    """Record the data at `path`, sign with `key` and write the passport to `place`; raises what `recording.record` raises.

    With `look` the passport also holds what every check says of the data.
    """
    mine = (place, statement.details_path(place), *own)
    room = passport_room("recording")
    made, details = room.record(path, at=now(), own=mine, ignore=ignore, parents=parents, types=types, listener=listener)
    if look is not None:
        answers = tuple(Answer(area=a.area, check=a.check, verdict=a.verdict, title=a.title) for a in answers_of(path, look))
        made, details = statement.with_answers(made, details, answers)
    statement.write(place, made, details, key)
    signed: Passport = made
    return signed


def parent(path: Path, by: Path | None, key: PublicKey | None = None) -> Parent:
    """The entry of a lineage for what the passport at `path` describes; `by` is the program that turned it into something else."""
    import hashlib

    passport = statement.read(path, key, details=False).passport
    made = hashlib.sha256(by.read_bytes()).hexdigest() if by is not None else None
    name = by.name if by is not None else ""
    return Parent(name=passport.name, passport=passport.id, content=passport.content.root, transformation=made, by=name)


def scan(path: Path, look: Look, *, listener: Listener | None = None) -> DataScan:
    """Look at the data at `path`: what it holds, and what every installed check of data sets says of it. Raises `InputError` where `path`
    cannot be read."""
    said: list[Line] = []
    passport, details = _recorded(path, said, listener)
    schema = "" if look.schema is not None else _schema(path, said)
    return DataScan(
        path=str(path), passport=passport, details=details, lines=tuple(_ordered([*said, *answers_of(path, look)])), schema=schema
    )


def answers_of(path: Path, look: Look) -> tuple[Line, ...]:
    """What every installed check of data sets says of the data at `path`; duties that none answers are not covered."""
    node, root = _node(path, look)
    lines = list(_answers(node, root, look))
    silent = [area for area in DUTIES if area not in {line.area for line in lines}]
    lines += [Line(area=area, check="", verdict=None, title=f"not covered: nothing here looks at {DUTIES[area]}") for area in silent]
    return tuple(_ordered(lines))


def _ordered(lines: Sequence[Line]) -> list[Line]:
    order = {area: n for n, area in enumerate(DUTIES)}
    return sorted(lines, key=lambda line: (order.get(line.area, 99), line.check))


def _recorded(path: Path, said: list[Line], listener: Listener | None) -> tuple[Passport | None, Details | None]:
    try:
        made, details = passport_room("recording").record(path, at=now(), listener=listener)
    except MissingExtra as error:
        said.append(Line(area="provenance", check="passport", verdict=None, title=f"not covered: {error}"))
        return None, None
    content = made.content
    title = f"{made.files.count} files, {content.rows} rows, content {content.root[:16]}…"
    remedy = f"Sign it: bartizan data record {path.name} --key data.pem --new-key ed25519"
    said.append(Line(area="provenance", check="passport", verdict=None, title=f"recorded, not signed: {title}", remedy=remedy))
    return made, details


def _schema(path: Path, said: list[Line]) -> str:
    """A first schema of a table, as YAML; empty where the data is none."""
    from bartizan.areas.quality import schema, schema_infer

    try:
        text = schema.dump(schema_infer.infer(path))
    except BartizanError as error:
        said.append(Line(area="quality", check="schema", verdict=None, title=f"not covered: {one_line(error.what, 160)}"))
        return ""
    remedy = f"Write it and review it: bartizan data gate {path.name} --infer {path.name}.schema.yaml"
    said.append(Line(area="quality", check="schema", verdict=None, title="inferred, not reviewed, nothing judged by it", remedy=remedy))
    return text


def _node(path: Path, look: Look) -> tuple[Dataset, Path]:
    """The data as a declared node, and the folder that holds all that belongs to it."""
    place = path.resolve()
    others = [other.resolve() for other in (look.test, look.schema) if other is not None]
    root = Path(os.path.commonpath([place.parent, *(other.parent for other in others)]))
    schema = look.schema.resolve().relative_to(root).as_posix() if look.schema is not None else None
    return Dataset(id="data", stage=Stage.TRAIN, uri=place.relative_to(root).as_posix(), label=look.label, schema=schema), root


def _answers(node: Dataset, root: Path, look: Look) -> Iterator[Line]:
    for check, job in _jobs(node, root, look):
        area = check.id.partition(".")[0]
        if check.id in look.skip or area in look.skip:
            yield Line(area=area, check=check.id, verdict=None, title="not covered: left out on request")
            continue
        if look.told is not None:
            look.told(check.id)
        findings = run_job(job).findings
        for finding in {(f.title, f.verdict): f for f in findings}.values():
            known = finding.verdict is not Verdict.UNKNOWN
            title = one_line(finding.title, 200) if known else f"not covered: {one_line(finding.title, 180)}"
            yield Line(
                area=area,
                check=check.id,
                verdict=finding.verdict if known else None,
                title=title,
                why=finding.why,
                remedy=finding.remedy,
                finding=finding,
            )


def _jobs(node: Dataset, root: Path, look: Look) -> Iterator[tuple[Check, Job]]:
    """A job for each installed check that says something of a data set by itself, or of it and its test data."""
    test = look.test
    held = Dataset(id="test", stage=Stage.TEST, uri=test.resolve().relative_to(root).as_posix(), label=node.label) if test else None
    model = Asset(id="model", kind=Kind.MODEL, task=Task.OTHER, trained_on=("data",), tested_on=("test",))
    system = System(name="data", datasets=(node, *((held,) if held else ())), assets=(model,) if held else ())
    budget = Budget(seconds=look.seconds)
    for check in registry.load().values():
        fits = Kind.DATASET in check.kinds and (check.applies is None or check.applies(node, system))
        between = held is not None and Kind.MODEL in check.kinds and "test_sets" in check.reads and "training_sets" in check.reads
        if not fits and not between:
            continue
        if fits and check.id in _DECLARED:
            continue
        subject: Dataset | Asset = node if fits else model
        related = (node, held) if between and held is not None and not fits else ()
        yield (
            check,
            Job(
                check=check.id,
                version=check.version,
                threats=check.threats[:1],
                subject=subject,
                related=related,
                parameters=parameters_of(check, Appetite(), None),
                budget=budget,
                root=str(root),
                about=((check.threats[0], "test" if subject is model else subject.id),),
            ),
        )


_DECLARED = frozenset({"provenance.declared_digests", "provenance.signature", "provenance.passport", "access.retention"})
"""Checks that compare the data with what a manifest declares: without one they have nothing to say."""
