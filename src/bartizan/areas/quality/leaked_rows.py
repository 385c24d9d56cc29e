"""Rows of a test table that also stand in a training table, nearly equal texts included."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.areas.quality.alike_texts import near_texts
from bartizan.methods.categories import are_categories
from bartizan.methods.row_overlap import Leakage, find_leakage

LEAST_WORDS = 5.0
"""Mean number of words from which a column holds texts."""


@dataclass(frozen=True)
class TableLeakage(Leakage):
    """As `Leakage`, with rows whose texts are nearly those of a training row (`near_text`), in the first kind that fits."""

    near_text: npt.NDArray[np.bool_]


def table_leakage(
    reference: pd.DataFrame, probe: pd.DataFrame, *, label: str | None = None, tolerance: float = 0.01, seed: int = 0
) -> TableLeakage:
    """Which rows of `probe` (the test table) also stand in `reference` (the training table); see `find_leakage` for the parameters."""
    found = find_leakage(reference, probe, label=label, tolerance=tolerance, seed=seed)
    partner, near = found.partner.copy(), np.zeros(len(probe), dtype=bool)
    renamed = dict(found.columns.renamed)
    columns = [name for name in found.columns.names if name != label and holds_texts(probe[name])]
    values = {field.name: getattr(found, field.name) for field in dataclasses.fields(Leakage)}
    if not columns:
        return TableLeakage(**values, near_text=near)
    training = joined(reference[[renamed.get(name, name) for name in columns]])
    open_rows = np.flatnonzero(partner < 0)
    pairs = near_texts(training + [text for row, text in enumerate(joined(probe[columns])) if partner[row] < 0], split=len(training))
    for place in np.argsort(pairs.overlap, kind="stable"):  # the nearest is written last
        partner[open_rows[pairs.right[place] - len(training)]] = pairs.left[place]
    near[open_rows] = partner[open_rows] >= 0
    values |= {"partner": partner, "truncated": found.truncated or pairs.truncated}
    if near.any():
        values["by_chance"] = max(found.by_chance, _twins(training))
    return TableLeakage(**values, near_text=near)


def holds_texts(column: pd.Series) -> bool:
    """Are the cells of a column texts of several words? Categories with long names, the same few in many rows, are not."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return False
    filled = column.dropna()
    words = filled.head(500).map(lambda value: len(str(value).split()))
    if not len(words) or float(words.mean()) < LEAST_WORDS:
        return False
    return not are_categories(filled.astype(str).nunique(), len(filled))


def joined(frame: pd.DataFrame) -> list[str]:
    """The cells of each row as one text, gaps left out."""
    texts = frame.map(lambda value: "" if value is None or value != value else str(value))
    return [" ".join(row) for row in texts.itertuples(index=False)]


def _twins(texts: list[str]) -> float:
    """The share of training texts that have a twin among the others."""
    pairs = near_texts(texts)
    return len(np.unique(np.concatenate([pairs.left, pairs.right]))) / len(texts)
