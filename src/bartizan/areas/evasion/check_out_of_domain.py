"""The check that a model does not answer confidently to what it has never learned about."""

from __future__ import annotations

from collections.abc import Iterator

from bartizan.areas.evasion.net_files import has_rows
from bartizan.areas.evasion.tasks import PICTURES
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Attacker, Finding, Job, Knowledge, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import Ruling, clopper_pearson, judge
from bartizan.model.system import Asset, Kind, Phase

INPUTS = 300
"""Most out-of-domain inputs of each kind."""

LEAST_CONTROL = 0.1
"""Where fewer test rows than this share are answered above the threshold, the threshold says nothing about this model."""


@check(
    "evasion.out_of_domain",
    threats=["out-of-domain-input"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT},
    extra="sklearn",
    cost=Cost.FAST,
    reads=["training_sets", "test_sets"],
    applies=has_rows,
)
def out_of_domain(job: Job, target: Asset, *, threshold: float = 0.9, tolerance: float = 0.1) -> Iterator[Finding]:
    """Confident answers of a scikit-learn classifier to inputs far from its training data.

    Three kinds are sent: noise within the ranges, columns that do not belong together, and (not to images) numbers from ten times the
    range. Only those count that lie further from the training data than 99 % of the test rows. The control is the share of test rows that
    are answered above the threshold: where it is small, the threshold says nothing and the verdict is inconclusive. Fails where the share
    of confident answers is beyond `tolerance`. A refusal outside the model (a schema, a detector) is not seen here.

    threshold: the probability from which an answer counts as confident
    tolerance: the share of out-of-domain inputs that may be answered confidently
    """
    from bartizan.areas.evasion.tabular_domain import foreign_inputs
    from bartizan.areas.evasion.tabular_inputs import prepared

    if not 0.0 < threshold <= 1.0:
        raise InputError(f"threshold={threshold} is no probability", place=target.at, cure="set it above 0 and up to 1")
    subject = prepared(job, target)
    control = subject.probabilities(subject.test).max(axis=1) >= threshold
    counts = []
    for foreign in foreign_inputs(subject, INPUTS, job.seed, images=target.task in PICTURES):
        confident = subject.probabilities(foreign.frame).max(axis=1) >= threshold
        counts.append((foreign.kind, int(confident.sum()), len(confident)))
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), counts, (int(control.sum()), len(control)), (threshold, tolerance))


def _finding(
    job: Job, about: tuple[str, str], counts: list[tuple[str, int, int]], control: tuple[int, int], limits: tuple[float, float]
) -> Finding:
    threshold, tolerance = limits
    k, n = sum(hits for _, hits, _ in counts), sum(size for _, _, size in counts)
    ruling = judge(k, n, tolerance, job.confidence)
    blind = control[0] < LEAST_CONTROL * control[1] and ruling.verdict is not Verdict.FAIL
    verdict = Verdict.INCONCLUSIVE if blind else ruling.verdict
    kinds = "; ".join(f"{kind}: {hits} of {size}" for kind, hits, size in counts)
    return Finding(
        check=job.check,
        asset=about[1],
        threat=about[0],
        verdict=verdict,
        severity=Severity.MEDIUM if verdict is Verdict.FAIL else Severity.INFO,
        title=f"{k} of {n} out-of-domain inputs are answered with a confidence of {threshold:g} or more",
        why=f"{_bound(ruling, tolerance, blind=blind)} {kinds}. Each lies further from the training data than 99 % of the test rows. "
        f"Of the test rows, {control[0] / control[1]:.1%} are answered as confidently.",
        remedy=_remedy(verdict, blind=blind),
        measures=tuple(_measures(job, counts, control, tolerance)),
        attacker=Attacker(knowledge=Knowledge.BLACK_BOX, queries=1, budget={"confidence": threshold}),
        needed=None if blind else ruling.needed,
        details={"kinds": [{"kind": kind, "confident": hits, "inputs": size} for kind, hits, size in counts]},
    )


def _measures(job: Job, counts: list[tuple[str, int, int]], control: tuple[int, int], tolerance: float) -> Iterator[Measure]:
    k, n = sum(hits for _, hits, _ in counts), sum(size for _, _, size in counts)
    yield _share(job, "out-of-domain inputs answered confidently", k, n, limit=tolerance, role="attack-success")
    for kind, hits, size in counts:
        yield _share(job, f"answered confidently: {kind}", hits, size)
    yield _share(job, "control: test rows answered confidently", *control, higher_is_worse=False)


def _share(job: Job, name: str, k: int, n: int, *, limit: float | None = None, role: str = "", higher_is_worse: bool = True) -> Measure:
    low, high = clopper_pearson(k, n, job.confidence)
    return Measure(
        name=name, value=k / n, low=low, high=high, confidence=job.confidence, n=n, k=k, limit=limit, role=role,
        higher_is_worse=higher_is_worse, method="Clopper-Pearson",
    )  # fmt: skip


def _bound(ruling: Ruling, tolerance: float, *, blind: bool) -> str:
    if blind:
        return "Hardly any test row is answered above the threshold either, so it does not separate the sure from the unsure."
    if ruling.verdict is Verdict.FAIL:
        return f"At least {ruling.low:.1%} are answered confidently, beyond the tolerance of {tolerance:.1%}."
    if ruling.verdict is Verdict.PASS:
        return f"At most {ruling.high:.1%} are answered confidently, within the tolerance of {tolerance:.1%}."
    return f"Between {ruling.low:.1%} and {ruling.high:.1%} are answered confidently; the tolerance is {tolerance:.1%}."


def _remedy(verdict: Verdict, *, blind: bool) -> str:
    if verdict is Verdict.PASS:
        return ""
    if blind:
        return "Set threshold to a confidence that most test rows reach, and run again."
    if verdict is Verdict.INCONCLUSIVE:
        return "Declare more training and test rows and run again."
    return (
        "Refuse inputs outside the ranges of the training data before the model sees them, score the distance to it and answer "
        "'cannot say' beyond a limit; then attest that rule, or build it into the model and run again."
    )
