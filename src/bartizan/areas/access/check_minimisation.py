"""The check that a model does not learn from personal columns that it could do without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import BartizanError, InputError, one_line
from bartizan.model.findings import Artefact, Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.system import Asset, Dataset, Kind, Phase, System, Task

if TYPE_CHECKING:
    from bartizan.areas.access.column_needs import ColumnNeed, Minimised

_TASKS = (None, Task.TABULAR_CLASSIFICATION, Task.TABULAR_REGRESSION, Task.FORECASTING, Task.OTHER)


def _learns_from_tables(node: Asset, system: System) -> bool:  # noqa: ARG001 - the planner calls every predicate with (node, system)
    return node.task in _TASKS


@check(
    "access.minimisation",
    threats=["personal-data-in-training"],
    kinds={Kind.MODEL},
    phases={Phase.DATA, Phase.DEVELOPMENT},
    extra="sklearn",
    cost=Cost.SLOW,
    reads=["training_sets", "test_sets"],
    applies=_learns_from_tables,
)
def minimisation(job: Job, target: Asset, *, personal: str = "", margin: float = 0.005) -> Iterator[Finding]:
    """Personal columns of the training data that the model does not need.

    Columns are permuted, alone and together with those that tell the same, and models are trained without them: the declared one where it
    is a scikit-learn model that can be made again, else a forest of random trees. Fails where personal columns may go for certain: without
    them the score is surely less than `margin` lower. Passes where each of them is shown to be needed. Inconclusive where the rows settle
    neither.

    personal: columns about persons, separated by commas; empty takes columns whose names say so
    margin: the most that the score may lose: area under the ROC curve, accuracy, or share of explained variance
    """
    from bartizan.adapters.tables import declared_table
    from bartizan.areas.access.minimisation import minimise
    from bartizan.areas.access.retraining import Watch
    from bartizan.methods.groups import personal_names

    frame, label = declared_table(job, target.trained_on, target, "trained_on", wanted="with data that the model has seen")
    if label is None or label not in frame:
        raise InputError(f"the label column of '{target.id}' is not known", place=target.at, cure="declare label: on its training data")
    columns = tuple(part.strip() for part in personal.split(",") if part.strip()) or personal_names(frame, label)
    notes = []
    model = test = None
    try:
        model = _model(job, target)
        test = _test(job, target)
    except BartizanError as error:  # a model that cannot be opened safely is no reason not to look at its data
        notes.append(f"The declared model was not asked: {one_line(str(error), 200)}.")
    lacking = [] if test is None else [str(name) for name in frame.columns if name not in test]
    if lacking:
        notes.append(f"The test data lacks {_few(lacking)} and was left aside: rows of the training data were held out instead.")
        test = None
    found = minimise(
        frame, label, model=model, test=test, personal=columns, margin=margin, confidence=job.confidence, seed=job.seed,
        watch=Watch(job.budget.seconds * 0.9),
    )  # fmt: skip
    for about in about_of(job):
        yield _finding(job, about, target, found, notes)


def _model(job: Job, target: Asset) -> Any:
    from bartizan.adapters.estimators import load_estimator
    from bartizan.adapters.files import local_path

    return None if target.uri is None else load_estimator(job.root, local_path(job.root, target.uri, target.at))


def _test(job: Job, target: Asset) -> Any:
    from bartizan.adapters.tables import declared_table

    known = {node.id for node in job.related if isinstance(node, Dataset) and node.uri is not None}
    if not set(target.tested_on or ()) & known:
        return None
    return declared_table(job, target.tested_on, target, "tested_on", wanted="with data that the model has not seen")[0]


def judged(found: Minimised) -> tuple[Verdict, str, str]:
    """The verdict, the title, and why in a sentence or two."""
    from bartizan.areas.access.column_needs import Status

    mine = [column for column in found.columns if column.personal]
    spare = [column.name for column in mine if column.status is Status.NOT_NEEDED]
    needed = [column.name for column in mine if column.status is Status.NEEDED]
    open_ = [column.name for column in mine if column.status is Status.UNSETTLED]
    if not mine:
        return (
            Verdict.INCONCLUSIVE,
            "no column is known to be about persons",
            "No name of a column says that it identifies or divides people.",
        )
    if spare:
        why = (
            f"Without {_few(spare)} the {found.metric} changes from {found.full[0]:.3f} to {found.reached[0]:.3f} and is surely less than "
            f"{found.margin:g} lower (at most {max(0.0, found.lost_at_most):.4f})."
        )
        return Verdict.FAIL, f"{len(spare)} of {len(mine)} personal columns are not needed: {_few(spare)}", why
    if open_:
        why = f"Whether the model needs {_few(open_)} is not settled at a margin of {found.margin:g} by {found.rows} rows."
        return Verdict.INCONCLUSIVE, f"{len(open_)} of {len(mine)} personal columns are not shown to be needed: {_few(open_)}", why
    return (
        Verdict.PASS,
        f"each of {len(mine)} personal columns is needed",
        f"Without any one of {_few(needed)} the score falls beyond the margin.",
    )


def _few(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _finding(job: Job, about: tuple[str, str], target: Asset, found: Minimised, notes: list[str]) -> Finding:
    from bartizan.areas.access.column_needs import Status
    from bartizan.areas.access.minimisation_picture import picture

    verdict, title, why = judged(found)
    others = [column.name for column in found.columns if column.status is Status.NOT_NEEDED and not column.personal]
    leaks = [column.name for column in found.columns if column.leak]
    parts = [
        why, f"Trained anew: {found.learner}.", *notes, *(f"{note[0].upper()}{note[1:]}." for note in found.notes[:5]),
        f"Of the other columns {len(others)} may go with them: {_few(others)}." if others else "",
        f"The answer may stand in {_few(leaks)}: alone it tells the label almost without error." if leaks else "",
    ]  # fmt: skip
    remedy = {
        Verdict.FAIL: "Leave these columns out of the training data and train again: bartizan data minimise writes the smaller data set.",
        Verdict.INCONCLUSIVE: "Give more rows, a larger margin, or name the columns about persons: access.minimisation personal: name, age",
        Verdict.PASS: "",
    }[verdict]
    return Finding(
        check=job.check, asset=about[1], threat=about[0], verdict=verdict,
        severity=Severity.MEDIUM if verdict is Verdict.FAIL else Severity.INFO,
        title=one_line(f"{target.id}: {title}", 200),
        why=" ".join(part for part in parts if part),
        remedy=remedy,
        measures=tuple(_measures(job, found)),
        artefacts=(Artefact(name="columns.svg", media_type="image/svg+xml", data=picture(found)),),
        details={"columns": [row(column) for column in found.columns]} | ({"probability_cap": 0.3} if verdict is Verdict.PASS else {}),
    )  # fmt: skip


def _measures(job: Job, found: Minimised) -> Iterator[Measure]:
    for name, (value, low, high) in (("with all columns", found.full), ("with the smallest set", found.reached)):
        yield Measure(name=f"{found.metric} {name}", value=value, low=min(low, value), high=max(high, value), confidence=job.confidence,
                      n=found.rows, higher_is_worse=False, method="cross-validated")  # fmt: skip
    width = found.lost_at_most - found.lost
    yield Measure(name="what is lost without the columns that may go", value=found.lost, low=found.lost - width, high=found.lost_at_most,
                  confidence=job.confidence, n=found.rows, limit=found.margin, method="paired on the same rows")  # fmt: skip


def row(column: ColumnNeed) -> dict[str, object]:
    """A column as plain data."""
    held = column.permuted
    return {
        "column": column.name, "personal": column.personal, "status": str(column.status), "alike": list(column.alike),
        "alone": [round(part, 5) for part in column.alone], "leak": column.leak,
        "permuted": None if held is None else {
            name: [round(lost.value, 5), round(lost.error, 5)]
            for name, lost in (("alone", held.alone), ("together", held.together), ("among_alike", held.alike))
        },
        "lost_without": None if column.lost is None else [round(column.lost.value, 5), round(column.lost.error, 5)],
    }  # fmt: skip
