"""The check that decisions on tables cannot be flipped by writing other plausible values into a few features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bartizan.areas.evasion.net_files import has_rows
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Attacker, Finding, Job, Knowledge, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import Ruling, clopper_pearson, judge, median_interval
from bartizan.model.system import Asset, Kind, Output, Phase

if TYPE_CHECKING:
    from bartizan.areas.evasion.tabular_search import Asked, Flips

MAX_ROWS = 400
"""Most test rows that are attacked."""

EXAMPLES = 5
"""Flipped rows that the finding shows."""


@check(
    "evasion.tabular_manipulation",
    threats=["black-box-evasion", "feature-manipulation"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT},
    extra="sklearn",
    cost=Cost.FAST,
    reads=["training_sets", "test_sets"],
    applies=has_rows,
)
def tabular_manipulation(
    job: Job, target: Asset, *, k: int = 2, queries: int = 500, tolerance: float = 0.1, immutable: str = ""
) -> Iterator[Finding]:
    """Decisions of a scikit-learn classifier that flip when a few features are rewritten plausibly.

    Only values that training data holds are written, so ranges, categories and whole numbers are kept, and only changes that keep the
    model's declared `constraints` count. Each test row that is decided
    correctly is attacked through scores (labels where nothing else is shown), greedily, then with a beam; each flip is confirmed by the
    model's own predict. For feature manipulation one recipe is fitted to half of the rows of a class and measured on the other half. The
    control writes random values into as many features. Fails where the share flipped is beyond `tolerance`.

    k: the most features that may be changed in one row
    queries: the most questions to the model for one row
    tolerance: the share of correct decisions that may flip
    immutable: names of features that an attacker cannot change, separated by commas
    """
    from bartizan.areas.evasion.tabular_changes import immutable_names, plausible_changes
    from bartizan.areas.evasion.tabular_inputs import prepared, sample
    from bartizan.areas.evasion.tabular_search import Asked
    from bartizan.areas.evasion.telling import with_discarded

    if k < 1 or queries < k:
        raise InputError(
            f"k={k} and queries={queries} leave nothing to try", place=target.at, cure="set k to 1 or more, queries to k or more"
        )
    subject = prepared(job, target)
    possible, discarded = subject.possible(subject.correct())
    places = sample(possible, MAX_ROWS, job.seed)
    if job.budget.queries is not None:
        queries = max(k, min(queries, job.budget.queries // len(places)))
    fixed = immutable_names(immutable, list(subject.train.columns))
    changes = plausible_changes(subject.train, fixed, max(1, queries // k), subject.rules)
    asked = Asked(subject, places, changes, labels_only=target.output is Output.LABEL)
    for threat, asset in about_of(job):
        if threat == "feature-manipulation":
            found = _shared(job, asset, asked, k, tolerance)
        else:
            found = _single(job, asset, asked, k, queries, tolerance, subject.numbers[places])
        yield with_discarded(found, discarded, subject.rules is not None)


def _single(job: Job, asset: str, asked: Asked, k: int, queries: int, tolerance: float, numbers: Any) -> Finding:
    """The finding on attacks that are made for each row."""
    from bartizan.areas.evasion.tabular_search import example, random_flips, search

    flips = search(asked, k, queries, job.seed)
    null = random_flips(asked, k, 5, job.seed + 1)
    flipped, n = int(flips.flipped.sum()), len(flips.flipped)
    ruling = judge(flipped, n, tolerance, job.confidence)
    shown = [
        {"row": int(numbers[row]), "queries": int(flips.queries[row]), "changed": example(asked, row, flips.changes[row])}
        for row in flips.flipped.nonzero()[0][:EXAMPLES].tolist()
    ]
    few = "one feature" if k == 1 else f"at most {k} features"
    return Finding(
        check=job.check, asset=asset, threat="black-box-evasion", verdict=ruling.verdict, severity=_severity(ruling),
        title=f"{flipped} of {n} correct decisions flip when {few} are rewritten plausibly",
        why=f"{_bound(ruling, tolerance)} The attacker sees {'labels' if asked.labels_only else 'scores'} and may ask {queries} times for "
        f"each row; every flip was confirmed by the model's own predict. As many random changes flip {null:.1%}.",
        remedy=_remedy(ruling),
        measures=tuple(_measures(job, flips, k, tolerance, null)),
        attacker=Attacker(knowledge=Knowledge.BLACK_BOX, queries=queries, budget={"features": float(k)}),
        needed=ruling.needed,
        details={"examples": shown, "single_changes": asked.changes.count},
    )  # fmt: skip


def _shared(job: Job, asset: str, asked: Asked, k: int, tolerance: float) -> Finding:
    """The finding on one recipe for all rows of a class."""
    from bartizan.areas.evasion.tabular_recipe import best_recipe
    from bartizan.areas.evasion.tabular_search import plain

    recipe = best_recipe(asked, k, job.seed)
    flipped, n = int(recipe.flipped.sum()), len(recipe.flipped)
    ruling = judge(flipped, n, tolerance, job.confidence)
    written = [asked.changes.written(change) for change in recipe.changes]
    name = plain(asked.prepared.estimator.classes_[recipe.decided])
    told = ", ".join(f"{feature} = {plain(value)}" for feature, value in written)
    low, high = clopper_pearson(flipped, n, job.confidence)
    measure = Measure(
        name=f"decisions '{name}' flipped by one recipe", value=flipped / n, low=low, high=high, confidence=job.confidence, n=n,
        k=flipped, limit=tolerance, null=recipe.null, role="attack-success", method="Clopper-Pearson, on rows that took no part in the fit",
    )  # fmt: skip
    return Finding(
        check=job.check, asset=asset, threat="feature-manipulation", verdict=ruling.verdict, severity=_severity(ruling),
        title=f"One recipe of {len(written)} {'feature' if len(written) == 1 else 'features'} flips {flipped} of {n} decisions '{name}'",
        why=f"{_bound(ruling, tolerance)} The recipe is {told}; it was fitted on other rows. Random recipes flip {recipe.null:.1%}.",
        remedy=_remedy(ruling),
        measures=(measure,),
        attacker=Attacker(knowledge=Knowledge.BLACK_BOX, queries=recipe.queries, budget={"features": float(k)}),
        needed=ruling.needed,
        details={"recipe": [{"feature": feature, "to": plain(value)} for feature, value in written], "class": name},
    )  # fmt: skip


def _measures(job: Job, flips: Flips, k: int, tolerance: float, null: float) -> Iterator[Measure]:
    flipped, n = int(flips.flipped.sum()), len(flips.flipped)
    low, high = clopper_pearson(flipped, n, job.confidence)
    yield Measure(
        name=f"correct decisions flipped by at most {k} features", value=flipped / n, low=low, high=high, confidence=job.confidence, n=n,
        k=flipped, limit=tolerance, null=null, role="attack-success", method="Clopper-Pearson; a flip counts when predict confirms it",
    )  # fmt: skip
    for name, values in (("queries until the flip", flips.queries), ("features changed", flips.size)):
        if flipped:
            value, low, high = median_interval(values[flips.flipped].tolist(), job.confidence)
            yield Measure(
                name=f"median of {name}", value=value, low=low, high=high, confidence=job.confidence, n=flipped, higher_is_worse=False,
                method="order statistics, over the rows that were flipped",
            )  # fmt: skip


def _bound(ruling: Ruling, tolerance: float) -> str:
    if ruling.verdict is Verdict.FAIL:
        return f"At least {ruling.low:.1%} flip, beyond the tolerance of {tolerance:.1%}."
    if ruling.verdict is Verdict.PASS:
        return f"At most {ruling.high:.1%} flip under this attack, within the tolerance of {tolerance:.1%}."
    return f"Between {ruling.low:.1%} and {ruling.high:.1%} flip; the tolerance is {tolerance:.1%}."


def _severity(ruling: Ruling) -> Severity:
    if ruling.verdict is not Verdict.FAIL:
        return Severity.INFO
    return Severity.HIGH if ruling.rate >= 0.5 else Severity.MEDIUM


def _remedy(ruling: Ruling) -> str:
    if ruling.verdict is Verdict.PASS:
        return ""
    if ruling.verdict is Verdict.INCONCLUSIVE:
        return "Declare more test rows (tested_on) and run again."
    return (
        "Verify from another source the features that callers can choose freely (`immutable` names the others); "
        "regularise the model so that no single feature decides; limit queries for each person. Then attack again."
    )
