"""The check that a model serves groups of people alike: selection, true and false positives by group, on test data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError, one_line
from bartizan.model.findings import Artefact, Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.system import Asset, Kind, Phase, System, Task

if TYPE_CHECKING:
    import pandas as pd

    from bartizan.areas.fairness.group_rates import Outcomes

LEAST_OF_GROUP = 20
"""Fewest test rows of a group that is compared."""


def _is_tabular(node: Asset, system: System) -> bool:  # noqa: ARG001 - the planner calls every predicate with (node, system)
    return node.uri is not None and node.task in (None, Task.TABULAR_CLASSIFICATION)


@check(
    "fairness.outcomes",
    threats=["biased-data"],
    controls=["fairness-testing"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT},
    extra="sklearn",
    cost=Cost.FAST,
    reads=["training_sets", "test_sets"],
    applies=_is_tabular,
)
def outcomes(job: Job, target: Asset, *, groups: str = "", favourable: str = "", ratio: float = 0.8, gap: float = 0.1) -> Iterator[Finding]:
    """How a scikit-learn classifier treats groups of people in its test data: whom it selects, and whom it misses.

    Fails where a group is surely selected less than `ratio` times as often as another (four-fifths rule), or where the true-positive rates
    of two groups surely differ by more than `gap` (equal opportunity). Passes where both are surely kept, by intervals that hold together
    for all columns; else inconclusive.

    groups: columns that divide people, separated by commas; empty takes columns whose names say so
    favourable: the label that counts as favourable; empty takes the greater of two
    ratio: the least ratio of selection rates; 0 leaves it out, where groups differ in what legitimately counts
    gap: the largest difference of true-positive rates
    """
    frame, truth, given, scores = _asked(job, target, favourable)
    from bartizan.methods.groups import candidates

    columns = tuple(part.strip() for part in groups.split(",") if part.strip()) or candidates(frame, None)
    if not columns:
        raise InputError("no column of the test data is known to divide people", place=target.at, cure="name them with groups: sex, age")
    found: dict[str, Outcomes] = {}
    small: list[str] = []
    each = 1.0 - (1.0 - job.confidence) / len(columns)
    for column in columns:
        made = _by_group(frame, column, (truth, given, scores), each, small)
        if made is not None:
            found[column] = made
    if not found:
        few = f"no two groups of {', '.join(columns)} have {LEAST_OF_GROUP} test rows"
        raise InputError(few, place=target.at, cure="declare more test rows")
    for about in about_of(job):
        yield _finding(job, about, target, found, small, (ratio, gap))


def _asked(job: Job, target: Asset, favourable: str) -> tuple[pd.DataFrame, Any, Any, Any]:
    """The features of the test rows, the truth, what the model gives, and its scores for the favourable label."""
    from bartizan.adapters.estimators import class_probabilities, load_estimator
    from bartizan.adapters.files import local_path
    from bartizan.adapters.tables import declared_table
    from bartizan.methods.groups import favourable_labels

    if target.uri is None:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare where the model file lies")
    frame, label = declared_table(job, target.tested_on, target, "tested_on", wanted="with data that the model has not seen")
    if label is None or label not in frame:
        raise InputError(f"the label column of '{target.id}' is not known", place=target.at, cure="declare label: on its test data")
    frame = frame[frame[label].notna()].reset_index(drop=True)
    good = favourable_labels(frame[label], favourable or None)
    if good is None:
        cure = f"say which label is favourable: {job.check} favourable: ..."
        raise InputError(f"'{label}' has {frame[label].nunique()} values", place=target.at, cure=cure)
    estimator = load_estimator(job.root, local_path(job.root, target.uri, target.at))
    features = frame.drop(columns=label)
    shares = class_probabilities(estimator, features)
    classes, named = [str(one) for one in estimator.classes_], sorted({str(one) for one in frame[label]})
    wanted = favourable or str(max(frame[label].unique(), key=str))
    if wanted not in classes and len(classes) != len(named):
        raise InputError(f"the model does not know the label '{wanted}'", place=target.at, cure="declare the labels that it was made for")
    place = classes.index(wanted) if wanted in classes else named.index(wanted)
    return features, good.to_numpy() == 1.0, shares.argmax(axis=1) == place, shares[:, place]


def _by_group(frame: pd.DataFrame, column: str, asked: tuple[Any, Any, Any], confidence: float, small: list[str]) -> Outcomes | None:
    from bartizan.areas.fairness.group_rates import outcomes as measure
    from bartizan.methods.groups import MISSING, group_values

    if column not in frame:
        raise InputError(f"the test data has no column '{column}'", cure=f"known: {', '.join(map(str, frame.columns[:10]))}")
    try:
        values = group_values(frame[column])
    except InputError as error:
        small.append(f"{column} was not compared: it {error.what.partition(' ')[2]}.")
        return None
    counts = values.value_counts()
    few = [f"{name} ({count})" for name, count in counts.items() if count < LEAST_OF_GROUP and name != MISSING]
    if few:
        small.append(f"Too few test rows to compare in {column}: {', '.join(few[:5])}.")
    kept = values.isin([name for name in counts.index[counts >= LEAST_OF_GROUP] if name != MISSING]).to_numpy()
    if values[kept].nunique() < 2:
        return None
    truth, given, scores = asked
    return measure(truth[kept], given[kept], values[kept].to_numpy(), scores=scores[kept], confidence=confidence)


def judged(found: dict[str, Outcomes], limits: tuple[float, float], small: list[str]) -> tuple[Verdict, list[str]]:
    """The verdict, and the sentences that carry it: a limit is broken or kept for certain only where its whole interval is."""
    bad: list[str] = []
    open_ = list(small)
    for column, made in found.items():
        value, low, high = made.impact_ratio
        gap = made.gaps["selection"]
        says = f"{column}: {gap.lowest} is selected {value:.2f} times ({low:.2f} to {high:.2f}) as often as {gap.highest}."
        if limits[0] > 0:
            (bad if high < limits[0] else open_ if low < limits[0] else []).append(says)
        value, low, high = made.equal_opportunity
        missed = made.gaps.get("true_positive")
        if missed is None:
            open_.append(f"{column}: true-positive rates cannot be compared.")
            continue
        who = f"{missed.lowest} is missed more than {missed.highest}"
        says = f"{column}: of those who deserve it, {who} by {value:.1%} ({low:.1%} to {high:.1%})."
        (bad if low > limits[1] else open_ if high > limits[1] else []).append(says)
    if bad:
        return Verdict.FAIL, bad
    return (Verdict.INCONCLUSIVE, open_) if open_ else (Verdict.PASS, [])


def _finding(
    job: Job, about: tuple[str, str], target: Asset, found: dict[str, Outcomes], small: list[str], limits: tuple[float, float]
) -> Finding:
    verdict, reasons = judged(found, limits, small)
    stated = {Verdict.FAIL: "groups are served unlike", Verdict.INCONCLUSIVE: "whether groups are served alike is open",
              Verdict.PASS: "groups are served alike"}[verdict]  # fmt: skip
    remedy = {
        Verdict.FAIL: "Find out which features carry the difference (fairness.label_bias names proxies), set the threshold by group or "
        "train with a fairness constraint where the law allows it, and measure again.",
        Verdict.INCONCLUSIVE: "Declare more test rows of the named groups under tested_on and run again.",
        Verdict.PASS: "",
    }[verdict]
    limited = f"Limits: selection ratio {limits[0]:g}, true-positive gap {limits[1]:g}. All intervals hold together."
    return Finding(
        check=job.check, asset=about[1], threat=about[0], verdict=verdict,
        severity=Severity.HIGH if verdict is Verdict.FAIL else Severity.INFO,
        title=one_line(f"{', '.join(found)} under {target.id}: {stated}", 200),
        why=" ".join([*reasons[:8], limited, "Equal rates on this data do not make a use of the model fair."]),
        remedy=remedy,
        measures=tuple(_measures(job, found, limits)),
        artefacts=(Artefact(name="outcomes.svg", media_type="image/svg+xml", data=_picture(target.id, found)),),
        details={"groups": _details(found)} | ({"probability_cap": 0.25} if verdict is Verdict.PASS else {}),
    )  # fmt: skip


def _measures(job: Job, found: dict[str, Outcomes], limits: tuple[float, float]) -> Iterator[Measure]:
    for column, made in found.items():
        n = sum(group.rows for group in made.groups)
        value, low, high = made.impact_ratio
        yield Measure(name=f"{column}: ratio of selection rates", value=value, low=low, high=high, confidence=job.confidence, n=n,
                      limit=limits[0], higher_is_worse=False, null=1.0, unit="ratio", method="four-fifths rule")  # fmt: skip
        for name, rate, limit in (
            ("gap of true-positive rates", made.equal_opportunity, limits[1]), ("larger gap of error rates", made.equalised_odds, None),
        ):  # fmt: skip
            yield Measure(name=f"{column}: {name}", value=rate[0], low=rate[1], high=rate[2], confidence=job.confidence, n=n, limit=limit,
                          unit="difference of rates", method="largest of all pairs of groups")  # fmt: skip


def _details(found: dict[str, Outcomes]) -> list[dict[str, object]]:
    return [
        {"column": column, "group": group.group, "rows": group.rows, "base": round(group.base.value, 5)}
        | {name: [rate.k, rate.n, round(rate.low, 5), round(rate.high, 5)] for name, rate in group.rates.items()}
        | {"calibration": [[fifth.n, round(fifth.mean, 4), round(fifth.observed.value, 4)] for fifth in group.calibration]}
        for column, made in found.items()
        for group in made.groups
    ]


def _picture(name: str, found: dict[str, Outcomes]) -> bytes:
    from bartizan.methods.charts import Bar, rates

    shown = ("selection", "true_positive", "false_positive")
    blocks = [
        (column, [Bar(group.group, f"{group.rows} rows", tuple((group.rates[rate].value, group.rates[rate].low, group.rates[rate].high)
                                                               if group.rates[rate].n else None for rate in shown))
                  for group in made.groups])
        for column, made in found.items()
    ]  # fmt: skip
    return rates(f"Outcomes of {name} by group", "Selection, true-positive and false-positive rates by group, with exact intervals",
                 ["selected", "true positives", "false positives"], blocks)  # fmt: skip
