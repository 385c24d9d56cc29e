"""Tree ensembles as leaf boxes for one pair of classes, and the nearest evasion in the maximum norm by Veritas, box after box.

The distance at which the decision can turn is the distance of some split, so the search runs over these alone. A sum over trees of the best
leaf within reach bounds it from below in microseconds; Veritas (Devos, Meert, Davis, ICML 2021) then decides single boxes exactly, small
ones first, because a box costs the more the larger it is. It finds points for rows that branching (`tree_branching`) leaves open.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bartizan.adapters.tree_models import Ensemble, TreeArrays, rounding
from bartizan.areas.evasion.constraints import Rules
from bartizan.model.errors import MissingExtra

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_GROWTH = 1.35
_SLICES = 6
_CHUNK = 50
_MEMORY = 1 << 30


def veritas() -> Any:
    """The module veritas. Raises `MissingExtra` where it is not installed."""
    try:
        return importlib.import_module("veritas")
    except ImportError:
        raise MissingExtra("trees", "veritas") from None


@dataclass(frozen=True)
class Steps:
    """Which values each feature can take: all floats of the model's precision, or a sorted list (`listed`), or whole numbers."""

    single: bool
    whole: npt.NDArray[np.bool_]
    listed: dict[int, Floats]

    def threshold(self, feature: int, cut: float) -> float:
        """The least possible value at or above `cut`: the same split, written with a value that the right side holds."""
        if feature in self.listed:
            values = self.listed[feature]
            place = int(np.searchsorted(values, cut))
            return float(values[place]) if place < len(values) else math.inf
        if self.whole[feature]:
            return float(math.ceil(cut))
        if self.single and float(np.float32(cut)) < cut:  # rows of 32-bit floats under a model that compares 64-bit ones
            return float(np.nextafter(np.float32(cut), np.float32(np.inf)))
        return float(np.float32(cut)) if self.single else cut

    def before(self, feature: int, value: float) -> float:
        """The greatest possible value below `value`, which is possible itself or inf."""
        if feature in self.listed:
            values = self.listed[feature]
            place = int(np.searchsorted(values, value)) - 1
            return float(values[place]) if place >= 0 else -math.inf
        if self.whole[feature]:
            return value - 1.0
        if self.single:
            return float(np.nextafter(np.float32(value), np.float32(-np.inf)))
        return math.nextafter(value, -math.inf)


def steps_of(ensemble: Ensemble, rules: Rules, *, single: bool = False) -> Steps:
    """The steps that `rules` leave to inputs of `ensemble`; `single` says that the rows themselves are 32-bit floats."""
    listed = dict(rules.allowed)
    listed |= {int(column): np.array([0.0, 1.0]) for group in rules.groups for column in group if int(column) not in listed}
    return Steps(ensemble.single or single, rules.integer, listed)


@dataclass(frozen=True)
class Pair:
    """The score of one class less that of another as one ensemble: Veritas' own form, and the box and value of every leaf.

    Leaf boxes stand one condition a row: `feature` must lie in [`low`, `last`]; `starts` are where each leaf's conditions begin, `trees`
    where each tree's leaves begin. `cells` are the same intervals counted in splits of the feature: the first and last cell between them.
    """

    searched: Any
    base: float
    tolerance: float
    values: Floats
    starts: Ints
    trees: Ints
    feature: Ints
    low: Floats
    last: Floats
    edges: tuple[Ints, Floats, Floats]
    cells: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]

    def leaf_distances(self, x: Floats, window_low: Floats, window_high: Floats) -> Floats:
        """How far each leaf's box is from `x` (d,) in the maximum norm, (leaves,); inf where the window does not reach it."""
        at = x[self.feature]
        each = np.maximum(np.maximum(self.low - at, at - self.last), 0.0)
        each[(self.low > window_high[self.feature]) | (self.last < window_low[self.feature])] = np.inf
        return np.asarray(np.maximum.reduceat(each, self.starts))

    def crossings(self, x: Floats, window_low: Floats, window_high: Floats) -> Floats:
        """The distances at which some split turns for `x` (d,), ascending and distinct."""
        feature, low, last = self.edges
        at = x[feature]
        up = (low > at) & (low <= window_high[feature])
        down = (last < at) & (last >= window_low[feature])
        return np.unique(np.concatenate([(low - at)[up], (at - last)[down]]))


