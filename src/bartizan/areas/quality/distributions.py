"""How the columns of a table are distributed, and what they lack, without a value of the data being shown.

Numbers are counted in steps around their mean, the tails gathered in the last steps, so that the least and the greatest value, which may
be somebody's, do not show. Other columns are counted by how frequent each value is, texts by how many words they have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.methods.categories import are_categories
from bartizan.methods.charts import Histogram

STEPS = 24
REACH = 3.0
"""Standard deviations on each side of the mean that a picture of numbers spans."""

FEW = 20
"""Fewest filled rows whose mean is shown: that of fewer may be somebody's value."""


@dataclass(frozen=True)
class Shape:
    """A column: its `kind` (numbers, times, values or texts), `rows`, `missing` cells, `different` values among the others, the share of
    the most frequent of them, and a picture of how they are distributed."""

    name: str
    kind: str
    rows: int
    missing: int
    different: int
    commonest: float
    picture: Histogram


def shapes(frame: pd.DataFrame) -> Iterator[Shape]:
    """The shape of each column of `frame`. An empty text counts as missing, as NaN and None do."""
    for place, name in enumerate(frame.columns):
        yield shape(frame.iloc[:, place], str(name))


def shape(column: pd.Series, name: str) -> Shape:
    """The shape of one column."""
    known = column[filled(column)]
    counts = known.map(_plain).value_counts(sort=True).to_numpy() if known.dtype == object else known.value_counts(sort=True).to_numpy()
    kind = _kind(known, len(counts))
    missing, different = len(column) - len(known), len(counts)
    empty = f", {missing / len(column):.1%} empty" if missing else ""
    note = f"{kind}, {different:,} different{empty}" if different else "no value"
    if kind in ("numbers", "times"):
        picture = _of_numbers(name, _numbers(known, kind), note, labelled=kind == "numbers")
    elif kind == "texts":
        words = known.map(lambda value: len(str(value).split())).to_numpy(dtype=np.float64)
        picture = _of_numbers(name, words, f"words of {note}", labelled=True)
    else:
        picture = Histogram(
            name,
            tuple(int(count) for count in counts[:STEPS]),
            "frequent" if different > 1 else "",
            "",
            "rare" if different > 1 else "",
            note,
        )
    return Shape(name, kind, len(column), missing, different, float(counts[0] / len(known)) if len(known) else 0.0, picture)


def filled(column: pd.Series) -> pd.Series:
    """Which cells hold something, as booleans."""
    known = column.notna()
    return known & (column.astype(str).str.strip() != "") if column.dtype == object else known


def _plain(value: object) -> object:
    """A cell as something that can be counted: lists and mappings by their text."""
    return value if isinstance(value, str | int | float | bool | bytes) else str(value)


def _kind(known: pd.Series, different: int) -> str:
    """What the cells of a column are; a few wordy ones again and again are values, not texts."""
    if pd.api.types.is_bool_dtype(known):
        return "values"
    if pd.api.types.is_numeric_dtype(known):
        return "numbers" if not pd.api.types.is_complex_dtype(known) else "values"
    if pd.api.types.is_datetime64_any_dtype(known):
        return "times"
    if are_categories(different, len(known)):
        return "values"
    words = known.head(500).map(lambda value: len(str(value).split()))
    return "texts" if len(words) and float(words.mean()) >= 4.0 else "values"


def _numbers(known: pd.Series, kind: str) -> npt.NDArray[np.float64]:
    plain = known.astype("int64") if kind == "times" else known
    values: npt.NDArray[np.float64] = plain.to_numpy(dtype=np.float64, na_value=np.nan)
    return values[np.isfinite(values)]


def _of_numbers(name: str, values: npt.NDArray[np.float64], note: str, *, labelled: bool) -> Histogram:
    if not len(values):
        return Histogram(name, (), note=note)
    scale = max(float(np.abs(values).max()), 1e-300)
    mean, spread = float((values / scale).mean()) * scale, float((values / scale).std()) * scale  # no overflow near the largest float
    reach = REACH * spread if 0.0 < spread < 1e300 else max(abs(mean) / 2.0, 1.0)
    left, right = mean - reach, mean + reach
    if left < 0.0 <= values.min():
        left = 0.0
    with np.errstate(over="ignore"):  # what is beyond the largest float belongs to the last step
        places = np.clip((values / (right - left) - left / (right - left)) * STEPS, 0, STEPS - 1).astype(np.int64)
    counts = tuple(int(count) for count in np.bincount(places, minlength=STEPS))
    if not labelled or len(values) < FEW:
        return Histogram(name, counts, note=note)
    return Histogram(name, counts, short(left), f"mean {short(mean)}", short(right), note)


def short(value: float) -> str:
    """A number with three digits that count: 0.51, 36.2k, 1.7M, 2e+307."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if unit <= abs(value) < 1000 * unit and abs(value) < 1e12:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}" if abs(value) < 1e12 else f"{value:.0e}"


def of_labels(name: str, labels: npt.NDArray[np.int64], classes: tuple[str, ...]) -> Histogram:
    """How many rows each class has, in the order of the classes."""
    counts = np.bincount(labels[labels >= 0], minlength=max(1, len(classes)))
    ends = (classes[0], classes[-1]) if len(classes) > 1 else ("", "")
    return Histogram(name, tuple(int(count) for count in counts), ends[0], "", ends[1], f"label, {len(classes)} classes")


def of_brightness(images: npt.NDArray[np.float32]) -> Histogram:
    """How bright pictures (n, channels, height, width) with values in [0, 1] are on the whole."""
    counts, _ = np.histogram(images.mean(axis=(1, 2, 3)), bins=STEPS, range=(0.0, 1.0))
    return Histogram("brightness", tuple(int(count) for count in counts), "black", "", "white", "mean of a picture")
