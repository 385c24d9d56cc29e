"""SignOPT: the direction in which the boundary is nearest, descended by the sign of single questions.

Cheng et al., Sign-OPT, ICLR 2020, for l2; linf is measured on the same path. g(direction) is how far the boundary lies along it; whether
a slightly turned direction at the same length still evades says by one question which way g falls.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.blackbox.boundary_walk import first_points, to_boundary
from bartizan.areas.evasion.blackbox.oracle import Floats, Ints, Oracle
from bartizan.areas.evasion.norms import size

TURN = 1e-3
"""Least turn of a direction for one vote, as a share of its length."""


def signopt(oracle: Oracle, *, seed: int, starts: npt.ArrayLike | None = None, votes: int | None = None) -> None:
    """Brings `oracle.best` as near as its budget allows; `votes` questions a round, None: as many as features, 10 to 60."""
    random = np.random.default_rng(seed)
    d = oracle.x.shape[1]
    count = votes if votes is not None else int(min(max(d, 10), 60))
    rows = first_points(oracle, starts, random)
    point = to_boundary(oracle, oracle.best[rows].astype(np.float64), rows, 1e-3)
    step = np.full(len(rows), 0.5)
    while len(rows):
        change = point - oracle.x[rows]
        length = np.sqrt((change**2).sum(axis=1))
        alive = (oracle.left[rows] > 2) & (length > 0)
        rows, point, step, change, length = rows[alive], point[alive], step[alive], change[alive], length[alive]
        if not len(rows):
            return
        slope = _slopes(oracle, rows, change / length[:, None], length, count, random)
        point, step = _descend(oracle, rows, point, slope, step)


def _slopes(oracle: Oracle, rows: Ints, direction: Floats, length: Floats, count: int, random: np.random.Generator) -> Floats:
    """The direction (m, d) in which the distance grows, of length 1."""
    m, d = direction.shape
    noise = random.normal(size=(m, count, d))
    noise /= np.sqrt((noise**2).sum(axis=2, keepdims=True))
    turn = max(TURN, 0.3 / np.sqrt(d))
    turned = direction[:, None, :] + turn * noise
    turned /= np.sqrt((turned**2).sum(axis=2, keepdims=True))
    tried = oracle.x[rows][:, None, :] + length[:, None, None] * turned
    margins, asked, _ = oracle.ask(tried.reshape(-1, d), np.repeat(rows, count))
    sign = np.where(asked, np.where(margins < 0, -1.0, 1.0), 0.0).reshape(m, count)
    mean = sign.sum(axis=1, keepdims=True) / np.maximum((sign != 0).sum(axis=1, keepdims=True), 1)
    sign = np.where((np.abs(mean) < 1.0) & (sign != 0), sign - mean, sign)
    slope = (sign[:, :, None] * noise).sum(axis=1)
    return np.asarray(slope / np.maximum(np.sqrt((slope**2).sum(axis=1, keepdims=True)), 1e-300))


def _descend(oracle: Oracle, rows: Ints, point: Floats, slope: Floats, step: Floats) -> tuple[Floats, Floats]:
    """A step against `slope` at the same length, halved until it still evades, then brought to the boundary."""
    change = point - oracle.x[rows]
    length = np.sqrt((change**2).sum(axis=1, keepdims=True))
    direction = change / np.maximum(length, 1e-300)
    moved, waiting, taken = point.copy(), np.arange(len(rows)), step.copy()
    for _ in range(6):
        waiting = waiting[oracle.left[rows[waiting]] > 0]
        if not len(waiting):
            break
        turned = direction[waiting] - taken[waiting, None] * slope[waiting]
        turned /= np.maximum(np.sqrt((turned**2).sum(axis=1, keepdims=True)), 1e-300)
        margins, _, typed = oracle.ask(oracle.x[rows[waiting]] + 0.995 * length[waiting] * turned, rows[waiting])
        good = margins < 0
        moved[waiting[good]] = typed[good]
        waiting = waiting[~good]
        taken[waiting] /= 2
    took = np.ones(len(rows), dtype=np.bool_)
    took[waiting] = False
    near = moved.copy()
    near[took] = to_boundary(oracle, moved[took], rows[took], 5e-3)
    new, old = (np.asarray(size(p - oracle.x[rows], oracle.norm)) for p in (near, point))
    near = np.where((new < old)[:, None], near, point)
    return near, np.where(took, np.minimum(taken * 1.5, 1.0), np.maximum(taken, 1e-3))
