"""The nearest evasion of one row of a tree ensemble in the maximum norm, by best-first branching on splits.

A part of the input space is known by the leaves that it touches. The sum over trees of the best of these leaves within reach bounds its
score, so the least reach at which that sum suffices bounds the distance of its nearest evasion from below. The part with the least bound is
taken next: where the best leaves of all trees meet in one point the bound is the distance itself, which is proven; else the part is cut
between leaves that exclude each other, where both sides lose most. Unlike a search for each radius, one pass proves the distance. The
bound over leaves is that of Chen et al. (NeurIPS 2019); cutting at conflicts instead of choosing leaf after leaf is what makes it small.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.tree_search import Found, Pair, Steps, nearest_by_boxes, reach

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_HORIZON = 1.5
_BATCH = 32
_SLACK = 1 + 1e-12
_PART = 8
"""Steps of Veritas that cost about as much as looking at one part."""
_WIDEST = 1 << 24
"""Most entries of the table of leaves and features; beyond, Veritas alone."""


def nearest_point(pair: Pair, steps: Steps, x: Floats, window: tuple[Floats, Floats], *, least: float, within: float, effort: int) -> Found:
    """The nearest point to `x` (d,) in the window with a pair score of at least `least`, nearer than `within`.

    `effort` bounds the work, in steps of Veritas, once for branching and, where it did not end, once more for Veritas, which then looks
    for a near point above the distance proven so far; `lower` says what was proven.
    """
    bottom = reach(pair, x, window, least)
    if bottom >= within:
        return Found(None, math.inf, bottom)
    found, proven = nearest_branched(pair, x, window, least=least, within=within, bottom=bottom, nodes=max(effort // _PART, 1))
    if proven:
        return found
    within = min(within, found.distance)
    other = nearest_by_boxes(pair, steps, x, window, least=least, within=within, bottom=found.lower, effort=effort)
    return other if other.point is not None or found.point is None else Found(found.point, found.distance, min(other.lower, found.distance))


def nearest_branched(
    pair: Pair, x: Floats, window: tuple[Floats, Floats], *, least: float, within: float, bottom: float, nodes: int
) -> tuple[Found, bool]:
    """The nearest point to `x` (d,) in the window with a pair score of at least `least`, nearer than `within`; and whether it is proven.

    `bottom` is a distance below which there is none. After `nodes` parts the search ends as it stands; `lower` says what was proven.
    """
    distances = pair.leaf_distances(x, *window)
    furthest = min(float(distances[np.isfinite(distances)].max(initial=0.0)), within)
    lower, horizon = bottom, _HORIZON * max(bottom, float(distances[distances > 0.0].min(initial=math.inf)))
    while nodes > 0:
        horizon = min(horizon, furthest)
        around = _Around(pair, x, distances, horizon, lower, least)
        if around.first.size > _WIDEST:
            break
        found, looked = around.search(nodes)
        nodes -= looked
        if found.point is not None and found.lower >= found.distance:
            return (found if found.distance < within else Found(None, math.inf, found.distance)), True
        if found.point is not None or nodes <= 0:
            return found, False
        if horizon >= furthest:
            return Found(None, math.inf, within if furthest >= within else math.inf), True
        lower, horizon = horizon, horizon * _HORIZON
    return Found(None, math.inf, lower), False


@dataclass
class _Part:
    """Parts of the space as arrays: the leaves they touch (n, leaves, trees) and the place of their bound among the levels (n,)."""

    touched: Mask
    level: Ints


class _Around:
    """The leaves within `horizon` of the row, each tree's in a line, nearest first; and the search among them."""

    def __init__(self, pair: Pair, x: Floats, distances: Floats, horizon: float, bottom: float, least: float) -> None:
        self.pair, self.x, self.horizon = pair, x, horizon
        within = distances <= horizon * _SLACK
        near = self._useful(distances, within, least)
        tree = np.searchsorted(pair.trees, near, side="right") - 1
        alone = np.add.reduceat(within, pair.trees, dtype=np.int64)[tree] == 1
        self.need = least - pair.base - float(pair.values[near[alone]].sum())
        self.settled = near[alone]
        near, tree = near[~alone], tree[~alone]
        order = np.lexsort((distances[near], tree))
        self.leaves, tree = near[order], tree[order]
        _, line = np.unique(tree, return_inverse=True)
        place = np.arange(len(line)) - np.searchsorted(line, np.arange(line.max(initial=-1) + 1))[line]
        shape = (int(place.max(initial=-1)) + 1, int(line.max(initial=-1)) + 1)
        self.value, self.number = np.full(shape, -np.inf), np.full(shape, -1, dtype=np.int64)
        self.value[place, line] = pair.values[self.leaves]
        self.number[place, line] = self.leaves
        self.spread = float(np.ptp(pair.values)) if len(pair.values) else 0.0
        self.lines = np.arange(shape[1])
        self._cells(line, place, shape)
        self._levels(distances[self.leaves], line, place, bottom)

    def _useful(self, distances: Floats, near: Mask, least: float) -> Ints:
        """The leaf of the row, and those in which a point within the horizon can score enough beside the best of all other trees."""
        pair = self.pair
        best = np.maximum.reduceat(np.where(near, pair.values, -np.inf), pair.trees)
        spare = pair.base + best.sum() - least + 1e-9 * float(np.abs(best).sum())
        lost = np.repeat(best, np.diff(np.append(pair.trees, len(pair.values)))) - pair.values
        return np.flatnonzero(near & ((lost <= spare) | (distances == 0.0)))

    def _cells(self, line: Ints, place: Ints, shape: tuple[int, int]) -> None:
        """`first`, `last` (leaves, trees, features): the cells between splits that a leaf reaches from and to; features that matter."""
        pair = self.pair
        sizes = np.append(pair.starts[1:], len(pair.feature))[self.leaves] - pair.starts[self.leaves]
        owner = np.repeat(np.arange(len(sizes)), sizes)
        at = np.repeat(pair.starts[self.leaves] - np.cumsum(sizes) + sizes, sizes) + np.arange(int(sizes.sum()))
        x = self.x[pair.feature[at]]
        limits = (pair.low[at] > x - self.horizon * _SLACK) | (pair.last[at] < x + self.horizon * _SLACK)
        at, owner = at[limits], owner[limits]
        features, column = np.unique(pair.feature[at], return_inverse=True)
        self.first = np.zeros((*shape, len(features)), dtype=np.int32)
        self.last = np.full((*shape, len(features)), np.iinfo(np.int32).max, dtype=np.int32)
        self.first[place[owner], line[owner], column] = pair.cells[0][at]
        self.last[place[owner], line[owner], column] = pair.cells[1][at]
        self.first_by, self.last_by = (np.ascontiguousarray(np.moveaxis(cells, 2, 0)) for cells in (self.first, self.last))

    def _levels(self, distances: Floats, line: Ints, place: Ints, bottom: float) -> None:
        """`levels`: the distances that a bound can have, ascending. `rank` (leaves, trees): the level that reaches a leaf; `reached`
        (levels, trees): the place of the last leaf that a level reaches."""
        levels = np.unique(distances)
        levels = levels[levels >= bottom / _SLACK]
        self.levels = levels if len(levels) and levels[0] <= bottom else np.concatenate([[bottom], levels])
        rank = np.searchsorted(self.levels, distances)
        self.rank = np.full(self.value.shape, len(self.levels), dtype=np.int32)
        self.rank[place, line] = rank
        counts = np.zeros((len(self.levels), len(self.lines)), dtype=np.int64)
        np.add.at(counts, (rank, line), 1)
        self.reached = np.cumsum(counts, axis=0) - 1

    def search(self, nodes: int) -> tuple[Found, int]:
        """The nearest point within the horizon, the distance below which there is none, and how many parts were looked at."""
        whole = np.isfinite(self.value)[None]
        level, score = self.bounds(_Part(whole, np.zeros(1, dtype=np.int64)))
        waiting: list[tuple[int, float, int]] = []
        parts: dict[int, Mask] = {}
        made, looked, best, reached = 0, 0, None, len(self.levels)
        made = self._keep(waiting, parts, _Part(whole, level), score, made, reached)
        while waiting and waiting[0][0] < reached:
            if looked >= nodes:
                return self._found(best, float(self.levels[waiting[0][0]])), looked
            size = min(_BATCH, 4 + looked // 8, len(waiting))
            taken = [heapq.heappop(waiting) for _ in range(size)]
            now = _Part(np.stack([parts.pop(place) for *_, place in taken]), np.array([level for level, *_ in taken]))
            looked += size
            chosen, gap = self._best(now)
            first, last = self.first[chosen, self.lines], self.last[chosen, self.lines]
            lowest, highest = first.max(axis=1, initial=0), last.min(axis=1, initial=np.iinfo(np.int32).max)
            split = (lowest > highest).any(axis=1)
            for place in np.flatnonzero(~split):
                if now.level[place] < reached:
                    best, reached = self._point(chosen[place]), int(now.level[place])
            if split.any():
                cut = self._cut(first[split], last[split], lowest[split], highest[split], gap[split])
                sides = self._sides(_Part(now.touched[split], now.level[split]), *cut)
                made = self._keep(waiting, parts, *self._bounded(sides), made, reached)
        return self._found(best, math.inf), looked

    def _found(self, point: Floats | None, lower: float) -> Found:
        distance = float(np.abs(point - self.x).max(initial=0.0)) if point is not None else math.inf
        return Found(point, distance, min(lower, distance, math.inf if point is not None else self.horizon))

    def _bounded(self, sides: _Part) -> tuple[_Part, Floats]:
        level, score = self.bounds(sides)
        return _Part(sides.touched, level), score

    def _keep(
        self, waiting: list[tuple[int, float, int]], parts: dict[int, Mask], new: _Part, score: Floats, made: int, reached: int
    ) -> int:
        for place in np.flatnonzero(new.level < reached).tolist():
            heapq.heappush(waiting, (int(new.level[place]), -float(score[place]), made))
            parts[made] = new.touched[place]
            made += 1
        return made

    def bounds(self, parts: _Part) -> tuple[Ints, Floats]:
        """For each part the least level at which the best leaves of all trees suffice (beyond the last: never), and their sum there."""
        top = len(self.levels)
        touched = np.where(parts.touched, self.value, -np.inf)
        level = parts.level.copy()
        score = np.where(self.rank <= level[:, None, None], touched, -np.inf).max(axis=1, initial=-np.inf).sum(axis=1)
        short = np.flatnonzero(score < self.need)
        if len(short):
            best = np.maximum.accumulate(touched[short], axis=1)
            every = np.arange(len(short))[:, None]
            low, high = level[short] + 1, np.full(len(short), top)
            while (low < high).any():
                middle = np.minimum((low + high) // 2, top - 1)
                enough = best[every, self.reached[middle], self.lines].sum(axis=1) >= self.need
                high = np.where(enough & (low < high), middle, high)
                low = np.where(~enough & (low < high), middle + 1, low)
            level[short] = low
            score[short] = best[every, self.reached[np.minimum(low, top - 1)], self.lines].sum(axis=1)
        return level, score

    def _best(self, parts: _Part) -> tuple[Ints, Floats]:
        """The best leaf of every tree in each part at its level, (n, trees), and how much is lost without it."""
        values = np.where(parts.touched & (self.rank <= parts.level[:, None, None]), self.value, -np.inf)
        chosen = values.argmax(axis=1)[:, None]
        most = np.take_along_axis(values, chosen, axis=1)[:, 0]
        np.put_along_axis(values, chosen, -np.inf, axis=1)
        return chosen[:, 0], np.minimum(most - values.max(axis=1, initial=-np.inf), 2.0 * self.spread)

    def _cut(
        self, first: npt.NDArray[np.int32], last: npt.NDArray[np.int32], lowest: Ints, highest: Ints, gap: Floats
    ) -> tuple[Ints, npt.NDArray[np.int32]]:
        """For each part the feature to cut and the last cell of the left side: where both sides lose much, the weaker loss first."""
        n, d = lowest.shape
        after = np.stack([lowest - 1, highest], axis=1)
        above = (gap[:, None, None] @ (first[:, None] > after[:, :, None]))[:, :, 0]
        below = (gap[:, None, None] @ (last[:, None] <= after[:, :, None]))[:, :, 0]
        worth = np.minimum(above, below) + 0.3 * np.maximum(above, below)
        worth[np.broadcast_to((lowest <= highest)[:, None], worth.shape)] = -1.0
        pick = worth.reshape(n, -1).argmax(axis=1)
        return pick % d, after.reshape(n, -1)[np.arange(n), pick]

    def _sides(self, parts: _Part, feature: Ints, after: npt.NDArray[np.int32]) -> _Part:
        left = parts.touched & (self.first_by[feature] <= after[:, None, None])
        right = parts.touched & (self.last_by[feature] > after[:, None, None])
        return _Part(np.concatenate([left, right]), np.concatenate([parts.level, parts.level]))

    def _point(self, chosen: Ints) -> Floats:
        """The point nearest to the row in the leaves `chosen` (trees,), which all meet."""
        pair = self.pair
        low, high = np.full(len(self.x), -np.inf), np.full(len(self.x), np.inf)
        ends = np.append(pair.starts[1:], len(pair.feature))
        for leaf in np.concatenate([self.number[chosen, self.lines], self.settled]).tolist():
            own = slice(int(pair.starts[leaf]), int(ends[leaf]))
            np.maximum.at(low, pair.feature[own], pair.low[own])
            np.minimum.at(high, pair.feature[own], pair.last[own])
        return np.asarray(np.clip(self.x, low, high))
