"""Labels that the features confidently contradict, and whether one group has more of them than its features explain.

A row is contradicted where a model that has not seen it is confident of the other label (confident learning; Northcutt, Jiang and Chuang,
JAIR 70, 2021). How often that happens by chance alone follows from the model's own shares, so what is counted is the excess over it: a
group whose labels are hard to tell is not taken for one whose labels are wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.model.beta import normal_quantile


@dataclass(frozen=True)
class Contradicted:
    """The share of the rows of the group whose labels are contradicted, that of the others, and by how much the group's share exceeds what
    is expected more than that of the others does (`excess`: value, and its standard `error`). `unfavourable` is the share of the
    contradicted labels of the group that are unfavourable."""

    group: float
    others: float
    excess: float
    error: float
    unfavourable: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float, float]:
        """The excess with low and high, two-sided."""
        width = normal_quantile(0.5 + confidence / 2.0) * self.error
        return self.excess, max(-1.0, self.excess - width), min(1.0, self.excess + width)


def contradicted(favourable: npt.ArrayLike, group: npt.ArrayLike, expected: npt.ArrayLike) -> Contradicted:
    """Compare the rows in `group` (n, truth values) with the others on how often `favourable` (n, truth values) contradicts `expected` (n,
    0 to 1), the cross-fitted chance of it by features that do not tell the group."""
    y, mine, p = np.asarray(favourable, dtype=bool), np.asarray(group, dtype=bool), np.asarray(expected, dtype=np.float64)
    sure_good = p >= (p[y].mean() if y.any() else 1.0)
    sure_bad = 1.0 - p >= ((1.0 - p[~y]).mean() if (~y).any() else 1.0)
    says_good, says_bad = sure_good & (~sure_bad | (p >= 0.5)), sure_bad & (~sure_good | (p < 0.5))
    flagged = (says_good & ~y) | (says_bad & y)
    excess = flagged - np.where(says_good, 1.0 - p, np.where(says_bad, p, 0.0))
    values, errors = [], []
    for rows in (mine, ~mine):
        n = max(int(rows.sum()), 1)
        values.append(float(excess[rows].mean()) if rows.any() else 0.0)
        errors.append(max(float(excess[rows].std()), 0.5 / math.sqrt(n)) / math.sqrt(n) if rows.any() else 1.0)
    wrong = flagged & mine
    return Contradicted(
        float(flagged[mine].mean()) if mine.any() else 0.0, float(flagged[~mine].mean()) if (~mine).any() else 0.0,
        values[0] - values[1], math.hypot(*errors), float((~y[wrong]).mean()) if wrong.any() else 0.0,
    )  # fmt: skip
