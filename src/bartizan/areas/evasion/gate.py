"""The sequential gate: "robust accuracy is at least t", decided after as few attacked images as the truth allows.

Images are drawn in random order and attacked in small batches; after every image an anytime-valid test is asked (`model.sequential`),
so that stopping early costs no confidence. Two tests run side by side, one for each verdict; whichever hypothesis is true, only one of
the verdicts is wrong, and it is reached with probability at most 1 - confidence.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from bartizan.model.errors import InputError, UnknownName
from bartizan.model.findings import Verdict
from bartizan.model.sequential import NEAR_STEPS, gains_near, mixture_near, near_lower, near_upper

ABOUT = ("population", "set")
"""What the statement is about: the population the images were drawn from, or these very images, as a full evaluation counts them."""


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict on "robust accuracy is at least `threshold`" and what it rests on.

    `robust` of `tried` images stood before the verdict fell; `attacked` counts those on which an attack was spent. `low` and `high` are
    one-sided bounds at `confidence` for the population, valid although the number of images was not fixed.
    """

    verdict: Verdict
    threshold: float
    confidence: float
    about: str
    robust: int
    tried: int
    attacked: int
    low: float
    high: float
    why: str

    @property
    def rate(self) -> float:
        """The share of the tried images that stood."""
        return self.robust / self.tried if self.tried else 0.0


class _Doubt:
    """Evidence that an event is rarer than a hypothesis says, gathered one outcome at a time.

    The hypothesis is a least rate (independent draws) or a least number among `size` images drawn without replacement, for which the rate
    bet against is what must still come (Waudby-Smith and Ramdas, NeurIPS 2020).
    """

    def __init__(self, rate: float, least: int, size: int | None) -> None:
        self.ratios = [0.0] * len(NEAR_STEPS)
        self.rate, self.least, self.size = rate, least, size
        self.gains = gains_near(rate) if size is None else []
        self.events = self.tried = 0
        self.impossible = False

    def note(self, event: bool) -> None:
        gains = self.gains
        if self.size is not None:
            due, left = self.least - self.events, self.size - self.tried
            self.impossible |= due > left or (due == left and not event)
            gains = gains_near(due / left) if 0 < due < left else []
        for i, gain in enumerate(gains):
            self.ratios[i] += gain - NEAR_STEPS[i] * event
        self.tried += 1
        self.events += event

    def reached(self, confidence: float) -> bool:
        goal = -math.log1p(-confidence)
        return self.impossible or (max(self.ratios) >= goal and mixture_near(self.ratios) >= goal)


def decide(outcomes: Iterable[bool], threshold: float, *, confidence: float = 0.95, size: int | None = None) -> Gate:
    """Read outcomes (True: the image stood) in random order until "the share that stands is at least `threshold`" is decided.

    `size` None: independent draws, a statement about their population. Otherwise the outcomes are those of `size` images in random order
    and the statement is about these images; it is always decided by the last one. The iterable is read no further than needed.
    """
    if not 0.0 < threshold < 1.0 or not 0.0 < confidence < 1.0:
        raise InputError(f"threshold and confidence lie strictly between 0 and 1, not {threshold} and {confidence}", place="gate")
    least = 0 if size is None else math.ceil(threshold * size - 1e-9)
    passes, fails = _Doubt(1.0 - threshold, (size or 0) - least + 1, size), _Doubt(threshold, least, size)
    robust = tried = 0
    verdict = Verdict.INCONCLUSIVE
    for stood in outcomes:
        tried, robust = tried + 1, robust + bool(stood)
        passes.note(not stood)
        fails.note(bool(stood))
        if passes.reached(confidence) or fails.reached(confidence):
            verdict = Verdict.PASS if passes.reached(confidence) else Verdict.FAIL
            break
    why = {
        Verdict.PASS: f"at least {threshold:.1%} at confidence {confidence:.0%}",
        Verdict.FAIL: f"below {threshold:.1%} at confidence {confidence:.0%}",
        Verdict.INCONCLUSIVE: f"{robust} of {tried} images are too close to {threshold:.1%} to tell",
    }[verdict]
    return Gate(
        verdict=verdict, threshold=threshold, confidence=confidence, about="population" if size is None else "set", robust=robust,
        tried=tried, attacked=tried, low=near_lower(robust, tried, confidence), high=near_upper(robust, tried, confidence), why=why,
    )  # fmt: skip


Stands = Callable[[Sequence[int]], Sequence[bool]]
"""From indices of images to whether each stood the attack."""


def gate(
    stands: Stands,
    images: int,
    threshold: float,
    *,
    confidence: float = 0.95,
    about: str = "population",
    batch: int = 16,
    seed: int = 0,
    known: Mapping[int, bool] | None = None,
) -> Gate:
    """Decide "robust accuracy is at least `threshold`" on images 0 .. `images` - 1, attacking as few of them as the truth allows.

    `stands` is asked for up to `batch` images at once, in an order that `seed` shuffles. `known`: outcomes that need no attack, for
    instance images that a replayed example still breaks (`replay`) or that a certificate proves. About the population, a truth within a
    few points of the threshold may stay inconclusive; about the set (`about="set"`) there is always a verdict.
    """
    if about not in ABOUT:
        raise UnknownName("subject of a gate", about, ABOUT)
    if images < 1 or batch < 1:
        raise InputError(f"need at least one image and a batch of at least one, not {images} and {batch}", place="gate")
    order = list(range(images))
    random.Random(seed).shuffle(order)  # noqa: S311 the order of a sample, not a secret
    spent: list[int] = []
    found = decide(_outcomes(stands, order, batch, dict(known or {}), spent), threshold, confidence=confidence,
                   size=images if about == "set" else None)  # fmt: skip
    return msgspec.structs.replace(found, attacked=len(spent))


def _outcomes(stands: Stands, order: Sequence[int], batch: int, known: dict[int, bool], spent: list[int]) -> Iterator[bool]:
    """The outcomes in order; the next `batch` unknown ones are asked for together when one of them is due."""
    for at, image in enumerate(order):
        if image not in known:
            asked = [i for i in order[at : at + 4 * batch] if i not in known][:batch]
            answers = list(stands(asked))
            if len(answers) != len(asked):
                raise InputError(f"the attack answered for {len(answers)} of {len(asked)} images", place="gate")
            spent.extend(asked)
            known.update(zip(asked, (bool(a) for a in answers), strict=True))
        yield known[image]


def gate_model(
    model: Any,
    x: Any,
    y: Any,
    threshold: float,
    *,
    eps: float,
    norm: str = "linf",
    about: str = "population",
    confidence: float = 0.95,
    **options: Any,
) -> Gate:
    """The gate with `bartizan.evasion.attack` on images `x` (N, ...) with labels `y` (N,) at radius `eps`; `options` go to the attack.

    An attack that is not trustworthy passes nobody: a pass then becomes inconclusive and says why.
    """
    from bartizan.areas.evasion.api import attack
    from bartizan.areas.evasion.result import Outcome

    reasons: list[str] = []

    def stands(indices: Sequence[int]) -> Sequence[bool]:
        chosen = list(indices)
        result = attack(model, x[chosen], y[chosen], norm=norm, eps=eps, **options)
        reasons.extend(reason for reason in result.trust.reasons if reason not in reasons)
        return [outcome is Outcome.ROBUST for outcome in result.at[-1].outcomes]

    found = gate(stands, len(x), threshold, confidence=confidence, about=about)
    if found.verdict is Verdict.PASS and reasons:
        return msgspec.structs.replace(found, verdict=Verdict.INCONCLUSIVE, why="not trustworthy because " + "; ".join(reasons))
    return found
