"""The check that a neural net of known weights keeps its decisions when inputs change by no more than a declared radius."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bartizan.areas.evasion.net_files import is_net
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.findings import Attacker, Finding, Job, Knowledge, about_of
from bartizan.model.system import Asset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.evasion.net_inputs import NetSubject
    from bartizan.areas.evasion.result import Result


@check(
    "evasion.white_box_net",
    threats=["white-box-evasion"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT},
    extra="torch",
    cost=Cost.SLOW,
    reads=["training_sets", "test_sets"],
    applies=is_net,
)
def white_box_net(
    job: Job,
    target: Asset,
    *,
    eps: float = 0.03,
    norm: str = "linf",
    tolerance: float = 0.1,
    images: int = 200,
    mean: str = "",
    std: str = "",
) -> Iterator[Finding]:
    """Decisions of a neural net (ONNX or weights of torch) that flip under small changes made with its weights.

    The margin cascade attacks test images or rows at a quarter, a half and the whole of the radius; its diagnostics decide whether the
    number can be trusted. Every flip is confirmed by the net itself; the control makes random changes of the same size. Fails where the
    share of right decisions that flip is beyond `tolerance`.

    eps: the radius, in ranges of all pixels for pictures, in standard deviations of each column for rows
    norm: linf, l2 or l1
    tolerance: the share of right decisions that may flip
    images: the most test inputs that are attacked
    mean: what is taken off each channel before the net, numbers separated by commas
    std: by what each channel is divided before the net
    """
    from bartizan.areas.evasion.api import attack
    from bartizan.areas.evasion.net_findings import radius_of
    from bartizan.areas.evasion.net_inputs import net_subject, random_flips

    norm = radius_of(eps, norm, target)
    subject = net_subject(job, target, images, mean=mean, std=std)
    result = attack(subject.net, subject.x, subject.y, eps=[eps / 4, eps / 2, eps], norm=norm, bounds=subject.bounds, seed=job.seed,
                    confidence=job.confidence)  # fmt: skip
    null = random_flips(subject, eps, norm, 5, job.seed + 1)
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), subject, result, (tolerance, null))


def _finding(job: Job, about: tuple[str, str], subject: NetSubject, result: Result, numbers: tuple[float, float]) -> Finding:
    from bartizan.areas.evasion.net_findings import artefacts_of, flip_measures, judged, spent

    tolerance, null = numbers
    eps, norm = result.at[-1].eps, result.norm
    broken, right = result.clean - result.at[-1].robust, result.clean
    ruled = judged(job, broken, right, tolerance, result.trust)
    return Finding(
        check=job.check, asset=about[1], threat=about[0], verdict=ruled.verdict, severity=ruled.severity,
        title=f"{broken} of {right} right decisions flip within {norm} {eps:g}{ruled.doubt}",
        why=f"{ruled.bound} Method: {result.strategy}, {result.passes.forwards_per_image:.1f} forward and "
        f"{result.passes.backwards_per_image:.1f} forward-and-backward passes for each input. Every flip was confirmed by the net itself. "
        f"Random changes of the same size flip {null:.1%}.",
        remedy=ruled.remedy,
        measures=tuple(flip_measures(job, result, tolerance, null)),
        attacker=Attacker(knowledge=Knowledge.WHITE_BOX, budget={norm: eps}),
        needed=ruled.needed,
        artefacts=tuple(artefacts_of(subject, result)),
        details=spent(result),
    )  # fmt: skip