def pair_of(ensemble: Ensemble, source: int, target: int, steps: Steps) -> Pair:
    """The pair whose score is positive where class `target` beats class `source`."""
    library = veritas()
    searched = library.AddTree(1, library.AddTreeType.REGR)
    searched.set_base_score(0, float(ensemble.base[target] - ensemble.base[source]))
    leaves: list[tuple[float, list[tuple[int, float, float]]]] = []
    trees, edges = [], set()
    for tree in ensemble.trees:
        values = tree.values[:, target] - tree.values[:, source]
        inner = tree.left >= 0
        if not values[~inner].any():
            continue
        trees.append(len(leaves))
        grown = searched.add_tree()
        for place, conditions in _grow(tree, values, steps, grown):
            leaves.append((float(values[place]), conditions))
        edges |= {(int(f), steps.threshold(int(f), float(t))) for f, t in zip(tree.feature[inner], tree.threshold[inner], strict=True)}
    sizes = [len(conditions) for _, conditions in leaves]
    flat = [condition for _, conditions in leaves for condition in conditions]
    cut = sorted(edge for edge in edges if math.isfinite(edge[1]))
    feature = np.array([c[0] for c in flat], dtype=np.int64)
    low, last = np.array([c[1] for c in flat]), np.array([c[2] for c in flat])
    return Pair(
        searched=searched,
        base=float(ensemble.base[target] - ensemble.base[source]),
        tolerance=rounding(ensemble),
        values=np.array([value for value, _ in leaves]),
        starts=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
        trees=np.array(trees, dtype=np.int64),
        feature=feature,
        low=low,
        last=last,
        edges=(
            np.array([f for f, _ in cut], dtype=np.int64),
            np.array([t for _, t in cut]),
            np.array([steps.before(f, t) for f, t in cut]),
        ),
        cells=_cells(cut, feature, low, last),
    )


def _cells(cut: list[tuple[int, float]], feature: Ints, low: Floats, last: Floats) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """How many splits of its feature lie at or below `low` and at or below `last`, for each condition."""
    first, final = np.zeros(len(feature), dtype=np.int32), np.zeros(len(feature), dtype=np.int32)
    features, cuts = np.array([f for f, _ in cut], dtype=np.int64), np.array([t for _, t in cut])
    order = np.argsort(feature, kind="stable")
    for own in np.split(order, np.flatnonzero(np.diff(feature[order])) + 1):
        mine = cuts[features == feature[own[0]]] if len(own) else cuts
        first[own] = np.searchsorted(mine, low[own], side="right")
        final[own] = np.searchsorted(mine, last[own], side="right")
    return first, final


def _grow(tree: TreeArrays, values: Floats, steps: Steps, grown: Any) -> list[tuple[int, list[tuple[int, float, float]]]]:
    """Writes `tree` into Veritas' tree `grown`; its leaves with their boxes (feature, lowest, last). Empty sides are left out."""
    found = []
    waiting: list[tuple[int, int, dict[int, tuple[float, float]]]] = [(0, grown.root(), {})]
    while waiting:
        node, own, box = waiting.pop()
        if tree.left[node] < 0:
            grown.set_leaf_value(own, 0, float(values[node]))
            conditions = [(f, low, steps.before(f, high) if math.isfinite(high) else high) for f, (low, high) in box.items()]
            found.append((node, conditions or [(0, -math.inf, math.inf)]))
            continue
        feature = int(tree.feature[node])
        cut = steps.threshold(feature, float(tree.threshold[node]))
        low, high = box.get(feature, (-math.inf, math.inf))
        if cut >= high or cut <= low:
            waiting.append((int(tree.left[node] if cut >= high else tree.right[node]), own, box))
            continue
        grown.split(own, feature, cut)
        waiting.append((int(tree.right[node]), grown.right(own), box | {feature: (cut, high)}))
        waiting.append((int(tree.left[node]), grown.left(own), box | {feature: (low, cut)}))
    return found


@dataclass
class Found:
    """What a search came to: the nearest point (d,) or None, its distance, the distance below which there is none, and its score."""

    point: Floats | None
    distance: float
    lower: float
    score: float = -math.inf


