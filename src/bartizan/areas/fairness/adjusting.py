"""How far the labels of two groups differ beyond what their features explain: an estimate that two learners share the blame for.

Labels and membership are each told from the features by models that have not seen the row (cross-fitting), and what is left of the one is
set against what is left of the other: Robinson's partialling out (Econometrica 56, 1988) with the inference of Chernozhukov et al.
(Econometrics Journal 21, 2018). An error of one learner alone does no harm to first order. Rows weigh by how far their features leave their
group open (overlap weights; Li, Morgan and Zaslavsky, JASA 113, 2018): where the other group has nobody like them there is nothing to
compare, and the figure does not pretend otherwise. These are also the weights of Mantel and Haenszel, whose estimate this is where features
are strata.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.methods.quick_learner import Goal, Matrix, QuickLearner, Sort, folds_of
from bartizan.model.beta import normal_quantile

FOLDS = 5
OPEN = (0.05, 0.95)
"""A row whose chance to be of the group lies between these has others to be compared with."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AdjustedGap:
    """The rate of the favourable label in the group less that of the others, among rows with like features: `value`, `error` (standard),
    and the share of the rows for which both groups have their like (`overlap`, 0 to 1)."""

    value: float
    error: float
    overlap: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float, float]:
        """Value, low and high, two-sided, within -1 to 1."""
        width = normal_quantile(0.5 + confidence / 2.0) * self.error
        return self.value, max(-1.0, self.value - width), min(1.0, self.value + width)


def adjusted_gap(favourable: npt.ArrayLike, group: npt.ArrayLike, expected: npt.ArrayLike, belonging: npt.ArrayLike) -> AdjustedGap:
    """The gap that is left when features are accounted for.

    favourable, group: truth values of n rows; expected, belonging: what the features make one expect of them (n, 0 to 1), each from a model
    that has not seen the row (`cross_fitted`). Raises ValueError where the features leave the group of no row open.
    """
    y, a = np.asarray(favourable, dtype=np.float64), np.asarray(group, dtype=np.float64)
    label_left, group_left = y - np.asarray(expected, dtype=np.float64), a - np.asarray(belonging, dtype=np.float64)
    spread = float(np.mean(group_left**2))
    if len(y) < 2 or spread < 1e-6:
        raise ValueError("the features leave the group of no row open")
    value = float(np.mean(group_left * label_left)) / spread
    parts = group_left * (label_left - value * group_left)
    error = math.sqrt(float(np.mean(parts**2)) / len(y)) / spread
    chance = np.asarray(belonging, dtype=np.float64)
    return AdjustedGap(value, error, float(np.mean((chance > OPEN[0]) & (chance < OPEN[1]))))


def cross_fitted(matrix: Matrix, places: list[int], target: npt.ArrayLike, *, seed: int = 0) -> Floats:
    """The chance of `target` (n, truth values) by the columns at `places`, each row told by models that have not seen it; shape (n,).

    A logistic regression with bends and a forest of random trees, mixed by the share that fits best (least squares).
    """
    truth = np.asarray(target, dtype=np.float64)
    if not places or truth.min() == truth.max():
        return np.full(len(truth), truth.mean())
    folds = folds_of(truth, FOLDS, seed)
    smooth, rough = np.empty(len(truth)), np.empty(len(truth))
    design = _design(matrix, places)
    many = [place for place in places if matrix.sorts[place] is Sort.MANY]
    for fold in range(FOLDS):
        seen, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        forest = QuickLearner(Goal.BINARY, seed=seed, trees=60 if len(truth) <= 4000 else 30, leaf=10).fit(matrix, seen, places, truth)
        rough[held] = forest.predict(matrix.levels[held])
        smooth[held] = _logistic(design, matrix.levels[:, many], truth, (seen, held), seed)
    apart = smooth - rough
    share = float(np.sum(apart * (truth - rough)) / max(float(np.sum(apart**2)), 1e-12))
    mixed = rough + min(1.0, max(0.0, share)) * apart
    return np.clip(mixed, 0.001, 0.999)


def _design(matrix: Matrix, places: list[int]) -> Floats:
    """Numbers in units of their spread with bends at their quarters and a mark for gaps, categories each by their own mark."""
    columns: list[npt.ArrayLike] = []
    for place in places:
        values = matrix.values[:, place]
        known = np.isfinite(values)
        if matrix.sorts[place] is Sort.CATEGORY:
            columns += [(values == code) for code in range(int(values[known].max()) + 1 if known.any() else 0)]
        elif matrix.sorts[place] is Sort.NUMBER and known.any():
            low, middle, high = np.quantile(values[known], [0.25, 0.5, 0.75])
            with np.errstate(over="ignore"):  # a spread beyond all numbers makes the column flat
                scale = max(high - low, float(values[known].std()), 1e-300)
            z = np.clip((np.where(known, values, middle) - middle) / scale, -4.0, 4.0)
            columns += [z, *(np.maximum(0.0, z - (bend - middle) / scale) for bend in np.unique([low, middle, high])), ~known]
    held = np.column_stack(columns).astype(np.float64) if columns else np.zeros((len(matrix.values), 0))
    return np.asarray(held[:, held.std(axis=0) > 0], dtype=np.float64)


def _logistic(
    design: Floats, many: npt.NDArray[np.float32], truth: Floats, rows: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], seed: int
) -> Floats:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import TargetEncoder

    seen, held = rows
    learnt, asked = design[seen], design[held]
    if many.shape[1]:
        encoder = TargetEncoder(target_type="binary", cv=KFold(3, shuffle=True, random_state=seed))
        learnt = np.column_stack([learnt, encoder.fit_transform(many[seen], truth[seen])])
        asked = np.column_stack([asked, encoder.transform(many[held])])
    if not learnt.shape[1]:
        return np.full(len(held), truth[seen].mean())
    model = LogisticRegression(C=1.0, max_iter=300).fit(learnt, truth[seen])
    return np.asarray(model.predict_proba(asked)[:, 1], dtype=np.float64)
