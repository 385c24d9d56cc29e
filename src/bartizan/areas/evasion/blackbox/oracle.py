"""The model as a black-box attacker sees it: rows in, scores or labels out, every question counted and none beyond the budget.

All enforcement is in one place: a candidate is first moved into the valid range and onto the constraints, then asked, and only what was
asked in exactly that form and obeys can be remembered as an evasion. So every attack of this folder keeps the rules by construction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.arrays import Array, is_torch, like, to_numpy
from bartizan.areas.evasion.norms import size
from bartizan.areas.evasion.targets import Classifies

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Hunt(msgspec.Struct, frozen=True, kw_only=True):
    """What a black-box attack found for n rows.

    `adversarial` (n, ...) has the caller's type and is the row itself where `found` (n,) is false; `distance` (n,) in `norm`, inf where not
    found, 0 where the model was `wrong` before any change. `queries` (n,) is how often the model was asked about each row, `first` (n,)
    the number of the query that first succeeded (0: none). `discarded` maps rows that broke the constraints to the rule.
    """

    attack: str
    norm: str
    adversarial: Any
    found: Mask
    distance: Floats
    queries: Ints
    first: Ints
    wrong: Mask
    discarded: dict[int, str]
    seed: int


class Oracle:
    """Asks `target` about candidates for the rows `x` (n, d) of classes `y` (n,), at most `budget` times a row.

    `low`, `high` bound the valid range; `repair(origin, x)` moves rows onto the constraints of the problem, as in `norms.Space`. `best` and
    `distance` hold the nearest evasion asked so far, `used` the queries of each row.
    """

    def __init__(
        self,
        target: Classifies,
        x: Array,
        y: npt.ArrayLike,
        *,
        norm: str,
        budget: int,
        low: npt.ArrayLike,
        high: npt.ArrayLike,
        repair: Callable[[Array, Array], Array] | None = None,
        batch: int = 4096,
    ) -> None:
        self.target, self.template, self.norm, self.budget, self.repair, self.batch = target, x, norm, budget, repair, batch
        self.dtype = to_numpy(x[:1]).dtype
        self.x = to_numpy(x).astype(np.float64)
        self.y = np.asarray(y, dtype=np.int64)
        self.low = np.broadcast_to(np.asarray(low, dtype=np.float64), self.x.shape[1:])
        self.high = np.broadcast_to(np.asarray(high, dtype=np.float64), self.x.shape[1:])
        self.used = np.zeros(len(self.x), dtype=np.int64)
        self.first = np.zeros(len(self.x), dtype=np.int64)
        self.best = to_numpy(x).copy()
        self.distance = np.full(len(self.x), np.inf)

    @property
    def left(self) -> Ints:
        """How many questions each row has left, (n,)."""
        return np.asarray(self.budget - self.used)

    def possible(self, candidates: Floats, rows: Ints) -> npt.NDArray[Any]:
        """`candidates` (m, d) for `rows` (m,) as they would be asked: in the model's precision, in range, obeying the constraints."""
        typed = np.clip(candidates, self.low, self.high).astype(self.dtype)
        low, high = self.low.astype(self.dtype), self.high.astype(self.dtype)
        typed = np.clip(typed, low, high)
        if self.repair is None:
            return np.asarray(typed)
        if not is_torch(self.template):
            return np.asarray(self.repair(self.x[rows].astype(self.dtype), typed))
        origin = like(self.x[rows].astype(self.dtype), self.template)
        return np.asarray(to_numpy(self.repair(origin, like(typed, self.template))))

    def ask(self, candidates: Floats, rows: Ints) -> tuple[Floats, Mask, npt.NDArray[Any]]:
        """Margins (m,) of the true class (negative: evades; inf: not asked), which were asked, and the candidates as asked.

        Questions of one row are asked in their order; those beyond its budget are not asked.
        """
        typed = self.possible(candidates, rows)
        place = _ordinal(rows)
        asked = place < self.left[rows]
        margins = np.full(len(rows), np.inf)
        asking = np.flatnonzero(asked)
        for start in range(0, len(asking), self.batch):
            part = asking[start : start + self.batch]
            margins[part] = self._margins(typed[part], self.y[rows[part]])
        self._remember(typed, rows, margins, self.used[rows] + place + 1)
        self.used += np.bincount(rows[asked], minlength=len(self.used))
        return margins, asked, typed

    def evades(self, candidates: Floats, rows: Ints) -> Mask:
        """Which candidates the model puts into another class, (m,); False where the budget did not reach."""
        return self.ask(candidates, rows)[0] < 0

    def confirm(self) -> None:
        """Asks for the decision on every evasion found, one question each; what the model does not put elsewhere by it is forgotten."""
        finds = np.flatnonzero(np.isfinite(self.distance))
        if not len(finds):
            return
        rows = like(self.best[finds], self.template) if is_torch(self.template) else self.best[finds]
        denied = finds[to_numpy(self.target.decide(rows)) == self.y[finds]]
        self.used[finds] += 1
        self.distance[denied], self.first[denied] = np.inf, 0

    def _margins(self, typed: npt.NDArray[Any], y: Ints) -> Floats:
        rows = like(typed, self.template) if is_torch(self.template) else typed
        scores = to_numpy(self.target.logits(rows)).astype(np.float64)
        every = np.arange(len(y))
        own = scores[every, y]
        decided = scores.argmax(axis=1) != y
        scores[every, y] = -np.inf
        margin = own - scores.max(axis=1)
        return np.asarray(np.where(decided, np.minimum(margin, -1e-12), np.maximum(margin, 0.0)))

    def _remember(self, typed: npt.NDArray[Any], rows: Ints, margins: Floats, number: Ints) -> None:
        hits = np.flatnonzero(margins < 0)
        if not len(hits):
            return
        lengths = np.asarray(size(typed[hits].astype(np.float64) - self.x[rows[hits]], self.norm))
        for hit in hits[np.lexsort((number[hits], rows[hits]))]:
            self.first[rows[hit]] = self.first[rows[hit]] or number[hit]
        order = np.argsort(-lengths, kind="stable")  # the nearest is written last
        improves = lengths[order] < self.distance[rows[hits[order]]]
        chosen = order[improves]
        self.best[rows[hits[chosen]]] = typed[hits[chosen]]
        self.distance[rows[hits[chosen]]] = lengths[chosen]


def _ordinal(rows: Ints) -> Ints:
    """For each entry, how many equal ones stand before it."""
    order = np.argsort(rows, kind="stable")
    sorted_rows = rows[order]
    starts = np.flatnonzero(np.concatenate([[True], sorted_rows[1:] != sorted_rows[:-1]])) if len(rows) else np.zeros(0, dtype=np.int64)
    counts = np.diff(np.append(starts, len(rows)))
    place = np.empty(len(rows), dtype=np.int64)
    place[order] = np.arange(len(rows)) - np.repeat(starts, counts)
    return place
