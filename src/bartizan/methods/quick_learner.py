"""A table as numbers, and a quick learner of it: a forest of random trees that takes what people keep in tables as it is.

Numbers count by their rank, categories by their number, gaps lie below all values, columns with very many values become the mean label of
each (cross-fitted within the training rows), so that nobody has to prepare a table before it can be asked what its columns are worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FEW_VALUES = 32
"""Most values of a column that are categories of their own; one with more is known by the mean label of each."""


GAP = -0.25
"""Where a missing value lies among the levels of a column."""


class Sort(StrEnum):
    """What a column is to a learner."""

    NUMBER = "number"
    CATEGORY = "category"
    MANY = "many"


class Goal(StrEnum):
    """What is learnt: one of two classes, one of several, a number."""

    BINARY = "binary"
    CLASSES = "classes"
    NUMBER = "number"


@dataclass(frozen=True)
class Matrix:
    """A table of n rows and p columns: `values` (n, p), gaps as NaN, categories by number from 0; `names` and `sorts` of the columns; and
    `levels` (n, p), the values brought to 0 to 1 by rank, gaps at `GAP`."""

    values: npt.NDArray[np.float64]
    levels: npt.NDArray[np.float32]
    names: tuple[str, ...]
    sorts: tuple[Sort, ...]

    def positions(self, columns: tuple[str, ...]) -> list[int]:
        """Where the named columns stand."""
        return [self.names.index(name) for name in columns]


def matrix_of(frame: pd.DataFrame) -> Matrix:
    """`frame` (n, p) as numbers. Times count as seconds, truth values and text as categories; nothing is learnt from any label."""
    held = [_column(frame.iloc[:, place]) for place in range(frame.shape[1])]
    values = np.column_stack([numbers for numbers, _ in held]) if held else np.zeros((len(frame), 0))
    levels = np.column_stack([_levels(numbers, sort) for numbers, sort in held]) if held else np.zeros((len(frame), 0), np.float32)
    return Matrix(values, levels, tuple(str(name) for name in frame.columns), tuple(sort for _, sort in held))


def _column(column: pd.Series) -> tuple[npt.NDArray[np.float64], Sort]:
    types = pd.api.types
    if types.is_datetime64_any_dtype(column) or types.is_timedelta64_dtype(column):
        unit = "timedelta64[ms]" if types.is_timedelta64_dtype(column) else "datetime64[ms]"
        moments = column.to_numpy(dtype=unit)
        return np.where(np.isnat(moments), np.nan, moments.astype(np.int64) / 1000.0), Sort.NUMBER
    if types.is_numeric_dtype(column) and not types.is_bool_dtype(column) and not types.is_complex_dtype(column):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(np.isfinite(numbers), numbers, np.nan), Sort.NUMBER
    text = column.astype(object).map(str).where(column.notna(), None)
    codes, uniques = pd.factorize(text, sort=False, use_na_sentinel=True)
    numbers = np.where(codes < 0, np.nan, codes.astype(np.float64))
    return numbers, Sort.CATEGORY if len(uniques) <= FEW_VALUES else Sort.MANY


def _levels(values: npt.NDArray[np.float64], sort: Sort) -> npt.NDArray[np.float32]:
    """0 to 1 by rank among the different values; of numbers with more than 500 by rank among the rows. Columns of very many categories keep
    their numbers."""
    known = np.isfinite(values)
    found = np.full(len(values), GAP, dtype=np.float32)
    if sort is Sort.MANY:
        found[known] = values[known]
    elif known.any():
        distinct = np.unique(values[known])
        if len(distinct) <= 500:
            found[known] = np.searchsorted(distinct, values[known]) / max(1, len(distinct) - 1)
        else:
            ordered = np.sort(values[known])
            found[known] = np.searchsorted(ordered, values[known]) / len(ordered)
    return found


class QuickLearner:
    """A forest of extremely randomised trees (Geurts, Ernst and Wehenkel, Machine Learning 63, 2006) on a `Matrix`: `fit`, then `predict`.

    Its splits are drawn, not sought, so that it also learns what no column tells alone (exclusive or), where greedy trees see nothing to
    split by. The same seed gives the same trees; one thread.
    """

    def __init__(self, goal: Goal, *, seed: int = 0, trees: int = 60, leaf: int = 5) -> None:
        self._goal, self._seed, self._trees, self._leaf = goal, seed, trees, leaf
        self._forest: list[Any] = []
        self._places: list[int] = []
        self._many: list[int] = []
        self._means: Any = None

    def fit(self, matrix: Matrix, rows: npt.NDArray[np.int64], places: list[int], target: npt.NDArray[Any]) -> QuickLearner:
        """Learn `target` (all rows) from the columns at `places` of the rows `rows`; returns itself."""
        self._places = places
        self._many = [i for i, place in enumerate(places) if matrix.sorts[place] is Sort.MANY]
        features = matrix.levels[rows][:, places]
        if self._many:
            from sklearn.model_selection import KFold
            from sklearn.preprocessing import TargetEncoder

            kind = {Goal.BINARY: "binary", Goal.CLASSES: "multiclass", Goal.NUMBER: "continuous"}[self._goal]
            self._means = TargetEncoder(target_type=kind, cv=KFold(3, shuffle=True, random_state=self._seed))
            features = self._joined(features, self._means.fit_transform(features[:, self._many], target[rows]))
        # trees of the least squares on marks of classes split as those of Gini do, without the checks of labels for every tree
        marks = np.eye(int(target.max()) + 1)[target[rows].astype(np.int64)] if self._goal is Goal.CLASSES else target[rows]
        self._forest = _grown(features, marks, min(self._trees, max(40, 500_000 // len(rows))), self._leaf, self._seed)
        return self

    def _joined(self, features: npt.NDArray[np.float32], extra: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        kept = [i for i in range(features.shape[1]) if i not in set(self._many)]
        return np.column_stack([features[:, kept], extra.astype(np.float32)])

    def predict(self, levels: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """What it expects of rows `levels` (n, p of the whole matrix): the share of the greater of two classes, one of several classes, or
        the number; shape (n,)."""
        features = levels[:, self._places]
        if self._many:
            features = self._joined(features, self._means.transform(features[:, self._many]))
        held = np.ascontiguousarray(features, dtype=np.float32)
        told = np.asarray(sum(tree.predict(held, check_input=False) for tree in self._forest), dtype=np.float64) / len(self._forest)
        return told.argmax(axis=1).astype(np.float64) if self._goal is Goal.CLASSES else told


def _grown(features: npt.NDArray[Any], marks: npt.NDArray[Any], count: int, leaf: int, seed: int) -> list[Any]:
    """The trees that scikit-learn's ExtraTreesRegressor grows from `seed`, to the bit, without what it spends on making and checking each
    of them: a third of the time where rows are few."""
    from sklearn import config_context
    from sklearn.tree import ExtraTreeRegressor

    held = np.ascontiguousarray(features, dtype=np.float32)
    wanted = np.ascontiguousarray(marks, dtype=np.float64).reshape(len(held), -1)
    seeds = np.random.RandomState(seed).randint(np.iinfo(np.int32).max, size=count)
    with config_context(skip_parameter_validation=True):
        trees = (ExtraTreeRegressor(min_samples_leaf=leaf, max_features=0.5, random_state=int(one)) for one in seeds)
        return [tree.fit(held, wanted, check_input=False) for tree in trees]


def folds_of(target: npt.NDArray[Any], count: int, seed: int, *, stratify: bool = True) -> npt.NDArray[np.int64]:
    """The number of the fold, from 0 to `count` - 1, of each row, drawn by `seed`; each class is spread evenly where `stratify`."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(target))
    if stratify:
        order = order[np.argsort(target[order], kind="stable")]
    folds = np.empty(len(target), dtype=np.int64)
    folds[order] = np.arange(len(target)) % count
    return folds
