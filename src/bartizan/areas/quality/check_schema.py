"""The check that a data set keeps its reviewed schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bartizan.adapters.files import local_path, shown
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import clopper_pearson
from bartizan.model.system import Asset, Dataset, Kind, Phase, System

if TYPE_CHECKING:
    from bartizan.areas.quality.schema import Schema
    from bartizan.areas.quality.schema_gate import Verdict as Judged

CAP = 0.6
"""Chance that a poisoning campaign succeeds, at most, while the schema is kept: poison that keeps every rule passes."""

SHOWN = 20
"""Most broken rules that a finding lists."""


def _has_schema(node: Asset | Dataset, system: System) -> bool:  # noqa: ARG001 - the planner calls every predicate with (node, system)
    return getattr(node, "schema", None) is not None


@check(
    "quality.schema",
    threats=["training-data-poisoning"],
    controls=["schema-validation"],
    kinds={Kind.DATASET},
    phases={Phase.DATA, Phase.DEVELOPMENT},
    cost=Cost.FAST,
    extra="data",
    applies=_has_schema,
)
def schema(job: Job, target: Dataset) -> Iterator[Finding]:
    """A data set that breaks its schema: types, ranges, categories, empty cells, uniqueness, rules over columns, drift.

    Judges the table by the declared `schema` (ours, a suite of Great Expectations, a schema of pandera) in one streaming pass. A table
    without rows and a column without one value fail. Inconclusive where nobody has reviewed the schema: it may describe the poison.
    """
    from bartizan.areas.quality.schema import load
    from bartizan.areas.quality.schema_gate import gate

    if target.uri is None or target.schema is None:
        raise InputError(f"'{target.id}' has no uri or no schema", place=target.at, cure="declare where it lies, and its schema")
    data, rules = local_path(job.root, target.uri, target.at), load(local_path(job.root, target.schema, target.at))
    yield from findings(job, gate(data, rules, values=False), rules, data)


def findings(job: Job, found: Judged, rules: Schema, data: Path) -> Iterator[Finding]:
    """What the verdict of the gate on the table at `data` says."""
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), found, rules, Place(shown(job.root, data)))


def _finding(job: Job, about: tuple[str, str], found: Judged, rules: Schema, place: Place) -> Finding:
    reviewed = rules.reviewed is not None
    verdict = (Verdict.PASS if reviewed else Verdict.INCONCLUSIVE) if found.ok else Verdict.FAIL
    worst = max((v.count or 0 for v in found.violations), default=0)
    low, high = clopper_pearson(min(worst, found.rows), max(found.rows, 1), job.confidence)
    measure = Measure(name="rows that break the rule broken most", value=worst / max(found.rows, 1), low=low, high=high,
                      confidence=job.confidence, n=max(found.rows, 1), k=min(worst, found.rows), unit="share of rows")  # fmt: skip
    said = "; ".join(f"{v.column or 'the table'}: {v.text}" + (f" ({v.count} rows)" if v.count else "") for v in found.violations[:5])
    by = f"reviewed by {rules.reviewed.by} on {rules.reviewed.on}" if rules.reviewed else "which nobody has reviewed"
    return Finding(
        check=job.check,
        asset=about[1],
        threat=about[0],
        verdict=verdict,
        severity=Severity.INFO if found.ok else Severity.MEDIUM,
        title=f"{place.file} keeps its schema" if found.ok else f"{place.file} breaks {len(found.violations)} rules of its schema",
        why=f"{found.rows} rows were judged by {found.rules} rules of version {found.version}, {by}." + (f" {said}." if said else ""),
        remedy=_remedy(found.ok, reviewed),
        measures=(measure,) if found.rows else (),
        places=tuple(Place(place.file, row + 2) for row in found.violations[0].rows) if found.violations and _lined(place) else (place,),
        details=_details(found) | ({"probability_cap": CAP} if verdict is Verdict.PASS else {}),
    )


def _remedy(kept: bool, reviewed: bool) -> str:
    if not kept:
        return "Find out where these rows come from before anything is trained on them; if they are right, correct and review the schema."
    return "" if reviewed else "Read the schema, widen or narrow its bounds to what is right, and add reviewed: {by: ..., on: ...}."


def _lined(place: Place) -> bool:
    return place.file.endswith((".csv", ".tsv"))


def _details(found: Judged) -> dict[str, object]:
    """The broken rules with the numbers of rows (from 0); never what stands in them."""
    return {"violations": [{"rule": v.rule, "count": v.count, "rows": list(v.rows)} for v in found.violations[:SHOWN]]}
