"""Columns that let one tell a group of people: what keeps treating them unlike after the column itself is gone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.areas.fairness.adjusting import FOLDS
from bartizan.methods.quick_learner import Goal, Matrix, folds_of
from bartizan.methods.scores import auroc
from bartizan.methods.single_columns import told_by


@dataclass(frozen=True)
class Proxy:
    """How well a `column` tells who is of the group: area under the ROC curve (value, low, high); 0.5 says nothing, 1 says all."""

    column: str
    auroc: tuple[float, float, float]


def proxies(matrix: Matrix, places: list[int], group: npt.ArrayLike, *, confidence: float = 0.95, seed: int = 0) -> tuple[Proxy, ...]:
    """Each column at `places` by how well it alone tells the rows of `group` (n, truth values) from the others, best first.

    Cross-fitted over five folds, relations of any shape; the intervals hold together (Bonferroni over the columns).
    """
    mine = np.asarray(group, dtype=bool)
    folds = folds_of(mine.astype(float), FOLDS, seed)
    each = 1.0 - (1.0 - confidence) / max(1, len(places))
    found = []
    for place in places:
        told = told_by(matrix, place, mine.astype(np.float64), Goal.BINARY, folds)
        found.append(Proxy(matrix.names[place], auroc(told, mine, folds).interval(each)))
    return tuple(sorted(found, key=lambda proxy: -proxy.auroc[0]))
