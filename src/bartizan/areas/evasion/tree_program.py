"""The nearest evasion of one row of a tree ensemble as a mixed integer program: l2, l1, l0, relations between features, and budgets.

One binary variable a split says whether the input lies below it, one variable a leaf whether the tree ends there (Kantchelian, Tygar,
Joseph, ICML 2016). Without relations a norm is a sum of costs of the intervals between splits, so that l2 is linear too. Only splits inside
a box around the row are modelled; the box grows until the optimum inside it is nearer than its wall. Solved by HiGHS, through SciPy; what
it proves holds within its tolerance, 2e-6 of the largest leaf.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.constraints import Rules
from bartizan.areas.evasion.tree_search import Found, Pair, Steps

Floats = npt.NDArray[np.float64]
Window = tuple[Floats, Floats]

_ROUNDS = 8
_WIDEST = 1e6


def nearest_by_program(
    pair: Pair,
    steps: Steps,
    rules: Rules,
    norm: str,
    x: Floats,
    window: Window,
    *,
    start: Found | None,
    least: float,
    within: float,
    nodes: int,
) -> Found:
    """The nearest point to `x` (d,) that obeys `rules` with a pair score of at least `least`.

    `start` is the answer in the maximum norm without relations: its distance bounds every norm but l0 from below, and without relations its
    point bounds them from above. `lower` is proven where the program was solved to the end, else it is the bound of `start`.
    """
    floor = start.lower if start is not None and norm != "l0" else (1.0 if norm == "l0" else 0.0)
    reachable = pair.crossings(x, *window)
    if not len(reachable) and not rules.relational:
        return Found(None, math.inf, math.inf)
    ceiling = float(reachable[-1]) if len(reachable) else 0.0
    radius = min(2.0 * floor, _WIDEST) if norm != "l0" else math.inf
    if start is not None and start.point is not None and not rules.relational:
        radius = length(start.point - x, norm)
    best, spent = Found(None, math.inf, floor), 0
    while spent < _ROUNDS:
        spent += 1
        box = (np.maximum(window[0], x - radius), np.minimum(window[1], x + radius))
        answer = _Program(pair, steps, rules, norm, x, box, least).solve(nodes)
        if answer is None:
            return best
        point, bound = answer
        if point is not None:
            distance = length(point - x, norm)
            best = Found(point, distance, best.lower) if distance < best.distance else best
            if distance <= radius * (1 + 1e-9):
                best.lower = max(floor, min(bound, distance))
                return best
            radius = distance
        elif radius >= max(ceiling, 0.0) * (2.0 if rules.relational else 1.0) or radius >= within:
            best.lower = min(max(radius, floor), within) if rules.relational and radius < _WIDEST and not math.isinf(radius) else math.inf
            return best
        else:
            best.lower = max(best.lower, radius if norm != "l0" else floor)
            radius = max(2.0 * radius, float(reachable[0]) if len(reachable) else 1e-9)
    return best


def length(change: Floats, norm: str) -> float:
    """The norm of `change` (d,)."""
    size = np.abs(change)
    if norm == "linf":
        return float(size.max(initial=0.0))
    if norm == "l2":
        return float(np.sqrt((size**2).sum()))
    return float(size.sum() if norm == "l1" else (size > 0).sum())


@dataclass
class _Program:
    """The program for one box; `solve` builds and solves it."""

    pair: Pair
    steps: Steps
    rules: Rules
    norm: str
    x: Floats
    box: Window
    least: float
    costs: list[float] = field(default_factory=list)
    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    whole: list[int] = field(default_factory=list)
    rows: list[tuple[list[int], list[float], float, float]] = field(default_factory=list)

    def variable(self, low: float, high: float, *, cost: float = 0.0, whole: bool = False) -> int:
        self.costs.append(cost)
        self.lows.append(low)
        self.highs.append(high)
        self.whole.append(int(whole))
        return len(self.costs) - 1

    def require(self, terms: list[tuple[int, float]], low: float, high: float) -> None:
        self.rows.append(([place for place, _ in terms], [weight for _, weight in terms], low, high))

    def solve(self, nodes: int) -> tuple[Floats | None, float] | None:
        """The best point and a bound on the norm in this box; no point where there is none; None where the solver could not tell."""
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import coo_matrix

        below = self._splits()
        leaves = self._trees(below)
        if leaves is None:
            return None, math.inf
        values = self._values(below)
        places = [(row, column, weight) for row, (c, w, _, _) in enumerate(self.rows) for column, weight in zip(c, w, strict=True)]
        index = np.array([(row, column) for row, column, _ in places]).T
        matrix = coo_matrix(([weight for *_, weight in places], index), shape=(len(self.rows), len(self.costs))).tocsr()
        limits = LinearConstraint(matrix, [low for *_, low, _ in self.rows], [high for *_, high in self.rows])
        options = {"node_limit": nodes, "time_limit": 60.0, "mip_rel_gap": 1e-6}
        solved = milp(self.costs, integrality=self.whole, bounds=Bounds(self.lows, self.highs), constraints=limits, options=options)
        if solved.status == 2:
            return None, math.inf
        if solved.x is None:
            return None
        point = self._point(solved.x, leaves, values)
        if point is None:
            return None
        provable = not values or self.norm in ("linf", "l1")
        bound = max(float(solved.mip_dual_bound or 0.0), 0.0) if provable else 0.0
        return point, math.sqrt(bound) if self.norm == "l2" else bound

    def _splits(self) -> dict[tuple[int, float], int]:
        """A binary variable for every split inside the box, in order, with the cost of the intervals between them."""
        feature, cut, last = self.pair.edges
        inside = (cut > self.box[0][feature]) & (cut <= self.box[1][feature])
        below: dict[tuple[int, float], int] = {}
        separable = not self.rules.relational and self.norm != "linf"
        for f in np.unique(feature[inside]):
            own = np.flatnonzero(inside & (feature == f))
            places = [self.variable(0, 1, whole=True) for _ in own]
            for lower, upper in itertools.pairwise(places):
                self.require([(lower, 1.0), (upper, -1.0)], -math.inf, 0.0)
            below |= {(int(f), float(cut[edge])): place for edge, place in zip(own, places, strict=True)}
            if separable:
                self._interval_costs(float(self.x[f]), cut[own], last[own], places)
        return below

    def _interval_costs(self, x: float, cuts: Floats, lasts: Floats, places: list[int]) -> None:
        lows, highs = np.concatenate([[-math.inf], cuts]), np.concatenate([lasts, [math.inf]])
        gaps = np.maximum(np.maximum(lows - x, x - highs), 0.0)
        prices = gaps if self.norm == "l1" else gaps**2 if self.norm == "l2" else (gaps > 0).astype(np.float64)
        for place, here, after in zip(places, prices, prices[1:], strict=False):
            self.costs[place] += float(here - after)
        self.costs[self._one()] += float(prices[-1])

    def _one(self) -> int:
        if not hasattr(self, "_constant"):
            self._constant = self.variable(1, 1)
        return self._constant

    def _trees(self, below: dict[tuple[int, float], int]) -> npt.NDArray[np.int64] | None:
        """A variable for every leaf that the box reaches; None where the score cannot be reached at all."""
        pair = self.pair
        distances = pair.leaf_distances(self.x, *self.box)
        place = np.full(len(pair.values), -1, dtype=np.int64)
        for leaf in np.flatnonzero(np.isfinite(distances)):
            place[leaf] = self.variable(0, 1)
        ends = np.append(pair.trees[1:], len(pair.values))
        for first, end in zip(pair.trees, ends, strict=True):
            own = [leaf for leaf in range(int(first), int(end)) if place[leaf] >= 0]
            if not own:
                return None
            self.require([(int(place[leaf]), 1.0) for leaf in own], 1.0, 1.0)
            self._tie(own, place, below)
        score = [(int(place[leaf]), float(pair.values[leaf])) for leaf in np.flatnonzero(place >= 0)]
        self.require(score, self.least - pair.base + 2e-6 * float(np.abs(pair.values).max(initial=1e-9)), math.inf)
        return place

    def _tie(self, own: list[int], place: npt.NDArray[np.int64], below: dict[tuple[int, float], int]) -> None:
        """Leaves on the left of a split only where the input lies below it, and the other way round."""
        pair = self.pair
        under: dict[int, list[int]] = {}
        over: dict[int, list[int]] = {}
        cuts: dict[int, dict[float, int]] = {}
        for (f, cut), variable in below.items():
            cuts.setdefault(f, {})[cut] = variable
        for leaf in own:
            end = pair.starts[leaf + 1] if leaf + 1 < len(pair.starts) else len(pair.feature)
            for at in range(int(pair.starts[leaf]), int(end)):
                f = int(pair.feature[at])
                for cut, variable in cuts.get(f, {}).items():
                    if pair.last[at] < cut and self._is_edge(own, f, cut):
                        under.setdefault(variable, []).append(leaf)
                    elif pair.low[at] >= cut and self._is_edge(own, f, cut):
                        over.setdefault(variable, []).append(leaf)
        for variable, members in under.items():
            self.require([(int(place[leaf]), 1.0) for leaf in members] + [(variable, -1.0)], -math.inf, 0.0)
        for variable, members in over.items():
            self.require([(int(place[leaf]), 1.0) for leaf in members] + [(variable, 1.0)], -math.inf, 1.0)

    def _is_edge(self, own: list[int], feature: int, cut: float) -> bool:
        """Does this tree itself split there? Only then the pair of rows says something new."""
        key = (own[0], feature)
        known: dict[tuple[int, int], set[float]] = self.__dict__.setdefault("_edges", {})
        if key not in known:
            first, last = int(self.pair.starts[own[0]]), own[-1] + 1
            end = int(self.pair.starts[last]) if last < len(self.pair.starts) else len(self.pair.feature)
            mine = self.pair.feature[first:end] == feature
            known[key] = set(self.pair.low[first:end][mine].tolist())
        return cut in known[key] or math.isinf(cut)

    def _values(self, below: dict[tuple[int, float], int]) -> dict[int, int]:
        """Variables for the values themselves where relations, a budget or the maximum norm need them."""
        if not self.rules.relational and self.norm != "linf":
            return {}
        low, high = np.maximum(self.box[0], -_WIDEST), np.minimum(self.box[1], _WIDEST)
        values, lengths = {}, []
        for f in range(len(self.x)):
            stepped = bool(self.rules.integer[f]) or any(f in group for group in self.rules.groups)
            values[f] = self.variable(float(min(low[f], self.x[f])), float(max(high[f], self.x[f])), whole=stepped)
            up, down = self.variable(0, math.inf), self.variable(0, math.inf)
            self.require([(values[f], 1.0), (up, -1.0), (down, 1.0)], float(self.x[f]), float(self.x[f]))
            lengths.append((up, down))
        for (f, cut), variable in below.items():
            last = self.steps.before(f, cut)
            top, bottom = self.highs[values[f]], self.lows[values[f]]
            self.require([(values[f], 1.0), (variable, top - last)], -math.inf, top)
            self.require([(values[f], 1.0), (variable, cut - bottom)], cut, math.inf)
        self._lengths(lengths)
        self._rules(values, lengths)
        return values

    def _lengths(self, lengths: list[tuple[int, int]]) -> None:
        most = self.variable(0, math.inf, cost=1.0) if self.norm == "linf" else -1
        for up, down in lengths:
            if self.norm == "linf":
                self.require([(most, 1.0), (up, -1.0), (down, -1.0)], 0.0, math.inf)
                self.costs[up] = self.costs[down] = 1e-7
            else:
                self.costs[up] = self.costs[down] = 1.0

    def _rules(self, values: dict[int, int], lengths: list[tuple[int, int]]) -> None:
        rules = self.rules
        for relation in rules.relations:
            terms = [(values[int(f)], float(relation.weights[f])) for f in np.flatnonzero(relation.weights)]
            self.require(terms, relation.low, relation.high)
        for group in rules.groups:
            self.require([(values[int(f)], 1.0) for f in group], 1.0, 1.0)
        for f, listed in rules.allowed.items():
            chosen = [self.variable(0, 1, whole=True) for _ in listed]
            self.require([(place, 1.0) for place in chosen], 1.0, 1.0)
            pairs = [(place, -float(value)) for place, value in zip(chosen, listed, strict=True)]
            self.require([(values[f], 1.0), *pairs], 0.0, 0.0)
        if math.isfinite(rules.budget):
            terms = [(up, float(price)) for (up, _), price in zip(lengths, rules.cost_up, strict=True) if price]
            terms += [(down, float(price)) for (_, down), price in zip(lengths, rules.cost_down, strict=True) if price]
            if terms:
                self.require(terms, -math.inf, rules.budget)

    def _point(self, solution: Floats, place: npt.NDArray[np.int64], values: dict[int, int]) -> Floats | None:
        """The point inside the leaves that the program chose: the nearest, or its own values put onto the rules; None where none obeys."""
        low, high = self.box[0].copy(), self.box[1].copy()
        ends = np.append(self.pair.trees[1:], len(place))
        for first, end in zip(self.pair.trees, ends, strict=True):
            weights = np.where(place[first:end] >= 0, solution[place[first:end]], -1.0)
            leaf = int(first) + int(weights.argmax())
            stop = int(self.pair.starts[leaf + 1]) if leaf + 1 < len(self.pair.starts) else len(self.pair.feature)
            own = slice(int(self.pair.starts[leaf]), stop)
            np.maximum.at(low, self.pair.feature[own], self.pair.low[own])
            np.minimum.at(high, self.pair.feature[own], self.pair.last[own])
        if (low > high).any():
            return None
        wanted = np.array([solution[values[f]] for f in range(len(self.x))]) if values else self.x
        wanted = np.where(np.abs(wanted - self.x) < 1e-9, self.x, wanted)
        point = np.clip(wanted, low, high)
        if not self.rules.relational:
            return point
        for _ in range(3):
            typed = point.astype(np.float32).astype(np.float64) if self.steps.single else point
            typed = np.where(typed < low, np.nextafter(typed.astype(np.float32), np.float32(np.inf)), typed)
            point = np.clip(self.rules.repair(self.x[None], typed[None])[0], low, high)
            if self.rules.obeys(self.x[None], point[None])[0]:
                return np.asarray(point)
        return None
