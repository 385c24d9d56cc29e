"""The check that no contributor to a data set delivers far more contradicted labels, triggers, outliers or repeats than the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bartizan.engine.registry import check
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import clopper_pearson
from bartizan.model.system import Dataset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.poisoning.deliveries import Deliveries
    from bartizan.areas.poisoning.source_signs import Sign, SourceSigns

MOST = 20_000
"""Most rows that are compared; of a larger set a sample, since all pairs are compared."""

LEAST = 200
"""Fewest rows that are compared."""

JUDGED = 0.9
"""Least share of rows that sources with rows enough must hold for a pass."""

LABELS, TRIGGERS, FAR, REPEATED = "contradicted labels", "rows with a trigger", "far rows", "repeated rows"
_SUFFIXES = (".csv", ".tsv", ".tab", ".gz", ".jsonl", ".ndjson", ".parquet", ".data", ".txt")


def _is_table(node: object, _: object = None) -> bool:
    """Is it a table, or a folder that may hold tables, with a label?"""
    uri = str(getattr(node, "uri", None) or "").lower()
    name = uri.rstrip("/").rpartition("/")[2]
    return getattr(node, "label", None) is not None and (uri.endswith(_SUFFIXES) or "." not in name)


@check(
    "poisoning.sources",
    threats=["label-flipping", "training-data-poisoning"],
    kinds={Kind.DATASET},
    phases={Phase.DATA},
    extra="data",
    applies=_is_table,
)
def sources(job: Job, target: Dataset, *, source: str = "") -> Iterator[Finding]:
    """Contributors whose rows stand out against those of the others with the same labels.

    Who delivered a row is told by a column, or by one file for each source in a folder. Labels that neighbours contradict, rows that bear a
    trigger, far rows and repeated rows are counted for each source and tested exactly against twice the rate of the others, corrected for
    all sources and signs together. Fails where labels or triggers of a source stand out, inconclusive where only far or repeated rows do,
    where neighbours say too little about the labels, or where most rows come from sources too small to judge.

    source: the column that names who delivered a row; empty takes one whose name says so (contributor, annotator, source, worker_id, ...)
    """
    from bartizan.areas.poisoning.deliveries import read_deliveries
    from bartizan.areas.poisoning.screening import UNTELLING
    from bartizan.areas.poisoning.source_signs import compare_sources

    given = read_deliveries(job, target, source, MOST)
    data = given.data
    if data.labels is None or data.rows < LEAST or (data.labels < 0).any() or len(set(data.labels.tolist())) < 2:
        raise InputError(
            f"holds {data.rows} rows, or rows without label", place=data.name, cure=f"declare {LEAST} rows or more, all labelled"
        )
    if len(data.classes) > max(50, data.rows // 20):
        raise InputError(f"has {len(data.classes)} labels in {data.rows} rows", place=data.name, cure="declare a label with few classes")
    signs, agreement = _signs(job, given)
    found = compare_sources(given.sources.tolist(), data.labels, signs)
    verdict = _verdict(found, agreement >= UNTELLING)
    for about in about_of(job):
        yield _finding(job, about, given, found, verdict)


def _signs(job: Job, given: Deliveries) -> tuple[dict[str, list[bool]], float]:
    """Which rows bear which sign, and how far neighbours tell labels at all."""
    import numpy as np

    from bartizan.areas.poisoning.deliveries import texts_of
    from bartizan.areas.poisoning.screening import screen
    from bartizan.methods.descriptors import of_set
    from bartizan.methods.neighbours import neighbours

    data = given.data
    assert data.labels is not None
    features = of_set(data.images, data.frame)
    held = screen(features, data.labels, images=data.images, texts=texts_of(data.frame), seed=job.seed)
    distance = neighbours(features, 5).distance
    borne = np.zeros(data.rows, dtype=bool)
    borne[held.suspects] = True
    scale = max(float(np.median(distance[:, -1])), 1e-9)
    signs = {
        LABELS: held.votes.contradicted, TRIGGERS: borne, FAR: distance[:, -1] > np.quantile(distance[:, -1], 0.99),
        REPEATED: distance[:, 0] <= 1e-5 * scale,
    }  # fmt: skip
    return {name: flags.tolist() for name, flags in signs.items()}, held.agreement


def _verdict(found: SourceSigns, telling: bool) -> Verdict:
    if any(sign.sign in (LABELS, TRIGGERS) for sign in found.named):
        return Verdict.FAIL
    return Verdict.PASS if not found.named and telling and found.share >= JUDGED else Verdict.INCONCLUSIVE


def _finding(job: Job, about: tuple[str, str], given: Deliveries, found: SourceSigns, verdict: Verdict) -> Finding:
    named = tuple(dict.fromkeys(sign.source for sign in found.named))
    k = len(named)
    low, high = clopper_pearson(k, found.judged, job.confidence) if found.judged else (0.0, 1.0)
    title = f"none of {found.judged} sources of {given.data.name} stands out"
    if named:
        title = f"{k} of {found.sources} sources of {given.data.name} stand out: {', '.join(named[:5])}{', ...' if k > 5 else ''}"
    elif verdict is Verdict.INCONCLUSIVE:
        title = f"too little is known to compare the {found.sources} sources of {given.data.name}"
    return Finding(
        check=job.check, asset=about[1], threat=about[0], verdict=verdict,
        severity=Severity.HIGH if verdict is Verdict.FAIL else Severity.INFO,
        title=title,
        why=" ".join(_reasons(given, found)),
        remedy=_remedy(verdict, found),
        measures=(Measure(name="sources that stand out", value=k / max(found.judged, 1), low=low, high=high, confidence=job.confidence,
                          n=found.judged, k=k, unit="share of sources", method="exact test against twice the others' rate, Holm"),),
        places=_places(given, named),
        details=_details(given, found) | ({"probability_cap": 0.5} if verdict is Verdict.PASS else {}),
    )  # fmt: skip


def _places(given: Deliveries, named: tuple[str, ...]) -> tuple[Place, ...]:
    """The first rows of the sources that stand out."""
    data = given.data
    if not data.lines or not named:
        return (Place(data.name),)
    rows = [row for row, source in enumerate(given.sources.tolist()) if source in named]
    return tuple(Place(data.name, data.number(row) + 2) for row in rows[:20])


def _told(sign: Sign) -> str:
    rate = f"{sign.times:.0f} times what" if sign.times >= 2 else "more than"
    return f"{sign.source} delivered {sign.count} {sign.sign} among {sign.rows} rows, {rate} the others deliver for the same labels."


def _reasons(given: Deliveries, found: SourceSigns) -> Iterator[str]:
    yield from (_told(sign) for sign in found.named[:5])
    yield f"Who delivered a row was read from {given.told_by}; {found.judged} of {found.sources} sources have rows enough to be judged."
    if given.data.numbers is not None:
        yield f"A sample of {given.data.rows} rows was compared."
    yield (
        "Not covered: one person under several names, what more than a third of the sources do alike, sources of few rows, "
        "triggers with right labels, and names that are themselves forged."
    )


def _remedy(verdict: Verdict, found: SourceSigns) -> str:
    if verdict is Verdict.PASS:
        return ""
    if found.named:
        return "Look at the rows of the named sources, have a sample of them labelled again, and train without them until that is settled."
    return (
        "Join sources that belong together, or have a random share of the labels of each given twice: bartizan checks quality.label_errors"
    )


def _details(given: Deliveries, found: SourceSigns) -> dict[str, object]:
    from bartizan.areas.poisoning.source_signs import LEAST_ROWS, LEVEL, MARGIN

    return {
        "column": given.told_by,
        "sources": found.sources,
        "judged": found.judged,
        "share_judged": round(found.share, 4),
        "level": LEVEL,
        "margin": MARGIN,
        "least_rows": LEAST_ROWS,
        "signs": [
            {"source": s.source, "sign": s.sign, "rows": s.rows, "count": s.count, "expected": round(s.expected, 2), "chance": s.chance,
             "named": s.named} for s in found.signs[:20]
        ],
    }  # fmt: skip
