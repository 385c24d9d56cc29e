"""What a model does to groups of people: rates by group with exact intervals that hold together, and the gaps between groups.

Selection rate, true-positive and false-positive rate, precision and accuracy of each group have the intervals of Clopper and Pearson
(1934), widened so that all of them hold at once. A gap is the largest over all pairs of groups; its interval covers that largest gap, as
each pair has one that holds together with the others. The ratio of selection rates is judged by the four-fifths rule (29 CFR 1607.4 D), the
gap of true-positive rates is that of equal opportunity (Hardt, Price and Srebro 2016).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.model.errors import InputError
from bartizan.model.statistics import clopper_pearson, rate_difference, wilson

RATES = ("selection", "true_positive", "false_positive", "precision", "accuracy")
MOST_GROUPS = 100

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rate:
    """`k` of `n`: `value` with `low` and `high`; value 0.5, low 0, high 1 where n is 0."""

    k: int
    n: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """The rows of a group with scores between `low` and `high`: `n` of them, the `mean` score, and the share that is favourable in
    truth."""

    low: float
    high: float
    n: int
    mean: float
    observed: Rate


@dataclass(frozen=True)
class GroupOutcome:
    """One group: `rows`, how many have the favourable label in truth (`base`), each of `RATES`, and its calibration by fifths of all scores
    (empty without scores)."""

    group: str
    rows: int
    base: Rate
    rates: Mapping[str, Rate]
    calibration: tuple[Calibration, ...]


@dataclass(frozen=True)
class OutcomeGap:
    """The largest gap between two groups in one rate: `difference` (0 to 1) and `ratio` of the least to the greatest (0 to 1), each value,
    low, high; `lowest` and `highest` are the groups. `n` is the least number of trials behind the rate of a group."""

    rate: str
    lowest: str
    highest: str
    difference: tuple[float, float, float]
    ratio: tuple[float, float, float]
    n: int


@dataclass(frozen=True)
class Outcomes:
    """The groups, largest first, and the gap in each rate that two groups have. All intervals of the groups hold together at `confidence`,
    and so do those of each gap."""

    groups: tuple[GroupOutcome, ...]
    gaps: Mapping[str, OutcomeGap]
    confidence: float

    @property
    def impact_ratio(self) -> tuple[float, float, float]:
        """The least selection rate over the greatest (disparate impact): value, low, high. Below 0.8 the four-fifths rule is broken."""
        return self.gaps["selection"].ratio

    @property
    def equal_opportunity(self) -> tuple[float, float, float]:
        """The largest difference of true-positive rates: value, low, high; 0, 0, 1 where no two groups have positives."""
        gap = self.gaps.get("true_positive")
        return gap.difference if gap is not None else (0.0, 0.0, 1.0)

    @property
    def equalised_odds(self) -> tuple[float, float, float]:
        """The larger of the differences of true-positive and false-positive rates: value, low, high."""
        found = [self.gaps[rate].difference for rate in ("true_positive", "false_positive") if rate in self.gaps]
        return (max(d[0] for d in found), max(d[1] for d in found), max(d[2] for d in found)) if found else (0.0, 0.0, 1.0)


def outcomes(
    truth: npt.ArrayLike, predictions: npt.ArrayLike, groups: npt.ArrayLike, *, scores: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> Outcomes:  # fmt: skip
    """Rates of a model by group.

    truth, predictions: truth values of n rows, true where the label is the favourable one and where the model gives it
    groups: the group of each row (n, any values)
    scores: the model's chance of the favourable label (n, 0 to 1), for calibration

    Raises `InputError` where the lengths differ, a value is no truth value, there are fewer than two groups or more than 100.
    """
    y, given = _truth(truth, "truth"), _truth(predictions, "predictions")
    named = np.array([str(name) for name in np.asarray(groups).tolist()], dtype=object)
    shares = None if scores is None else np.asarray(scores, dtype=np.float64)
    if len({len(y), len(given), len(named), len(y) if shares is None else len(shares)}) != 1:
        raise InputError(f"{len(y)} labels, {len(given)} predictions and {len(named)} groups", cure="give one of each for every row")
    names, counts = np.unique(named, return_counts=True)
    if not 2 <= len(names) <= MOST_GROUPS:
        raise InputError(f"{len(names)} groups cannot be compared", cure=f"give 2 to {MOST_GROUPS} groups")
    edges = np.quantile(shares, [0.2, 0.4, 0.6, 0.8]) if shares is not None else None
    statements = len(names) * (len(RATES) + 1 + (5 if shares is not None else 0))
    each = 1.0 - (1.0 - confidence) / statements
    found = [
        _group(str(name), y[rows], given[rows], (shares[rows], edges) if shares is not None and edges is not None else None, each)
        for name in names[np.argsort(-counts, kind="stable")]
        for rows in [named == name]
    ]
    gaps = {rate: gap for rate in RATES if (gap := _gap(rate, found, confidence)) is not None}
    return Outcomes(tuple(found), gaps, confidence)


def _truth(values: npt.ArrayLike, name: str) -> Bools:
    held = np.asarray(values)
    if held.ndim != 1 or not np.isin(held, (0, 1)).all():
        raise InputError(f"{name} holds other than truth values", cure="give a list of True where the favourable label is, else False")
    return np.asarray(held, dtype=bool)


def _rate(hits: Bools, among: Bools, confidence: float) -> Rate:
    k, n = int((hits & among).sum()), int(among.sum())
    return Rate(k, n, k / n, *clopper_pearson(k, n, confidence)) if n else Rate(0, 0, 0.5, 0.0, 1.0)


def _group(
    name: str, y: Bools, given: Bools, scores: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None, confidence: float
) -> GroupOutcome:
    every = np.ones(len(y), dtype=bool)
    rates = {
        "selection": _rate(given, every, confidence),
        "true_positive": _rate(given, y, confidence),
        "false_positive": _rate(given, ~y, confidence),
        "precision": _rate(y, given, confidence),
        "accuracy": _rate(y == given, every, confidence),
    }
    return GroupOutcome(name, len(y), _rate(y, every, confidence), rates, _calibrated(y, *scores, confidence) if scores else ())


def _calibrated(y: Bools, scores: npt.NDArray[np.float64], edges: npt.NDArray[np.float64], confidence: float) -> tuple[Calibration, ...]:
    fifth = np.searchsorted(edges, scores, side="right")
    ends = [0.0, *edges.tolist(), 1.0]
    return tuple(
        Calibration(ends[number], ends[number + 1], int(rows.sum()), float(scores[rows].mean()), _rate(y, rows, confidence))
        for number in range(5)
        for rows in [fifth == number]
        if rows.any()
    )


def _gap(rate: str, groups: list[GroupOutcome], confidence: float) -> OutcomeGap | None:
    """The largest gap of all pairs: its interval reaches from the largest lower end to the largest upper end of the pairs."""
    held = [(group.group, group.rates[rate]) for group in groups if group.rates[rate].n]
    if len(held) < 2:
        return None
    lowest, highest = min(held, key=lambda one: one[1].value), max(held, key=lambda one: one[1].value)
    each = 1.0 - (1.0 - confidence) / (len(held) * (len(held) - 1) / 2)
    differences, ratios = [], []
    for (_, a), (_, b) in itertools.combinations(held, 2):
        less, more = (a, b) if a.value <= b.value else (b, a)
        value, low, high = rate_difference(more.k, more.n, less.k, less.n, each)
        differences.append((value, max(0.0, low), max(high, -low)))
        ratios.append(_ratio(less, more, each))
    difference = (highest[1].value - lowest[1].value, max(d[1] for d in differences), max(d[2] for d in differences))
    value = lowest[1].value / highest[1].value if highest[1].value > 0 else 1.0
    ratio = (value, min(value, *(r[0] for r in ratios)), max(value, min(r[1] for r in ratios)))
    return OutcomeGap(rate, lowest[0], highest[0], difference, ratio, min(one.n for _, one in held))


def _ratio(less: Rate, more: Rate, confidence: float) -> tuple[float, float]:
    """Low and high of the lower rate over the higher, by the intervals of both on the scale of logarithms (Zou and Donner 2008); at most
    1."""
    (low1, high1), (low2, high2) = wilson(less.k, less.n, confidence), wilson(more.k, more.n, confidence)
    if more.value <= 0.0:
        return 0.0, 1.0
    if less.value <= 0.0:
        return 0.0, min(1.0, high1 / max(low2, 1e-12))
    middle = math.log(less.value) - math.log(more.value)
    below = math.hypot(math.log(less.value / low1), math.log(high2 / more.value))
    above = math.hypot(math.log(high1 / less.value), math.log(more.value / low2))
    ends = math.exp(middle - below), math.exp(middle + above)
    return min(1.0, ends[0], 1.0 / ends[1]), min(1.0, ends[1])
