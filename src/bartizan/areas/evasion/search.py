"""One attack under way: all radii in ascending order, every success verified by the model's own decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bartizan.areas.evasion.arrays import Array, copy, full, integers, to_numpy
from bartizan.areas.evasion.cascade import Field, climb, closest, prepare
from bartizan.areas.evasion.norms import Space
from bartizan.areas.evasion.result import Trust
from bartizan.areas.evasion.targets import Classifies, Differentiates, Searches
from bartizan.areas.evasion.whitebox.apgd import evades
from bartizan.areas.evasion.whitebox.minimum_norm import fmn

Host = np.ndarray[Any, Any]

SCOUTED = 1.5
"""A sample whose nearest known evasion lies beyond this many radii is not climbed again at that radius."""

BALLOTS = 31
"""Decisions of a random model that are counted per input; the majority is its decision."""


@dataclass
class Search:
    """Samples, radii and what was found: `broken[i]` (n,) and `found[i]` (n, d) belong to `radii[i]`; wrong samples count as broken."""

    target: Classifies
    x: Array
    y: Array
    space: Space
    radii: tuple[float, ...]
    strategy: Any
    options: Any
    wrong: Host
    logits: Array
    samples: Field
    random: bool
    broken: list[Host]
    found: list[Array]
    tried: list[str] = field(default_factory=list)

    def run(self, *, diagnosed: bool) -> Trust:
        """The attack, then the diagnostics and what they call for."""
        from bartizan.areas.evasion.diagnostics import examined, unexamined

        self.sweep()
        return examined(self) if diagnosed else unexamined(self)

    def sweep(self, seed: int = 0) -> None:
        """The strategy at every radius, smallest first, on what is not broken yet."""
        nearest = self._nearest(self.strategy.nearest) if self.strategy.nearest is not None and not self.wrong.all() else None
        reach = self._scout() if self._scouting() else None
        for place, eps in enumerate(self.radii):
            if place:
                self.inherit(place)
            if eps <= 0:
                continue
            if nearest is not None:
                self.offer(place, nearest)
            elif self.strategy.search is not None or not isinstance(self.target, Differentiates):
                self.search_scores(place, self.options.queries, seed)
            else:
                self._climb(place, eps, seed, None if reach is None else np.flatnonzero(reach <= SCOUTED * eps))

    def _scouting(self) -> bool:
        """Whether one minimum-norm attack ahead of all radii pays: with three or more of them."""
        usual = self.strategy.usual and self.strategy.plan is not None and isinstance(self.target, Differentiates)
        return usual and not self.random and self.space.norm in ("linf", "l2") and len(self.radii) > 2

    def _scout(self) -> Host:
        """Minimum-norm points for every sample, offered at every radius and kept to start from; their distances, 0 where there is none."""
        if self.wrong.all():
            return np.zeros(len(self.x))
        found = self._nearest(fmn)
        for place in range(len(self.radii)):
            self.offer(place, found)
        self.samples.best = found
        return self.space.distance(self.x, found)

    def _climb(self, place: int, eps: float, seed: int, among: Host | None) -> None:
        samples = self.samples
        samples.broken, samples.found = self.broken[place].copy(), copy(self.x)
        samples.value = full(self.x, len(self.x), -np.inf)
        batch = max(1, self.options.batch // getattr(self.target, "repeats", 1))
        differentiable: Any = self.target
        climb(differentiable, samples, self.space, eps, self.strategy.plan, batch=batch, seed=self.options.seed + seed, among=among)
        last = self.strategy.plan.last
        if last is not None:
            near = closest(samples, self.strategy.plan.undecided)
            climb(differentiable, samples, self.space, eps, last, batch=batch, seed=self.options.seed + seed + 1, among=near)
        claimed = samples.broken & ~self.broken[place]
        candidates = copy(samples.found)
        if self.random:  # a random model may err at a survivor's best point more often than not
            rest = np.flatnonzero(~samples.broken)
            candidates[integers(rest, self.x)] = samples.best[integers(rest, self.x)]
            claimed = ~self.broken[place]
        self._verify(place, candidates, np.flatnonzero(claimed))

    def _nearest(self, attack: Callable[..., Array]) -> Array:
        rows = integers(np.flatnonzero(~self.wrong), self.x)
        out = copy(self.x)
        out[rows] = attack(self.target, self.x[rows], self.y[rows], self.space)
        return out

    def search_scores(self, place: int, queries: int, seed: int, among: Host | None = None) -> int:
        """A black-box search at one radius on what is not broken; how many it broke."""
        rows = np.flatnonzero(~self.broken[place])
        rows = rows if among is None else np.intersect1d(rows, among)
        if not len(rows):
            return 0
        at = integers(rows, self.x)
        eps = full(self.x, len(rows), self.radii[place])
        find = self.options.search or self.strategy.search or self._usual_search()
        out = copy(self.x)
        out[at] = find(self.target, self.x[at], self.y[at], self.space, eps, queries=queries, seed=self.options.seed + seed)
        return self._verify(place, out, rows)

    def _usual_search(self) -> Searches:
        """The search on scores that is strongest for the norm; only ours knows the constraints of a space."""
        from bartizan.areas.evasion.whitebox.random_search import random_search

        if self.space.norm == "linf" or self.space.repair is not None:
            return random_search
        from bartizan.areas.evasion.blackbox.attacks import BlackBoxSearch

        return BlackBoxSearch("square")

    def offer(self, place: int, candidates: Array) -> int:
        """Candidates (n, d) from anywhere: those within the radius that evade are kept; how many were."""
        near = self.space.distance(self.x, candidates) <= self.radii[place] * (1 + 1e-6)
        return self._verify(place, candidates, np.flatnonzero(near & ~self.broken[place]))

    def inherit(self, place: int) -> None:
        """What broke at the radius before is broken at this one, by the same point."""
        fresh = integers(np.flatnonzero(self.broken[place - 1] & ~self.broken[place]), self.x)
        self.found[place][fresh] = self.found[place - 1][fresh]
        self.broken[place] |= self.broken[place - 1]

    def _verify(self, place: int, candidates: Array, rows: Host) -> int:
        """Settles `rows` of `candidates` inside the radius and asks the model; keeps those that evade."""
        if not len(rows):
            return 0
        at = integers(rows, self.x)
        eps = full(self.x, len(rows), self.radii[place])
        points = self.space.settle(self.x[at], candidates[at], eps)
        good = errs(self.target, points, self.y[at], self.random)
        kept = integers(rows[good], self.x)
        self.found[place][kept] = points[integers(np.flatnonzero(good), self.x)]
        self.broken[place][rows[good]] = True
        return int(good.sum())


def errs(target: Classifies, x: Array, y: Array, random: bool) -> Host:
    """(n,) whether the model's decision is not `y`: beyond rounding for a fixed model, in most of `BALLOTS` passes for a random one."""
    if not len(x):
        return np.zeros(0, dtype=bool)
    if random:
        votes = sum(to_numpy(target.decide(x) != y).astype(int) for _ in range(BALLOTS))
        return np.asarray(votes * 2 > BALLOTS)
    return np.asarray(to_numpy(evades(target.logits(x), y)) & to_numpy(target.decide(x) != y))


def begin_search(
    target: Classifies, x: Array, y: Array, space: Space, radii: tuple[float, ...], strategy: Any, options: Any
) -> Search:  # fmt: skip
    """The clean pass: which samples are wrong as they are, and whether the model answers the same question twice alike."""
    from bartizan.areas.evasion.diagnostics import answers_vary

    random = answers_vary(target, x)
    logits = target.logits(x)
    wrong = errs(target, x, y, True) if random else to_numpy(target.decide(x) != y)
    samples = prepare(x, y, logits, wrong)
    if random and hasattr(target, "repeats"):
        target.repeats = 8
    return Search(
        target=target, x=x, y=y, space=space, radii=radii, strategy=strategy, options=options, wrong=wrong, logits=logits,
        samples=samples, random=random, broken=[wrong.copy() for _ in radii], found=[copy(x) for _ in radii],
    )  # fmt: skip
