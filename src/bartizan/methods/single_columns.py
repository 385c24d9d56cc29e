"""One column at a time: what it tells of a label by itself, and which columns tell the same.

Columns are cut into bins (categories as they are, numbers by quantiles), so that a relation of any shape is seen, not a rising one alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bartizan.methods.quick_learner import Goal, Matrix, Sort

BINS = 20
"""Bins of a column of numbers when it is asked what it tells of a label."""

_PRIOR = 2.0
_SAMPLE = 5000


def binned(matrix: Matrix, place: int, bins: int = BINS) -> npt.NDArray[np.int64]:
    """The bin of each row (n,) in the column at `place`, from 0; gaps are a bin of their own."""
    values = matrix.values[:, place]
    known = np.isfinite(values)
    if matrix.sorts[place] is not Sort.NUMBER:
        codes = np.where(known, values, -1.0).astype(np.int64)
    else:
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, bins + 1)[1:-1])) if known.any() else np.zeros(0)
        distinct = np.unique(values[known]) if known.any() else np.zeros(0)
        cut = np.searchsorted(distinct, values) if len(distinct) <= bins else np.searchsorted(edges, values, side="right")
        codes = np.where(known, cut, -1)
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def told_by(
    matrix: Matrix, place: int, target: npt.NDArray[np.float64], goal: Goal, folds: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """What the column at `place` alone makes one expect of `target` (n,), cross-fitted over `folds` (n,): the share of class 1, the
    commonest class or the mean number of its bin, drawn towards that of all rows where the bin is small; shape (n,)."""
    codes = binned(matrix, place)
    count = int(codes.max()) + 1 if len(codes) else 1
    guess = np.empty(len(target))
    for fold in np.unique(folds):
        seen, held = folds != fold, folds == fold
        if goal is Goal.CLASSES:
            classes = int(target.max()) + 1
            table = np.bincount(codes[seen] * classes + target[seen].astype(np.int64), minlength=count * classes).reshape(count, classes)
            whole = table.sum(axis=0) / max(1, table.sum())
            guess[held] = np.argmax(table + _PRIOR * whole, axis=1)[codes[held]]
        else:
            rows, sums = np.bincount(codes[seen], minlength=count), np.bincount(codes[seen], target[seen], minlength=count)
            guess[held] = ((sums + _PRIOR * target[seen].mean()) / (rows + _PRIOR))[codes[held]]
    return guess


def likeness(matrix: Matrix, seed: int = 0) -> npt.NDArray[np.float64]:
    """How alike the columns are, shape (p, p), 0 to 1: the greater of Spearman's rank correlation without its sign and the informational
    correlation (Linfoot 1957) of their bins, which sees relations of any shape. From at most 5,000 rows drawn by `seed`."""
    kept = np.sort(np.random.default_rng(seed).permutation(len(matrix.values))[:_SAMPLE])
    part = Matrix(matrix.values[kept], matrix.levels[kept], matrix.names, matrix.sorts)
    p = part.values.shape[1]
    ranks = [_ranked(part.values[:, place]) for place in range(p)]
    codes = [binned(part, place, 10) for place in range(p)]
    found = np.eye(p)
    for i in range(p):
        for j in range(i):
            both = 0.0
            if part.sorts[i] is part.sorts[j] is Sort.NUMBER and ranks[i].std() > 0 and ranks[j].std() > 0:
                both = abs(float(np.mean(ranks[i] * ranks[j]) / (ranks[i].std() * ranks[j].std())))
            found[i, j] = found[j, i] = max(both, _informed(codes[i], codes[j]))
    return np.minimum(found, 1.0)


def _ranked(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks with ties in the middle, less their mean; a gap has the mean rank."""
    known = np.isfinite(values)
    ranks = np.zeros(len(values))
    if known.any():
        ordered = np.sort(values[known])
        middle = (np.searchsorted(ordered, values[known], "left") + np.searchsorted(ordered, values[known], "right")) / 2.0
        ranks[known] = middle - middle.mean()
    return ranks


def _informed(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> float:
    """sqrt(1 - exp(-2 I)) of the mutual information I of two columns of bins, less what chance gives (Miller 1955)."""
    a, b, n = int(left.max()) + 1, int(right.max()) + 1, len(left)
    if a > n / 5 or b > n / 5 or a * b > 100_000:
        return 0.0
    joint = np.bincount(left * b + right, minlength=a * b).reshape(a, b) / n
    product = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    seen = joint > 0
    information = float(np.sum(joint[seen] * np.log(joint[seen] / product[seen]))) - (a - 1) * (b - 1) / (2.0 * n)
    return float(np.sqrt(1.0 - np.exp(-2.0 * max(0.0, information))))


def clusters(alike: npt.NDArray[np.float64], least: float = 0.7) -> npt.NDArray[np.int64]:
    """The cluster of each column (p,), by average linkage of those whose likeness is `least` and more."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if len(alike) < 2:
        return np.zeros(len(alike), dtype=np.int64)
    apart = squareform(1.0 - alike, checks=False)
    return np.asarray(fcluster(linkage(apart, "average"), 1.0 - least, "distance"), dtype=np.int64) - 1
