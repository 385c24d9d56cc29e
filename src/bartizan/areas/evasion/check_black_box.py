"""The check that decisions on images cannot be flipped within a radius by asking the model for its answers alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bartizan.areas.evasion.net_files import is_net
from bartizan.areas.evasion.tasks import PICTURES
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Attacker, Finding, Job, Knowledge, Measure, Verdict, about_of
from bartizan.model.statistics import clopper_pearson, judge, median_interval
from bartizan.model.system import Actor, Asset, Kind, Output, Phase, Task

if TYPE_CHECKING:
    from bartizan.areas.evasion.blackbox.oracle import Hunt

MAX_ROWS = 100
"""Most test rows that are attacked."""

_OTHERS = frozenset({Task.AUDIO, Task.OTHER})
_DRAWS = 10


def _has_pixels(node: Asset, _: Any) -> bool:
    return node.task in PICTURES | _OTHERS and not is_net(node)


@check(
    "evasion.black_box",
    threats=["black-box-evasion"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT},
    extra="sklearn",
    cost=Cost.FAST,
    reads=["training_sets", "test_sets", "served_by", "callers"],
    applies=_has_pixels,
)
def black_box(
    job: Job, target: Asset, *, eps: float = 0.1, queries: int = 500, attack: str = "auto", tolerance: float = 0.1
) -> Iterator[Finding]:
    """Decisions of an image model that flip within a radius when it is only asked, as its callers can ask.

    The model file stands for the service: Square where the declared output shows scores, HopSkipJump where it shows the label alone. One
    row costs no more questions than the declared budget of the actors that call. Every flip is confirmed by the model's own predict; the
    control is random noise of the same radius.
    What broke an earlier version is tried again. Tables are attacked by `evasion.tabular_manipulation`. Fails where the share of correct
    decisions that flip is beyond `tolerance`.

    eps: the radius (linf), in ranges of all pixels
    queries: the most questions for one row, where no actor declares a smaller budget
    attack: auto, square, hopskipjump, signopt or boundary
    tolerance: the share of correct decisions that may flip
    """
    from bartizan.areas.evasion.blackbox.attacks import black_box as hunt
    from bartizan.areas.evasion.known import artefact_of, told_known, tried_again
    from bartizan.areas.evasion.pixels import asked_model, noise_flips, pixels_of, ranged, with_known, within
    from bartizan.areas.evasion.tabular_inputs import prepared, sample
    from bartizan.areas.evasion.telling import with_discarded

    if not eps > 0 or queries < 2:
        raise InputError(
            f"eps={eps} and queries={queries} leave nothing to try", place=target.at, cure="set eps > 0 and queries to 2 or more"
        )
    subject = prepared(job, target)
    possible, discarded = subject.possible(subject.correct())
    places = sample(possible, MAX_ROWS, job.seed)
    labels_only = target.output is Output.LABEL
    chosen = ("hopskipjump" if labels_only else "square") if attack == "auto" else attack
    budget = _for_one_row(job, queries)
    x, low, high = pixels_of(subject, places)
    model = asked_model(subject, labels_only=labels_only)
    radius = eps * (high - low)
    found = hunt(
        model, x, subject.labels[places], attack=chosen, norm="linf", eps=radius, queries=budget, bounds=(low, high),
        constraints=ranged(subject), seed=job.seed,
    )  # fmt: skip
    known = tried_again(job, x, subject.labels[places], model.decide, within(subject, x, radius, (low, high)))
    found = with_known(found, known.broken, known.changed)
    kept = artefact_of(job, x, found.adversarial, subject.labels[places], found.found & ~found.wrong, found.attack)
    null = noise_flips(subject, places, radius, _DRAWS, job.seed + 1)
    for threat, asset in about_of(job):
        told = _finding(job, (threat, asset), found, budget, (eps, tolerance, null))
        yield with_discarded(told_known(told, job, known, kept), discarded, subject.rules is not None)


def _for_one_row(job: Job, queries: int) -> int:
    """The questions that the best equipped caller has for one row in a day."""
    declared = [actor.budget.queries_per_day if actor.budget else None for actor in job.related if isinstance(actor, Actor)]
    known = [budget for budget in declared if budget is not None]
    most = min(queries, max(known)) if known and len(known) == len(declared) else queries
    return max(2, most if job.budget.queries is None else min(most, job.budget.queries // MAX_ROWS))


def _finding(job: Job, about: tuple[str, str], found: Hunt, queries: int, numbers: tuple[float, float, float]) -> Finding:
    from bartizan.areas.evasion.telling import bound, severity

    eps, tolerance, null = numbers
    flipped, n = int(found.found.sum()), len(found.found)
    ruling = judge(flipped, n, tolerance, job.confidence)
    return Finding(
        check=job.check,
        asset=about[1],
        threat=about[0],
        verdict=ruling.verdict,
        severity=severity(ruling.verdict, ruling),
        title=f"{flipped} of {n} correct decisions flip within linf {eps:g} and {queries} questions each",
        why=f"{bound(ruling, tolerance, how=' under this attack')} Method: {found.attack}. Every flip was confirmed by the model's own "
        f"predict. Random noise of the same radius flips {null:.1%}.",
        remedy="" if ruling.verdict is Verdict.PASS else _remedy(ruling.verdict),
        measures=tuple(_measures(job, found, tolerance, null)),
        attacker=Attacker(knowledge=Knowledge.BLACK_BOX, queries=queries, budget={"linf": eps}),
        needed=ruling.needed,
        details={"attack": found.attack, "asked": int(found.queries.sum())},
    )


def _measures(job: Job, found: Hunt, tolerance: float, null: float) -> Iterator[Measure]:
    flipped, n = int(found.found.sum()), len(found.found)
    low, high = clopper_pearson(flipped, n, job.confidence)
    yield Measure(
        name="correct decisions flipped by asking", value=flipped / n, low=low, high=high, confidence=job.confidence, n=n, k=flipped,
        limit=tolerance, null=null, role="attack-success", method=f"Clopper-Pearson; {found.attack}",
    )  # fmt: skip
    if flipped:
        value, low, high = median_interval(found.queries[found.found].tolist(), job.confidence)
        yield Measure(
            name="median of queries for a flip", value=value, low=low, high=high, confidence=job.confidence, n=flipped,
            higher_is_worse=False, method="order statistics, over the rows that were flipped",
        )  # fmt: skip


def _remedy(verdict: Verdict) -> str:
    if verdict is Verdict.INCONCLUSIVE:
        return "Declare more test rows (tested_on) and run again."
    return (
        "Limit the questions of each caller and look for series of nearly equal ones, show the decision without the score where the "
        "purpose allows, or train on attacked inputs; then attack again."
    )
