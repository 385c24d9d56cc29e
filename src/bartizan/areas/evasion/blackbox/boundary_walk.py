"""What the label-only attacks share: a first point on the other side, and the way back to the boundary by halving.

Points are rows (m, d) for row numbers (m,) of an `Oracle`. For linf the way is the box that shrinks around the row, else the line.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.blackbox.oracle import Floats, Ints, Oracle

NOISES = 50
"""Random points tried before a row without a starting point is given up."""


def first_points(oracle: Oracle, starts: npt.ArrayLike | None, random: np.random.Generator) -> Ints:
    """Asks until `oracle.best` holds an evasion of each row that can be started; the row numbers that have one.

    `starts` (n, d) are tried first, one question a row (rows of another class are good ones); then noise in the valid range.
    """
    waiting = np.arange(len(oracle.x))
    if starts is not None:
        given = np.asarray(starts, dtype=np.float64).reshape(oracle.x.shape)
        use = waiting[np.isfinite(given).all(axis=1)]
        oracle.evades(given[use], use)
    wide = np.where(np.isfinite(oracle.high - oracle.low), oracle.high - oracle.low, 0.0)
    spread = oracle.x.std(axis=0) * 3 + 1e-3
    for attempt in range(NOISES):
        waiting = np.flatnonzero(~np.isfinite(oracle.distance) & (oracle.left > 0))
        if not len(waiting):
            break
        noise = random.random((len(waiting), oracle.x.shape[1]))
        if attempt % 3 == 1:  # corners of the range and, next, one level for all
            noise = np.rint(noise)
        elif attempt % 3 == 2:
            noise = np.broadcast_to(noise[:, :1], noise.shape)
        inside = oracle.low + noise * wide
        around = oracle.x[waiting] + (noise - 0.5) * spread * (1 + attempt)
        oracle.evades(np.where(wide > 0, inside, around), waiting)
    return np.flatnonzero(np.isfinite(oracle.distance))


def between(norm: str, origin: Floats, far: Floats, share: Floats) -> Floats:
    """The point at `share` (m,) of the way from `origin` to `far`: on the line, for linf in the box of that share of the distance."""
    change = far - origin
    if norm == "linf":
        limit = (share * np.abs(change).max(axis=1, initial=0.0))[:, None]
        return np.asarray(origin + np.clip(change, -limit, limit))
    return np.asarray(origin + share[:, None] * change)


def to_boundary(oracle: Oracle, far: Floats, rows: Ints, precision: float, *, within: float = 1.0) -> Floats:
    """For evasions `far` (m, d) the nearest evasions found on their way to the row, the way halved until `precision` of it.

    `within`: the share of the way in which the boundary is expected; it is looked for there first, and three times as far at each miss.
    """
    origin = oracle.x[rows]
    low, high, reach = np.zeros(len(rows)), np.ones(len(rows)), np.full(len(rows), within)
    point = far.copy()
    while True:
        open_rows = np.flatnonzero((high - low > precision) & (oracle.left[rows] > 0))
        if not len(open_rows):
            return point
        guess = high - reach
        middle = np.where((low == 0) & (guess > 0), guess, (low + high) / 2)
        reach[open_rows] *= 3
        tried = between(oracle.norm, origin[open_rows], far[open_rows], middle[open_rows])
        margins, _, typed = oracle.ask(tried, rows[open_rows])
        good = margins < 0
        high[open_rows[good]] = middle[open_rows[good]]
        point[open_rows[good]] = typed[good]
        low[open_rows[~good]] = middle[open_rows[~good]]


def unit(vectors: Floats) -> Floats:
    """Rows of length 1; zero rows stay zero."""
    return np.asarray(vectors / np.maximum(np.sqrt((vectors**2).sum(axis=-1, keepdims=True)), 1e-300))
