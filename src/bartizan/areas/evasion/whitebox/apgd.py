"""Projected gradient ascent with automatic step sizes, one independent climb per row: rows may be at different steps, radii and aims.

The step rule is APGD's (Croce and Hein, Reliable evaluation of adversarial robustness, ICML 2020): start with steps of twice the radius,
momentum 0.75, halve the step and return to the best point at checkpoints that brought too little. For l1 the rule of "Mind the box" (ICML
2021): the share of entries that move shrinks with the sparsity of the best point. `Climbs` keeps the state of a batch of rows; who refills
it is the cascade's business.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np

from bartizan.areas.evasion.arrays import Array, column, copy, full, integers, like, masked, namespace, norm_inf, to_numpy
from bartizan.areas.evasion.norms import Space, ascent, full_like, size
from bartizan.areas.evasion.targets import Differentiates, margins
from bartizan.areas.evasion.whitebox.losses import Loss

MOMENTUM = 0.75
TIE = 1e-6
"""A margin below this share of the largest score may flip with rounding: an example must evade by more."""


@cache
def checkpoints(steps: int) -> tuple[tuple[int, int], ...]:
    """(step, steps since the previous checkpoint) for a climb of `steps`."""
    period, least, shorter = max(int(0.22 * steps), 1), max(int(0.06 * steps), 1), max(int(0.03 * steps), 1)
    found, at = [], 0
    while at + period <= steps:
        at += period
        found.append((at, period))
        period = max(period - shorter, least)
    return tuple(found)


@cache
def _window(steps: int) -> np.ndarray[Any, Any]:
    """For each step the length of the window that ends there, 0 where it is no checkpoint."""
    out = np.zeros(steps + 1, dtype=np.int64)
    for at, period in checkpoints(steps):
        out[at] = period
    return out


@dataclass
class Rule:
    """How a climb steps. `fixed`: constant step as a share of the radius, no momentum (plain PGD); None: APGD's rule."""

    steps: int
    fixed: float | None = None


@dataclass
class Climbs:
    """The state of m climbs; every field has m rows. `row` numbers the caller's samples, `stage` the place in the plan, `k` the step."""

    row: np.ndarray[Any, Any]
    stage: np.ndarray[Any, Any]
    k: np.ndarray[Any, Any]
    origin: Array
    y: Array
    eps: Array
    aim: Array
    x: Array
    before: Array
    gradient: Array
    value: Array
    best: Array
    best_value: Array
    best_gradient: Array
    step: Array
    share: Array
    rises: Array
    reduced: Array
    checked: Array

    def __len__(self) -> int:
        return len(self.row)

    def keep(self, chosen: np.ndarray[Any, Any]) -> Climbs:
        """The climbs of these places."""
        on_device = integers(chosen, self.x)
        return Climbs(**{f.name: getattr(self, f.name)[chosen if f.name in HOST else on_device] for f in fields(self)})

    def join(self, other: Climbs) -> Climbs:
        """These climbs, then the other ones."""
        xp = namespace(self.x)
        joined = {}
        for f in fields(self):
            mine, theirs = getattr(self, f.name), getattr(other, f.name)
            joined[f.name] = (
                np.concatenate([mine, theirs]) if f.name in HOST else (xp.cat if xp is not np else np.concatenate)([mine, theirs])
            )
        return Climbs(**joined)


HOST = ("row", "stage", "k")


def begin(row: np.ndarray[Any, Any], stage: np.ndarray[Any, Any], origin: Array, y: Array, eps: Array, aim: Array, start: Array) -> Climbs:
    """Climbs at step 0: the first `advance` only evaluates `start`."""
    low = full(origin, len(row), -np.inf)
    return Climbs(
        row=row, stage=stage, k=np.zeros(len(row), dtype=np.int64), origin=origin, y=y, eps=eps, aim=aim,
        x=start, before=copy(start), gradient=full_like(start, 0.0), value=low, best=copy(start), best_value=copy(low),
        best_gradient=full_like(start, 0.0), step=2.0 * eps, share=full_like(eps, 0.2), rises=full_like(eps, 0.0),
        reduced=full_like(eps, 1.0), checked=copy(low),
    )  # fmt: skip


def advance(climbs: Climbs, target: Differentiates, space: Space, loss: Loss, rule: Rule) -> Array:
    """One pass for every climb: move, evaluate, keep the best, adapt. Returns (m,), whether the new point evades, by the logits."""
    fresh = like(climbs.k == 0, climbs.x) > 0
    if space.norm == "l1" and (climbs.k == 0).any():
        _sparsity_at_start(climbs, fresh)
    moved = masked(fresh, climbs.x, _move(climbs, space, rule))
    evading: list[Array] = []
    values: list[Array] = []

    def cotangent(logits: Array) -> Array:
        value, slope = loss(logits, climbs.y, climbs.aim)
        values.append(value)
        evading.append(evades(logits, climbs.y))
        return slope

    _, gradient = target.pull(moved, cotangent)
    value = values[0]
    climbs.before, climbs.x, climbs.gradient = climbs.x, moved, gradient
    climbs.rises = climbs.rises + like(to_numpy(value > climbs.value) & (climbs.k > 0), value)
    climbs.value = value
    better = value > climbs.best_value
    climbs.best = masked(better, moved, climbs.best)
    climbs.best_gradient = masked(better, gradient, climbs.best_gradient)
    climbs.best_value = masked(better, value, climbs.best_value)
    _adapt(climbs, space, rule)
    climbs.k = climbs.k + 1
    return evading[0]


