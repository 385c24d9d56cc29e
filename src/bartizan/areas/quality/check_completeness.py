"""The check that the columns of a data set hold something, and that no label is so rare that nothing can be learnt about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bartizan.engine.registry import check
from bartizan.model.errors import Place
from bartizan.model.findings import Artefact, Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import clopper_pearson
from bartizan.model.system import Dataset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.adapters.labelled_sets import LabelledSet
    from bartizan.areas.quality.distributions import Shape
    from bartizan.methods.charts import Histogram

SHOWN = 50
"""Most columns that a finding lists."""

CLASSES = 100
"""Most different labels that are taken for classes."""


@check(
    "quality.completeness",
    threats=["biased-data"],
    kinds={Kind.DATASET},
    phases={Phase.DATA},
    extra="data",
)
def completeness(job: Job, target: Dataset, *, most_missing: float = 0.5, least_rows: int = 20) -> Iterator[Finding]:
    """Columns that are empty or nearly so, and labels with hardly a row; with a picture of how every column is distributed.

    Fails where a column has no value at all, where more than `most_missing` of its cells are empty, and where a class has fewer than
    `least_rows` rows. A column with one value alone is named, but does not fail: it may be right in this extract.

    most_missing: the share of empty cells of a column that is accepted
    least_rows: fewest rows of a class from which something can be learnt about it
    """
    from bartizan.adapters.labelled_sets import read_labelled

    data = read_labelled(job, target, labels=False)
    columns, panels = _looked_at(data, target.label)
    rarest = _rarest(data)
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), data, (columns, panels, rarest), (most_missing, least_rows))


Seen = tuple["list[Shape]", "list[Histogram]", "tuple[str, int] | None"]


def _looked_at(data: LabelledSet, label: str | None) -> tuple[list[Shape], list[Histogram]]:
    """The columns with their pictures, the label first; of pictures how bright they are."""
    from bartizan.areas.quality.distributions import of_brightness, of_labels, shapes

    columns = list(shapes(data.frame)) if data.frame is not None and data.images is None else []
    panels = [column.picture for column in columns] if data.images is None else [of_brightness(data.images)]
    names = _classes(data)
    if data.labels is not None and names:
        panels.insert(0, of_labels(label or "label", data.labels, names))
    return columns, panels


def _rarest(data: LabelledSet) -> tuple[str, int] | None:
    """The class with fewest rows, and how many it has; None where the labels are not classes."""
    import numpy as np

    names = _classes(data)
    if data.labels is None or not names:
        return None
    counts = np.bincount(data.labels[data.labels >= 0], minlength=len(names))
    return names[int(counts.argmin())], int(counts.min())


def _classes(data: LabelledSet) -> tuple[str, ...]:
    """The names of the classes, their numbers where they have none; nothing where the labels are not classes."""
    count = max(len(data.classes), int(data.labels.max()) + 1) if data.labels is not None and len(data.labels) else 0
    return tuple(data.class_name(number) for number in range(count)) if 1 < count <= CLASSES else ()


def _finding(job: Job, about: tuple[str, str], data: LabelledSet, seen: Seen, limits: tuple[float, int]) -> Finding:
    columns, panels, rarest = seen
    reasons = list(_reasons(columns, rarest, limits))
    verdict = Verdict.FAIL if reasons else Verdict.PASS
    alone = [column.name for column in columns if column.different == 1 and column.rows > 1]
    notes = [f"One value alone: {', '.join(alone[:5])}{' and more' if len(alone) > 5 else ''}."] if alone else []
    balance = [f"The rarest label is {rarest[0]} with {rarest[1]} rows."] if rarest else []
    return Finding(
        check=job.check, asset=about[1], threat=about[0], verdict=verdict,
        severity=Severity.LOW if reasons else Severity.INFO,
        title=_title(data, columns, rarest, limits),
        why=" ".join([*reasons[:8], *notes, *balance, "What is filled may still be wrong."]),
        remedy="Find out why these cells are empty before they are filled or left out: what is missing for some people more than for "
        "others biases a model." if reasons else "",
        measures=tuple(_measures(job, columns, limits[0])),
        places=(Place(data.name),),
        artefacts=tuple(_pictures(data, panels)),
        details=_details(columns, rarest) | ({"probability_cap": 0.9} if verdict is Verdict.PASS else {}),
    )  # fmt: skip


def _title(data: LabelledSet, columns: list[Shape], rarest: tuple[str, int] | None, limits: tuple[float, int]) -> str:
    short = sum(1 for column in columns if column.missing > limits[0] * column.rows)
    if short:
        return f"{short} of {len(columns)} columns of {data.name} hold hardly a value"
    if rarest is not None and rarest[1] < limits[1]:
        return f"a label of {data.name} has {rarest[1]} rows"
    return f"few cells are missing in {data.name}" if any(column.missing for column in columns) else f"nothing is missing in {data.name}"


def _reasons(columns: list[Shape], rarest: tuple[str, int] | None, limits: tuple[float, int]) -> Iterator[str]:
    for column in columns:
        if column.missing == column.rows:
            yield f"{column.name} has no value at all."
        elif column.missing > limits[0] * column.rows:
            yield f"{column.name} is empty in {column.missing / column.rows:.1%} of the rows."
    if rarest is not None and rarest[1] < limits[1]:
        yield f"Label {rarest[0]} has {rarest[1]} rows, of at least {limits[1]}."


def _measures(job: Job, columns: list[Shape], limit: float) -> Iterator[Measure]:
    worst = max(columns, key=lambda column: column.missing / column.rows, default=None)
    if worst is None:
        return
    low, high = clopper_pearson(worst.missing, worst.rows, job.confidence)
    yield Measure(name=f"empty cells of {worst.name}", value=worst.missing / worst.rows, low=low, high=high, confidence=job.confidence,
                  n=worst.rows, k=worst.missing, unit="share of rows", limit=limit, method="the column with most")  # fmt: skip


def _pictures(data: LabelledSet, panels: list[Histogram]) -> Iterator[Artefact]:
    from bartizan.methods.charts import histograms

    if panels:
        named = ", ".join(panel.name for panel in panels[:8]) + (" and more" if len(panels) > 8 else "")
        summary = f"How {named} are distributed in {data.rows} rows."
        drawn = histograms(f"Distributions of {data.name}", summary, panels)
        yield Artefact(name="distributions.svg", media_type="image/svg+xml", data=drawn)


def _details(columns: list[Shape], rarest: tuple[str, int] | None) -> dict[str, object]:
    """Columns with their kind and counts; never a value."""
    told = [
        {"column": c.name, "kind": c.kind, "missing": c.missing, "different": c.different, "commonest": round(c.commonest, 4)}
        for c in columns[:SHOWN]
    ]
    return {"columns": told, "rarest_label": None if rarest is None else {"label": rarest[0], "rows": rarest[1]}}
