"""The check that a model of known weights keeps its decisions when inputs change by no more than a declared radius."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bartizan.areas.evasion.net_files import has_rows
from bartizan.areas.evasion.tasks import PICTURES
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Artefact, Attacker, Finding, Job, Knowledge, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import Ruling, clopper_pearson, judge
from bartizan.model.system import Asset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.evasion.tabular_whitebox import Broken, Problem

MAX_ROWS = 500
"""Most test rows that are attacked."""


@check(
    "evasion.white_box",
    threats=["white-box-evasion"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT},
    extra="sklearn",
    cost=Cost.FAST,
    reads=["training_sets", "test_sets"],
    applies=has_rows,
)
def white_box(job: Job, target: Asset, *, eps: float = 0.1, norm: str = "linf", tolerance: float = 0.1) -> Iterator[Finding]:
    """Decisions of a scikit-learn model that flip under small changes made with its weights.

    Linear models and tree ensembles are decided exactly, perceptrons by the margin cascade on gradients in closed form, whose diagnostics
    decide whether its number can be trusted. Every flip is confirmed by the model's own predict; the control makes random changes of the
    same size, and all keep the model's declared `constraints`.
    What broke an earlier version is tried first. Fails where the share of correct decisions that flip is beyond `tolerance`.

    eps: the radius, in standard deviations of each column of a table, in ranges of all pixels for images
    norm: linf, l2 or l1; trees know linf alone
    tolerance: the share of correct decisions that may flip
    """
    from bartizan.areas.evasion.known import artefact_of, told_known, tried_again
    from bartizan.areas.evasion.norms import known_norm
    from bartizan.areas.evasion.tabular_inputs import prepared, sample
    from bartizan.areas.evasion.tabular_whitebox import break_rows, problem_of, random_breaks, with_known
    from bartizan.areas.evasion.telling import with_discarded

    if not eps > 0.0 or known_norm(norm) == "l0":
        raise InputError(f"eps={eps} with norm {norm} is no radius", place=target.at, cure="set eps > 0 and norm to linf, l2 or l1")
    subject = prepared(job, target)
    subject.correct()
    possible, discarded = subject.possible(subject.numbers - 1)
    places = sample(possible, MAX_ROWS, job.seed)
    problem = problem_of(subject, places, known_norm(norm), images=target.task in PICTURES)
    right = (problem.decisions(problem.x) == problem.labels).nonzero()[0]
    if not len(right):
        raise InputError(f"none of {len(places)} test rows drawn is decided correctly", place=target.at, cure="declare a model that works")
    attacked = problem.only(right)
    known = tried_again(job, attacked.x, attacked.labels, attacked.decisions, lambda rows, at: attacked.only(at).keeps(rows, eps))
    found = with_known(break_rows(attacked, eps, job.seed), known.broken, known.changed)
    kept = artefact_of(job, attacked.x, found.changed, attacked.labels, found.broken, "white-box")
    null = random_breaks(attacked, eps, 5, job.seed + 1)
    for threat, asset in about_of(job):
        told = _finding(job, (threat, asset), found, attacked, len(places), (eps, tolerance, null))
        yield with_discarded(told_known(told, job, known, kept), discarded, subject.rules is not None)


def _finding(job: Job, about: tuple[str, str], found: Broken, problem: Problem, rows: int, numbers: tuple[float, float, float]) -> Finding:
    eps, tolerance, null = numbers
    broken, n = int(found.broken.sum()), len(found.broken)
    ruling = judge(broken, n, tolerance, job.confidence)
    doubted = not found.trust.ok and ruling.verdict is not Verdict.FAIL  # what was flipped is confirmed; what was not may be luck
    verdict = Verdict.INCONCLUSIVE if doubted else ruling.verdict
    title = f"{broken} of {n} correct decisions flip within {problem.norm} {eps:g}"
    return Finding(
        check=job.check,
        asset=about[1],
        threat=about[0],
        verdict=verdict,
        severity=_severity(verdict, ruling),
        title=f"{title}; {found.trust}" if doubted else title,
        why=f"{_bound(ruling, tolerance)} Method: {found.method}. Every flip was confirmed by the model's own predict. "
        f"Random changes of the same size flip {null:.1%}." + ("" if found.trust.ok else f" The attack is {found.trust}."),
        remedy=_remedy(verdict, doubted=doubted),
        measures=tuple(_measures(job, found, rows, (eps, tolerance, null))),
        attacker=Attacker(knowledge=Knowledge.WHITE_BOX, budget={problem.norm: eps}),
        needed=None if doubted else ruling.needed,
        artefacts=tuple(_pictures(found, problem)),
        details={
            "method": found.method,
            "exact": found.exact,
            "passes": found.passes,
            "escalations": list(found.trust.escalations),
            "robust_accuracy_by_eps": [[radius, round((1.0 - share) * n / rows, 6)] for radius, share in ((0.0, 0.0), *found.curve)],
        },
    )


def _measures(job: Job, found: Broken, rows: int, numbers: tuple[float, float, float]) -> Iterator[Measure]:
    eps, tolerance, null = numbers
    n, broken = len(found.broken), int(found.broken.sum())
    low, high = clopper_pearson(broken, n, job.confidence)
    yield Measure(
        name=f"correct decisions flipped within {eps:g}", value=broken / n, low=low, high=high, confidence=job.confidence, n=n, k=broken,
        limit=tolerance, null=null, role="attack-success", method=f"Clopper-Pearson; {found.method}",
    )  # fmt: skip
    shares = [("accuracy without attack", n), ("robust accuracy" if found.exact else "robust accuracy, at most", n - broken)]
    if found.exact:
        shares.append(("robust accuracy, proven", int(found.proven.sum())))
    for name, k in shares:
        low, high = clopper_pearson(k, rows, job.confidence)
        yield Measure(
            name=name, value=k / rows, low=low, high=high, confidence=job.confidence, n=rows, k=k, higher_is_worse=False,
            method="Clopper-Pearson, over all test rows that were drawn",
        )  # fmt: skip


def _pictures(found: Broken, problem: Problem) -> Iterator[Artefact]:
    """The first flipped image beside its original and the difference, where rows are square images."""
    from bartizan.areas.evasion.images_picture import side_by_side

    if problem.whole.any() or not found.broken.any() or (problem.unit != problem.unit[0]).any():
        return
    row = int(found.broken.argmax())
    data = side_by_side(problem.x[row], found.changed[row], float(problem.low[0]), float(problem.high[0]))
    if data is not None:
        yield Artefact(name="original-changed-difference.png", media_type="image/png", data=data)


def _bound(ruling: Ruling, tolerance: float) -> str:
    if ruling.verdict is Verdict.FAIL:
        return f"At least {ruling.low:.1%} flip, beyond the tolerance of {tolerance:.1%}."
    if ruling.verdict is Verdict.PASS:
        return f"At most {ruling.high:.1%} flip, within the tolerance of {tolerance:.1%}."
    return f"Between {ruling.low:.1%} and {ruling.high:.1%} flip; the tolerance is {tolerance:.1%}."


def _severity(verdict: Verdict, ruling: Ruling) -> Severity:
    if verdict is not Verdict.FAIL:
        return Severity.INFO
    return Severity.HIGH if ruling.rate >= 0.5 else Severity.MEDIUM


def _remedy(verdict: Verdict, *, doubted: bool) -> str:
    if verdict is Verdict.PASS:
        return ""
    if doubted:
        return "Make the model's scores smooth and deterministic for the test (no rounding, no saturation) and attack it again."
    if verdict is Verdict.INCONCLUSIVE:
        return "Declare more test rows (tested_on) and run again."
    return "Train on attacked inputs (bartizan harden adversarial-training), regularise, or keep the weights from callers; attack again."
