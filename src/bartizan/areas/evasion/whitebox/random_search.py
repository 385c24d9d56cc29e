"""A compact random search on scores alone: the black-box attack that tests whether gradients told the truth.

Square patches for images, random groups of features elsewhere, each at the edge of the ball, kept where the margin falls (after
Andriushchenko et al., Square Attack, ECCV 2020, with a plain halving schedule). It needs no gradient, so gradient masking cannot fool it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bartizan.areas.evasion.arrays import Array, column, integers, like, norm2, to_numpy
from bartizan.areas.evasion.norms import Space
from bartizan.areas.evasion.targets import Classifies, margins


def random_search(target: Classifies, x: Array, y: Array, space: Space, eps: Array, *, queries: int, seed: int) -> Array:
    """Rows within `eps` of `x` whose margin is the lowest found in `queries` forwards each; a row stops when its margin is negative."""
    random = np.random.default_rng(seed)
    shape = tuple(getattr(target, "shape", (x.shape[1],)))
    best = space.project(x, x + column(eps) * like(_stripes(random, len(x), shape), x) * _reach(space, x.shape[1]), eps)
    score = margins(target.logits(best), y)
    for query in range(1, queries):
        open_rows = np.flatnonzero(to_numpy(score) >= 0)
        if not len(open_rows):
            break
        at = integers(open_rows, x)
        share = max(0.8 * 0.5 ** np.searchsorted(np.array([0.005, 0.02, 0.05, 0.2, 0.4, 0.6, 0.8]) * queries, query), 1e-3)
        region, signs = _patches(random, len(open_rows), shape, share)
        trial = _changed(best[at], x[at], eps[at], space, like(region, x), like(signs, x))
        value = margins(target.logits(trial), y[at])
        lower = value <= score[at]
        best[at[lower]] = trial[lower]
        score[at[lower]] = value[lower]
    return best


def _reach(space: Space, d: int) -> float:
    """Length of a +-1 pattern in the norm, to put it on the ball's surface."""
    return float({"linf": 1.0, "l2": d**-0.5, "l1": 1.0 / d, "l0": 1.0}[space.norm])


def _stripes(random: np.random.Generator, n: int, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Signs that are constant along columns of an image: the start that linear filters feel most."""
    if len(shape) == 3:
        stripes = random.choice([-1.0, 1.0], size=(n, shape[0], 1, shape[2]))
        return np.ascontiguousarray(np.broadcast_to(stripes, (n, *shape))).reshape(n, -1)
    return random.choice([-1.0, 1.0], size=(n, int(np.prod(shape))))


def _patches(
    random: np.random.Generator, n: int, shape: tuple[int, ...], share: float
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(n, d) masks of one square (or group of features) per row that holds `share` of the entries, and signs (n, d), one per channel."""
    if len(shape) != 3:
        d = int(np.prod(shape))
        count = max(1, round(share * d))
        region = random.random((n, d)).argsort(1) < count
        return region, random.choice([-1.0, 1.0], size=(n, d))
    channels, height, width = shape
    side = min(max(1, round((share * height * width) ** 0.5)), height, width)
    top, left = random.integers(0, height - side + 1, n), random.integers(0, width - side + 1, n)
    down, across = np.arange(height)[None, :], np.arange(width)[None, :]
    in_rows = (down >= top[:, None]) & (down < top[:, None] + side)
    in_columns = (across >= left[:, None]) & (across < left[:, None] + side)
    region = np.broadcast_to((in_rows[:, :, None] & in_columns[:, None, :])[:, None], (n, *shape)).reshape(n, -1)
    signs = np.broadcast_to(random.choice([-1.0, 1.0], size=(n, channels, 1, 1)), (n, *shape)).reshape(n, -1)
    return region, signs


def _changed(best: Array, origin: Array, eps: Array, space: Space, region: Array, signs: Array) -> Array:
    """`best` with the region set to the ball's edge; for l2 and l1 the change takes its share of the radius and the rest is scaled."""
    if space.norm == "linf":
        return space.project(origin, best + region * (origin + column(eps) * signs - best), eps)
    if space.norm == "l0":
        return space.project(origin, best + region * (space.low + (space.high - space.low) * (signs + 1) / 2 - best), eps)
    patch = region * signs
    length = norm2(patch) if space.norm == "l2" else region.sum(1)
    return space.project(origin, best + column(0.5 * eps / (length + 1e-12)) * patch, eps)
