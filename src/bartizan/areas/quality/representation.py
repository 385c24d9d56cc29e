"""Whom a data set leaves out: groups, their labels and their gaps, with exact intervals.

For each group: its share of the rows, the share of its labels that are the favourable one, the share of its cells that are missing. Rates
are compared by exact intervals (Clopper and Pearson 1934) and their ratio by the four-fifths rule (29 CFR 1607.4 D).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bartizan.methods.groups import candidates, favourable_labels, group_values
from bartizan.model.errors import InputError
from bartizan.model.statistics import clopper_pearson, rate_difference

__all__ = ["Gap", "Group", "candidates", "groups_of", "imbalance", "widest_gap"]


@dataclass(frozen=True)
class Group:
    """One group of one column: `rows` of it, its `share` of the set, the share of `favourable` labels, and of `missing` cells, each with
    an exact interval (value, low, high). `favourable` is None where the label has more than two classes or there is none."""

    column: str
    value: str
    rows: int
    share: tuple[float, float, float]
    favourable: tuple[float, float, float] | None
    missing: tuple[float, float, float]


@dataclass(frozen=True)
class Gap:
    """The two groups of a column whose labels differ most: `low` and `high` group, the `ratio` of their favourable shares (0 to 1) and
    their `difference` with its interval (value, low, high)."""

    column: str
    low: Group
    high: Group
    ratio: float
    difference: tuple[float, float, float]


def groups_of(frame: pd.DataFrame, column: str, *, label: str | None = None, favourable: str | None = None,
              confidence: float = 0.95) -> tuple[Group, ...]:  # fmt: skip
    """The groups of `column`, largest first; a row without a value is a group of its own (``(missing)``).

    favourable: the label that counts as favourable; None takes the greater of two. Raises `InputError` for a column with too many values.
    """
    if column not in frame:
        raise InputError(f"has no column '{column}'", cure=f"known: {', '.join(map(str, frame.columns[:10]))}")
    values = group_values(frame[column])
    good = favourable_labels(frame[label], favourable) if label is not None and label in frame else None
    gaps = frame.drop(columns=[c for c in (column, label) if c is not None and c in frame]).isna().to_numpy()
    found = []
    for value, count in values.value_counts(sort=True).items():
        mine = (values == value).to_numpy()
        labelled = mine & good.notna().to_numpy() if good is not None else mine
        hits = int(good[labelled].sum()) if good is not None else 0
        found.append(
            Group(
                column, str(value), int(count), _rate(int(count), len(frame), confidence),
                _rate(hits, int(labelled.sum()), confidence) if good is not None and labelled.any() else None,
                _rate(int(gaps[mine].sum()), int(gaps[mine].size), confidence) if gaps.shape[1] else (0.0, 0.0, 1.0),
            )
        )  # fmt: skip
    return tuple(found)


def widest_gap(groups: tuple[Group, ...], *, least: int = 30, confidence: float = 0.95) -> Gap | None:
    """The two groups of at least `least` rows whose favourable shares differ most; None where there are no two."""
    counted = [group for group in groups if group.favourable is not None and group.rows >= least]
    if len(counted) < 2:
        return None
    rates = [(group.favourable or (0.0, 0.0, 0.0))[0] for group in counted]
    low, high = counted[int(np.argmin(rates))], counted[int(np.argmax(rates))]
    bottom, top = min(rates), max(rates)
    difference = rate_difference(round(top * high.rows), high.rows, round(bottom * low.rows), low.rows, confidence)
    return Gap(low.column, low, high, bottom / top if top > 0 else 1.0, difference)


def imbalance(labels: pd.Series) -> tuple[float, int]:
    """The share of the rarest class among the known labels, and its number of rows."""
    counts = labels.value_counts()
    return (float(counts.min() / counts.sum()), int(counts.min())) if len(counts) else (0.0, 0)


def _rate(k: int, n: int, confidence: float) -> tuple[float, float, float]:
    return (k / n, *clopper_pearson(k, n, confidence)) if n else (0.0, 0.0, 1.0)