def evades(logits: Array, y: Array) -> Array:
    """Whether the decision is not `y`, by more than rounding can undo; an exact tie counts where the decision falls to the other class."""
    gap = margins(logits, y)
    return (namespace(logits).argmax(logits, 1) != y) & ((gap < -TIE * norm_inf(logits)) | (gap == 0))


def _move(climbs: Climbs, space: Space, rule: Rule) -> Array:
    """The next point of every climb, inside ball and range."""
    direction = ascent(climbs.gradient, space.norm, climbs.share)
    if rule.fixed is not None:
        return space.project(climbs.origin, climbs.x + column(rule.fixed * climbs.eps) * direction, climbs.eps)
    ahead = space.project(climbs.origin, climbs.x + column(climbs.step) * direction, climbs.eps)
    if space.norm == "l1":
        return ahead
    first = column(like(climbs.k <= 1, climbs.x))
    weight = MOMENTUM + (1.0 - MOMENTUM) * first
    mixed = climbs.x + weight * (ahead - climbs.x) + (1.0 - weight) * (climbs.x - climbs.before)
    return space.project(climbs.origin, mixed, climbs.eps)


def _adapt(climbs: Climbs, space: Space, rule: Rule) -> None:
    """Step sizes at checkpoints, and a return to the best point where the window brought too little."""
    if rule.fixed is not None:
        return
    if space.norm == "l1":
        _adapt_l1(climbs, rule)
        return
    window = _window(rule.steps)[np.minimum(climbs.k, rule.steps)]
    due = window > 0
    if not due.any():
        return
    rises, reduced = to_numpy(climbs.rises), to_numpy(climbs.reduced)
    checked, best = to_numpy(climbs.checked), to_numpy(climbs.best_value)
    stalled = (rises <= MOMENTUM * window) | ((reduced == 0) & (checked >= best))
    halve = like(due & stalled, climbs.step) > 0
    at_check = like(due, climbs.step) > 0
    climbs.step = masked(halve, climbs.step / 2, climbs.step)
    climbs.x = masked(halve, climbs.best, climbs.x)
    climbs.gradient = masked(halve, climbs.best_gradient, climbs.gradient)
    climbs.value = masked(halve, climbs.best_value, climbs.value)
    climbs.reduced = masked(at_check, like(due & stalled, climbs.step), climbs.reduced)
    climbs.checked = masked(at_check, climbs.best_value, climbs.checked)
    climbs.rises = masked(at_check, climbs.rises * 0, climbs.rises)


def _sparsity_at_start(climbs: Climbs, fresh: Array) -> None:
    """Steps of one radius; a fifth of the entries move at first, fewer from a start that differs in fewer."""
    xp, d = namespace(climbs.x), climbs.x.shape[1]
    used = size(climbs.x - climbs.origin, "l0")
    sparse = (used > 0) & (used < 0.3 * d)
    share = xp.where(sparse, used / (1.5 * d), full_like(used, 0.2))
    climbs.step = masked(fresh, climbs.eps * 1.0, climbs.step)
    climbs.share = masked(fresh, share, climbs.share)
    climbs.checked = masked(fresh, xp.where(sparse, used, full_like(used, float(d))), climbs.checked)


def _adapt_l1(climbs: Climbs, rule: Rule) -> None:
    """Every few steps as many entries move as two thirds of those that differ at the best point.

    Where these became fewer by 5 % the climb returns to the best point with whole steps, else steps shrink towards a tenth of the radius.
    """
    period = max(int(0.04 * rule.steps), 1)
    due = (climbs.k > 0) & (climbs.k % period == 0)
    if not due.any():
        return
    xp, d = namespace(climbs.x), climbs.x.shape[1]
    used = size(climbs.best - climbs.origin, "l0")
    at_check = like(due, climbs.step) > 0
    sparser = used < 0.95 * climbs.checked
    back = at_check & sparser
    climbs.step = masked(at_check, xp.where(sparser, climbs.eps, xp.maximum(climbs.step / 1.5, climbs.eps / 10)), climbs.step)
    climbs.share = masked(at_check, xp.clip(used / (1.5 * d), 1.0 / d, 1.0), climbs.share)
    climbs.checked = masked(at_check, used, climbs.checked)
    climbs.x = masked(back, climbs.best, climbs.x)
    climbs.gradient = masked(back, climbs.best_gradient, climbs.gradient)
    climbs.value = masked(back, climbs.best_value, climbs.value)
