"""Attacks by name: a plan of climbs, a minimum-norm attack, or a search on scores alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bartizan.areas.evasion.cascade import Plan, Stage
from bartizan.areas.evasion.targets import Searches
from bartizan.areas.evasion.whitebox.apgd import Rule
from bartizan.areas.evasion.whitebox.carlini_wagner import carlini_wagner
from bartizan.areas.evasion.whitebox.deepfool import deepfool
from bartizan.areas.evasion.whitebox.losses import loss_named
from bartizan.areas.evasion.whitebox.minimum_norm import fmn, pulled, sigma_zero
from bartizan.areas.evasion.whitebox.random_search import random_search
from bartizan.model.errors import InputError


@dataclass(frozen=True)
class Strategy:
    """Exactly one of the three is set. `nearest(target, x, y, space)` returns rows that evade as close to `x` as it can.

    `usual`: the strongest we have; any other is held against it before it is trusted.
    """

    plan: Plan | None = None
    nearest: Callable[..., Any] | None = None
    search: Searches | None = None
    usual: bool = False


WIDE = {"l2": (8.0, 5.3, 3.5, 2.3, 1.5, 1.0), "l1": (20.0, 12.0, 7.4, 4.5, 2.7, 1.6, 1.0)}
"""Radii, as multiples of the true one, that a climb passes inwards: in l2 and l1 small balls are full of poor local optima."""


def inwards(options: Any, norm: str) -> Plan:
    """Margin climbs from a ball many times too large into the true one, untargeted and aimed.

    After Croce and Hein, Mind the box, ICML 2021, who start at three radii; more and shorter climbs from further out find more.
    """
    ranks = (None, *range(options.targets + 2 if options.targets else 0), *(None,) * options.restarts)
    stages = tuple(
        Stage(rank=rank, start="last" if place else "random", scale=scale) for rank in ranks for place, scale in enumerate(WIDE[norm])
    )
    return Plan(loss_named("margin"), stages, Rule(max(1, options.steps // 2 if norm == "l2" else options.steps * 3 // 5)))


def cascade(options: Any, norm: str) -> Strategy:
    """Margin over the runner-up, then over the likeliest classes one by one; longer climbs for the survivors closest to breaking."""
    if norm == "l0":
        return Strategy(nearest=sigma_zero, usual=True)
    if norm in WIDE:
        return Strategy(plan=inwards(options, norm), usual=True)
    aimed = tuple(Stage(rank=rank, start="random") for rank in range(options.targets))
    again = tuple(Stage(start="random") for _ in range(options.restarts))
    margin, longer = loss_named("margin"), Rule(options.steps * 5 // 2)
    last = Plan(margin, tuple(Stage(rank=rank, start="random") for rank in range(options.targets + 2)), longer)
    return Strategy(plan=Plan(margin, (Stage(start="best"), *aimed, *again), Rule(options.steps), last=last, undecided=0.1), usual=True)


def apgd(loss: str) -> Callable[[Any, str], Strategy]:
    """Auto-PGD on one loss from random starts."""

    def build(options: Any, norm: str) -> Strategy:  # noqa: ARG001
        return Strategy(plan=Plan(loss_named(loss), (Stage(start="random"),) * (1 + options.restarts), Rule(options.steps)))

    return build


def pgd(options: Any, norm: str) -> Strategy:  # noqa: ARG001
    """Plain PGD on the cross-entropy: steps of 2.5 radii in all (Madry et al., 2018); saturates, kept for comparison."""
    rule = Rule(options.steps + 1, fixed=2.5 / options.steps)
    return Strategy(plan=Plan(loss_named("ce"), (Stage(start="random"),) * (1 + options.restarts), rule))


def fgsm(options: Any, norm: str) -> Strategy:  # noqa: ARG001
    """One step of the whole radius on the cross-entropy (Goodfellow et al., 2015), for comparison."""
    return Strategy(plan=Plan(loss_named("ce"), (Stage(start="clean"),), Rule(2, fixed=1.0)))


def search(options: Any, norm: str) -> Strategy:  # noqa: ARG001
    """Scores alone, no gradients."""
    return Strategy(search=options.search or random_search)


def nearest(name: str, attack: Callable[..., Any], norms: tuple[str, ...]) -> Callable[[Any, str], Strategy]:
    """A minimum-norm attack, for the norms that it knows."""

    def build(options: Any, norm: str) -> Strategy:  # noqa: ARG001
        if norm not in norms:
            raise InputError(f"{name} does not know {norm}", cure=f"it attacks in {', '.join(norms)}")
        return Strategy(nearest=attack)

    return build


STRATEGIES: dict[str, Callable[[Any, str], Strategy]] = {
    "cascade": cascade,
    "apgd-ce": apgd("ce"),
    "apgd-dlr": apgd("dlr"),
    "apgd-margin": apgd("margin"),
    "pgd": pgd,
    "fgsm": fgsm,
    "fmn": nearest("fmn", fmn, ("linf", "l2", "l1")),
    "pulled": nearest("pulled", pulled, ("linf", "l2", "l1")),
    "deepfool": nearest("deepfool", deepfool, ("linf", "l2")),
    "cw": nearest("cw", carlini_wagner, ("l2",)),
    "sigma-zero": nearest("sigma-zero", sigma_zero, ("l0",)),
    "search": search,
}
