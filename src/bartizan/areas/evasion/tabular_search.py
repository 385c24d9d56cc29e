"""Black-box search for the fewest plausible changes that flip a decision, by asking for scores: greedy first, then a beam.

Each row has its own budget of queries. All single changes come first, in random order; then combinations, in the order in which the effects
of their parts, added up, promise to flip. Rows are asked in blocks for speed, but a row's queries are counted as if asked one by one, and
a row that is flipped asks no more. A model that shows only labels is searched by the same road, in random order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.areas.evasion.tabular_changes import Changes
from bartizan.areas.evasion.tabular_inputs import Floats, Ints, Prepared
from bartizan.model.errors import InputError

BEAM = 24
"""Combinations of one size that are built upon, for each row."""
_BLOCK = 48
"""Queries of one row between two looks at whether it is flipped."""
_TIE = 1e-12
"""The margin of a tie, with the sign of what the model makes of it."""
_CHUNK = 40_000
"""Rows that the model is asked for at once."""


@dataclass(frozen=True)
class Flips:
    """For each of n attacked rows: was it flipped, confirmed by the model's own predict; by which changes (n, k), -1 where there is none;
    after how many queries, all that were spent where it was not."""

    flipped: npt.NDArray[np.bool_]
    changes: Ints
    queries: Ints

    @property
    def size(self) -> Ints:
        """How many features were changed, (n,)."""
        return np.asarray((self.changes >= 0).sum(axis=1), dtype=np.int64)


class Asked:
    """The model as a caller sees it: scores, or labels alone. Rows are numbered as in `places` of the test data."""

    def __init__(self, prepared: Prepared, places: Ints, changes: Changes, *, labels_only: bool) -> None:
        self.frame = prepared.test.iloc[places].reset_index(drop=True)
        self.changes = changes
        self.prepared = prepared
        self.decided = prepared.decisions(self.frame)
        self.labels_only = labels_only or not _has_scores(prepared)
        self.agree = self.labels_only or bool((prepared.probabilities(self.frame).argmax(axis=1) == self.decided).all())

    def margins(self, rows: Ints, changes: Ints) -> Floats:
        """How far each changed row is from being decided otherwise, (q,), in [-1, 1]; negative where it is and keeps the constraints."""
        found = [self._chunk(rows[i : i + _CHUNK], changes[i : i + _CHUNK]) for i in range(0, len(rows), _CHUNK)]
        return np.concatenate(found) if found else np.empty(0)

    def flipped(self, rows: Ints, changes: Ints) -> npt.NDArray[np.bool_]:
        """Does the model's own predict decide the changed rows otherwise, and do they keep the declared constraints? (q,)"""
        if not len(rows):
            return np.zeros(0, dtype=np.bool_)
        frame = self.changes.applied(self.frame, rows, changes)
        return np.asarray(self._obeys(frame, rows) & (self.prepared.decisions(frame) != self.decided[rows]))

    def _chunk(self, rows: Ints, changes: Ints) -> Floats:
        frame = self.changes.applied(self.frame, rows, changes)
        possible = self._obeys(frame, rows)
        if self.labels_only:
            return np.asarray(np.where((self.prepared.decisions(frame) == self.decided[rows]) | ~possible, 1.0, -1.0))
        scores = self.prepared.probabilities(frame)
        every, decided = np.arange(len(rows)), self.decided[rows]
        otherwise = (scores.argmax(axis=1) if self.agree else self.prepared.decisions(frame)) != decided
        own = scores[every, decided].copy()
        scores[every, decided] = -np.inf
        margins = own - scores.max(axis=1)
        return np.asarray(np.where(otherwise & possible, np.minimum(margins, -_TIE), np.maximum(margins, _TIE)))

    def _obeys(self, frame: pd.DataFrame, rows: Ints) -> npt.NDArray[np.bool_]:
        """Which changed rows keep the declared constraints, (q,)."""
        rules = self.prepared.rules
        return np.ones(len(rows), dtype=np.bool_) if rules is None else rules.obeys(self.frame.iloc[rows], frame)


def _has_scores(prepared: Prepared) -> bool:
    try:
        prepared.probabilities(prepared.test.iloc[:1])
    except InputError:
        return False
    return prepared.classes > 1


