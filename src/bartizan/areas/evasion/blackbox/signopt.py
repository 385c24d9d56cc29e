"""SignOPT: the direction in which the boundary is nearest, descended by the sign of single questions.

Cheng et al., Sign-OPT, ICLR 2020, for l2; linf is measured on the same path. g(direction) is how far the boundary lies along it; whether
a slightly turned direction at the same length still evades says by one question which way g falls. The votes tell something only where
the turn is no smaller than the error of the length, so both are kept at their ratio, and the votes of a round grow with the rounds.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.blackbox.boundary_walk import first_points, to_boundary, unit
from bartizan.areas.evasion.blackbox.oracle import Floats, Ints, Oracle

PRECISION = 1e-3
"""Error of the length of a direction, as a share of it."""

LEAST_GAIN = 1e-4
"""By what share of its length a step must be shorter to count."""

MOST_VALUES = 4_000_000
"""Most numbers that one batch of votes holds."""


def signopt(oracle: Oracle, *, seed: int, starts: npt.ArrayLike | None = None, votes: int | None = None) -> None:
    """Brings `oracle.best` as near as its budget allows. `votes` in the first round, None: as many as features, 10 to 40."""
    random = np.random.default_rng(seed)
    d = oracle.x.shape[1]
    first = votes if votes is not None else min(max(d, 10), 40)
    rows = first_points(oracle, starts, random)
    point = to_boundary(oracle, oracle.best[rows].astype(np.float64), rows, PRECISION)
    step = np.full(len(rows), 0.5)
    for turn in range(1, 10_000):
        alive = (oracle.left[rows] > 2) & (point != oracle.x[rows]).any(axis=1)
        rows, point, step = rows[alive], point[alive], step[alive]
        if not len(rows):
            return
        count = int(first * turn**0.7)
        each = max(1, MOST_VALUES // (count * d))
        parts = [slice(start, start + each) for start in range(0, len(rows), each)]
        slope = np.concatenate([_slopes(oracle, rows[part], point[part], count, random) for part in parts])
        point, step = _descend(oracle, rows, point, slope, step)


def _slopes(oracle: Oracle, rows: Ints, point: Floats, count: int, random: np.random.Generator) -> Floats:
    """The direction (m, d) across the way to `point` in which the distance grows, of length 1."""
    m, d = point.shape
    change = point - oracle.x[rows]
    ray, length = unit(change), np.sqrt((change**2).sum(axis=1))
    turned = unit(ray[:, None, :] + unit(_across(random.normal(size=(m, count, d)), ray[:, None, :])) / math.sqrt(d))
    tried = oracle.x[rows][:, None, :] + length[:, None, None] * turned
    margins, asked, typed = oracle.ask(tried.reshape(-1, d), np.repeat(rows, count))
    real = typed.reshape(m, count, d).astype(np.float64) - point[:, None, :]  # what range and constraints left of the turn
    sign = np.where(asked, np.where(margins < 0, -1.0, 1.0), 0.0).reshape(m, count)
    mean = sign.sum(axis=1, keepdims=True) / np.maximum((sign != 0).sum(axis=1, keepdims=True), 1)
    sign = np.where((np.abs(mean) < 1.0) & (sign != 0), sign - mean, sign)
    return unit(_across((sign[:, :, None] * real).sum(axis=1), ray))


def _across(vectors: Floats, ray: Floats) -> Floats:
    """`vectors` without their part along `ray`, which has length 1."""
    return np.asarray(vectors - (vectors * ray).sum(axis=-1, keepdims=True) * ray)


def _descend(oracle: Oracle, rows: Ints, point: Floats, slope: Floats, step: Floats) -> tuple[Floats, Floats]:
    """A turn against `slope`, halved until it brings the boundary nearer, doubled while it goes on to; the points and turns taken."""
    origin = oracle.x[rows]
    ray = unit(point - origin)
    best, taken, turn = point.copy(), step / 4, step.copy()
    took, going = np.zeros(len(rows), dtype=np.bool_), np.ones(len(rows), dtype=np.bool_)
    for attempt in range(10):
        going &= oracle.left[rows] > 0
        trying = np.flatnonzero(going)
        if not len(trying):
            break
        length = np.sqrt(((best[trying] - origin[trying]) ** 2).sum(axis=1, keepdims=True))
        way = unit(ray[trying] - turn[trying, None] * slope[trying])
        margins, _, typed = oracle.ask(origin[trying] + (1 - LEAST_GAIN) * length * way, rows[trying])
        good, bad = trying[margins < 0], trying[margins >= 0]
        best[good] = to_boundary(oracle, typed[margins < 0].astype(np.float64), rows[good], 2 * PRECISION, within=0.02)
        taken[good], took[good] = turn[good], True
        going[bad] = ~took[bad]
        going[good] = (turn[good] >= step[good]) & (attempt < 3)  # a step found by halving is not doubled again
        turn[good] *= 2
        turn[bad] /= 2
    return best, np.maximum(taken, 1e-4)
