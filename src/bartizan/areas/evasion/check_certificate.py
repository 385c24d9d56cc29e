"""The check that proves from below and attacks from above: how many decisions of a net no change within a radius can flip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bartizan.areas.evasion.net_files import is_net
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.findings import Artefact, Attacker, Finding, Job, Knowledge, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import judge
from bartizan.model.system import Asset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.evasion.certificates.certify import Certificate
    from bartizan.areas.evasion.result import Result


@check(
    "evasion.certificate",
    threats=["white-box-evasion"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT},
    extra="torch",
    cost=Cost.SLOW,
    reads=["training_sets", "test_sets"],
    applies=is_net,
)
def certificate(
    job: Job,
    target: Asset,
    *,
    eps: float = 0.03,
    norm: str = "linf",
    tolerance: float = 0.1,
    images: int = 100,
    mean: str = "",
    std: str = "",
) -> Iterator[Finding]:
    """Decisions of a net that are proved to stand within a radius, beside those that an attack flips.

    Interval bounds and CROWN (Zhang et al., NeurIPS 2018) prove images one by one, the cheap proof first; the margin cascade attacks
    the same images: proved accuracy <= robust accuracy <= accuracy under attack. Passes where the unproved share of right decisions is
    within `tolerance`, fails where the flipped share is beyond it; between the two nobody knows, and the verdict is inconclusive.

    eps: the radius, in ranges of all pixels for pictures, in standard deviations of each column for rows
    norm: linf, l2 or l1
    tolerance: the share of right decisions that may flip
    images: the most test inputs that are looked at
    mean: what is taken off each channel before the net, numbers separated by commas
    std: by what each channel is divided before the net
    """
    import torch

    from bartizan.areas.evasion.api import attack
    from bartizan.areas.evasion.certificates.certify import certify
    from bartizan.areas.evasion.net_findings import radius_of
    from bartizan.areas.evasion.net_inputs import net_subject

    norm = radius_of(eps, norm, target)
    subject = net_subject(job, target, images, mean=mean, std=std)
    valid = subject.bounds if subject.pictures else None
    radii = [eps / 4, eps / 2, eps]
    with torch.no_grad():
        proved = [certify(subject.net, subject.x, subject.y, norm=norm, eps=one, valid=valid, confidence=job.confidence) for one in radii]
    result = attack(
        subject.net, subject.x, subject.y, eps=radii, norm=norm, bounds=subject.bounds, seed=job.seed, confidence=job.confidence
    )
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), proved, result, tolerance)


def _finding(job: Job, about: tuple[str, str], proved: list[Certificate], result: Result, tolerance: float) -> Finding:
    from bartizan.areas.evasion.net_findings import spent

    last, sure = result.at[-1], proved[-1]
    certified, right = sum(sure.certified), result.clean
    broken = right - last.robust
    against = sum(one and outcome == "broken" for one, outcome in zip(sure.certified, last.outcomes, strict=True))
    verdict = _verdict(job, right - certified, broken, right, tolerance)
    verdict = Verdict.INCONCLUSIVE if against else verdict
    return Finding(
        check=job.check, asset=about[1], threat=about[0], verdict=verdict,
        severity=Severity.MEDIUM if verdict is Verdict.FAIL else Severity.INFO,
        title=f"{certified} of {right} right decisions are proved within {result.norm} {last.eps:g}; {broken} flip under attack",
        why=f"Robust accuracy lies between {certified / result.n:.1%} (proved) and {last.robust / result.n:.1%} (under attack); "
        f"accuracy without attack is {right / result.n:.1%}. {_sense(verdict, against)}",
        remedy=_remedy(verdict),
        measures=tuple(_measures(job, sure, result, tolerance)),
        attacker=Attacker(knowledge=Knowledge.WHITE_BOX, budget={result.norm: last.eps}),
        artefacts=(_drawn(proved, result),),
        details=spent(result) | {
            "certified_accuracy_by_eps": [[one.eps, round(one.accuracy, 6)] for one in proved],
            "proved_by": {name: int(count) for name, count in sure.resolved.items()},
            "proved_and_flipped": against,
        },
    )  # fmt: skip


def _verdict(job: Job, unproved: int, broken: int, right: int, tolerance: float) -> Verdict:
    """Fail by what was flipped, pass by what was proved."""
    if judge(broken, right, tolerance, job.confidence).verdict is Verdict.FAIL:
        return Verdict.FAIL
    if judge(unproved, right, tolerance, job.confidence).verdict is Verdict.PASS:
        return Verdict.PASS
    return Verdict.INCONCLUSIVE


def _measures(job: Job, sure: Certificate, result: Result, tolerance: float) -> Iterator[Measure]:
    from bartizan.areas.evasion.net_findings import share

    certified, last = sum(sure.certified), result.at[-1]
    yield share(job, "robust accuracy, proved", certified, result.n, method="Clopper-Pearson; interval bounds and CROWN")
    yield share(job, "robust accuracy, at most", last.robust, result.n, method=f"Clopper-Pearson; {result.strategy}")
    yield share(job, "accuracy without attack", result.clean, result.n)
    yield share(
        job, f"right decisions not proved within {last.eps:g}", result.clean - certified, result.clean, limit=tolerance,
        higher_is_worse=True,
    )  # fmt: skip


def _drawn(proved: list[Certificate], result: Result) -> Artefact:
    from bartizan.areas.evasion.pictures import curve

    below = [(0.0, result.clean_accuracy), *((one.eps, one.accuracy) for one in proved)]
    drawn = curve([("under attack", result.curve()), ("proved", below)], across=f"radius ({result.norm})")
    return Artefact(name="accuracy-by-radius.svg", media_type="image/svg+xml", data=drawn)


def _sense(verdict: Verdict, against: int) -> str:
    if against:
        return f"{against} images are both proved and flipped: one of the two is wrong, and neither counts."
    if verdict is Verdict.FAIL:
        return "More decisions flip than are tolerated, whatever the proof leaves open."
    if verdict is Verdict.PASS:
        return "The proof holds against every attack within the radius, known or not."
    return "What lies between proof and attack is not known: the proof may be too loose or the attack too weak."


def _remedy(verdict: Verdict) -> str:
    if verdict is Verdict.PASS:
        return ""
    if verdict is Verdict.FAIL:
        return "Train on attacked inputs (bartizan harden adversarial-training), then prove and attack again."
    return "Train for provable bounds (smaller weights, interval bounds in the loss), accept a smaller radius, or declare more test inputs."
