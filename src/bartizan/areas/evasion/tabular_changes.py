"""What an attacker may write into a table's features: values that were seen in training, in features that are not fixed.

Values come from the training data itself, so integers stay integers, categories stay known ones and ranges are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.areas.evasion.tabular_inputs import Ints, is_number
from bartizan.areas.evasion.tabular_rules import TableRules
from bartizan.model.errors import InputError, UnknownName

MOST_VALUES = 24
"""Most values of one feature that are tried."""


@dataclass(frozen=True)
class Changes:
    """All single changes, numbered 0 to M - 1: change c writes `values[feature[c]][c - first[feature[c]]]` into column `feature[c]`."""

    names: tuple[str, ...]
    values: tuple[npt.NDArray[Any], ...]
    feature: Ints
    first: Ints

    @property
    def count(self) -> int:
        return len(self.feature)

    def written(self, change: int) -> tuple[str, Any]:
        """The feature that a change writes, and the value."""
        column = int(self.feature[change])
        return self.names[column], self.values[column][change - self.first[column]]

    def applied(self, frame: pd.DataFrame, rows: Ints, changes: Ints) -> pd.DataFrame:
        """The rows `rows` (q,) of `frame` with `changes` (q, d) written into them; -1 writes nothing."""
        columns = {}
        touched = self.feature[changes]
        for place, name in enumerate(self.names):
            column = frame[name].to_numpy()[rows]
            here = (touched == place) & (changes >= 0)
            if here.any():
                values = self.values[place]
                column = column.astype(np.result_type(column, values)) if column.dtype != values.dtype else column
                for depth in range(changes.shape[1]):
                    at = here[:, depth]
                    column[at] = values[changes[at, depth] - self.first[place]]
            columns[name] = column
        return pd.DataFrame(columns)

    def alters(self, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Which changes alter which rows of `frame`: (rows, M)."""
        out = np.ones((len(frame), self.count), dtype=np.bool_)
        for place, name in enumerate(self.names):
            mine = np.flatnonzero(self.feature == place)
            out[:, mine] = frame[name].to_numpy()[:, None] != self.values[place][None, :]
        return out


def immutable_names(text: str, names: Sequence[str]) -> frozenset[str]:
    """The features named in `text`, separated by commas. Raises `UnknownName` for one that is none."""
    given = [word.strip() for word in text.split(",") if word.strip()]
    for word in given:
        if word not in names:
            raise UnknownName("feature", word, names)
    return frozenset(given)


def plausible_changes(train: pd.DataFrame, immutable: frozenset[str], most: int, rules: TableRules | None = None) -> Changes:
    """The single changes that training data calls plausible; where they are more than `most`, fewer values of each feature.

    What `rules` forbid a feature by itself is left out; what they ask of several is for the search to keep. Raises `InputError` where
    nothing may change.
    """
    names = tuple(str(name) for name in train.columns)
    immutable |= frozenset(rules.told.immutable if rules is not None else ())
    columns = [train[name] if rules is None else rules.possible(train[name]) for name in names]
    limit, values = MOST_VALUES, [_seen(column, MOST_VALUES, name in immutable) for name, column in zip(names, columns, strict=True)]
    while sum(map(len, values)) > most and limit > 2:
        limit -= 1
        values = [_seen(column, limit, name in immutable) for name, column in zip(names, columns, strict=True)]
    sizes = np.array([len(one) for one in values], dtype=np.int64)
    if not sizes.any():
        raise InputError("no feature may change", cure="name fewer features in immutable")
    feature = np.repeat(np.arange(len(names)), sizes)
    return Changes(names, tuple(values), feature, np.concatenate([[0], np.cumsum(sizes)[:-1]]))


def _seen(column: pd.Series, limit: int, fixed: bool) -> npt.NDArray[Any]:
    """At most `limit` values of a training column: spread over the quantiles of numbers, the most frequent categories."""
    seen = column.dropna()
    if fixed or seen.nunique() < 2:
        return np.asarray(column.to_numpy()[:0])
    if is_number(column):
        found = np.sort(seen.unique())
        if len(found) > limit:
            found = np.unique(np.quantile(seen.to_numpy(), np.linspace(0.0, 1.0, limit), method="nearest"))
        return np.asarray(found)
    if column.dtype == bool:
        return np.array([False, True])
    counts = seen.value_counts()
    frequent = counts.sort_index(key=lambda index: index.astype(str)).sort_values(ascending=False, kind="stable")
    chosen = np.empty(min(limit, len(frequent)), dtype=object)
    chosen[:] = list(frequent.index[:limit])
    return chosen
