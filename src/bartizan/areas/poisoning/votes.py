"""Votes on labels in input space: the rows whose nearest neighbours carry another label.

A backdoor with wrong labels leaves the picture of one class under the label of another. No model is asked, so nothing that a model has
learnt from the poison can hide it (the idea of deep k-NN defences, Peri and others 2020, without the net).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.methods.neighbours import Graph, neighbours
from bartizan.model.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEIGHBOURS = 30

OWN_AT_MOST = 0.15
OTHER_AT_LEAST = 0.5
"""A row is contradicted where its label has at most, and one other at least, these shares of the votes."""

_ROUNDS = 4
"""Rows that are contradicted lose their votes, so that poisoned rows that lie together do not vouch for one another; so many times."""


@dataclass(frozen=True)
class Votes:
    """For each row (n,): the share of votes for its `own` label, for the strongest `other`, that label (`suggested`), and the `score`
    (-1 to 1), the difference: the greater, the more is it contradicted. `contradicted` where it plainly is."""

    own: Floats
    other: Floats
    suggested: Ints
    score: Floats
    contradicted: npt.NDArray[np.bool_]


def label_votes(features: npt.ArrayLike, labels: npt.ArrayLike, *, k: int = NEIGHBOURS, graph: Graph | None = None) -> Votes:
    """The votes of the `k` nearest neighbours on `labels` (n,), class numbers from 0, in `features` (n, d). Raises `InputError`."""
    given = np.asarray(labels, dtype=np.int64)
    classes = int(given.max()) + 1 if len(given) else 0
    if classes < 2:
        raise InputError("one class cannot be contradicted", cure="declare a set of two classes or more")
    graph = (neighbours(features, k) if graph is None else graph).first(k)
    own, other, suggested, contradicted = _counted(graph, given, classes, np.zeros(len(given), dtype=bool))
    for _ in range(_ROUNDS):
        own, other, suggested, found = _counted(graph, given, classes, contradicted)
        if not (found & ~contradicted).any():
            break
        contradicted |= found
    return Votes(own, other, suggested, other - own, contradicted)


def _counted(graph: Graph, given: Ints, classes: int, silent: npt.NDArray[np.bool_]) -> tuple[Floats, Floats, Ints, npt.NDArray[np.bool_]]:
    """Votes of all but the `silent` rows: shares for the own label and the strongest other, which that is, and who is contradicted."""
    rows = np.arange(len(given))
    weights = np.where(silent[graph.index], 0.0, 1.0)
    places = (rows[:, None] * classes + given[graph.index]).ravel()
    counts: Floats = np.bincount(places, weights=weights.ravel(), minlength=len(given) * classes).astype(np.float64)
    shares = counts.reshape(-1, classes) / np.maximum(weights.sum(axis=1, keepdims=True), 1.0)
    own = shares[rows, given].copy()
    shares[rows, given] = -1.0
    other, suggested = shares.max(axis=1), shares.argmax(axis=1)
    return own, other, suggested, (own <= OWN_AT_MOST) & (other >= OTHER_AT_LEAST)
