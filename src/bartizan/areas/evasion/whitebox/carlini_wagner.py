"""The l2 attack of Carlini and Wagner: distance plus a weighted margin, minimised by Adam in the space of tanh; the weight by bisection.

Carlini and Wagner, Towards evaluating the robustness of neural networks, IEEE S&P 2017. Slow; kept as the field's yardstick.
"""

from __future__ import annotations

import math

from bartizan.areas.evasion.arrays import Array, column, copy, full, masked, namespace, norm2
from bartizan.areas.evasion.norms import Space
from bartizan.areas.evasion.targets import Differentiates
from bartizan.areas.evasion.whitebox.minimum_norm import probe


def carlini_wagner(
    target: Differentiates, x: Array, y: Array, space: Space, *, steps: int = 100, searches: int = 6, rate: float = 0.1
) -> Array:
    """Rows (n, d) that evade at small l2 distance; rows that never evade come back unchanged."""
    xp = namespace(x)
    best, nearest = copy(x), full(x, len(x), math.inf)
    weight, low, high = full(x, len(x), 1.0), full(x, len(x), 0.0), full(x, len(x), math.inf)
    for _ in range(searches):
        found, distances = _descend(target, x, y, space, weight, steps, rate)
        evaded = ~xp.isinf(distances)
        closer = distances < nearest
        best, nearest = masked(closer, found, best), xp.where(closer, distances, nearest)
        high = xp.where(evaded, xp.minimum(high, weight), high)
        low = xp.where(evaded, low, xp.maximum(low, weight))
        weight = xp.where(xp.isinf(high), weight * 10, (low + high) / 2)
    return best


def _descend(target: Differentiates, x: Array, y: Array, space: Space, weight: Array, steps: int, rate: float) -> tuple[Array, Array]:
    """One descent with fixed weights: the nearest evading points and their distances (inf where none)."""
    xp = namespace(x)
    middle, half = (space.high + space.low) / 2, (space.high - space.low) / 2
    inner = xp.arctanh(xp.clip((x - middle) / half, -1, 1) * 0.99)
    first, second = inner * 0, inner * 0
    best, nearest = copy(x), full(x, len(x), math.inf)
    for step in range(1, steps + 1):
        squashed = xp.tanh(inner)
        at = space.clip(middle + half * squashed)
        value, gradient, evading = probe(target, at, y)
        away = norm2(at - x)
        closer = evading & (away < nearest)
        best, nearest = masked(closer, at, best), xp.where(closer, away, nearest)
        slope = 2 * (at - x) + column(weight * (value > 0)) * gradient
        slope = slope * half * (1 - squashed**2)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        inner = inner - rate * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)) ** 0.5 + 1e-8)
    return best, nearest
