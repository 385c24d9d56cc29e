"""The margin cascade: every sample climbs through stages until it breaks; its place in the batch goes to the next sample at once.

Stage 1 lowers the margin over the runner-up from the clean point; the next stages lower it over the most likely other classes, one at a
time, each from another start. Broken samples leave the batch in the pass that broke them and waiting ones take their places, so passes are
spent on undecided samples alone and batches stay full. Radii ascend: what broke at a smaller radius is broken at a larger one, and what
survived starts from its best point there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bartizan.areas.evasion.arrays import Array, column, copy, full, integers, like, to_numpy
from bartizan.areas.evasion.norms import Space
from bartizan.areas.evasion.targets import Differentiates
from bartizan.areas.evasion.whitebox.apgd import Climbs, Rule, advance, begin
from bartizan.areas.evasion.whitebox.losses import Loss

Host = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Stage:
    """A climb in the plan. `rank` None: untargeted; r: towards the r-th likeliest other class. `start`: clean, best, random or last.

    `scale` > 1 climbs in a ball that much larger, only to leave a point from which the next stage, with start last, is pulled in.
    """

    rank: int | None = None
    start: str = "clean"
    scale: float = 1.0


@dataclass(frozen=True)
class Plan:
    """What every sample goes through until it breaks. `last`: a further plan for the share `undecided` of survivors closest to breaking."""

    loss: Loss
    stages: tuple[Stage, ...]
    rule: Rule
    last: Plan | None = None
    undecided: float = 0.0


@dataclass
class Field:
    """All samples of one call: `x`, `y`, the class order `ranks` (n, k-1) of the others, the best points so far, and what is broken.

    `broken` (n,) and `found` (n, d) belong to the radius at hand; `value` (n,) is the best loss at `best` (n, d), for warm starts.
    """

    x: Array
    y: Array
    ranks: Host
    best: Array
    last: Array
    value: Array
    broken: Host
    found: Array
    moved: Host = field(default_factory=lambda: np.zeros(0, dtype=bool))


def prepare(x: Array, y: Array, logits: Array, wrong: Host) -> Field:
    """Samples before any attack. `logits` (n, k) of the clean rows order the classes; `wrong` (n,) samples count as broken as they are."""
    scores = to_numpy(logits).astype(np.float64)
    scores[np.arange(len(scores)), to_numpy(y)] = -np.inf
    ranks = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
    worst = full(x, len(x), -np.inf)
    return Field(
        x=x,
        y=y,
        ranks=ranks,
        best=copy(x),
        last=copy(x),
        value=worst,
        broken=wrong.copy(),
        found=copy(x),
        moved=np.zeros(len(x), dtype=bool),
    )


def climb(
    target: Differentiates,
    samples: Field,
    space: Space,
    eps: float,
    plan: Plan,
    *,
    batch: int = 128,
    seed: int = 0,
    among: Host | None = None,
) -> None:
    """Runs `plan` at radius `eps` on every unbroken sample (or those of `among`, row numbers); `samples` is updated in place.

    Newly broken samples get their point in `found`. Nothing here is verified yet: the caller asks the model's own decision.
    """
    open_rows = np.flatnonzero(~samples.broken)
    waiting = open_rows if among is None else np.intersect1d(open_rows, among)
    if not len(waiting):
        return
    draw = _Start(samples, space, eps, plan, np.random.default_rng(seed))
    climbs = draw.climbs(waiting[:batch], np.zeros(min(batch, len(waiting)), dtype=np.int64))
    waiting = waiting[batch:]
    wide = np.array([stage.scale > 1 for stage in plan.stages])
    while len(climbs):
        crossed = to_numpy(advance(climbs, target, space, plan.loss, plan.rule))
        evading = crossed & ~wide[climbs.stage]
        _note(samples, climbs, evading, wide[climbs.stage])
        over = crossed | (climbs.k >= plan.rule.steps)
        if not over.any():
            continue
        _leave(samples, climbs, over, crossed)
        onward = np.flatnonzero(over & ~evading & (climbs.stage + 1 < len(plan.stages)))
        rows, stages = climbs.row[onward], climbs.stage[onward] + 1
        vacant = int(over.sum()) - len(rows)
        rows = np.concatenate([rows, waiting[:vacant]])
        stages = np.concatenate([stages, np.zeros(len(rows) - len(stages), dtype=np.int64)])
        waiting = waiting[vacant:]
        climbs = climbs.keep(np.flatnonzero(~over))
        if len(rows):
            climbs = climbs.join(draw.climbs(rows, stages))


def closest(samples: Field, share: float) -> Host:
    """Row numbers of the `share` of survivors whose best loss is highest, at least 8: where further passes decide most."""
    rows = np.flatnonzero(~samples.broken)
    count = min(len(rows), max(8, round(share * len(rows))))
    return np.sort(rows[np.argsort(-to_numpy(samples.value)[rows], kind="stable")[:count]])


def _leave(samples: Field, climbs: Climbs, over: Host, crossed: Host) -> None:
    """Keeps where a climb ended: on the other side where it crossed, else at its best point."""
    for ended, points in ((over & crossed, climbs.x), (over & ~crossed, climbs.best)):
        places = integers(np.flatnonzero(ended), samples.x)
        samples.last[integers(climbs.row[ended], samples.x)] = points[places]


def _note(samples: Field, climbs: Climbs, evading: Host, wide: Host) -> None:
    """Keeps the best point of every climb in the true ball that rose, and the evading points."""
    rows = integers(climbs.row, samples.x)
    rose = (climbs.best_value > samples.value[rows]) & (integers(wide, samples.x) == 0)
    if bool(rose.any()):
        samples.best[rows[rose]] = climbs.best[rose]
        samples.value[rows[rose]] = climbs.best_value[rose]
    if evading.any():
        out = np.flatnonzero(evading)
        on_device = integers(out, samples.x)
        samples.found[rows[on_device]] = climbs.x[on_device]
        samples.broken[climbs.row[out]] = True
        samples.moved[climbs.row[out]] = True


@dataclass
class _Start:
    """Makes climbs for samples that enter a stage."""

    samples: Field
    space: Space
    eps: float
    plan: Plan
    random: np.random.Generator

    def climbs(self, rows: Host, stages: Host) -> Climbs:
        """One climb per entry of `rows` and `stages`, at step 0."""
        at = integers(rows, self.samples.x)
        origin = self.samples.x[at]
        eps = like(self.eps * np.array([stage.scale for stage in self.plan.stages])[stages], origin)
        ranks = np.array([stage.rank if stage.rank is not None else -1 for stage in self.plan.stages])[stages]
        order = self.samples.ranks[rows]
        aim = np.where(ranks < 0, -1, order[np.arange(len(rows)), np.clip(ranks, 0, order.shape[1] - 1)])
        known = {"best": self.samples.best[at], "last": self.samples.last[at]}
        start = self._starts(origin, known, eps, np.array([stage.start for stage in self.plan.stages])[stages])
        return begin(rows, stages, origin, self.samples.y[at], eps, integers(aim, origin), start)

    def _starts(self, origin: Array, known: dict[str, Array], eps: Array, kinds: Host) -> Array:
        start = copy(origin)
        for kind, points in known.items():
            chosen = kinds == kind
            if chosen.any():
                pick = integers(np.flatnonzero(chosen), origin)
                start[pick] = self.space.project(origin[pick], points[pick], eps[pick])
        chosen = kinds == "random"
        if chosen.any():
            pick = integers(np.flatnonzero(chosen), origin)
            noise = like(random_direction(self.random, (int(chosen.sum()), origin.shape[1]), self.space.norm), origin)
            start[pick] = self.space.project(origin[pick], origin[pick] + column(eps[pick]) * noise, eps[pick])
        return start


def random_direction(random: np.random.Generator, shape: tuple[int, int], norm: str) -> Host:
    """Rows of norm 1: uniform in the box for linf, on the sphere for l2, a Laplace direction for l1, a few entries for l0."""
    if norm == "linf":
        return random.uniform(-1.0, 1.0, shape)
    noise = random.normal(size=shape) if norm == "l2" else random.laplace(size=shape)
    length = np.sqrt((noise * noise).sum(1)) if norm == "l2" else np.abs(noise).sum(1)
    return np.asarray(noise / length[:, None])
