"""Attacks by name: a plan of climbs, a minimum-norm attack, or a search on scores alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bartizan.areas.evasion.cascade import Plan, Stage
from bartizan.areas.evasion.targets import Searches
from bartizan.areas.evasion.whitebox.apgd import Rule
from bartizan.areas.evasion.whitebox.losses import loss_named
from bartizan.areas.evasion.whitebox.random_search import random_search


@dataclass(frozen=True)
class Strategy:
    """Exactly one of the three is set. `nearest(target, x, y, space, seed)` returns rows that evade as close to `x` as it can."""

    plan: Plan | None = None
    nearest: Callable[..., Any] | None = None
    search: Searches | None = None


def cascade(options: Any, norm: str) -> Strategy:  # noqa: ARG001
    """Margin over the runner-up, then over the most likely classes one by one, then random restarts."""
    aimed = tuple(Stage(rank=rank, start="random") for rank in range(options.targets))
    again = tuple(Stage(start="random") for _ in range(options.restarts))
    return Strategy(plan=Plan(loss_named("margin"), (Stage(start="best"), *aimed, *again), Rule(options.steps)))


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


STRATEGIES: dict[str, Callable[[Any, str], Strategy]] = {
    "cascade": cascade,
    "apgd-ce": apgd("ce"),
    "apgd-dlr": apgd("dlr"),
    "apgd-margin": apgd("margin"),
    "pgd": pgd,
    "fgsm": fgsm,
    "search": search,
}