def reach(pair: Pair, x: Floats, window: tuple[Floats, Floats], least: float) -> float:
    """A distance below which no input can have a pair score of `least` or more; inf where none can at all."""
    distances = pair.leaf_distances(x, *window)
    steps = np.unique(distances[np.isfinite(distances)])

    def best(limit: float) -> float:
        return float(pair.base + np.maximum.reduceat(np.where(distances <= limit, pair.values, -np.inf), pair.trees).sum())

    low, high = 0, len(steps) - 1
    if high < 0 or best(steps[high]) < least:
        return math.inf
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if best(steps[middle]) >= least else (middle + 1, high)
    return float(steps[low])


def nearest_by_boxes(
    pair: Pair, steps: Steps, x: Floats, window: tuple[Floats, Floats], *, least: float, within: float, bottom: float, effort: int
) -> Found:
    """The nearest point to `x` (d,) in the window with a pair score of at least `least`, nearer than `within`; none is below `bottom`.

    `effort` is how many steps Veritas may take in all. A box that is not decided within a slice of it is left open: the search then goes
    on for the nearest point it can find, and `lower` stays at what was proven.
    """
    radii = pair.crossings(x, *window)
    radii = np.concatenate([[0.0], radii]) if bottom == 0.0 else radii
    low, high = int(np.searchsorted(radii, bottom * (1 - 1e-12))), int(np.searchsorted(radii, within))
    best, proven, settled, left, guess = Found(None, math.inf, bottom), low, True, effort, low
    while low < high:
        if left <= 0:
            settled = False
            break
        answer, spent = _decide(pair, steps, x, window, float(radii[guess]), least, min(left, effort // _SLICES))
        left -= spent
        if answer is not None and answer.point is not None:
            best = answer
            high = min(guess, int(np.searchsorted(radii, best.distance * (1 - 1e-12))))
        else:
            low, settled = guess + 1, settled and answer is not None
            proven = low if settled else proven
        if best.point is not None or low >= high:
            guess = (low + high) // 2
        else:
            ahead = int(np.searchsorted(radii, radii[low] * _GROWTH))
            guess = min(max(ahead, low), high - 1)
    if settled:
        proven = high
    found = settled and best.point is not None
    best.lower = best.distance if found else (float(radii[proven]) if proven < len(radii) else math.inf)
    return best


def _decide(
    pair: Pair, steps: Steps, x: Floats, window: tuple[Floats, Floats], radius: float, least: float, effort: int
) -> tuple[Found | None, int]:
    """What Veritas finds within `radius` (no point where it proves that there is none), None out of steps; and the steps taken."""
    library = veritas()
    wide = radius * (1 + 1e-12)
    low, high = np.maximum(window[0], x - wide), np.minimum(window[1], x + wide)
    box = [library.Interval(a, b) for a, b in zip(low.tolist(), np.nextafter(high, np.inf).tolist(), strict=True)]
    config = library.Config(library.HeuristicType.MAX_OUTPUT)
    config.stop_when_optimal = True
    config.ignore_state_when_worse_than = least
    config.stop_when_num_solutions_exceeds = 1
    config.max_memory = _MEMORY
    config.focal_eps = 0.2
    config.max_focal_size = 1000
    search = config.get_search(pair.searched.prune(box), box)  # pruned first, the search is several times faster
    taken, reason = 0, library.StopReason.NONE
    while reason == library.StopReason.NONE and search.num_solutions() == 0 and taken < effort:
        reason = search.steps(min(_CHUNK, effort - taken))
        taken += _CHUNK
    taken += _CHUNK
    if search.num_solutions() > 0 and search.get_solution(0).output >= least:
        best = search.get_solution(0)
        point = _closest(best.box(), steps, x)
        return Found(point, float(np.abs(point - x).max(initial=0.0)), 0.0, float(best.output)), taken
    done = reason in (library.StopReason.NO_MORE_OPEN, library.StopReason.OPTIMAL)
    return (Found(None, math.inf, 0.0) if done else None), taken


def _closest(box: dict[int, Any], steps: Steps, x: Floats) -> Floats:
    point = x.copy()
    for feature, interval in box.items():
        if x[feature] < interval.lo:
            point[feature] = interval.lo
        elif x[feature] >= interval.hi:
            point[feature] = steps.before(feature, interval.hi)
    return point
