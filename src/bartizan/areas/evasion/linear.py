"""The nearest evasion of linear classifiers in closed form: linf, l2 and l1, with a box around every feature.

The class that wins against the true one is decided by one linear function a rival, so the nearest evasion is the nearest of a few
half-spaces (one-vs-rest and softmax alike). Inside a box the gain along the best path is piecewise linear or quadratic in one number, which
is solved exactly over its breakpoints. Steps and relations between features leave the closed form a lower bound; there an evasion is
searched along the path and counted only where it obeys.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bartizan.adapters.numpy_models import Layers, layers_of, named_rows
from bartizan.areas.evasion.constraints import Constraints, Rules
from bartizan.areas.evasion.nearest import Nearest, settled
from bartizan.areas.evasion.norms import known_norm
from bartizan.model.errors import InputError

Floats = npt.NDArray[np.float64]

_PUSHES = (0.0, 1e-12, 1e-9, 1e-7, 1e-6, 1e-5)
_FURTHER = (1.0, 1.05, 1.15, 1.3, 1.6, 2.0, 3.0, 5.0, 10.0)


def nearest_linear_evasion(
    model: Any,
    x: npt.ArrayLike,
    y: npt.ArrayLike | None = None,
    *,
    norm: str = "linf",
    constraints: Constraints | None = None,
    valid_range: tuple[float, float] = (-math.inf, math.inf),
) -> Nearest:
    """The nearest input to each row of `x` (n, d) that the linear classifier `model` does not put into class `y` (n,).

    `model`: a scikit-learn linear classifier, alone or behind affine preprocessing; `y`: its labels (default: what it predicts). Every
    counted row is confirmed by the model's own predict, pushed over the boundary by as little as its rounding needs (at most 1e-5 of the
    distance). Rows that break the constraints are discarded. Raises `InputError` for a model that is not linear and for norm l0.
    """
    rows = np.asarray(x)
    if rows.ndim != 2 or not len(rows) or rows.dtype.kind not in "fiu":
        raise InputError(f"rows of numbers are needed, shape (rows, features), not {rows.shape} of {rows.dtype}")
    rows = rows if rows.dtype in (np.float32, np.float64) else rows.astype(np.float64)
    known = known_norm(norm)
    if known == "l0":
        raise InputError("linear models have no closed form for l0 here", cure="use linf, l2 or l1")
    rules = (constraints or Constraints()).rules(rows.shape[1])
    discarded = rules.screen(rows)
    kept = np.setdiff1d(np.arange(len(rows)), list(discarded))
    layers = layers_of(model, rows[kept])
    if layers is None or not layers.affine:
        raise InputError(f"{type(model).__name__} is no linear classifier that can be read", cure="use evasion.attack")
    return _Linear(model, layers, rules, known, valid_range).attack(rows, y, kept, discarded)


@dataclass(frozen=True)
class _Linear:
    model: Any
    layers: Layers
    rules: Rules
    norm: str
    valid_range: tuple[float, float]

    def attack(self, rows: npt.NDArray[Any], y: npt.ArrayLike | None, kept: npt.NDArray[np.int64], discarded: dict[int, str]) -> Nearest:
        n, classes = len(rows), np.asarray(self.model.classes_)
        adversarial, wrong, found = rows.copy(), np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
        distance, lower = np.full(n, np.inf), np.zeros(n)
        predicted = self.labels(rows[kept])
        truth = predicted if y is None else np.asarray(y)[kept]
        if not np.isin(truth, classes).all():
            raise InputError("labels that the model does not know", cure="give labels from the model's classes_")
        wrong[kept] = found[kept] = predicted != truth
        source = (
            np.searchsorted(classes, truth) if np.all(classes[:-1] <= classes[1:]) else np.array([list(classes).index(t) for t in truth])
        )
        right = kept[predicted == truth]
        queries = len(kept)
        if len(right):
            change, lower[right] = self.nearest(rows[right].astype(np.float64), source[predicted == truth], float(np.finfo(rows.dtype).eps))
            adversarial[right], found[right], asked = self.confirmed(rows[right], change, truth[predicted == truth], lower[right])
            queries += asked
        moved = adversarial.astype(np.float64) - rows.astype(np.float64)
        distance[found] = lengths(moved, self.norm)[found]
        distance[wrong], lower[wrong] = 0.0, 0.0
        stepped = self.rules.relational or bool(self.rules.integer.any()) or bool(self.rules.allowed)
        slack = 1e-9 if stepped else 2e-5
        lower = np.minimum(lower, distance)
        exact = wrong | settled(distance, lower, slack)
        exact[list(discarded)] = False
        return Nearest(
            norm=self.norm,
            adversarial=adversarial,
            found=found,
            distance=distance,
            lower=lower,
            exact=exact,
            wrong=wrong,
            discarded=discarded,
            queries=queries,
        )

    def labels(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(self.model.predict(named_rows(self.model)(rows)))

    def window(self, x: Floats) -> tuple[Floats, Floats]:
        """How far each feature may fall and rise, both (n, d) and not negative."""
        low, high = self.rules.window(x)
        return np.minimum(np.maximum(low, self.valid_range[0]) - x, 0.0), np.maximum(np.minimum(high, self.valid_range[1]) - x, 0.0)

    def nearest(self, x: Floats, source: npt.NDArray[np.int64], unit: float) -> tuple[Floats, Floats]:
        """The change (n, d) just beyond the nearest boundary, by the rounding of the scores in last places `unit`, and the way there (n,).

        The way is inf where the window reaches no boundary.
        """
        weights, shift = self.layers.weights[0], self.layers.shifts[0]
        scores = x @ weights + shift
        fall, rise = self.window(x)
        best, change = np.full(len(x), np.inf), np.zeros_like(x)
        for target in range(weights.shape[1]):
            others = np.flatnonzero(source != target)
            if not len(others):
                continue
            w = weights[:, target] - weights[:, source[others]].T
            gap = scores[others, source[others]] - scores[others, target]
            moved = _SOLVERS[self.norm](w, gap, fall[others], rise[others])
            length = np.where(np.isnan(moved[:, 0]), np.inf, lengths(np.nan_to_num(moved), self.norm))
            size = np.abs(x[others]) @ np.abs(weights[:, target]) + np.abs(x[others] * weights[:, source[others]].T).sum(axis=1)
            beyond = _SOLVERS[self.norm](w, gap + 4.0 * unit * (size + 2.0 * np.abs(shift).max()), fall[others], rise[others])
            moved = np.where(np.isnan(beyond[:, :1]), moved, beyond)
            nearer = length < best[others]
            best[others[nearer]], change[others[nearer]] = length[nearer], moved[nearer]
        return change, best

    def confirmed(
        self, rows: npt.NDArray[Any], change: Floats, truth: npt.NDArray[Any], reached: Floats
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_], int]:
        """The rows pushed along `change` until the model itself changes its mind; which were found; how many it was asked."""
        result, found, asked = rows.copy(), np.zeros(len(rows), dtype=np.bool_), 0
        bound = self.rules.relational or bool(self.rules.integer.any()) or bool(self.rules.allowed)
        fall, rise = self.window(rows.astype(np.float64))
        for factor in [1.0 + push for push in _PUSHES] + (list(_FURTHER[1:]) if bound else []):
            waiting = np.flatnonzero(~found & np.isfinite(reached))
            if not len(waiting):
                break
            step = np.clip(change[waiting] * factor, fall[waiting], rise[waiting])
            typed = _towards(rows[waiting].astype(np.float64) + step, step, rows.dtype)
            if bound:
                typed = self.rules.repair(rows[waiting], typed)
            allowed = self.rules.obeys(rows[waiting], typed) & (typed >= self.valid_range[0]).all(1) & (typed <= self.valid_range[1]).all(1)
            ask = waiting[allowed]
            if not len(ask):
                continue
            good = self.labels(typed[allowed]) != truth[ask]
            asked += len(ask)
            result[ask[good]], found[ask[good]] = typed[allowed][good], True
        return result, found, asked


def _towards(values: Floats, step: Floats, dtype: Any) -> npt.NDArray[Any]:
    """`values` in `dtype`; values that did not move are the originals to the last bit."""
    typed = values.astype(dtype)
    return np.asarray(np.where(step == 0, (values - step).astype(dtype), typed))


def lengths(change: Floats, norm: str) -> Floats:
    """The norm linf, l2 or l1 of each row of (n, d), (n,)."""
    size = np.abs(change)
    if norm == "linf":
        return np.asarray(size.max(axis=1, initial=0.0))
    return np.asarray(np.sqrt((size**2).sum(axis=1)) if norm == "l2" else size.sum(axis=1))


def _walls(w: Floats, fall: Floats, rise: Floats) -> Floats:
    """How far each feature may move in the direction that helps, (n, d)."""
    return np.where(w > 0, rise, np.where(w < 0, -fall, 0.0))


def _least(gap: Floats, slopes: Floats, walls: Floats, ends: Floats) -> Floats:
    """The least t at which sum over features of min(slope * t, wall) reaches `gap`, (n,); inf where it never does. `ends` = wall / slope.

    The sum is concave, so it is the least of its tangents and t is the largest answer that any tangent gives.
    """
    order = np.argsort(ends, axis=1)
    slopes, walls, ends = (np.take_along_axis(part, order, 1) for part in (slopes, walls, ends))
    none = np.zeros((len(gap), 1))
    past = np.hstack([none > 0, np.isinf(ends)])  # tangents beyond an end that is never reached do not exist
    spent = np.hstack([none, np.cumsum(np.where(np.isfinite(walls), walls, 0.0), axis=1)])
    slope = np.hstack([np.cumsum(slopes[:, ::-1], axis=1)[:, ::-1], none])
    missing = gap[:, None] - spent
    with np.errstate(divide="ignore", invalid="ignore"):
        answers = np.where(slope > 0, missing / slope, np.where(missing > 1e-13 * np.abs(gap)[:, None], np.inf, 0.0))
    return np.asarray(np.where(past, 0.0, answers).max(axis=1))


def _linf(w: Floats, gap: Floats, fall: Floats, rise: Floats) -> Floats:
    """The least t with sum |w| min(t, wall) >= gap, and the change it means; NaN rows where there is none."""
    wall = _walls(w, fall, rise)
    size = np.where(wall > 0, np.abs(w), 0.0)
    t = _least(gap, size, np.where(size > 0, size * wall, 0.0), np.where(size > 0, wall, 0.0))
    return _told(np.sign(w) * np.minimum(t[:, None], wall), t)


def _l1(w: Floats, gap: Floats, fall: Floats, rise: Floats) -> Floats:
    """Features in order of weight, each to its wall, until the gap is closed."""
    size, wall = np.abs(w), _walls(w, fall, rise)
    size = np.where(wall > 0, size, 0.0)
    order = np.argsort(-size, axis=1, kind="stable")
    sizes, walls = np.take_along_axis(size, order, 1), np.take_along_axis(wall, order, 1)
    with np.errstate(invalid="ignore"):
        gains = np.where(sizes > 0, sizes * walls, 0.0)
    total = np.cumsum(gains, axis=1)
    before = np.hstack([np.zeros((len(w), 1)), total[:, :-1]])
    needed = np.clip(gap[:, None] - before, 0.0, gains)
    moves = np.where(sizes > 0, np.where(needed >= gains, walls, needed / np.maximum(sizes, 1e-300)), 0.0)
    moves = np.where(before < gap[:, None], moves, 0.0)
    change = np.zeros_like(w)
    np.put_along_axis(change, order, moves, 1)
    return _told(np.sign(w) * change, np.where(total[:, -1] >= gap * (1 - 1e-15), 0.0, np.inf))


def _l2(w: Floats, gap: Floats, fall: Floats, rise: Floats) -> Floats:
    """The least t with sum |w| min(t |w|, wall) >= gap: a path straight at the boundary, along the walls it meets."""
    wall = _walls(w, fall, rise)
    size = np.where(wall > 0, np.abs(w), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.where(size > 0, wall / size, 0.0)
        t = _least(gap, size**2, np.where(size > 0, size * wall, 0.0), ends)
        return _told(np.sign(w) * np.minimum(t[:, None] * size, wall), t)


def _told(change: Floats, t: Floats) -> Floats:
    return np.where(np.isfinite(t)[:, None], np.nan_to_num(change), np.nan)


_SOLVERS = {"linf": _linf, "l1": _l1, "l2": _l2}
