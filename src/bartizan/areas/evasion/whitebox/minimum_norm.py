"""The nearest evading input in any norm by gradients: fast minimum-norm (FMN) for linf, l2 and l1, sigma-zero for l0.

FMN: Pintor et al., Fast minimum-norm adversarial attacks through adaptive norm constraints, NeurIPS 2021: the radius of each sample shrinks
while it evades and grows while it does not. sigma-zero: Cinà et al., Gradient-based optimization of l0-norm adversarial examples, ICLR
2025: a smooth count of changed entries, with a threshold that adapts. `pulled` climbs inside radii that are pulled in. Rows that were never
made to evade come back unchanged.
"""

from __future__ import annotations

import math

import numpy as np

from bartizan.areas.evasion.arrays import Array, column, copy, full, integers, masked, namespace, norm_inf, to_numpy
from bartizan.areas.evasion.norms import TINY, Space, ascent, dual, size
from bartizan.areas.evasion.targets import Differentiates
from bartizan.areas.evasion.whitebox.apgd import Rule, advance, begin, evades
from bartizan.areas.evasion.whitebox.losses import loss_named, margin


def probe(target: Differentiates, x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Margin of the true class (positive where right), its gradient, and whether the row evades."""
    seen: list[Array] = []

    def cotangent(logits: Array) -> Array:
        value, slope = margin(logits, y, y * 0 - 1)
        seen.extend((-value, evades(logits, y)))
        return -slope

    _, gradient = target.pull(x, cotangent)
    return seen[0], gradient, seen[1]


def fmn(target: Differentiates, x: Array, y: Array, space: Space, *, steps: int = 100) -> Array:
    """Rows (n, d) that evade as near to `x` as `steps` passes find, by `space.norm` (linf, l2 or l1)."""
    xp = namespace(x)
    at, best = copy(x), copy(x)
    nearest, radius = full(x, len(x), math.inf), full(x, len(x), math.inf)
    for step in range(steps):
        decay = (1 + math.cos(math.pi * step / steps)) / 2
        gamma, rate = 0.001 + 0.049 * decay, 0.02 + 0.98 * decay
        value, gradient, evading = probe(target, at, y)
        away = size(at - x, space.norm)
        closer = evading & (away < nearest)
        best, nearest = masked(closer, at, best), xp.where(closer, away, nearest)
        linear = away + xp.clip(value, 0, None) / (size(gradient, dual(space.norm)) + TINY)
        unknown = xp.where(xp.isinf(nearest), linear * (1 + gamma) + TINY, xp.minimum(radius * (1 + gamma), nearest))
        radius = xp.where(evading, xp.minimum(radius, away) * (1 - gamma), unknown)
        radius = xp.minimum(radius, full(x, len(x), space.widest(tuple(x.shape))))
        share = 0.2 * decay * full(x, len(x), 1.0) + 1.0 / x.shape[1]
        at = space.project(x, at - column(rate * radius) * ascent(gradient, space.norm, share), radius)
    return best


def pulled(target: Differentiates, x: Array, y: Array, space: Space, *, rounds: int = 16, steps: int = 8) -> Array:
    """Rows (n, d) that evade near `x`: short climbs inside a radius that is pulled in from each row's nearest evasion so far.

    In l1 far better than FMN, whose steps end in poor optima. After a failure the next radius lies nearer to the last one that held.
    """
    best = fmn(target, x, y, space, steps=40)
    nearest, pull = size(best - x, space.norm), full(x, len(x), 0.6)
    for _ in range(rounds):
        rows = np.flatnonzero(to_numpy(nearest) > 0)
        if not len(rows):
            break
        at = integers(rows, x)
        eps, origin = pull[at] * nearest[at], x[at]
        start = space.project(origin, best[at], eps)
        climbs = begin(rows, np.zeros(len(rows), dtype=np.int64), origin, y[at], eps, y[at] * 0 - 1, start)
        found, length = copy(best[at]), copy(nearest[at])
        for _ in range(steps):
            crossed = advance(climbs, target, space, loss_named("margin"), Rule(steps))
            away = size(climbs.x - origin, space.norm)
            closer = crossed & (away < length)
            found, length = masked(closer, climbs.x, found), namespace(x).where(closer, away, length)
        good = length < nearest[at]
        best[at], nearest[at] = found, length
        pull[at] = namespace(x).where(good, pull[at], (1 + pull[at]) / 2)
    return best


def sigma_zero(target: Differentiates, x: Array, y: Array, space: Space, *, steps: int = 200, smooth: float = 1e-3) -> Array:
    """Rows (n, d) that evade with as few changed entries as `steps` passes find; changes are measured as shares of the range."""
    xp = namespace(x)
    span = space.high - space.low
    delta, best, first, second = x * 0, copy(x), x * 0, x * 0
    nearest, cut = full(x, len(x), math.inf), full(x, len(x), 0.3)
    for step in range(steps):
        rate = 0.1 + 0.9 * (1 + math.cos(math.pi * step / steps)) / 2
        at = space.project(x, x + delta * span, full(x, len(x), x.shape[1]))
        value, gradient, evading = probe(target, at, y)
        count = size(at - x, "l0")
        closer = evading & (count < nearest)
        best, nearest = masked(closer, at, best), xp.where(closer, count, nearest)
        slope = masked(value > 0, gradient * span, gradient * 0)
        slope = slope + 2 * delta * smooth / (delta * delta + smooth) ** 2 / x.shape[1]
        slope = slope / (column(norm_inf(slope)) + TINY)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope * slope
        move = first / (1 - 0.9 ** (step + 1)) / ((second / (1 - 0.999 ** (step + 1))) ** 0.5 + 1e-8)
        delta = (space.clip(x + (delta - rate * move) * span) - x) / span
        cut = xp.clip(cut + xp.where(evading, full(x, len(x), 0.01 * rate), full(x, len(x), -0.01 * rate)), 0.0, 1.0)
        delta = delta * (xp.abs(delta) > column(cut))
    return pruned(target, x, best, y)


def pruned(target: Differentiates, x: Array, best: Array, y: Array, *, rounds: int = 12) -> Array:
    """`best` with changed entries put back, least gradient first, while the row still evades: halves the count, then less."""
    at, share = copy(best), np.full(len(x), 0.5)
    for _ in range(rounds):
        changed = to_numpy(at != x)
        counts = changed.sum(1)
        rows = np.flatnonzero((counts > 1) & (share * counts >= 1))
        if not len(rows):
            break
        here = integers(rows, x)
        _, gradient, _ = probe(target, at[here], y[here])
        worth = np.where(changed[rows], np.abs(to_numpy(gradient * (at[here] - x[here]))), np.inf)
        back = np.argsort(np.argsort(worth, 1), 1) < np.floor(share[rows] * counts[rows])[:, None]
        trial = namespace(x).where(integers(back, x) > 0, x[here], at[here])
        good = evades(target.logits(trial), y[here])
        at[here[good]] = trial[good]
        share[rows[~to_numpy(good)]] /= 2
    return at
