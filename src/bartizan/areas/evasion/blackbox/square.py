"""The Square attack: random search on scores, changing one square of an image (or one set of features) at a time.

Andriushchenko et al., ECCV 2020. linf: a window is set to plus or minus the radius; l2 and l1: a window moves and the whole is put back
into the ball. The window shrinks on the paper's schedule, stretched to the budget. A row stops at its first success.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.blackbox.oracle import Floats, Ints, Oracle
from bartizan.areas.evasion.norms import Space

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
_SCHEDULED = 10_000


def square(oracle: Oracle, *, eps: npt.ArrayLike, seed: int, shape: tuple[int, ...] = (), share: float = 0.8) -> None:
    """Searches within `eps` (scalar or (n,)) until a row evades or its budget is spent.

    `shape` of an input: (channels, height, width) or (height, width) for images; anything else has no squares. `share` of the features that
    the first window covers.
    """
    random = np.random.default_rng(seed)
    n, d = oracle.x.shape
    radius = np.broadcast_to(np.asarray(eps, dtype=np.float64), (n,))
    space = Space(norm=oracle.norm, low=oracle.low, high=oracle.high)
    image = shape if len(shape) == 3 else (1, *shape) if len(shape) == 2 and min(shape) > 1 else ()
    rows = np.flatnonzero((oracle.left > 0) & (oracle.distance > radius))
    point = space.settle(
        oracle.x[rows], oracle.x[rows] + _stripes(len(rows), d, image, random) * _reach(oracle.norm, radius[rows], d), radius[rows]
    )
    margin, _, typed = oracle.ask(point, rows)
    point = typed.astype(np.float64)
    for turn in range(oracle.budget):
        alive = (oracle.left[rows] > 0) & (margin >= 0)
        rows, point, margin = rows[alive], point[alive], margin[alive]
        if not len(rows):
            return
        part = share / 2 ** sum(turn * _SCHEDULED / max(oracle.budget, 1) > limit for limit in _HALVINGS)
        window = _windows(len(rows), d, image, part, random)
        signs = random.choice([-1.0, 1.0], size=(len(rows), d)) if not image else _channel_signs(len(rows), image, random)
        origin = oracle.x[rows]
        if oracle.norm == "linf":
            tried = np.where(window, origin + signs * radius[rows, None], point)
        else:
            tried = point + np.where(window, signs, 0.0) * _reach(oracle.norm, radius[rows], max(1, int(part * d)))
        tried = space.settle(origin, tried, radius[rows])
        answer, _, typed = oracle.ask(tried, rows)
        better = answer < margin
        point, margin = np.where(better[:, None], typed, point), np.where(better, answer, margin)


def _reach(norm: str, radius: Floats, features: int) -> Floats:
    """How far each of `features` moves so that together they make the radius, (n, 1)."""
    divisor = {"linf": 1.0, "l2": np.sqrt(features), "l1": float(features)}.get(norm, 1.0)
    return np.asarray((radius / divisor)[:, None])


def _stripes(n: int, d: int, image: tuple[int, ...], random: np.random.Generator) -> Floats:
    """The start: vertical stripes of random sign for images, random signs else, (n, d)."""
    if not image:
        return random.choice([-1.0, 1.0], size=(n, d))
    channels, height, width = image
    signs = random.choice([-1.0, 1.0], size=(n, channels, 1, width))
    return np.broadcast_to(signs, (n, channels, height, width)).reshape(n, d)


def _channel_signs(n: int, image: tuple[int, ...], random: np.random.Generator) -> Floats:
    channels, height, width = image
    signs = random.choice([-1.0, 1.0], size=(n, channels, 1, 1))
    return np.broadcast_to(signs, (n, channels, height, width)).reshape(n, -1)


def _windows(n: int, d: int, image: tuple[int, ...], part: float, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """One window a row as a mask (n, d): a square of `part` of an image's area, or `part` of the features."""
    if not image:
        count = max(1, round(part * d))
        order: Ints = random.random((n, d)).argsort(axis=1)
        return order < count
    channels, height, width = image
    side = int(np.clip(round(np.sqrt(part * height * width)), 1, min(height, width)))
    top, left = random.integers(0, height - side + 1, n), random.integers(0, width - side + 1, n)
    ys, xs = np.arange(height), np.arange(width)
    tall = (ys >= top[:, None]) & (ys < (top + side)[:, None])
    wide = (xs >= left[:, None]) & (xs < (left + side)[:, None])
    mask = tall[:, None, :, None] & wide[:, None, None, :]
    return np.broadcast_to(mask, (n, channels, height, width)).reshape(n, d)
