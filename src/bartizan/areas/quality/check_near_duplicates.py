"""The check that a data set does not hold the same record many times over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bartizan.engine.registry import check
from bartizan.model.findings import Artefact, Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import clopper_pearson
from bartizan.model.system import Dataset, Kind, Phase

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bartizan.adapters.labelled_sets import LabelledSet

SHOWN = 20
"""Most groups that a finding names."""


@check(
    "quality.near_duplicates",
    threats=["training-data-poisoning"],
    kinds={Kind.DATASET},
    phases={Phase.DATA},
    extra="data",
    version="2",
)
def near_duplicates(job: Job, target: Dataset, *, tolerance: float = 0.05) -> Iterator[Finding]:
    """Rows of a data set that repeat another: equal, or nearly the same text or picture.

    Copies give one record more weight than the others, are learnt by heart, and make a split into training and test leak. Texts are
    compared by their weighted word pairs, pictures by what they show; every pair is confirmed. Fails where the share of rows that repeat
    an earlier one is beyond `tolerance`.

    tolerance: the share of repeated rows that is accepted
    """
    from bartizan.adapters.labelled_sets import read_labelled

    data = read_labelled(job, target, labels=False)
    leader = _leaders(data)
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), data, leader, tolerance)


def _leaders(data: LabelledSet) -> npt.NDArray[np.int64]:
    """For each row the first row of its group, itself where it repeats none."""
    import numpy as np

    from bartizan.areas.quality.duplicates import duplicate_pictures, duplicate_rows

    if data.images is not None:
        return duplicate_pictures(data.images)
    return duplicate_rows(data.frame) if data.frame is not None else np.arange(data.rows)


def _finding(job: Job, about: tuple[str, str], data: LabelledSet, leader: Any, tolerance: float) -> Finding:
    import numpy as np

    from bartizan.model.errors import Place

    rows = np.flatnonzero(leader != np.arange(data.rows))
    k, n = len(rows), data.rows
    low, high = clopper_pearson(k, n, job.confidence)
    heads, sizes = np.unique(leader[rows], return_counts=True)
    order = np.argsort(-sizes, kind="stable")[:SHOWN]
    failed = k / n > tolerance
    groups = [{"row": int(heads[i]), "copies": int(sizes[i]), "first": [int(r) for r in rows[leader[rows] == heads[i]][:5]]} for i in order]
    largest = f" The largest group has {int(sizes.max()) + 1} rows." if k else ""
    return Finding(
        check=job.check, asset=about[1], threat=about[0],
        verdict=Verdict.FAIL if failed else Verdict.PASS,
        severity=Severity.LOW if failed else Severity.INFO,
        title=f"{k} of {n} rows of {data.name} repeat an earlier one",
        why=f"Each was confirmed against the first of its group.{largest}",
        remedy="Keep one row of each group, or say why copies are right, before the data is split." if failed else "",
        measures=(Measure(name="repeated rows", value=k / n, low=low, high=high, confidence=job.confidence, n=n, k=k, unit="share of rows",
                          limit=tolerance, method="every pair confirmed"),),
        places=tuple(Place(data.name, int(row) + 2) for row in rows[:20]) if data.lines and k else (Place(data.name),),
        artefacts=tuple(_drawn(data, leader)),
        details={"groups": groups} | ({} if failed else {"probability_cap": 0.9}),
    )  # fmt: skip


def _drawn(data: LabelledSet, leader: npt.NDArray[np.int64]) -> Iterator[Artefact]:
    """Where the rows of each group stand in the set, largest group first; of pictures the pictures themselves, group by group."""
    import numpy as np

    from bartizan.methods.charts import MOST_GROUPS, groups_of_rows
    from bartizan.methods.gallery import MAX_SHOWN, gallery

    repeats = np.flatnonzero(leader != np.arange(data.rows))
    heads, sizes = np.unique(leader[repeats], return_counts=True)
    heads = heads[np.argsort(-sizes, kind="stable")]
    if not len(heads):
        return
    members = {int(head): [int(head)] for head in heads[:MOST_GROUPS]}
    for row in repeats:
        if int(leader[row]) in members:
            members[int(leader[row])].append(int(row))
    groups = [*members.values(), *([[]] * (len(heads) - len(members)))]
    summary = f"{len(repeats)} of {data.rows} rows repeat an earlier one, in {len(heads)} groups; the largest has {len(groups[0])} rows."
    drawn = groups_of_rows(f"Rows of {data.name} that repeat one another", summary, data.rows, groups)
    yield Artefact(name="duplicate-groups.svg", media_type="image/svg+xml", data=drawn)
    if data.images is not None:
        shown = [(row, place) for place, rows in enumerate(members.values(), 1) for row in rows[:8]][:MAX_SHOWN]
        captions = [(f"group {place}", f"row {row}") for row, place in shown]
        sheet = gallery(data.images[[row for row, _ in shown]], captions, title=f"Repeated pictures of {data.name}, group by group")
        yield Artefact(name="duplicates.svg", media_type="image/svg+xml", data=sheet)
