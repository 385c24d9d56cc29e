"""The check that the labels of a data set agree with what the rows around them say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bartizan.engine.registry import check
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Artefact, Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import clopper_pearson
from bartizan.model.system import Dataset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.adapters.labelled_sets import LabelledSet
    from bartizan.areas.quality.suspect_labels import LabelErrors

SHOWN = 50
"""Most rows that a finding names."""

MOST = 50_000
"""Most rows that are looked at; of a larger set a sample, since all pairs are compared."""

LEAST = 100
"""Fewest rows from which labels are judged."""

UNTELLING = 0.6
"""Least share of rows whose neighbours agree with their label, above chance, for the neighbourhood to say anything about labels."""


@check(
    "quality.label_errors",
    threats=["label-flipping"],
    kinds={Kind.DATASET},
    phases={Phase.DATA},
    extra="data",
    applies=lambda node, _: getattr(node, "label", None) is not None or str(getattr(node, "uri", "")).rpartition(".")[2] in ("npz", ""),
    version="2",
)
def label_errors(job: Job, target: Dataset, *, tolerance: float = 0.03) -> Iterator[Finding]:
    """Rows whose label is probably wrong, since the rows around them say otherwise.

    In a cheap description of pictures, texts or columns, its neighbours and a regression on the other rows say what each row is. What
    they are surest of tells how often a class is given another label, and Bayes' rule how probable each label is. Of a set of more than
    50,000 rows a sample is judged. Fails where the share of rows with a label that is probably wrong is beyond `tolerance`. Inconclusive
    where the neighbourhood tells too little about the label. An error that its neighbours share is not seen.

    tolerance: the share of probably wrong labels that is accepted
    """
    from bartizan.adapters.labelled_sets import read_labelled
    from bartizan.areas.quality.suspect_labels import label_errors as search
    from bartizan.methods.descriptors import of_set

    data = read_labelled(job, target).sample(MOST, job.seed)
    if data.labels is None or data.rows < LEAST or (data.labels < 0).any():
        raise InputError(
            f"holds {data.rows} rows, or rows without label", place=data.name, cure=f"declare {LEAST} rows or more, all labelled"
        )
    if len(data.classes) > max(50, data.rows // 20):
        raise InputError(f"has {len(data.classes)} labels in {data.rows} rows", place=data.name, cure="declare a label with few classes")
    found = search(of_set(data.images, data.frame, dimensions=100, fine=True), data.labels)
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), data, found, tolerance)


def _agreement(data: LabelledSet, found: LabelErrors) -> float:
    """How much better the neighbourhood tells the label than the most frequent class does, 0 (not at all) to 1."""
    import numpy as np

    assert data.labels is not None
    right = float((found.probabilities.argmax(axis=1) == data.labels).mean())
    most = float(np.bincount(data.labels).max() / data.rows)
    return (right - most) / (1.0 - most) if most < 1.0 else 0.0


def _finding(job: Job, about: tuple[str, str], data: LabelledSet, found: LabelErrors, tolerance: float) -> Finding:
    rows, n = found.ranked(), data.rows
    k, agreement = len(rows), _agreement(data, found)
    low, high = clopper_pearson(k, n, job.confidence)
    verdict = Verdict.FAIL if k / n > tolerance else Verdict.PASS
    if agreement < UNTELLING:
        verdict = Verdict.INCONCLUSIVE
    measures = (
        Measure(name="labels probably wrong", value=k / n, low=low, high=high, confidence=job.confidence, n=n, k=k, unit="share of rows",
                limit=tolerance, method="neighbours and a regression, each row left out; the interval is of the count, not of the method"),
    )  # fmt: skip
    return Finding(
        check=job.check, asset=about[1], threat=about[0], verdict=verdict,
        severity=Severity.MEDIUM if verdict is Verdict.FAIL else Severity.INFO,
        title=_title(data.name, k, n, verdict),
        why=" ".join(_reasons(data, found, agreement)),
        remedy=_remedy(verdict),
        measures=measures,
        places=tuple(Place(data.name, data.number(int(row)) + 2) for row in rows[:20]) if data.lines and k else (Place(data.name),),
        artefacts=tuple(_pictures(data, found)),
        details=_details(data, found) | ({"probability_cap": 0.3} if verdict is Verdict.PASS else {}),
    )  # fmt: skip


def _title(name: str, k: int, n: int, verdict: Verdict) -> str:
    if verdict is Verdict.INCONCLUSIVE:
        return f"neighbours say too little about the labels of {name} to judge single ones"
    return f"{k} of {n} labels of {name} are probably wrong"


def _reasons(data: LabelledSet, found: LabelErrors, agreement: float) -> Iterator[str]:
    import numpy as np

    assert data.labels is not None
    if agreement < UNTELLING:
        yield f"Neighbours tell the label only {agreement:.0%} better than the most frequent class does."
    if found.flagged.any():
        pairs, counts = np.unique(np.stack([data.labels, found.suggested])[:, found.flagged], axis=1, return_counts=True)
        best = np.argsort(-counts, kind="stable")[:3]
        named = (f"{data.class_name(int(pairs[0, i]))} for {data.class_name(int(pairs[1, i]))} ({counts[i]})" for i in best)
        yield f"{int(found.flagged.sum())} of {data.rows} labels are contradicted, most often {', '.join(named)}."
    yield "An error that the rows around it share is not seen, and a rare but right row can be named: look before you change a label."


def _remedy(verdict: Verdict) -> str:
    if verdict is Verdict.PASS:
        return ""
    if verdict is Verdict.INCONCLUSIVE:
        return "Have a random share of the labels given twice, or screen with features of a model of your own (quality.label_errors)."
    return "Review the named rows, least believable first; ask who gave these labels, and have a random share labelled again."


def _details(data: LabelledSet, found: LabelErrors) -> dict[str, object]:
    """Rows (from 0) with label, more probable class and score; never their content."""
    assert data.labels is not None
    rows = [
        {
            "row": data.number(int(row)),
            "label": data.class_name(int(data.labels[row])),
            "rather": data.class_name(int(found.suggested[row])),
            "score": round(float(found.score[row]), 4),
        }
        for row in found.ranked()[:SHOWN]
    ]
    return {"rows": rows, "not_covered": ["errors that a row shares with its neighbours", "labels that are wrong for a whole class"]}


def _pictures(data: LabelledSet, found: LabelErrors) -> Iterator[Artefact]:
    """Which labels stand for which, as a table of counts; of pictures the least believable ones themselves."""
    from bartizan.methods.gallery import MAX_SHOWN, gallery

    rows = found.ranked()
    if data.labels is None or not len(rows):
        return
    yield Artefact(name="label-confusions.svg", media_type="image/svg+xml", data=_confusions(data, found))
    if data.images is None:
        return
    captions = [
        (f"row {data.number(int(row))}: {data.class_name(int(data.labels[row]))}", f"rather {data.class_name(int(found.suggested[row]))}")
        for row in rows[:MAX_SHOWN]
    ]
    drawn = gallery(data.images[rows[:MAX_SHOWN]], captions, title=f"Labels of {data.name} that are probably wrong, least believable first")
    yield Artefact(name="label-errors.svg", media_type="image/svg+xml", data=drawn)


def _confusions(data: LabelledSet, found: LabelErrors) -> bytes:
    import numpy as np

    from bartizan.methods.charts import heat_map

    assert data.labels is not None
    counts = np.zeros((len(found.transition), len(found.transition)), dtype=np.int64)
    np.add.at(counts, (data.labels[found.flagged], found.suggested[found.flagged]), 1)
    given, rather = (np.argsort(-counts.sum(axis=axis), kind="stable")[: int((counts.sum(axis=axis) > 0).sum())] for axis in (1, 0))
    rows = [(f"labelled {data.class_name(int(a))}", [float(counts[a, b]) if counts[a, b] else None for b in rather]) for a in given]
    summary = f"{int(counts.sum())} of {data.rows} labels are probably wrong: how many of each label look like which other class."
    return heat_map(f"Labels of {data.name} that are probably wrong", summary, [data.class_name(int(b)) for b in rather], rows, counts=True)