def search(asked: Asked, k: int, queries: int, seed: int) -> Flips:
    """Flip each row by at most `k` changed features and `queries` queries."""
    n, total = len(asked.frame), asked.changes.count
    state = _Search(asked, k, np.random.default_rng(seed))
    allowed = min(total, max(1, queries // k))
    state.singles(allowed)
    for size in range(2, k + 1):
        left = queries - int(state.spent)
        state.combine(size, max(0, left // (k + 1 - size)))
    confirmed = np.zeros(n, dtype=np.bool_)
    rows = np.flatnonzero(state.best[:, 0] >= 0)
    confirmed[rows] = asked.flipped(rows, state.best[rows])
    state.best[~confirmed] = -1
    return Flips(confirmed, state.best, state.queries)


class _Search:
    """What the search knows so far: margins of single changes, the best combinations of the last size, and what is flipped."""

    def __init__(self, asked: Asked, k: int, random: np.random.Generator) -> None:
        n = len(asked.frame)
        self.asked, self.random = asked, random
        self.best = np.full((n, k), -1, dtype=np.int64)
        self.queries = np.zeros(n, dtype=np.int64)
        self.spent = 0
        self.own = asked.margins(np.arange(n), np.full((n, 1), -1, dtype=np.int64))
        self.effect = np.full((n, asked.changes.count), np.inf)
        self.beam: list[list[tuple[float, tuple[int, ...]]]] = [[] for _ in range(n)]

    def singles(self, allowed: int) -> None:
        """Ask for single changes in random order."""
        useful = self.asked.changes.alters(self.asked.frame)
        order = np.argsort(np.where(useful, self.random.random(useful.shape), np.inf), axis=1)
        wanted = np.where(np.take_along_axis(useful, order, axis=1), order, -1)[:, :allowed, None]
        self._ask(wanted)

    def combine(self, size: int, allowed: int) -> None:
        """Ask for combinations of `size` features, the most promising first."""
        n = len(self.best)
        if not allowed:
            return
        wanted = np.full((n, allowed, size), -1, dtype=np.int64)
        for row in np.flatnonzero(self.best[:, 0] < 0):
            found = self._promising(int(row), allowed)
            wanted[row, : len(found)] = np.array(found, dtype=np.int64).reshape(len(found), size)
        self._ask(wanted)

    def _promising(self, row: int, allowed: int) -> list[tuple[int, ...]]:
        """The best `allowed` combinations of one more feature, by the sum of the parts' effects; ties in random order."""
        beam = sorted(self.beam[row])[:BEAM]
        known = np.flatnonzero(np.isfinite(self.effect[row]))
        if not beam or not len(known):
            return []
        feature = self.asked.changes.feature
        promise = np.array([margin for margin, _ in beam])[:, None] + self.effect[row, known][None, :]
        promise += 1e-9 * self.random.random(promise.shape)
        for place, (_, parts) in enumerate(beam):
            promise[place, np.isin(feature[known], feature[list(parts)])] = np.inf
        found: dict[tuple[int, ...], None] = {}
        order = np.argsort(promise, axis=None)
        for at in order[: int(np.isfinite(promise).sum())].tolist():
            place, column = divmod(at, len(known))
            found.setdefault(tuple(sorted((*beam[place][1], int(known[column])))))
            if len(found) == allowed:
                break
        return list(found)

    def _ask(self, wanted: Ints) -> None:
        """Ask for `wanted` (n, q, size), first entry -1 where there is nothing, block by block; flipped rows stop."""
        n, count = wanted.shape[:2]
        self.beam = [[] for _ in range(n)]
        for start in range(0, count, _BLOCK):
            block = wanted[:, start : start + _BLOCK]
            rows, places = np.nonzero((block[:, :, 0] >= 0) & (self.best[:, 0] < 0)[:, None])
            if not len(rows):
                continue
            changes = block[rows, places]
            margins = self.asked.margins(rows, changes)
            self._note(rows, changes, margins)
        self.spent += count

    def _note(self, rows: Ints, changes: Ints, margins: Floats) -> None:
        if changes.shape[1] == 1:
            self.effect[rows, changes[:, 0]] = margins - self.own[rows]
        bounds = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1], [True]]))
        for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            row = int(rows[low])
            hits = np.flatnonzero(margins[low:high] < 0)
            self.queries[row] += int(hits[0]) + 1 if len(hits) else high - low
            if len(hits):
                self.best[row, : changes.shape[1]] = changes[low + int(hits[0])]
                continue
            kept = np.argsort(margins[low:high], kind="stable")[:BEAM]
            self.beam[row] += [(float(margins[low + i]), tuple(changes[low + i].tolist())) for i in kept.tolist()]


def random_flips(asked: Asked, sizes: int, draws: int, seed: int) -> float:
    """The share of rows that `sizes` random changes of different features flip, over `draws` draws for each: the null control."""
    random = np.random.default_rng(seed)
    n = len(asked.frame)
    rows = np.repeat(np.arange(n), draws)
    useful = asked.changes.alters(asked.frame)[rows]
    changes = np.full((len(rows), sizes), -1, dtype=np.int64)
    for place in range(sizes):
        order = np.where(useful, random.random(useful.shape), -1.0)
        chosen = order.argmax(axis=1)
        possible = order[np.arange(len(rows)), chosen] >= 0
        changes[possible, place] = chosen[possible]
        useful &= asked.changes.feature[None, :] != asked.changes.feature[chosen][:, None]
    flipped = np.concatenate([asked.flipped(rows[i : i + _CHUNK], changes[i : i + _CHUNK]) for i in range(0, len(rows), _CHUNK)])
    return float(flipped.mean())


def example(asked: Asked, row: int, changes: Ints) -> list[dict[str, Any]]:
    """The changes of one row for people: feature, from, to."""
    told = []
    for change in changes[changes >= 0].tolist():
        name, value = asked.changes.written(change)
        told.append({"feature": name, "from": plain(asked.frame[name].iloc[row]), "to": plain(value)})
    return told


def plain(value: Any) -> Any:
    """A cell as plain data: text, number or truth value."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, bool | int | float | str) else str(value)
