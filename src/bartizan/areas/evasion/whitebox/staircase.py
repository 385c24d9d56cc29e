"""Models that round their input: the levels are read off the model itself, and the attack searches over the levels that a ball can reach.

A step that maps each value to the level of its bin hides the gradient, and a radius below half a bin moves only values near an edge. Where
the bins are known, the ball is a choice of one bin per value, and that choice is what is climbed: every value free between the middle of
its lowest and of its highest bin, steps as long as bins are wide, the gradient passed straight through (BPDA). Flips of single values by
the gradient at the rounded point finish it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bartizan.areas.evasion.arrays import Array, column, copy, full, integers, like, namespace, to_numpy
from bartizan.areas.evasion.cascade import Field, Plan, Stage, climb, prepare
from bartizan.areas.evasion.norms import Space
from bartizan.areas.evasion.targets import Classifies, Differentiates, margin_gradient, margins
from bartizan.areas.evasion.whitebox.apgd import Rule
from bartizan.areas.evasion.whitebox.losses import loss_named

Host = np.ndarray[Any, Any]

SCAN = 513
"""Uniform inputs between the ends of the range that are asked to find the edges: up to about 6 bits are resolved."""
FEWEST, MOST = 2, SCAN // 6
"""Levels that count as rounding."""


@dataclass(frozen=True)
class Stairs(Space):
    """The bins of a model's input within a linf ball of `radius`, as a space to climb in.

    `below`, `above` (m, w): for each of m inner edges the last value seen before it and the first one after it, for every feature or for
    all (w = 1). `project` keeps to the middles of the bins that the radius reaches, whatever the step length asked for.
    """

    below: Array = None
    above: Array = None
    radius: float = 0.0

    def within(self, radius: float) -> Stairs:
        """The same bins for another radius."""
        return replace(self, radius=radius)

    def bins(self, x: Array) -> Array:
        """The bin of every value of (n, d)."""
        return sum(x >= edge for edge in self.above) + (x * 0 > 1)

    def middle(self, bins: Array) -> Array:
        """The middle of each bin (n, d); the outer ones end where the range does."""
        xp, flat = namespace(self.above), [*self.above]
        starts, ends = [self.low + flat[0] * 0, *flat], [*self.below, self.high + flat[0] * 0]
        middles = [(start + end) / 2 for start, end in zip(starts, ends, strict=True)]
        out = (bins * 0) + middles[0]
        for number in range(1, len(middles)):
            out = xp.where(bins == number, middles[number], out)
        return out

    def ends(self, origin: Array) -> tuple[Array, Array]:
        """The middles of the lowest and highest bins within the radius."""
        low, high = (self.bins(self.clip(origin + side * self.radius)) for side in (-1.0, 1.0))
        return self.middle(low), self.middle(high)

    def project(self, origin: Array, x: Array, eps: Array) -> Array:  # noqa: ARG002
        """`x` between the middles of the outermost bins in reach."""
        low, high = self.ends(origin)
        xp = namespace(x)
        return xp.maximum(xp.minimum(x, high), low)

    def landed(self, origin: Array, x: Array) -> Array:
        """For points between the middles, the value nearest to the origin in the same bin: an input inside the radius."""
        xp, bins = namespace(x), self.bins(x)
        start, end = origin * 0 + self.low, origin * 0 + self.high
        for number, (below, above) in enumerate(zip(self.below, self.above, strict=True)):
            start = xp.where(bins == number + 1, above, start)
            end = xp.where(bins == number, below, end)
        return xp.maximum(xp.minimum(origin, end), start)


def stairs_of(target: Classifies, x: Array, space: Space) -> Stairs | None:
    """The bins of a model that rounds its inputs, None where it does not or where they cannot be told.

    Inputs of one value throughout are scanned from end to end of the range; each jump of the scores is narrowed by halving. What was read
    is then tried on `x` (n, d): values moved inside their bins must leave the scores as they are.
    """
    share = np.linspace(0.0, 1.0, SCAN)
    scores = _scores(target, _flat(space, x, share))
    scale = float(np.abs(scores).max()) + 1e-30
    jumps = np.flatnonzero((np.abs(np.diff(scores, axis=0)) > 1e-6 * scale).any(1))
    if not FEWEST <= len(jumps) + 1 <= MOST:
        return None
    before, after = share[jumps], share[jumps + 1]
    for _ in range(14):
        middle = (before + after) / 2
        moved = (np.abs(_scores(target, _flat(space, x, middle)) - scores[jumps]) > 1e-6 * scale).any(1)
        before, after = np.where(moved, before, middle), np.where(moved, middle, after)
    span = space.high - space.low
    low, high = (column(like(side, x)) * span + space.low for side in (before, after))
    found = Stairs(norm="linf", low=space.low, high=space.high, below=low, above=high)
    return found if _holds(found, target, x[:64], scale) else None


def _flat(space: Space, x: Array, share: Host) -> Array:
    """Rows whose values all lie at this share of their range."""
    return space.clip(full(x, (len(share), x.shape[1]), 0.0) + space.low + column(like(share, x)) * (space.high - space.low))


def _scores(target: Classifies, x: Array) -> Host:
    return to_numpy(target.logits(x)).astype(np.float64)


def _holds(stairs: Stairs, target: Classifies, x: Array, scale: float) -> bool:
    """Whether moves inside the bins leave the scores alone, and moves beyond them do not."""
    random = np.random.default_rng(0)
    share, place = (like(random.uniform(size=tuple(x.shape)), x) for _ in range(2))
    inside = x + share * (stairs.middle(stairs.bins(x)) - x)
    elsewhere = stairs.low + place * (stairs.high - stairs.low)
    base = _scores(target, x)
    return bool(np.abs(_scores(target, inside) - base).max() <= 1e-5 * scale < np.abs(_scores(target, elsewhere) - base).max())


def over_bins(target: Differentiates, x: Array, y: Array, logits: Array, stairs: Stairs, *, targets: int, seed: int, batch: int) -> Array:
    """Rows (n, d) inside the radius of `x` (n, d): the best choice of bins that climbs and flips find, evading or not."""
    low, high = stairs.ends(x)
    reach = float((to_numpy(high) - to_numpy(low)).max()) / 2
    if reach <= 0:
        return copy(x)
    field: Field = prepare(x, y, logits, np.zeros(len(x), dtype=bool))
    stages = (Stage(), *(Stage(rank=rank, start="best" if rank % 2 else "random") for rank in range(targets)), Stage(start="random"))
    climb(target, field, stairs, reach, Plan(loss_named("margin"), stages, Rule(40)), batch=batch, seed=seed)
    best = namespace(x).where(column(integers(field.broken, x)) > 0, field.found, field.best)
    left = np.flatnonzero(~field.broken)
    if len(left):
        at = integers(left, x)
        best[at] = flipped(target, best[at], y[at], low[at], high[at])
    return stairs.landed(x, best)


def flipped(target: Differentiates, at: Array, y: Array, low: Array, high: Array, *, rounds: int = 20) -> Array:
    """Local search over choices of bins: the values whose flip the gradient likes best change sides, 1 to 64 at once, while it helps."""
    xp = namespace(at)
    at = xp.where(at * 2 >= low + high, high, low)
    value = margins(target.logits(at), y)
    for _ in range(rounds):
        _, slope = margin_gradient(target, at, y)
        other = low + high - at
        gain = -slope * (other - at)
        order = to_numpy(xp.argsort(-gain, 1) if xp is np else xp.argsort(-gain, dim=1))
        before = value
        best, start = copy(at), at
        for count in (1, 2, 4, 8, 16, 32, 64):
            chosen = np.zeros(order.shape, dtype=bool)
            np.put_along_axis(chosen, order[:, :count], True, 1)
            trial = xp.where(like(chosen, at) > 0, other, start)
            new = margins(target.logits(trial), y)
            lower = new < value
            best, value = xp.where(column(lower), trial, best), xp.where(lower, new, value)
        at = best
        if bool((value >= before).all()):
            break
    return at
