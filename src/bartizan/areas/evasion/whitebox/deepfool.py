"""DeepFool: step to the nearest linearised class boundary until the decision changes, for l2 and linf.

Moosavi-Dezfooli, Fawzi and Frossard, DeepFool, CVPR 2016. Exact on a linear model. Kept as a yardstick; FMN finds nearer points.
"""

from __future__ import annotations

from bartizan.areas.evasion.arrays import Array, column, copy, full, masked, namespace, order_rows
from bartizan.areas.evasion.norms import TINY, Space, ascent, dual, size
from bartizan.areas.evasion.targets import Differentiates, margin_gradient
from bartizan.areas.evasion.whitebox.apgd import evades

PULLS = 6
"""Halvings of the last tenth of the way, which hold the overshoot."""


def deepfool(
    target: Differentiates, x: Array, y: Array, space: Space, *, steps: int = 50, candidates: int = 9, overshoot: float = 0.02
) -> Array:
    """Rows (n, d) moved over the nearest of the `candidates` most likely boundaries; rows that never cross come back unchanged."""
    xp = namespace(x)
    logits = target.logits(x)
    order = order_rows(-logits)
    others = [masked(order[:, r] == y, order[:, 0], order[:, r]) for r in range(1, min(candidates + 1, logits.shape[1]))]
    total, over, done = x * 0, copy(x), full(x, len(x), 0.0) > 0
    for _ in range(steps):
        nearest, move = full(x, len(x), float("inf")), x * 0
        for aim in others:
            value, gradient = margin_gradient(target, over, y, aim)
            distance = xp.clip(value, 0, None) / (size(gradient, dual(space.norm)) + TINY)
            closer = distance < nearest
            nearest = xp.where(closer, distance, nearest)
            move = masked(closer, column(distance + 1e-6) * -ascent(gradient, space.norm), move)
        total = total + move  # not clipped: a step against the range adds up until the features that are free cross
        over = masked(done, over, space.clip(x + (1 + overshoot) * total))
        done = done | evades(target.logits(over), y)
        if bool(done.all()):
            break
    return masked(done, _pulled_in(target, x, y, over, space), x)


def _pulled_in(target: Differentiates, x: Array, y: Array, over: Array, space: Space) -> Array:
    """The evasions `over` with as much of the overshoot taken back as leaves them evasions."""
    low, high = full(x, len(x), 0.9), full(x, len(x), 1.0)
    for _ in range(PULLS):
        middle = (low + high) / 2
        good = evades(target.logits(space.clip(x + column(middle) * (over - x))), y)
        high, low = namespace(x).where(good, middle, high), namespace(x).where(good, low, middle)
    return masked(high < 1, space.clip(x + column(high) * (over - x)), over)
