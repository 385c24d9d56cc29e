"""What the findings on nets share: the radius, the ruling on flipped decisions, measures, pictures and the passes spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bartizan.areas.evasion.net_inputs import NetSubject, curve_of
from bartizan.areas.evasion.norms import known_norm
from bartizan.areas.evasion.pictures import curve, triptych
from bartizan.areas.evasion.result import Outcome, Result, Trust
from bartizan.areas.evasion.telling import bound, severity
from bartizan.model.errors import InputError
from bartizan.model.findings import Artefact, Job, Measure, Severity, Verdict
from bartizan.model.statistics import clopper_pearson, judge
from bartizan.model.system import Asset


def radius_of(eps: float, norm: str, target: Asset) -> str:
    """The norm by its usual name. Raises `InputError` for what is no radius."""
    if not 0.0 < eps < 1e6 or known_norm(norm) == "l0":
        raise InputError(f"eps={eps} with norm {norm} is no radius", place=target.at, cure="set eps > 0 and norm to linf, l2 or l1")
    return known_norm(norm)


@dataclass(frozen=True)
class Judged:
    """The verdict on flipped decisions, in the words of a finding. `doubt` goes behind the title where the attack was misled."""

    verdict: Verdict
    severity: Severity
    bound: str
    doubt: str
    remedy: str
    needed: int | None


def judged(job: Job, broken: int, right: int, tolerance: float, trust: Trust) -> Judged:
    """`broken` of `right` decisions flipped: an attack that was misled is no pass, but what it flipped is flipped."""
    ruling = judge(broken, right, tolerance, job.confidence)
    doubted = not trust.ok and ruling.verdict is not Verdict.FAIL
    verdict = Verdict.INCONCLUSIVE if doubted else ruling.verdict
    told = bound(ruling, tolerance, how=" under this attack") + ("" if trust.ok else f" The attack is {trust}.")
    return Judged(verdict, severity(verdict, ruling), told, f"; {trust}" if doubted else "", _remedy(verdict, doubted=doubted),
                  None if doubted else ruling.needed)  # fmt: skip


def _remedy(verdict: Verdict, *, doubted: bool) -> str:
    if verdict is Verdict.PASS:
        return ""
    if doubted:
        return "Make the net's scores smooth and deterministic for the test (no rounding, no noise, no saturation) and attack it again."
    if verdict is Verdict.INCONCLUSIVE:
        return "Declare more test inputs (tested_on), raise images, and run again."
    return "Train on attacked inputs (bartizan harden adversarial-training), or keep the weights from callers; then attack again."


def share(job: Job, name: str, k: int, n: int, **more: Any) -> Measure:
    """`k` of `n` with the exact two-sided interval."""
    low, high = clopper_pearson(k, n, job.confidence)
    given = {"higher_is_worse": False, "method": "Clopper-Pearson", **more}
    return Measure(name=name, value=k / n, low=low, high=high, confidence=job.confidence, n=n, k=k, **given)


def flip_measures(job: Job, result: Result, tolerance: float, null: float) -> Iterator[Measure]:
    """The share of right decisions flipped at the largest radius, and accuracy without and with the attack."""
    last = result.at[-1]
    yield share(
        job, f"right decisions flipped within {last.eps:g}", result.clean - last.robust, result.clean, limit=tolerance, null=null,
        role="attack-success", higher_is_worse=True, method=f"Clopper-Pearson; {result.strategy}",
    )  # fmt: skip
    yield share(job, "accuracy without attack", result.clean, result.n)
    yield share(job, "robust accuracy, at most", last.robust, result.n)


def artefacts_of(subject: NetSubject, result: Result, *, name: str = "", picture: bool = True) -> Iterator[Artefact]:
    """The first flipped picture beside its original and the difference, and the curve of accuracy against the radius."""
    prefix = f"{name}-" if name else ""
    last = result.at[-1]
    rows = [row for row, outcome in enumerate(last.outcomes) if outcome is Outcome.BROKEN]
    if picture and rows and subject.pictures:
        data = triptych(subject.x[rows[0]].numpy(), last.adversarial[rows[0]].numpy(), 0.0, 1.0)
        if data is not None:
            yield Artefact(name=f"{prefix}original-changed-difference.png", media_type="image/png", data=data)
    drawn = curve([("robust accuracy, at most", result.curve())], across=f"radius ({result.norm})")
    yield Artefact(name=f"{prefix}accuracy-by-radius.svg", media_type="image/svg+xml", data=drawn)


def spent(result: Result) -> dict[str, Any]:
    """The curve, the passes and how far to trust the number, for `details`."""
    return {
        "method": result.strategy,
        "exact": False,
        "robust_accuracy_by_eps": curve_of(result),
        "passes": {
            "images": result.passes.images,
            "forwards_per_image": round(result.passes.forwards_per_image, 3),
            "backwards_per_image": round(result.passes.backwards_per_image, 3),
        },
        "trusted": result.trust.ok,
        "escalations": list(result.trust.escalations),
    }
