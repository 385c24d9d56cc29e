"""Does a data set label groups of people unlike where their features are alike: gaps before and after what features explain.

A gap between the rates of two groups says little by itself: groups may differ in what legitimately counts, and a gap may be hidden because
they do (Bickel, Hammel and O'Connell, Science 187, 1975). So each gap is also given among rows with like features, with an interval; the
same is looked at for crossings of two columns; labels that features contradict are counted by group; and columns that stand in for a group
are named. All intervals of one kind hold together (Bonferroni).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.areas.fairness.adjusting import AdjustedGap, adjusted_gap, cross_fitted
from bartizan.areas.fairness.disagreement import Contradicted, contradicted
from bartizan.areas.fairness.stand_ins import Proxy, proxies
from bartizan.areas.fairness.strata import MantelHaenszel, mantel_haenszel
from bartizan.methods.groups import MISSING, candidates, favourable_labels, group_values
from bartizan.methods.quick_learner import Matrix, Sort, folds_of, matrix_of
from bartizan.methods.scores import auroc
from bartizan.methods.threads import one_thread
from bartizan.model.errors import InputError
from bartizan.model.statistics import clopper_pearson, rate_difference

LEAST_ROWS, LEAST_OF_GROUP = 200, 50
"""Fewest labelled rows, and rows of a group, from which anything is said."""

MOST_ROWS, MOST_COMPARED, MOST_COLUMNS = 10_000, 24, 300
"""Most rows that are used (drawn by the seed), comparisons made, and columns adjusted for."""

STANDS_IN = 0.98
"""A column that alone surely tells a group this well is the group under another name, and is not adjusted for unasked."""

Bools = npt.NDArray[np.bool_]
Rate = tuple[float, float, float]
Listener = Callable[[str], None]


@dataclass(frozen=True)
class Compared:
    """One group against others: `column` (two joined by " and " for a crossing), the `group`, whom it is compared with (`others`).

    `rows` of both; `rates` of the favourable label of both with exact intervals; the `raw` gap and the `adjusted` one, group less others
    (value, low, high); for which share of the rows both groups have their like (`overlap`); the cross-check by strata of like features; how
    far the group's labels are `contradicted` by its features more often than expected (value, low, high) and the figures behind it; how
    well all features together tell the group (`told`), and the columns that do so best (`proxies`). None for what the time did not allow.
    """

    column: str
    group: str
    others: str
    rows: tuple[int, int]
    rates: tuple[Rate, Rate]
    raw: Rate
    adjusted: Rate | None = None
    overlap: float = 0.0
    strata: MantelHaenszel | None = None
    contradicted: Rate | None = None
    labels: Contradicted | None = None
    told: Rate | None = None
    proxies: tuple[Proxy, ...] = ()


@dataclass(frozen=True)
class LabelBias:
    """The comparisons of a data set of `rows` labelled rows, by `label`, whose `favourable` value counts. `adjusted_for` are the columns
    held alike, `declared` whether somebody said that these are the legitimate ones; `left_out` says why others were not (column, reason);
    `notes` is what limits the answer. Intervals hold together at `confidence`."""

    label: str
    favourable: str
    rows: int
    compared: tuple[Compared, ...]
    adjusted_for: tuple[str, ...]
    declared: bool
    left_out: tuple[tuple[str, str], ...]
    confidence: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Pair:
    """A comparison to be made: the columns that make the groups, the rows that take part, and which of them are the group."""

    columns: tuple[str, ...]
    group: str
    others: str
    part: Bools
    mine: Bools


def label_bias(
    frame: pd.DataFrame,
    label: str,
    *,
    sensitive: Sequence[str] = (),
    legitimate: Sequence[str] | None = None,
    favourable: str | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    seconds: float = 600.0,
    listener: Listener | None = None,
) -> LabelBias:
    """Compare how groups of people are labelled in `frame` (n rows).

    sensitive: columns that divide people; empty takes those whose names say so
    legitimate: columns that may explain a difference; None takes all others that are no identifiers and do not stand in for a group
    favourable: the label that counts as favourable; None takes the greater of two
    seconds: wall seconds; comparisons not made then are left without an adjusted gap

    Raises `InputError` where a column is not known, no column divides people, or there are too few rows.
    """
    table, good, notes = _labelled(frame, label, favourable, seed)
    columns = tuple(sensitive) or candidates(table, label)
    unknown = [name for name in (*columns, *(legitimate or ())) if name not in table or name == label]
    if unknown:
        raise InputError(f"has no column '{unknown[0]}' beside the label", cure=f"known: {', '.join(map(str, table.columns[:10]))}")
    if not columns:
        raise InputError("no column is known to divide people", cure="name them, such as sex and age")
    features = table.drop(columns=[label, *([] if legitimate is not None else columns)])
    features = features[list(legitimate)] if legitimate is not None else features
    matrix = matrix_of(features)
    pairs = list(_pairs(table, columns, notes))[:MOST_COMPARED]
    if not pairs:
        raise InputError(f"no group has {LEAST_OF_GROUP} labelled rows to compare", cure="give more rows, or other columns")
    places, left_out = _places(matrix, pairs, legitimate is not None, seed)
    work = _Comparing(matrix, good, confidence, len(pairs), seed, monotonic() + seconds)
    with one_thread():
        compared = tuple(work.compare(pair, _without(matrix, places, pair), listener or (lambda _: None)) for pair in pairs)
    if any(one.adjusted is None for one in compared):
        notes.append("not every comparison could be adjusted: the time ended, or features tell the group for certain")
    value = favourable or str(max(table[label].unique(), key=str))
    return LabelBias(
        label, value, len(table), compared, tuple(matrix.names[place] for place in places), legitimate is not None, left_out, confidence,
        tuple(notes),
    )  # fmt: skip


def _labelled(frame: pd.DataFrame, label: str, favourable: str | None, seed: int) -> tuple[pd.DataFrame, Bools, list[str]]:
    if label not in frame:
        raise InputError(f"has no column '{label}'", cure="name the column with the labels")
    if not frame.columns.is_unique:
        raise InputError("two columns have the same name", cure="give each its own")
    if frame.shape[1] > MOST_COLUMNS:
        raise InputError(f"has {frame.shape[1]} columns", cure=f"give at most {MOST_COLUMNS}")
    notes = []
    table = frame[frame[label].notna()]
    if len(table) < LEAST_ROWS:
        raise InputError(f"{len(table)} labelled rows are too few to compare groups", cure=f"give at least {LEAST_ROWS}")
    if len(table) > MOST_ROWS:
        notes.append(f"{MOST_ROWS} of {len(table)} rows were drawn")
        table = table.iloc[np.sort(np.random.default_rng(seed).permutation(len(table))[:MOST_ROWS])]
    table = table.reset_index(drop=True)
    table.columns = pd.Index([str(name) for name in table.columns])
    if table[label].dtype == object:
        table[label] = table[label].map(str)  # lists and the like cannot be counted
    good = favourable_labels(table[label], favourable)
    if good is None:
        raise InputError(f"'{label}' has {table[label].nunique()} values", cure="say which label is the favourable one")
    return table, good.to_numpy() == 1.0, notes


def _pairs(table: pd.DataFrame, columns: Sequence[str], notes: list[str]) -> Iterator[_Pair]:
    """Each group against the largest one of its column, each crossing of two columns against all other rows."""
    groups = {}
    for column in columns:
        try:
            groups[column] = group_values(table[column]).to_numpy()
        except InputError as error:
            notes.append(f"{column}: {error.what}, so it was not compared")
    for column, values in groups.items():
        known = [name for name in pd.Series(values[values != MISSING]).value_counts().index if (values == name).sum() >= LEAST_OF_GROUP]
        for name in sorted(known[1:], key=str):
            yield _Pair((column,), str(name), str(known[0]), (values == name) | (values == known[0]), values == name)
    for left, right in itertools.combinations(groups, 2):
        both = pd.Series([f"{a} and {b}" for a, b in zip(groups[left], groups[right], strict=True)])
        counts = both.value_counts()
        for name in counts.index[counts.to_numpy() >= LEAST_OF_GROUP]:
            if MISSING not in name:
                yield _Pair((left, right), str(name), "all others", np.ones(len(table), dtype=bool), (both == name).to_numpy())


def _places(matrix: Matrix, pairs: Sequence[_Pair], declared: bool, seed: int) -> tuple[list[int], tuple[tuple[str, str], ...]]:
    """The columns that are held alike, and why others are not."""
    every = list(range(len(matrix.names)))
    if declared:
        return every, ()
    left_out = {}
    n = len(matrix.values)
    for place in every:
        values = matrix.values[:, place]
        if matrix.sorts[place] is Sort.MANY and len(np.unique(values[np.isfinite(values)])) > 0.5 * n:
            left_out[place] = "has a value of its own in most rows"
    for pair in (pair for pair in pairs if len(pair.columns) == 1):
        rows = np.flatnonzero(pair.part)
        part = Matrix(matrix.values[rows], matrix.levels[rows], matrix.names, matrix.sorts)
        for proxy in proxies(part, [place for place in every if place not in left_out], pair.mine[rows], seed=seed):
            if proxy.auroc[1] > STANDS_IN:
                left_out[matrix.names.index(proxy.column)] = f"stands in for {pair.columns[0]} {pair.group}"
    return [place for place in every if place not in left_out], tuple((matrix.names[place], why) for place, why in sorted(left_out.items()))


def _without(matrix: Matrix, places: list[int], pair: _Pair) -> list[int]:
    """A column is not held alike where its own groups are compared."""
    return [place for place in places if matrix.names[place] not in pair.columns]


class _Comparing:
    """Makes comparisons; what the features make one expect of the labels is learnt once for each set of rows."""

    def __init__(self, matrix: Matrix, good: Bools, confidence: float, count: int, seed: int, end: float) -> None:
        self.matrix, self.good, self.seed, self.end = matrix, good, seed, end
        self.each = 1.0 - (1.0 - confidence) / count
        self.confidence = confidence
        self._expected: dict[tuple[bytes, tuple[int, ...]], npt.NDArray[np.float64]] = {}

    def compare(self, pair: _Pair, places: list[int], tell: Listener) -> Compared:
        """One comparison; without an adjusted gap after the end of the time or where the features leave nobody's group open."""
        rows = np.flatnonzero(pair.part)
        good, mine = self.good[rows], pair.mine[rows]
        made = self._raw(pair, good, mine)
        if monotonic() > self.end:
            return made
        tell(f"{' and '.join(pair.columns)}: {pair.group} against {pair.others}"[:70])
        part = Matrix(self.matrix.values[rows], self.matrix.levels[rows], self.matrix.names, self.matrix.sorts)
        key = (np.packbits(pair.part).tobytes(), tuple(places))
        if key not in self._expected:
            self._expected[key] = cross_fitted(part, places, good, seed=self.seed)
        expected = self._expected[key]
        belonging = cross_fitted(part, places, mine, seed=self.seed + 1)
        try:
            gap: AdjustedGap | None = adjusted_gap(good, mine, expected, belonging)
        except ValueError:
            gap = None
        labels = contradicted(good, mine, expected)
        folds = folds_of(mine.astype(float), 5, self.seed + 1)
        return replace(
            made,
            adjusted=gap.interval(self.each) if gap else None,
            overlap=gap.overlap if gap else 0.0,
            strata=mantel_haenszel(good, mine, _strata(part, places, expected, belonging), confidence=self.each),
            contradicted=labels.interval(self.each),
            labels=labels,
            told=auroc(belonging, mine, folds).interval(self.each) if places else (0.5, 0.5, 0.5),
            proxies=proxies(part, places, mine, confidence=self.confidence, seed=self.seed),
        )

    def _raw(self, pair: _Pair, good: Bools, mine: Bools) -> Compared:
        k, n = int((good & mine).sum()), int(mine.sum())
        others_k, others_n = int((good & ~mine).sum()), int((~mine).sum())
        rates = tuple((a / b, *clopper_pearson(a, b, self.each)) for a, b in ((k, n), (others_k, others_n)))
        return Compared(
            " and ".join(pair.columns), pair.group, pair.others, (n, others_n), (rates[0], rates[1]),
            rate_difference(k, n, others_k, others_n, self.each),
        )  # fmt: skip


def _strata(
    matrix: Matrix, places: list[int], expected: npt.NDArray[np.float64], belonging: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Rows with equal features where these are few categories, else with like expectations: five classes of each of both."""
    values = np.where(np.isfinite(matrix.values[:, places]), matrix.values[:, places], -1e18)
    kinds, codes = np.unique(values, axis=0, return_inverse=True) if places else (np.zeros((1, 0)), np.zeros(len(values), dtype=np.int64))
    if len(kinds) <= max(10, len(values) // 20):
        return np.asarray(codes, dtype=np.int64).ravel()
    by = [np.searchsorted(np.quantile(one, [0.2, 0.4, 0.6, 0.8]), one) for one in (expected, belonging)]
    return np.asarray(by[0] * 5 + by[1], dtype=np.int64)
