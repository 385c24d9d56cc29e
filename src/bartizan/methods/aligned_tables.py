"""Brings two tables of the same records into one shape: which column is which, and what each cell is worth when compared.

Columns are matched by name (case and outer spaces folded); the rest by how their values are distributed, since an export may rename or
reorder them. Identifiers (running numbers, uuids, prefixed numbers) are left out: a copied row is still a copy under a new number.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.model.errors import InputError

SIMILAR = 0.6
"""Least overlap of two distributions of values (1 - total variation distance) for columns of different names to be taken as one."""

_IDENTIFIER = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|[A-Za-z]{0,8}[-_:#]?\d{1,18}", re.IGNORECASE)
_SAMPLE = 100_000


@dataclass(frozen=True)
class Aligned:
    """Two tables cell by cell. `raw` and `folded` hold equal numbers for equal cells, one array per column; `numbers` the value of
    numeric columns. The rows of the reference table (training) come first, then those of the probe (test)."""

    names: tuple[str, ...]
    label: int | None
    raw: tuple[npt.NDArray[np.int64], ...]
    folded: tuple[npt.NDArray[np.int64], ...]
    numbers: tuple[npt.NDArray[np.float64] | None, ...]
    reference_rows: int
    renamed: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]


def fold(text: str) -> str:
    """`text` with compatibility forms, case and white space folded: what a copy that was typed or exported again keeps."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _overlap(left: pd.Series, right: pd.Series) -> float:
    """1 - total variation distance between the values of two columns; numbers with many values are compared in 20 pooled quantiles."""
    left, right = left.dropna().head(_SAMPLE), right.dropna().head(_SAMPLE)
    if left.empty or right.empty:
        return 1.0 if left.empty and right.empty else 0.0
    numeric = [pd.api.types.is_numeric_dtype(column) for column in (left, right)]
    if numeric[0] != numeric[1]:
        return 0.0
    if numeric[0] and left.nunique() > 20:
        pooled = np.concatenate([left.to_numpy(float), right.to_numpy(float)])
        edges = (
            np.unique(np.nanquantile(pooled[np.isfinite(pooled)], np.linspace(0, 1, 21))) if np.isfinite(pooled).any() else np.array([0.0])
        )
        left, right = (pd.Series(np.searchsorted(edges, column.to_numpy(float))) for column in (left, right))
    shares = pd.concat([left.value_counts(normalize=True), right.value_counts(normalize=True)], axis=1).fillna(0.0).to_numpy(float)
    return float(1.0 - np.abs(shares[:, 0] - shares[:, 1]).sum() / 2)


def match_columns(reference: pd.DataFrame, probe: pd.DataFrame) -> dict[str, str]:
    """Which column of `probe` stands for which of `reference`: by name first, then greedily by the likeness of their values."""
    by_name = {fold(str(name)): name for name in reference.columns}
    pairs = {name: by_name[fold(str(name))] for name in probe.columns if fold(str(name)) in by_name}
    left = [name for name in reference.columns if name not in set(pairs.values())][:200]
    right = [name for name in probe.columns if name not in pairs][:200]
    scored = sorted(((-_overlap(reference[a], probe[b]), i, j) for i, a in enumerate(left) for j, b in enumerate(right)))
    used: set[int] = set()
    taken: set[int] = set()
    for score, i, j in scored:
        if -score >= SIMILAR and i not in used and j not in taken:
            pairs[right[j]] = left[i]
            used.add(i)
            taken.add(j)
    return {name: pairs[name] for name in probe.columns if name in pairs}


def _is_identifier(column: pd.Series) -> bool:
    """Does every row have its own value that looks like a number given to it, not like a property of it?"""
    if len(column) < 20 or column.isna().any() or not column.is_unique:
        return False
    if pd.api.types.is_integer_dtype(column):
        values = column.to_numpy(np.int64)
        return bool(
            column.is_monotonic_increasing or column.is_monotonic_decreasing or int(values.max()) - int(values.min()) < 2 * len(values)
        )
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return False
    return all(_IDENTIFIER.fullmatch(str(value)) for value in column.head(1000))


def _codes(values: pd.Series) -> npt.NDArray[np.int64]:
    codes, _ = pd.factorize(values, use_na_sentinel=True)
    return np.asarray(codes, dtype=np.int64)


def _cells(values: pd.Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64] | None]:
    """Raw codes, folded codes and numbers of a pooled column."""
    if pd.api.types.is_bool_dtype(values):
        codes = _codes(values)
        return codes, codes, None
    if pd.api.types.is_numeric_dtype(values):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0
        codes = _codes(pd.Series(numbers))
        return codes, codes, numbers
    text = values.astype(object).where(values.notna(), None)
    codes, uniques = pd.factorize(text, use_na_sentinel=True)
    folded_of = _codes(pd.Series([fold(str(value)) for value in uniques], dtype=object)) if len(uniques) else np.zeros(0, np.int64)
    raw = np.asarray(codes, dtype=np.int64)
    folded = np.where(raw >= 0, folded_of[raw], -1) if len(uniques) else raw
    return raw, folded, None


def _pool(reference: pd.Series, probe: pd.Series) -> pd.Series:
    """Both columns as one. Where one is numeric and the other is not, both are compared as text."""
    kinds = [pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column) for column in (reference, probe)]
    if kinds[0] != kinds[1] or (not any(kinds) and reference.dtype != probe.dtype):
        as_numbers = [pd.to_numeric(column, errors="coerce") for column in (reference, probe)]
        if all(int(n.notna().sum()) == int(c.notna().sum()) for n, c in zip(as_numbers, (reference, probe), strict=True)):
            return pd.concat(as_numbers, ignore_index=True)
        reference, probe = (column.map(lambda v: None if pd.isna(v) else str(v)).astype(object) for column in (reference, probe))
    return pd.concat([reference, probe], ignore_index=True)


def align(reference: pd.DataFrame, probe: pd.DataFrame, label: str | None) -> Aligned:
    """Both tables in one shape. `label` is the name of the label column in either table, None where there is none.

    Raises `InputError` where fewer than half of the columns of `probe` have a counterpart.
    """
    pairs = match_columns(reference, probe)
    if not pairs or len(pairs) * 2 < len(probe.columns):
        raise InputError(
            f"only {len(pairs)} of {len(probe.columns)} columns of the test table have a counterpart in the training table",
            cure="give both tables the same columns, or correct trained_on and tested_on",
        )
    wanted = fold(label) if label is not None else None
    is_label = {probe_name for probe_name, name in pairs.items() if wanted in (fold(probe_name), fold(name))}
    left_out = [n for n in pairs if n not in is_label and _is_identifier(probe[n]) and _is_identifier(reference[pairs[n]])]
    kept = [n for n in pairs if n not in left_out]
    if sum(n not in is_label for n in kept) == 0:
        kept, left_out = list(pairs), []
    cells = [_cells(_pool(reference[pairs[n]], probe[n])) for n in kept]
    return Aligned(
        names=tuple(kept),
        label=next((i for i, n in enumerate(kept) if n in is_label), None),
        raw=tuple(c[0] for c in cells),
        folded=tuple(c[1] for c in cells),
        numbers=tuple(c[2] for c in cells),
        reference_rows=len(reference),
        renamed=tuple((n, pairs[n]) for n in kept if fold(n) != fold(pairs[n])),
        left_out=tuple(left_out),
    )
