"""The nearest evasion of tree ensembles: exact, under constraints, each one confirmed by the model's own predict.

The maximum norm without relations between features is decided by branching on splits (`tree_branching`), with Veritas where that does not
end (`tree_search`); l2, l1, l0, relations and budgets by a mixed integer program over the splits near the row (`tree_program`; Kantchelian,
Tygar, Joseph, ICML 2016). All work on the splits in the model's own precision. What is counted is decided by the model: a row that its
predict does not confirm is searched again beyond the rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bartizan.adapters.tree_models import Ensemble, predictor, read_ensemble, rounding
from bartizan.areas.evasion.constraints import Constraints, Rules
from bartizan.areas.evasion.nearest import Nearest, settled
from bartizan.areas.evasion.norms import known_norm
from bartizan.areas.evasion.tree_branching import nearest_point
from bartizan.areas.evasion.tree_program import nearest_by_program
from bartizan.areas.evasion.tree_search import Found, Pair, Steps, pair_of, reach, steps_of
from bartizan.model.errors import InputError

Floats = npt.NDArray[np.float64]

EFFORT = 30_000
"""Steps that Veritas may take for one row by default: well below a second."""


def nearest_tree_evasion(
    model: Any,
    x: npt.ArrayLike,
    y: npt.ArrayLike | None = None,
    *,
    norm: str = "linf",
    constraints: Constraints | None = None,
    valid_range: tuple[float, float] = (-math.inf, math.inf),
    within: float = math.inf,
    effort: int = EFFORT,
) -> Nearest:
    """The nearest input to each row of `x` (n, d) that `model` does not put into class `y` (n,).

    `model` is a classifier of scikit-learn's trees, XGBoost or LightGBM; `y` holds its labels (default: what it predicts). Nothing further
    than `within` is looked for. `effort` bounds the work on one row (steps of Veritas; the program's nodes are a thousandth of it), so that
    the answer does not depend on the speed of the machine; rows that it did not suffice for say so in `exact`. Rows that break the
    constraints or are not finite are discarded. Raises `InputError` for a model or rows that do not fit, `MissingExtra` without Veritas.
    """
    rows = np.asarray(x)
    if rows.ndim != 2 or not len(rows) or rows.dtype.kind not in "fiu":
        raise InputError(f"rows of numbers are needed, shape (rows, features), not {rows.shape} of {rows.dtype}")
    rows = rows if rows.dtype in (np.float32, np.float64) else rows.astype(np.float64)
    rules = (constraints or Constraints()).rules(rows.shape[1])
    discarded = rules.screen(rows)
    kept = np.setdiff1d(np.arange(len(rows)), list(discarded))
    if not len(kept):
        raise InputError(
            f"all {len(rows)} rows break the constraints: {next(iter(discarded.values()))}", cure="correct rows or constraints"
        )
    ensemble = read_ensemble(model, rows[kept][:256])
    labels = predictor(model)
    search = _Search(ensemble, rules, known_norm(norm), valid_range, within, effort, rows.dtype == np.float32)
    return _attack(search, labels, rows, None if y is None else np.asarray(y), kept, discarded)


@dataclass
class _Search:
    """What stays the same over the rows of one call; pairs of classes are built when first met."""

    ensemble: Ensemble
    rules: Rules
    norm: str
    valid_range: tuple[float, float]
    within: float
    effort: int
    single: bool

    def __post_init__(self) -> None:
        self.steps: Steps = steps_of(self.ensemble, self.rules, single=self.single)
        self.pairs: dict[tuple[int, int], Pair] = {}

    def pair(self, source: int, target: int) -> Pair:
        if (source, target) not in self.pairs:
            self.pairs[source, target] = pair_of(self.ensemble, source, target, self.steps)
        return self.pairs[source, target]

    def window(self, x: Floats) -> tuple[Floats, Floats]:
        low, high = self.rules.window(x[None])
        low, high = np.maximum(low[0], self.valid_range[0]), np.minimum(high[0], self.valid_range[1])
        return np.minimum(low, x), np.maximum(high, x)

    def nearest(self, x: Floats, source: int, least: float) -> Found:
        """The nearest point to `x` at which some class scores `least` above `source`; `x` is as the model sees it."""
        window = self.window(x)
        targets = [target for target in range(len(self.ensemble.classes)) if target != source]
        bounds = {target: reach(self.pair(source, target), x, window, least) for target in targets}
        best, lower = Found(None, math.inf, math.inf), math.inf
        for target in sorted(targets, key=bounds.__getitem__):
            if bounds[target] >= min(best.distance, self.within):
                lower = min(lower, bounds[target])
                continue
            found = self._against(self.pair(source, target), x, window, least, min(best.distance, self.within))
            lower = min(lower, found.lower)
            best = found if found.distance < best.distance else best
        return Found(best.point, best.distance, min(lower, best.distance), best.score)

    def _against(self, pair: Pair, x: Floats, window: tuple[Floats, Floats], least: float, within: float) -> Found:
        if self.norm == "linf" and not self.rules.relational:
            return nearest_point(pair, self.steps, x, window, least=least, within=within, effort=self.effort)
        if self.norm == "l0":
            start = None
        else:
            start = nearest_point(pair, self.steps, x, window, least=least, within=within, effort=self.effort)
            if start.lower >= within or (start.point is None and math.isinf(start.lower)):
                return start
        return nearest_by_program(
            pair, self.steps, self.rules, self.norm, x, window, start=start, least=least, within=within, nodes=max(self.effort // 1000, 1)
        )


def _attack(
    search: _Search, labels: Any, rows: npt.NDArray[Any], y: npt.NDArray[Any] | None, kept: npt.NDArray[np.int64], discarded: dict[int, str]
) -> Nearest:
    """Searches every kept row, lets the model confirm, and searches the rows that it denies again beyond its rounding."""
    ensemble, n = search.ensemble, len(rows)
    predicted = labels(rows[kept])
    truth = predicted if y is None else y[kept]
    known = list(ensemble.classes)
    if not np.isin(truth, ensemble.classes).all():
        raise InputError("labels that the model does not know", cure="give labels from the model's classes_")
    adversarial, found, wrong, lower = rows.copy(), np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_), np.zeros(n)
    wrong[kept] = found[kept] = predicted != truth
    source = np.full(n, -1)
    source[kept] = [known.index(label) for label in truth]
    waiting, queries, tolerance = kept[predicted == truth], len(kept), rounding(ensemble)
    for least in (-tolerance, tolerance, 16 * tolerance, 256 * tolerance):
        tried = []
        for row in waiting.tolist():
            seen = ensemble.rounded(rows[row : row + 1])[0]
            answer = search.nearest(seen, int(source[row]), least)
            lower[row] = answer.lower if least < 0 else lower[row]
            if answer.point is not None:
                adversarial[row] = _native(rows[row], seen, answer.point)
                tried.append(row)
        if not tried:
            break
        places = np.array(tried)
        good = (labels(adversarial[places]) != ensemble.classes[source[places]]) & search.rules.obeys(rows[places], adversarial[places])
        queries += len(places)
        found[places[good]] = True
        adversarial[places[~good]] = rows[places[~good]]
        waiting = places[~good]
    return _told(search, rows, adversarial, found, wrong, lower, discarded, queries)


def _told(
    search: _Search,
    rows: npt.NDArray[Any],
    adversarial: npt.NDArray[Any],
    found: npt.NDArray[np.bool_],
    wrong: npt.NDArray[np.bool_],
    lower: Floats,
    discarded: dict[int, str],
    queries: int,
) -> Nearest:
    """Distances in 64-bit arithmetic of the rows as given, and what is proven of them."""
    change = np.abs(adversarial.astype(np.float64) - rows.astype(np.float64))
    distance = np.where(found, np.where(wrong, 0.0, _lengths(change, search.norm)), np.inf)
    rounded = np.abs(search.ensemble.rounded(rows) - rows.astype(np.float64)).max(axis=1, initial=0.0)
    shift = np.zeros(len(rows)) if search.norm == "l0" else np.nan_to_num(rounded)
    lower = np.maximum(np.minimum(lower, distance) - shift, 0.0)
    lower[list(discarded)] = 0.0
    exact = wrong | settled(distance, lower, 1e-6)
    exact[list(discarded)] = False
    return Nearest(
        norm=search.norm,
        adversarial=adversarial,
        found=found,
        distance=distance,
        lower=lower,
        exact=exact,
        wrong=wrong,
        discarded=discarded,
        queries=queries,
    )


def _native(row: npt.NDArray[Any], seen: Floats, point: Floats) -> npt.NDArray[Any]:
    """`point` in the type of `row`; features that did not move keep every bit."""
    return np.where(point == seen, row, point.astype(row.dtype))


def _lengths(change: Floats, norm: str) -> Floats:
    if norm == "linf":
        return np.asarray(change.max(axis=1, initial=0.0))
    if norm == "l2":
        return np.asarray(np.sqrt((change**2).sum(axis=1)))
    return np.asarray(change.sum(axis=1) if norm == "l1" else (change > 0).sum(axis=1).astype(np.float64))
