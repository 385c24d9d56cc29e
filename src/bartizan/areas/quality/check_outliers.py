"""The check that no rows of a data set lie far from all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bartizan.engine.registry import check
from bartizan.model.findings import Artefact, Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import clopper_pearson
from bartizan.model.system import Dataset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.adapters.labelled_sets import LabelledSet
    from bartizan.areas.quality.far_rows import Outliers

SHOWN = 50
"""Most rows that a finding names."""


@check(
    "quality.outliers",
    threats=["training-data-poisoning"],
    controls=["outlier-screen"],
    kinds={Kind.DATASET},
    phases={Phase.DATA},
    extra="data",
    version="2",
)
def outliers(job: Job, target: Dataset, *, tolerance: float = 0.02) -> Iterator[Finding]:
    """Rows of a data set that lie far from all others, also where only the combination of their values is odd.

    The distance of each row to its nearest in a random sample, columns in units of their spread, pictures and texts in a cheap
    description. Fails where the share of rows beyond four robust standard deviations is beyond `tolerance`. Poison that looks ordinary
    is not seen by it (see poisoning.dataset_screen).

    tolerance: the share of outliers that is accepted
    """
    from bartizan.adapters.labelled_sets import read_labelled
    from bartizan.areas.quality.far_rows import outliers as search
    from bartizan.methods.descriptors import of_set

    data = read_labelled(job, target, labels=False)
    found = search(of_set(data.images, data.frame), seed=job.seed)
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), data, found, tolerance)


def _finding(job: Job, about: tuple[str, str], data: LabelledSet, found: Outliers, tolerance: float) -> Finding:
    from bartizan.model.errors import Place

    rows, n = found.ranked(), data.rows
    k = len(rows)
    low, high = clopper_pearson(k, n, job.confidence)
    failed = k / n > tolerance
    return Finding(
        check=job.check, asset=about[1], threat=about[0],
        verdict=Verdict.FAIL if failed else Verdict.PASS,
        severity=Severity.LOW if failed else Severity.INFO,
        title=f"{k} of {n} rows of {data.name} lie far from all others",
        why=f"An ordinary row is at distance 1 from its neighbours, these are beyond {found.cut:.2f}. Rows that look ordinary and are "
        "poisoned all the same are not seen by distance.",
        remedy="Look at the named rows, farthest first, and find out where they come from; keep what is rare and right." if failed else "",
        measures=(Measure(name="outliers", value=k / n, low=low, high=high, confidence=job.confidence, n=n, k=k, unit="share of rows",
                          limit=tolerance, method="distance to the nearest rows of a sample"),),
        places=tuple(Place(data.name, int(row) + 2) for row in rows[:20]) if data.lines and k else (Place(data.name),),
        artefacts=tuple(_pictures(data, found)),
        details={"rows": [{"row": int(row), "distance": round(float(found.score[row]), 3)} for row in rows[:SHOWN]],
                 "not_covered": ["poisoned rows that look ordinary"]} | ({} if failed else {"probability_cap": 0.6}),
    )  # fmt: skip


def _pictures(data: LabelledSet, found: Outliers) -> Iterator[Artefact]:
    from bartizan.methods.charts import outlier_plot
    from bartizan.methods.gallery import MAX_SHOWN, gallery

    rows = found.ranked()
    usual, odd = (
        [(row, float(found.score[row])) for row, is_odd in enumerate(found.flagged) if is_odd == which] for which in (False, True)
    )
    summary = f"{len(odd)} of {data.rows} rows are farther from the others than {found.cut:.2f} times the median row."
    drawn = outlier_plot(f"Outliers of {data.name}", summary, usual, odd, found.cut)
    yield Artefact(name="outlier-distances.svg", media_type="image/svg+xml", data=drawn)
    if data.images is None or not len(rows):
        return
    captions = [(f"row {row}", f"distance {found.score[row]:.2f}") for row in rows[:MAX_SHOWN]]
    sheet = gallery(data.images[rows[:MAX_SHOWN]], captions, title=f"Farthest pictures of {data.name}, farthest first")
    yield Artefact(name="outliers.svg", media_type="image/svg+xml", data=sheet)
