"""The check that inputs which defeat a stand-in do not defeat the model as well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bartizan.areas.evasion.net_files import has_rows
from bartizan.areas.evasion.tasks import PICTURES
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Attacker, Finding, Job, Knowledge, Measure, Verdict, about_of
from bartizan.model.statistics import clopper_pearson, judge
from bartizan.model.system import Asset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.evasion.tabular_inputs import Ints, Prepared

MAX_ROWS = {True: 300, False: 60}
"""Most test rows that are attacked: images, tables."""

DRAWS = 5

Told = tuple[int, int, float, float, str, dict[str, float]]
"""Flipped, rows, the control's share, how far the stand-in agrees, the method and the budget."""


@check(
    "evasion.transfer",
    threats=["transfer-evasion"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT},
    extra="sklearn",
    cost=Cost.FAST,
    reads=["training_sets", "test_sets"],
    applies=has_rows,
)
def transfer(job: Job, target: Asset, *, eps: float = 0.1, k: int = 2, answers: bool = False, tolerance: float = 0.1) -> Iterator[Finding]:
    """Decisions that flip under inputs made against a model of the attacker's own.

    The stand-in is trained on the declared training data, with its labels or with the model's answers: a perceptron that is attacked by
    its gradient within a radius (images), a forest that is attacked by plausible values in a few features (tables). The model sees each
    find once, so nobody who counts questions would notice. All changes keep the model's declared `constraints`. The control is random
    changes of the same size. Fails where the share of correct decisions that flip is beyond `tolerance`.

    eps: the radius for images (linf), in ranges of all pixels
    k: the most features that may be changed in one row of a table
    answers: train the stand-in on what the model answers instead of on the declared labels
    tolerance: the share of correct decisions that may flip
    """
    from bartizan.areas.evasion.tabular_inputs import prepared, sample
    from bartizan.areas.evasion.tabular_whitebox import quiet

    if k < 1 or not eps > 0:
        raise InputError(f"k={k} and eps={eps} leave nothing to try", place=target.at, cure="set k to 1 or more and eps above 0")
    subject = prepared(job, target)
    images = target.task in PICTURES
    possible, discarded = subject.possible(subject.correct())
    places = sample(possible, MAX_ROWS[images], job.seed)
    with quiet():
        found = _images(subject, places, eps, answers, job.seed) if images else _tables(subject, places, k, answers, job.seed)
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), found, tolerance, (discarded, subject.rules is not None))


def _images(subject: Prepared, places: Ints, eps: float, answers: bool, seed: int) -> Told:
    import numpy as np

    from bartizan.areas.evasion.pixels import asked_model, noise_flips, pixels_of, ranged
    from bartizan.areas.evasion.surrogate import transfer_with

    x, low, high = pixels_of(subject, places)
    radius = eps * (high - low)
    hunt, surrogate = transfer_with(
        asked_model(subject, labels_only=False), x, subject.labels[places], eps=radius, norm="linf", queries=3, bounds=(low, high),
        pool=np.asarray(subject.train, dtype=np.float64), pool_labels=None if answers else subject.train_labels,
        surrogate_queries=len(subject.train), constraints=ranged(subject), seed=seed % 2**31,
    )  # fmt: skip
    null = noise_flips(subject, places, radius, DRAWS, seed + 1)
    return int(hunt.found.sum()), len(places), null, surrogate.agreement, "a perceptron, by its gradient", {"linf": eps}


def _tables(subject: Prepared, places: Ints, k: int, answers: bool, seed: int) -> Told:
    from bartizan.areas.evasion.tabular_changes import plausible_changes
    from bartizan.areas.evasion.tabular_search import Asked, random_flips
    from bartizan.areas.evasion.tabular_transfer import carry, stand_in

    changes = plausible_changes(subject.train, frozenset(), 250, subject.rules)
    carried = carry(subject, stand_in(subject, answers=answers, seed=seed), places, changes, k)
    null = random_flips(Asked(subject, places, changes, labels_only=True), k, DRAWS, seed + 1)
    return int(carried.flipped.sum()), len(places), null, carried.agreement, "a forest, by plausible values", {"features": float(k)}


def _finding(job: Job, about: tuple[str, str], found: Told, tolerance: float, kept: tuple[dict[int, str], bool]) -> Finding:
    from bartizan.areas.evasion.telling import bound, severity, with_discarded

    flipped, n, null, agreement, method, budget = found
    ruling = judge(flipped, n, tolerance, job.confidence)
    low, high = clopper_pearson(flipped, n, job.confidence)
    measure = Measure(
        name="correct decisions flipped by what defeats a stand-in", value=flipped / n, low=low, high=high, confidence=job.confidence, n=n,
        k=flipped, limit=tolerance, null=null, role="attack-success", method=f"Clopper-Pearson; {method}",
    )  # fmt: skip
    told = Finding(
        check=job.check,
        asset=about[1],
        threat=about[0],
        verdict=ruling.verdict,
        severity=severity(ruling.verdict, ruling),
        title=f"{flipped} of {n} correct decisions flip under inputs made against a stand-in",
        why=f"{bound(ruling, tolerance, how=' under this attack')} The stand-in is {method}; it decides {agreement:.1%} of rows as the "
        f"model does. Every flip was confirmed by the model's own predict. Random changes of the same size flip {null:.1%}.",
        remedy="" if ruling.verdict is Verdict.PASS else _remedy(ruling.verdict),
        measures=(measure,),
        attacker=Attacker(knowledge=Knowledge.GREY_BOX, queries=1, budget=budget),
        needed=ruling.needed,
        details={"agreement": round(agreement, 6), "stand_in": method},
    )
    return with_discarded(told, *kept)


def _remedy(verdict: Verdict) -> str:
    if verdict is Verdict.INCONCLUSIVE:
        return "Declare more test rows (tested_on) and run again."
    return (
        "Train on inputs that were made against several other models, verify what callers state from another source, and keep training "
        "data that is not public out of outsiders' reach; then run again."
    )
