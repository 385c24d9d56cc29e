"""The check that a sanitiser before a net still helps when the attacker knows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bartizan.areas.evasion.net_files import is_picture_net
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.findings import Attacker, Finding, Job, Knowledge, Measure, about_of
from bartizan.model.system import Asset, Kind, Phase, System

if TYPE_CHECKING:
    from bartizan.areas.evasion.defences.sanitising import Sanitised
    from bartizan.areas.evasion.net_inputs import NetSubject
    from bartizan.areas.evasion.result import Result

KEYS = ("evasion", "sanitisation", "evasion.sanitisation")


def _has_sanitiser(node: Asset, system: System) -> bool:
    """Is a sanitiser declared among the tolerances, and the node a net that it could stand before?"""
    told = (system.appetite.tolerances.get(key) for key in KEYS)
    return is_picture_net(node) and any(isinstance(one, dict) and one.get("sanitiser") for one in told)


@check(
    "evasion.sanitisation",
    threats=["white-box-evasion"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT},
    extra="torch",
    cost=Cost.SLOW,
    reads=["training_sets", "test_sets"],
    applies=_has_sanitiser,
)
def sanitisation(
    job: Job,
    target: Asset,
    *,
    sanitiser: str = "",
    eps: float = 0.03,
    norm: str = "linf",
    tolerance: float = 0.1,
    images: int = 100,
    mean: str = "",
    std: str = "",
) -> Iterator[Finding]:
    """Decisions of a net behind a declared sanitiser that flip, under an attack that knows it and one that does not.

    The naive attack ignores the step, as most reported numbers do; the adaptive one runs it forwards and a smooth stand-in backwards,
    averages over its draws, searches its levels where it rounds, and also tries what broke the bare net (Athalye et al., ICML 2018). The
    adaptive number alone decides: fails where the share of right decisions that flip is beyond `tolerance`.

    sanitiser: bit-depth:3, median:3, gaussian:1, jpeg:75, total-variation:0.1 or noise:0.1; several joined by +
    eps: the radius, in ranges of all pixels
    norm: linf or l2
    tolerance: the share of right decisions that may flip
    images: the most test pictures that are attacked
    mean: what is taken off each channel before the net, numbers separated by commas
    std: by what each channel is divided before the net
    """
    import msgspec

    from bartizan.areas.evasion.api import attack
    from bartizan.areas.evasion.defences.inner import Threat
    from bartizan.areas.evasion.defences.measuring import engine_attack
    from bartizan.areas.evasion.defences.rates import rate_of
    from bartizan.areas.evasion.defences.sanitising import Defended, measure_sanitiser, sanitiser_of
    from bartizan.areas.evasion.net_findings import radius_of
    from bartizan.areas.evasion.net_inputs import net_subject

    threat = Threat(eps=eps, norm=radius_of(eps, norm, target))
    step = sanitiser_of(sanitiser)
    subject = net_subject(job, target, images, mean=mean, std=std)
    count = [0]
    hook = subject.net.register_forward_hook(lambda _net, inputs, _out: count.__setitem__(0, count[0] + len(inputs[0])))
    plain = engine_attack(seed=job.seed, diagnose=False)
    found = measure_sanitiser(subject.net, step, subject.x, subject.y, threat, attack=plain)
    whole = attack(Defended(subject.net, step), subject.x, subject.y, eps=[eps / 4, eps / 2, eps], norm=threat.norm, seed=job.seed)
    hook.remove()
    least = rate_of(min(found.adaptive.k, whole.at[-1].robust), found.clean.n)
    found = msgspec.structs.replace(found, adaptive=least)
    for about in about_of(job):
        yield _finding(job, about, subject, found, whole, (tolerance, count[0] / len(subject.x)))


def _finding(
    job: Job, about: tuple[str, str], subject: NetSubject, found: Sanitised, whole: Result, numbers: tuple[float, float]
) -> Finding:
    from bartizan.areas.evasion.net_findings import artefacts_of, judged, spent

    tolerance, forwards = numbers
    norm, eps = whole.norm, whole.at[-1].eps
    right, broken = found.clean.k, found.clean.k - found.adaptive.k
    ruled = judged(job, broken, right, tolerance, whole.trust)
    return Finding(
        check=job.check, asset=about[1], threat=about[0], verdict=ruled.verdict, severity=ruled.severity,
        title=f"behind {found.name} robust accuracy is {found.adaptive.value:.1%} against an attacker who knows it, "
        f"{found.naive.value:.1%} against one who does not",
        why=f"{ruled.bound} The bare net is right on {found.bare_clean.value:.1%} and stays so on {found.bare_robust.value:.1%} within "
        f"{norm} {eps:g}; behind the sanitiser it is right on {found.clean.value:.1%}. Only the number of the adaptive attack is a claim.",
        remedy=ruled.remedy,
        measures=tuple(_measures(job, found, tolerance)),
        attacker=Attacker(knowledge=Knowledge.WHITE_BOX, budget={norm: eps}),
        needed=ruled.needed,
        artefacts=tuple(artefacts_of(subject, whole)),
        details=spent(whole) | {
            "sanitiser": found.name,
            "naive_robust_accuracy": round(found.naive.value, 6),
            "passes": {"images": found.clean.n, "forwards_per_image": round(forwards, 3)},
        },
    )  # fmt: skip


def _measures(job: Job, found: Sanitised, tolerance: float) -> Iterator[Measure]:
    from bartizan.areas.evasion.net_findings import share

    right, broken = found.clean.k, found.clean.k - found.adaptive.k
    yield share(
        job, "right decisions flipped by the adaptive attack", broken, max(1, right), limit=tolerance, higher_is_worse=True,
        role="attack-success", method="Clopper-Pearson; BPDA, EOT and transfer",
    )  # fmt: skip
    rows = (
        ("robust accuracy against the adaptive attack, at most", found.adaptive),
        ("robust accuracy against the naive attack", found.naive),
        ("accuracy behind the sanitiser", found.clean), ("robust accuracy of the bare net, at most", found.bare_robust),
        ("accuracy of the bare net", found.bare_clean),
    )  # fmt: skip
    for name, one in rows:
        yield share(job, name, one.k, one.n)
