"""The nearest evading input in any norm by gradients: fast minimum-norm (FMN) for linf, l2 and l1, sigma-zero for l0.

FMN: Pintor et al., Fast minimum-norm adversarial attacks through adaptive norm constraints, NeurIPS 2021: the radius of each sample shrinks
while it evades and grows while it does not. sigma-zero: Cinà et al., Gradient-based optimization of l0-norm adversarial examples, ICLR
2025: a smooth count of changed entries, with a threshold that adapts. Rows that were never made to evade come back unchanged.
"""

from __future__ import annotations

import math

import numpy as np

from bartizan.areas.evasion.arrays import Array, column, copy, full, integers, masked, namespace, norm_inf, to_numpy
from bartizan.areas.evasion.norms import TINY, Space, ascent, dual, size
from bartizan.areas.evasion.targets import Differentiates
from bartizan.areas.evasion.whitebox.apgd import evades
from bartizan.areas.evasion.whitebox.losses import margin


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


def sigma_zero(target: Differentiates, x: Array, y: Array, space: Space, *, steps: int = 200, smooth: float = 1e-3) -> Array:
    """Rows (n, d) that evade with as few changed entries as `steps` passes find; changes are measured as shares of the range."""
    xp = namespace(x)
    span = space.high - space.low
    delta, best = x * 0, copy(x)
    nearest, cut = full(x, len(x), math.inf), full(x, len(x), 0.3)
    for step in range(steps):
        rate = 0.1 + 0.9 * (1 + math.cos(math.pi * step / steps)) / 2
        at = space.project(x, x + delta * span, full(x, len(x), x.shape[1]))
        value, gradient, evading = probe(target, at, y)
        count = size(at - x, "l0")
        closer = evading & (count < nearest)
        best, nearest = masked(closer, at, best), xp.where(closer, count, nearest)
        pull = masked(value > 0, gradient * span, gradient * 0)
        pull = pull / (column(norm_inf(pull)) + TINY)
        squared = delta * delta
        push = 2 * delta * smooth / (squared + smooth) ** 2
        push = push / (column(norm_inf(push)) + TINY)
        together = pull + push * masked(value > 0, full(x, len(x), 0.1), full(x, len(x), 1.0))[:, None]
        delta = (space.clip(x + (delta - 0.5 * rate * together / (column(norm_inf(together)) + TINY)) * span) - x) / span
        cut = xp.clip(cut + xp.where(evading, full(x, len(x), 0.01 * rate), full(x, len(x), -0.01 * rate)), 0.0, 0.9)
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
