"""HopSkipJump: from labels alone, the boundary's normal estimated by votes, a jump along it, and back to the boundary.

Chen, Jordan, Wainwright, IEEE S&P 2020, for l2 and linf. All rows take each step together; the number of votes grows with a power of the
round and starts small where there are few dimensions, because the estimate needs no more votes than it has directions. In linf the
jump is not the sign of the estimate: a feature on which the votes say little moves little, and keeps what earlier rounds made of it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.blackbox.boundary_walk import first_points, to_boundary, unit
from bartizan.areas.evasion.blackbox.oracle import Floats, Ints, Oracle
from bartizan.areas.evasion.norms import size

MOST_VALUES = 4_000_000
"""Most numbers that one batch of votes holds."""

PRECISION = 1e-3
"""How near the boundary a point is brought, as a share of its way: farther off the votes about it nearly all agree and tell nothing."""

BACK = 1.5
"""How many times farther than the last point a jump may end: one that leads away often frees a point that is caught."""


def hopskipjump(oracle: Oracle, *, seed: int, starts: npt.ArrayLike | None = None, votes: int | None = None) -> None:
    """Brings `oracle.best` as near as its budget allows. `votes` in the first round; None: from the number of features."""
    random = np.random.default_rng(seed)
    d = oracle.x.shape[1]
    first = votes if votes is not None else min(max(d, 10), 40)
    rows = first_points(oracle, starts, random)
    point = to_boundary(oracle, oracle.best[rows].astype(np.float64), rows, PRECISION)
    for turn in range(1, 10_000):
        alive = oracle.left[rows] > 2
        rows, point = rows[alive], point[alive]
        if not len(rows):
            return
        count = int(first * turn**0.7)
        normal = _normals(oracle, point, rows, count, random)
        moved = _jump(oracle, point, rows, normal, turn)
        near = to_boundary(oracle, moved, rows, PRECISION)
        point = _nearer(oracle, near, point, rows)


def _nearer(oracle: Oracle, near: Floats, point: Floats, rows: Ints) -> Floats:
    """The new point, or the old one where the jump led too far away."""
    new, old = (np.asarray(size(p - oracle.x[rows], oracle.norm)) for p in (near, point))
    return np.where((new <= BACK * old)[:, None], near, point)


def _normals(oracle: Oracle, point: Floats, rows: Ints, count: int, random: np.random.Generator) -> Floats:
    """The estimated direction into the other side at each point (m, d), of length 1 in l2, each entry in -1 to 1 for linf."""
    d = point.shape[1]
    normal = np.zeros_like(point)
    each = max(1, MOST_VALUES // max(1, count * d))
    distance = np.asarray(size(point - oracle.x[rows], oracle.norm))
    scale = distance * (1.0 / math.sqrt(d) if oracle.norm == "l2" else 1.0 / d) * (0.5 if oracle.norm == "l2" else 6.0)
    for start in range(0, len(rows), each):
        part = slice(start, start + each)
        m = len(rows[part])
        noise = random.normal(size=(m, count, d)) if oracle.norm == "l2" else random.uniform(-1, 1, size=(m, count, d))
        noise = unit(noise)
        radius = scale[part] if oracle.norm == "l2" else scale[part] * math.sqrt(d)
        tried = point[part][:, None, :] + radius[:, None, None] * noise
        places = np.repeat(rows[part], count)
        margins, asked, typed = oracle.ask(tried.reshape(-1, d), places)
        real = typed.reshape(m, count, d).astype(np.float64) - point[part][:, None, :]  # what range and constraints left of it
        vote = np.where(asked, np.where(margins < 0, 1.0, -1.0), 0.0).reshape(m, count)
        seen = (vote != 0).sum(axis=1, keepdims=True)
        mean = vote.sum(axis=1, keepdims=True) / np.maximum(seen, 1)
        weight = np.where(np.abs(mean) >= 1.0, vote, np.where(vote != 0, vote - mean, 0.0))
        normal[part] = (weight[:, :, None] * real).sum(axis=1)
    return unit(normal) if oracle.norm == "l2" else np.clip(unit(normal) * math.sqrt(d), -1, 1)


def _jump(oracle: Oracle, point: Floats, rows: Ints, normal: Floats, turn: int) -> Floats:
    """The first point on the way along `normal` that evades, the step halved until one does; the old point where none."""
    distance = np.asarray(size(point - oracle.x[rows], oracle.norm))
    step = distance / math.sqrt(turn)
    moved, waiting = point.copy(), np.arange(len(rows))
    for _ in range(12):
        waiting = waiting[oracle.left[rows[waiting]] > 0]
        if not len(waiting):
            break
        tried = point[waiting] + step[waiting, None] * normal[waiting]
        margins, _, typed = oracle.ask(tried, rows[waiting])
        good = margins < 0
        moved[waiting[good]] = typed[good]
        waiting = waiting[~good]
        step[waiting] /= 2
    return moved
