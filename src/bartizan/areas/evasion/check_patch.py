"""The check that no one pattern, pasted or laid over pictures, turns most decisions of a net."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bartizan.areas.evasion.net_files import is_picture_net
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Artefact, Attacker, Finding, Job, Knowledge, about_of
from bartizan.model.system import Asset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.evasion.net_inputs import NetSubject
    from bartizan.areas.evasion.whitebox.universal import Pattern


@check(
    "evasion.patch",
    threats=["physical-evasion", "feature-manipulation"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT},
    extra="torch",
    cost=Cost.SLOW,
    reads=["training_sets", "test_sets"],
    applies=is_picture_net,
)
def patch(
    job: Job,
    target: Asset,
    *,
    area: float = 0.05,
    eps: float = 0.05,
    tolerance: float = 0.1,
    images: int = 400,
    mean: str = "",
    std: str = "",
) -> Iterator[Finding]:
    """Decisions of a picture net that one pattern flips: a patch at any place, or a faint change laid over everything.

    For physical evasion a patch is fitted to half of the pictures and pasted at random places of the other half (Brown et al., 2017); for
    shared tricks one perturbation within `eps` is (Moosavi-Dezfooli et al., CVPR 2017). The control is a random pattern of the same size.
    Fails where the share of right decisions that flip is beyond `tolerance`. Print, light and camera are not simulated.

    area: the share of the picture that the patch covers
    eps: how far the faint change may move each pixel, in ranges of all pixels
    tolerance: the share of right decisions that may flip
    images: the most test pictures that are used, half to fit and half to measure
    mean: what is taken off each channel before the net, numbers separated by commas
    std: by what each channel is divided before the net
    """
    from bartizan.areas.evasion.api import patch as fit_patch
    from bartizan.areas.evasion.api import universal
    from bartizan.areas.evasion.net_inputs import net_subject

    if not 0.0 < area <= 0.5 or not 0.0 < eps < 1.0:
        raise InputError(f"area={area} and eps={eps} are no pattern", place=target.at, cure="set 0 < area <= 0.5 and 0 < eps < 1")
    subject = net_subject(job, target, images, mean=mean, std=std)
    if not subject.pictures:
        raise InputError("the data holds no pictures", place=target.at, cure="declare test pictures for this net")
    height, width = subject.x.shape[2:]
    size = tuple(max(1, round(side * area**0.5)) for side in (height, width))
    for threat, asset in about_of(job):
        count = [0]
        hook = subject.net.register_forward_hook(lambda _n, inputs, _o, count=count: count.__setitem__(0, count[0] + len(inputs[0])))
        if threat == "physical-evasion":
            found = fit_patch(subject.net, subject.x, subject.y, size=(size[0], size[1]), seed=job.seed)
            told = (f"a patch of {size[0]} by {size[1]} pixels", {"area": size[0] * size[1] / (height * width)})
        else:
            found = universal(subject.net, subject.x, subject.y, eps=eps, seed=job.seed)
            told = (f"one change of at most {eps:g} a pixel", {"linf": eps})
        hook.remove()
        null = _random(subject, found, job.seed + 1)
        yield _finding(job, (threat, asset), subject, found, (tolerance, null, count[0] / len(subject.x)), told)


def _judged_rows(subject: NetSubject) -> Any:
    """The rows that the pattern is measured on: every other of those that are decided rightly, as in `whitebox.universal`."""
    return (subject.decisions(subject.x) == subject.y).nonzero().flatten()[1::2]


def _random(subject: NetSubject, found: Pattern, seed: int) -> float:
    """The share that a random pattern of the same kind flips, mean over five draws."""
    import torch

    rows = _judged_rows(subject)
    x, y = subject.x[rows], subject.y[rows]
    dice = torch.Generator().manual_seed(seed)
    flipped = 0
    for _ in range(5):
        changed = x.clone()
        if found.values.ndim == 3:
            noise = torch.rand(found.values.shape, generator=dice)
            tops = torch.randint(0, x.shape[2] - noise.shape[1] + 1, (len(x),), generator=dice).tolist()
            lefts = torch.randint(0, x.shape[3] - noise.shape[2] + 1, (len(x),), generator=dice).tolist()
            for image, top, left in zip(changed, tops, lefts, strict=True):
                image[:, top : top + noise.shape[1], left : left + noise.shape[2]] = noise
        else:
            size = float(abs(found.values).max())
            signs = torch.rand(found.values.shape, generator=dice).reshape(1, *x.shape[1:]) < 0.5
            changed = (x + size * torch.where(signs, -1.0, 1.0)).clamp(0.0, 1.0)
        flipped += int((subject.decisions(changed) != y).sum())
    return flipped / (5 * len(rows))


def _finding(
    job: Job, about: tuple[str, str], subject: NetSubject, found: Pattern, numbers: tuple[float, float, float], told: tuple[str, Any]
) -> Finding:
    from bartizan.areas.evasion.net_findings import judged, share
    from bartizan.areas.evasion.result import Trust

    tolerance, null, forwards = numbers
    ruled = judged(job, found.fooled, found.n, tolerance, Trust(ok=True))
    measure = share(
        job, "right decisions flipped by one pattern", found.fooled, found.n, limit=tolerance, null=null, higher_is_worse=True,
        role="attack-success", method="Clopper-Pearson, on pictures that took no part in the fit",
    )  # fmt: skip
    return Finding(
        check=job.check, asset=about[1], threat=about[0], verdict=ruled.verdict, severity=ruled.severity,
        title=f"{told[0]} flips {found.fooled} of {found.n} right decisions",
        why=f"{ruled.bound} It was fitted to other pictures. A random pattern of the same size flips {null:.1%}.",
        remedy=ruled.remedy,
        measures=(measure,),
        attacker=Attacker(knowledge=Knowledge.WHITE_BOX, budget=told[1]),
        needed=ruled.needed,
        artefacts=tuple(_pictures(subject, found)),
        details={"fitted_on": len(_judged_rows(subject)), "passes": {"images": len(subject.x), "forwards_per_image": round(forwards, 3)}},
    )  # fmt: skip


def _pictures(subject: NetSubject, found: Pattern) -> Iterator[Artefact]:
    """The first flipped picture beside its original and the difference."""
    import torch

    from bartizan.areas.evasion.pictures import triptych

    rows = _judged_rows(subject)
    changed = torch.as_tensor(found.adversarial, dtype=torch.float32).reshape(-1, *subject.x.shape[1:])
    flipped = (subject.decisions(changed) != subject.y[rows]).nonzero().flatten().tolist()
    data = triptych(subject.x[rows[flipped[0]]].numpy(), changed[flipped[0]].numpy(), 0.0, 1.0) if flipped else None
    if data is not None:
        yield Artefact(name="original-changed-difference.png", media_type="image/png", data=data)
