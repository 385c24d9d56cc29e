"""The check that a model does not tell who was in its training data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bartizan.adapters.files import local_path
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Attacker, Finding, Job, Knowledge, Measure, Severity, Verdict
from bartizan.model.statistics import Ruling, clopper_pearson, judge, lower_bound, rate_difference
from bartizan.model.system import Asset, Kind, Output, Phase

if TYPE_CHECKING:
    import pandas as pd

    from bartizan.areas.privacy.membership import AtRate, Membership

MAX_RECORDS = 10_000
"""Most members, and most others, that the attack is run on."""


@check(
    "privacy.membership_inference",
    threats=["membership-inference"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT},
    extra="sklearn",
    cost=Cost.FAST,
    reads=["training_sets", "test_sets"],
)
def membership_inference(
    job: Job, target: Asset, *, tolerance: float = 0.05, fpr: float = 0.01, advantage: float = 0.1
) -> Iterator[Finding]:
    """Training records that an attacker recognises by the confidence of a scikit-learn classifier.

    A calibrated loss-threshold attack with reference models (LiRA); thresholds are chosen on half of the records and measured on the
    other. Fails where the share of members recognised at the false-positive rate `fpr` is beyond `tolerance`, or the attack's advantage
    (true less false positives at its best threshold) is beyond `advantage`. Inconclusive where a control is off: shuffled membership must
    be at chance, and models that never saw the split must not tell its halves apart.
    """
    from bartizan.areas.privacy.inference import membership_inference as attack

    estimator, inside, outside, label = _prepared(job, target)
    result = attack(estimator, inside, outside, label=label, labels_only=target.output is Output.LABEL, fpr=fpr, seed=job.seed)
    yield from (_finding(job, target, threat, result, (tolerance, advantage)) for threat in job.threats)


def _prepared(job: Job, target: Asset) -> tuple[Any, pd.DataFrame, pd.DataFrame, str]:
    """The model, the members, the others, and the label column."""
    import numpy as np

    from bartizan.adapters.estimators import load_estimator
    from bartizan.adapters.tables import declared_table
    from bartizan.areas.privacy.membership import MIN_RECORDS
    from bartizan.methods.row_overlap import find_leakage

    if target.uri is None:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare where the model file lies")
    inside, label = declared_table(job, target.trained_on, target, "trained_on", wanted="with data that the model has seen")
    outside, other_label = declared_table(job, target.tested_on, target, "tested_on", wanted="with data that the model has not seen")
    label = label or other_label
    if label is None or label not in inside or label not in outside:
        raise InputError(f"the label column of '{target.id}' is not known", place=target.at, cure="declare label: on its data sets")
    columns = [name for name in inside.columns if name in outside.columns]
    inside, outside = inside[columns], outside[columns]
    outside = outside[find_leakage(inside, outside, label=label, seed=job.seed).partner < 0]  # a copy was trained on, wherever it stands
    random = np.random.default_rng(job.seed)
    inside, outside = (t.iloc[np.sort(random.permutation(len(t))[:MAX_RECORDS])] for t in (inside, outside))
    if min(len(inside), len(outside)) < MIN_RECORDS:
        raise InputError(
            f"{len(inside)} members and {len(outside)} others are too few to attack '{target.id}'",
            place=target.at,
            cure=f"declare at least {MIN_RECORDS} of each that the model has and has not seen",
        )
    return load_estimator(job.root, local_path(job.root, target.uri, target.at)), inside, outside, label


def _finding(job: Job, target: Asset, threat: str, result: Membership, tolerances: tuple[float, float]) -> Finding:
    main = result.at[0]
    ruling = judge(main.true_positives.k, main.true_positives.n, tolerances[0], job.confidence)
    verdict, because = _verdict(job, result, ruling, tolerances)
    return Finding(
        check=job.check,
        asset=target.id,
        threat=threat,
        verdict=verdict,
        severity=_severity(verdict, main),
        title=_title(result, ruling),
        why=f"{because} The attack is the {result.attack} with {result.references} reference models; it was tuned on one half of the "
        f"records and measured on the other. Control with shuffled membership: AUC {result.null_auc:.3f}."
        + (f" Models that never saw the split: AUC {result.drift_auc:.3f}." if result.drift_auc is not None else ""),
        remedy="" if verdict is Verdict.PASS else _remedy(verdict),
        measures=tuple(_measures(job, result, tolerances)),
        attacker=Attacker(
            knowledge=Knowledge.GREY_BOX, queries=1, budget={"reference_models": float(result.references), "false_positive_rate": main.fpr}
        ),
        needed=ruling.needed if verdict is Verdict.INCONCLUSIVE else None,
        details={"attack": result.attack, "control": {"auc": round(result.null_auc, 6), "drift_auc": round(result.drift_auc or 0.5, 6)}},
    )


def _title(result: Membership, ruling: Ruling) -> str:
    """The outcome by the figure that decided it."""
    main, best = result.at[0], result.best
    if main.resolved and ruling.verdict is not Verdict.PASS:
        return f"{main.true_positives.k} of {main.true_positives.n} training records recognised at {main.fpr:.1%} false positives"
    gain = best.true_positives.value - best.false_positives.value
    return f"Training records told from others with an advantage of {gain:.2f} and an AUC of {result.auc:.2f}"


def _verdict(job: Job, result: Membership, ruling: Ruling, tolerances: tuple[float, float]) -> tuple[Verdict, str]:
    """What the numbers say, and why in one sentence."""
    main, best = result.at[0], result.best
    if abs(result.null_auc - 0.5) > 5 * result.null_error:
        return Verdict.INCONCLUSIVE, "Shuffled membership is not at chance, so the measurement itself cannot be trusted."
    if result.drift_auc is not None and abs(result.drift_auc - 0.5) > 4 * result.drift_error:
        return (
            Verdict.INCONCLUSIVE,
            "Training and test data differ by themselves, so the attack may recognise the difference and not the training.",
        )
    _, gain, _ = rate_difference(
        best.true_positives.k, best.true_positives.n, best.false_positives.k, best.false_positives.n, job.confidence
    )
    beyond_chance = lower_bound(main.true_positives.k, main.true_positives.n, job.confidence) > main.false_positives.value
    if ruling.verdict is Verdict.FAIL and beyond_chance:
        return (
            Verdict.FAIL,
            f"At least {ruling.low:.1%} of the training records are recognised, beyond the tolerance of {tolerances[0]:.1%}.",
        )
    if gain > tolerances[1]:
        return Verdict.FAIL, f"The attack's advantage is at least {gain:.2f}, beyond the tolerance of {tolerances[1]:.2f}."
    if not main.resolved:
        return Verdict.INCONCLUSIVE, f"There are too few records that the model has not seen to measure at {main.fpr:.1%} false positives."
    if ruling.verdict is Verdict.PASS:
        return (
            Verdict.PASS,
            f"At most {ruling.high:.1%} of the training records are recognised, within the tolerance of {tolerances[0]:.1%}.",
        )
    return Verdict.INCONCLUSIVE, f"Between {ruling.low:.1%} and {ruling.high:.1%} are recognised; the tolerance is {tolerances[0]:.1%}."


def _severity(verdict: Verdict, main: AtRate) -> Severity:
    if verdict is not Verdict.FAIL:
        return Severity.INFO
    return Severity.HIGH if main.true_positives.value >= 0.1 else Severity.MEDIUM


def _measures(job: Job, result: Membership, tolerances: tuple[float, float]) -> Iterator[Measure]:
    from bartizan.areas.privacy.membership import z_of

    for at in result.at:
        if at.resolved or at is result.at[0]:
            yield _rate(job, f"true positives at {at.fpr:.1%} false positives", at, result, tolerances[0] if at is result.at[0] else None)
    best = result.best
    k1, n1, k2, n2 = best.true_positives.k, best.true_positives.n, best.false_positives.k, best.false_positives.n
    value, low, high = rate_difference(k1, n1, k2, n2, job.confidence)
    yield Measure(
        name="advantage", value=value, low=low, high=high, confidence=job.confidence, n=n1 + n2,
        limit=tolerances[1], null=0.0, method="true less false positives at the best threshold; Newcombe",
    )  # fmt: skip
    right, z = k1 + n2 - k2, z_of(job.confidence)
    low, high = clopper_pearson(right, n1 + n2, job.confidence)
    yield Measure(
        name="accuracy of the attack", value=right / (n1 + n2), low=low, high=high, confidence=job.confidence, n=n1 + n2, k=right,
        null=max(n1, n2) / (n1 + n2), method="Clopper-Pearson",
    )  # fmt: skip
    yield Measure(
        name="AUC", value=result.auc, low=max(0.0, result.auc - z * result.auc_error), high=min(1.0, result.auc + z * result.auc_error),
        confidence=job.confidence, n=n1 + n2, null=result.null_auc, method="Hanley-McNeil",
    )  # fmt: skip


def _rate(job: Job, name: str, at: AtRate, result: Membership, limit: float | None) -> Measure:
    hits = at.true_positives
    low, high = clopper_pearson(hits.k, hits.n, job.confidence)
    return Measure(
        name=name,
        value=hits.value,
        low=low,
        high=high,
        confidence=job.confidence,
        n=hits.n,
        k=hits.k,
        limit=limit,
        null=result.null_true_positives if limit is not None else None,
        role="attack-success" if limit is not None else "",
        method=f"Clopper-Pearson; {at.false_positives.k} of {at.false_positives.n} others taken for members",
    )


def _remedy(verdict: Verdict) -> str:
    if verdict is Verdict.INCONCLUSIVE:
        return "Declare more held-out records from the same source as the training data (tested_on) and run again."
    return (
        "Regularise the model (shallower trees, larger leaves), train with differential privacy, or return labels or coarse scores "
        "instead of probabilities; then attack it again."
    )
