"""Finds the rows of a test table that also stand in a training table: exactly, retyped, with another label, or moved by a hair.

Rows are compared through 64-bit keys of their cells and every match is confirmed on the cells themselves. Near duplicates are found on a
grid over up to four continuous columns whose cells are twice the tolerance wide, so that each partner lies in the own cell or in the
nearer neighbour along each axis: no pair within the tolerance is missed (unless `Leakage.truncated` says so).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.methods.aligned_tables import Aligned, align

Codes = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

MAX_PAIRS = 40_000_000
"""Most candidate pairs that the search for near duplicates confirms."""

_CHUNK = 2_000_000
_AXES = 4


@dataclass(frozen=True)
class Leakage:
    """What was found, one entry per row of the test table.

    `partner` is the index of a matching training row or -1. `exact` rows equal it cell by cell; `retyped` rows do after folding case and
    white space; `relabelled` rows do in all but the label; `near` rows have every number within the tolerance. Each row counts in the
    first kind that fits. `by_chance` is the share of training rows that have such a twin among the other training rows, which is what an
    honest split of the same source would show; `independent` the share that independent columns of the same values would show.
    """

    partner: Codes
    exact: npt.NDArray[np.bool_]
    retyped: npt.NDArray[np.bool_]
    relabelled: npt.NDArray[np.bool_]
    near: npt.NDArray[np.bool_]
    by_chance: float
    chance_rows: int
    independent: float
    truncated: bool
    columns: Aligned

    @property
    def leaked(self) -> int:
        return int((self.partner >= 0).sum())


def _mix(values: Keys) -> Keys:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: Keys = values ^ (values >> np.uint64(31))
    return mixed


def _keys(columns: Sequence[Codes], rows: int) -> Keys:
    """One 64-bit key a row: equal rows have equal keys."""
    keys = np.full(rows, 0x9E3779B97F4A7C15, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in columns:
            keys = _mix(keys + column.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    return keys


def _pairs(reference: Keys, probe: Keys) -> Iterator[tuple[Codes, Codes]]:
    """All (reference index, probe index) with equal keys, in chunks of bounded size."""
    order = np.argsort(reference, kind="stable")
    ranked = reference[order]
    low = np.searchsorted(ranked, probe, side="left")
    counts = np.searchsorted(ranked, probe, side="right") - low
    hits = np.flatnonzero(counts)
    if not len(hits):
        return
    ends = np.cumsum(counts[hits])
    start = 0
    while start < len(hits):
        base = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, base + _CHUNK, side="right")), start + 1)
        part = hits[start:stop]
        repeated = np.repeat(part, counts[part])
        offsets = np.arange(len(repeated)) - np.repeat(np.cumsum(counts[part]) - counts[part], counts[part])
        yield order[low[repeated] + offsets].astype(np.int64), repeated.astype(np.int64)
        start = stop


def _first_equal(columns: Sequence[Codes], split: int, rows: int) -> Codes:
    """For each probe row the first reference row with equal codes in all `columns`, or -1."""
    partner = np.full(rows - split, -1, dtype=np.int64)
    keys = _keys(columns, rows)
    ranked, first = np.unique(keys[:split], return_index=True)
    if not len(ranked):
        return partner
    at = np.minimum(np.searchsorted(ranked, keys[split:]), len(ranked) - 1)
    hits = np.flatnonzero(ranked[at] == keys[split:])
    candidates = first[at[hits]]
    same = np.ones(len(hits), dtype=bool)
    for column in columns:
        same &= column[candidates] == column[split + hits]
    partner[hits[same]] = candidates[same]
    return partner


@dataclass(frozen=True)
class _Grid:
    """How near duplicates are looked up: columns that must be equal, continuous columns with their absolute tolerance."""

    equal: tuple[Codes, ...]
    values: tuple[npt.NDArray[np.float64], ...]
    widths: tuple[float, ...]


def _spread(values: npt.NDArray[np.float64]) -> float:
    """Scale of a column: interquartile range over 1.349 (the standard deviation of a normal), else the standard deviation."""
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return 0.0
    low, high = np.quantile(finite, [0.25, 0.75])
    scale = (high - low) / 1.349
    return float(scale if scale > 0 else finite.std())


def _grid(table: Aligned, features: Sequence[int], tolerance: float) -> _Grid:
    equal: list[Codes] = []
    continuous: list[tuple[int, npt.NDArray[np.float64], float]] = []
    for i in features:
        numbers = table.numbers[i]
        width = tolerance * _spread(numbers) if numbers is not None else 0.0
        distinct = np.unique(numbers[np.isfinite(numbers)]) if numbers is not None else np.zeros(0)
        if numbers is None or not np.isfinite(width) or width <= 0 or len(distinct) < 2 or float(np.diff(distinct).min()) > width:
            equal.append(table.folded[i])
            continue
        equal.append(np.where(np.isnan(numbers), -1, np.where(np.isinf(numbers), np.sign(numbers), 2)).astype(np.int64))
        continuous.append((len(distinct), np.where(np.isfinite(numbers), numbers, 0.0), width))
    continuous.sort(key=lambda entry: -entry[0])
    return _Grid(tuple(equal), tuple(v for _, v, _ in continuous), tuple(w for _, _, w in continuous))


def _near(grid: _Grid, split: int, wanted: Codes, rows: int, *, itself: bool = False) -> tuple[Codes, bool]:
    """For each probe row in `wanted` (indices into the pooled table) a reference row within the tolerance or -1; and whether cut short.

    With `itself` a row is no partner of its own.
    """
    partner = np.full(len(wanted), -1, dtype=np.int64)
    if not len(wanted) or not split or not grid.values:
        return partner, False
    axes = min(_AXES, len(grid.values))
    scaled = [grid.values[a] / (2 * grid.widths[a]) for a in range(axes)]
    cells = [np.clip(np.floor(s), -(2.0**62), 2.0**62).astype(np.int64) for s in scaled]
    sides = [np.where(s - np.floor(s) < 0.5, -1, 1).astype(np.int64) for s in scaled]
    base = _keys(grid.equal, rows)
    reference = _combine(base[:split], [c[:split] for c in cells])
    spent = 0
    for moves in itertools.product((0, 1), repeat=axes):
        open_rows = np.flatnonzero(partner < 0)
        probe = wanted[open_rows]
        keys = _combine(base[probe], [c[probe] + m * s[probe] for c, s, m in zip(cells, sides, moves, strict=True)])
        for left, right in _pairs(reference, keys):
            spent += len(left)
            if spent > MAX_PAIRS:
                return partner, True
            right_rows = probe[right]
            same = left != right_rows if itself else np.ones(len(left), dtype=bool)
            for values, width in zip(grid.values, grid.widths, strict=True):
                same &= np.abs(values[left] - values[right_rows]) <= width
            for column in grid.equal:
                same &= column[left] == column[right_rows]
            partner[open_rows[right[same]]] = left[same]
    return partner, False


def _combine(base: Keys, cells: Sequence[Codes]) -> Keys:
    keys = base.copy()
    with np.errstate(over="ignore"):
        for cell in cells:
            keys = _mix(keys + cell.astype(np.uint64))
    return keys


def _twins(table: Aligned, features: Sequence[int], grid: _Grid, seed: int) -> tuple[float, int]:
    """Share of reference rows that have a twin (equal or near features) among the others, and how many rows were tried."""
    split = table.reference_rows
    if split < 2:
        return 0.0, split
    keys = _keys([table.folded[i][:split] for i in features], split)
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    tried = np.arange(split) if split <= 20_000 else np.random.default_rng(seed).choice(split, 20_000, replace=False)
    twin = counts[inverse[tried]] > 1
    single = tried[~twin].astype(np.int64)
    near, _ = _near(grid, split, single, len(table.folded[0]), itself=True)
    return float((twin.sum() + (near >= 0).sum()) / len(tried)), len(tried)


def _independent(table: Aligned, features: Sequence[int]) -> float:
    """Chance that a row of independently drawn cells equals one of the reference rows: 1 - (1 - prod_j sum_v p_jv^2)^n."""
    split = table.reference_rows
    logarithm = 0.0
    for i in features:
        _, counts = np.unique(table.folded[i][:split], return_counts=True)
        logarithm += float(np.log(np.square(counts / counts.sum()).sum()))
    return float(-np.expm1(split * np.log1p(-min(np.exp(logarithm), 1 - 1e-12))))


def find_leakage(
    reference: pd.DataFrame, probe: pd.DataFrame, *, label: str | None = None, tolerance: float = 0.01, seed: int = 0
) -> Leakage:
    """Which rows of `probe` (the test table) also stand in `reference` (the training table).

    `tolerance` is how far each number of a near duplicate may be off, as a share of its column's spread (at least 0; 0 looks for equal
    rows only). Raises `InputError` where the tables have no columns in common or one is empty.
    """
    table = align(reference, probe, label)
    split, rows = table.reference_rows, table.reference_rows + len(probe)
    every = range(len(table.names))
    features = [i for i in every if i != table.label] or list(every)
    exact = _first_equal([table.raw[i] for i in every], split, rows)
    retyped = _first_equal([table.folded[i] for i in every], split, rows)
    relabelled = _first_equal([table.folded[i] for i in features], split, rows)
    partner = np.where(exact >= 0, exact, np.where(retyped >= 0, retyped, relabelled))
    grid = _grid(table, features, tolerance) if tolerance > 0 else _Grid((), (), ())
    open_rows = np.flatnonzero(partner < 0)
    near, truncated = _near(grid, split, (open_rows + split).astype(np.int64), rows)
    partner[open_rows] = near
    chance, tried = _twins(table, features, grid, seed)
    is_near = np.zeros(len(probe), dtype=bool)
    is_near[open_rows] = near >= 0
    return Leakage(
        partner=partner,
        exact=exact >= 0,
        retyped=(exact < 0) & (retyped >= 0),
        relabelled=(retyped < 0) & (relabelled >= 0),
        near=is_near,
        by_chance=chance,
        chance_rows=tried,
        independent=_independent(table, features),
        truncated=truncated,
        columns=table,
    )
