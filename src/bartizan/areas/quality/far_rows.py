"""Outliers: rows far from all others, also where each value by itself is ordinary and only their combination is not.

The score of a row is its mean distance to its nearest rows in a random sample of the set, in units that make columns comparable
(Ramaswamy, Rastogi and Shim 2000; that a small sample does as well as all rows: Sugiyama and Borgwardt 2013). Methods that look at one
column at a time cannot see a broken dependency between columns; distances do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.methods.neighbours import neighbours
from bartizan.model.errors import InputError

REFERENCE = 1024
"""Rows of the sample that all are compared with."""

NEIGHBOURS = 5

CUT = 4.0
"""Robust standard deviations of the logarithm of the score beyond which a row is an outlier."""


@dataclass(frozen=True)
class Outliers:
    """`score` (n,): distance to the neighbourhood over the median row's, so 1 is ordinary; `flagged` where it is beyond `cut`."""

    score: npt.NDArray[np.float64]
    flagged: npt.NDArray[np.bool_]
    cut: float

    def ranked(self) -> npt.NDArray[np.int64]:
        """The flagged rows, farthest first."""
        rows = np.flatnonzero(self.flagged)
        return rows[np.argsort(-self.score[rows], kind="stable")]


def outliers(features: npt.ArrayLike, *, k: int = NEIGHBOURS, reference: int = REFERENCE, cut: float = CUT, seed: int = 0) -> Outliers:
    """Which rows of `features` (n, d), in comparable units (see `methods.descriptors.of_table`), are far from all others.

    Raises `InputError` for fewer than 20 rows, from which no ordinary distance can be read.
    """
    x = np.asarray(features, dtype=np.float32)
    if len(x) < 20:
        raise InputError(f"{len(x)} rows are too few to tell an outlier", cure="declare at least 20")
    sample = np.sort(np.random.default_rng(seed).permutation(len(x))[:reference])
    graph = neighbours(x, k + 1, among=x[sample])
    own = sample[graph.index] == np.arange(len(x))[:, None]  # a row of the sample finds itself
    own[~own.any(axis=1), -1] = True
    score = graph.distance[~own].reshape(len(x), -1).astype(np.float64).mean(axis=1)
    middle = float(np.median(score))
    if middle <= 0.0:  # more than half of the rows are copies: only the rest has a scale
        middle = float(np.median(score[score > 0.0])) if (score > 0.0).any() else 1.0
    score /= middle
    logs = np.log(np.maximum(score, 1e-9))[score > 0.0]
    spread = 1.4826 * float(np.median(np.abs(logs - np.median(logs)))) if len(logs) else 0.0
    limit = float(np.exp(cut * max(spread, 0.1)))
    return Outliers(score, score > limit, limit)
