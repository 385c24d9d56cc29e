"""The boundary attack: a random walk along the boundary from labels alone, each step a little nearer to the row.

Brendel, Rauber, Bethge, ICLR 2018, for l2 (its walk also serves linf, measured there). Both step lengths follow the share of steps that
keep evading, each row its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.blackbox.boundary_walk import first_points, to_boundary, unit
from bartizan.areas.evasion.blackbox.oracle import Floats, Oracle

ALONG, NEARER = 0.2, 0.25
"""Share of the steps along the boundary, and of those towards the row, that should keep evading."""


def boundary(oracle: Oracle, *, seed: int, starts: npt.ArrayLike | None = None) -> None:
    """Brings `oracle.best` as near as its budget allows: a question along the sphere around the row, and one inwards where it evades."""
    random = np.random.default_rng(seed)
    rows = first_points(oracle, starts, random)
    point = to_boundary(oracle, oracle.best[rows].astype(np.float64), rows, 1e-2)
    along, inwards = np.full(len(rows), 0.1), np.full(len(rows), 0.03)
    while True:
        alive = oracle.left[rows] > 1
        rows, point, along, inwards = rows[alive], point[alive], along[alive], inwards[alive]
        if not len(rows):
            return
        origin = oracle.x[rows]
        change = point - origin
        length = np.sqrt((change**2).sum(axis=1, keepdims=True))
        ray = change / np.maximum(length, 1e-300)
        noise = random.normal(size=point.shape)
        noise = unit(noise - (noise * ray).sum(axis=1, keepdims=True) * ray)
        tried = origin + length * unit(ray + along[:, None] * noise)
        margins, _, _ = oracle.ask(tried, rows)
        along = _adapted(along, margins < 0, ALONG)
        kept = np.flatnonzero(margins < 0)
        margins, _, typed = oracle.ask(origin[kept] + (tried[kept] - origin[kept]) * (1 - inwards[kept, None]), rows[kept])
        good = margins < 0
        point[kept[good]] = typed[good]
        inwards[kept] = _adapted(inwards[kept], good, NEARER)


def _adapted(step: Floats, good: npt.NDArray[np.bool_], wanted: float) -> Floats:
    """Steps longer after a success and shorter after a failure, so that the share `wanted` succeeds."""
    return np.asarray(np.clip(step * np.where(good, 1 + 0.2 * (1 - wanted), 1 - 0.2 * wanted), 1e-5, 1.0))
