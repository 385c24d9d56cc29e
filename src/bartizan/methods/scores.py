"""How well predictions fit labels, as a number with an interval, and the paired difference of two predictions of the same rows.

Each score is a mean whose error is the sum of one small part per row, so that the variance of a difference between two predictions of the
same rows is the sum of the squared differences of their parts: what both get wrong alike cancels out. For the area under the ROC curve the
parts are the placement values of DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.model.beta import normal_quantile

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """A score of n rows: its `value` and the `parts` (n,) that its error is the sum of."""

    value: float
    parts: Floats

    @property
    def error(self) -> float:
        """Its standard error, never below that of half a row that goes the other way."""
        return max(math.sqrt(float(np.sum(self.parts**2))), 0.5 / max(len(self.parts), 1))

    def interval(self, confidence: float = 0.95) -> tuple[float, float, float]:
        """Value, low and high of a score between 0 and 1; on the scale of log-odds, so that it stays there."""
        z = normal_quantile(0.5 + confidence / 2.0)
        least = 0.5 / max(len(self.parts), 1)
        value = min(max(self.value, least), 1.0 - least)
        middle, spread = math.log(value / (1.0 - value)), z * self.error / (value * (1.0 - value))
        low, high = (1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, end)))) for end in (middle - spread, middle + spread))
        return self.value, min(low, self.value), max(high, self.value)


@dataclass(frozen=True)
class Loss:
    """How much lower one score is than another on the same rows: `value`, and its standard `error`."""

    value: float
    error: float

    def below(self, confidence: float = 0.95) -> float:
        """One-sided lower bound."""
        return self.value - normal_quantile(confidence) * self.error

    def above(self, confidence: float = 0.95) -> float:
        """One-sided upper bound."""
        return self.value + normal_quantile(confidence) * self.error


def loss(full: Score, less: Score, inflation: float = 1.0) -> Loss:
    """What `less` loses against `full`, from the rows that both scored; `inflation` >= 1 widens the error."""
    return Loss(full.value - less.value, inflation * math.sqrt(float(np.sum((full.parts - less.parts) ** 2))))


def auroc(scores: npt.ArrayLike, positive: npt.ArrayLike, folds: npt.ArrayLike | None = None) -> Score:
    """The area under the ROC curve of `scores` (n,) for the rows that are `positive` (n,), ties counted half.

    folds: number of the fold of each row (n,); the curve is then drawn within each and the areas averaged by rows, because scores of
    different models cannot be ranked against each other. A fold without both classes does not count. Raises ValueError where none has.
    """
    values, good = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    parted = np.zeros(len(values), dtype=np.int64) if folds is None else np.asarray(folds)
    found = []
    for fold in np.unique(parted):
        rows = np.flatnonzero(parted == fold)
        m = int(good[rows].sum())
        if 0 < m < len(rows):
            found.append((rows, *_placements(values[rows], good[rows])))
    if not found:
        raise ValueError("an area under the curve needs rows of both classes")
    counted = sum(len(rows) for rows, _, _ in found)
    parts, value = np.zeros(len(values)), 0.0
    for rows, area, own in found:
        weight = len(rows) / counted
        value += weight * area
        parts[rows] = weight * own
    return Score(value, parts)


def _placements(values: Floats, good: npt.NDArray[np.bool_]) -> tuple[float, Floats]:
    """The area, and the part of each row: how far its placement lies from it, over the number of rows of its class."""
    high, low = np.sort(values[good]), np.sort(values[~good])
    placed = np.empty(len(values))
    placed[good] = (np.searchsorted(low, values[good], "left") + np.searchsorted(low, values[good], "right")) / (2.0 * len(low))
    placed[~good] = 1.0 - (np.searchsorted(high, values[~good], "left") + np.searchsorted(high, values[~good], "right")) / (2.0 * len(high))
    area = float(placed[good].mean())
    for side, count in ((good, len(high)), (~good, len(low))):
        placed[side] = (placed[side] - area) / math.sqrt(count * max(count - 1, 1))
    return area, placed


def accuracy(right: npt.ArrayLike) -> Score:
    """The share of rows that are `right` (n,)."""
    hits = np.asarray(right, dtype=np.float64)
    value = float(hits.mean())
    return Score(value, (hits - value) / math.sqrt(len(hits) * max(len(hits) - 1, 1)))


def explained(values: npt.ArrayLike, predicted: npt.ArrayLike) -> Score:
    """The share of the variance of `values` (n,) that `predicted` (n,) explains (R²); that of the values themselves is taken as known."""
    given, guess = np.asarray(values, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    spread = max(float(((given - given.mean()) ** 2).mean()), 1e-300)
    errors = (given - guess) ** 2
    n = len(given)
    return Score(1.0 - float(errors.mean()) / spread, -(errors - errors.mean()) / (spread * math.sqrt(n * max(n - 1, 1))))
