"""Label errors: rows whose given label their neighbourhood contradicts more than its own mixture of classes explains.

Three steps. Neighbours vote on each row, itself left out (weights fall with distance). Rows that are plainly outvoted lose their own vote,
so that noise no longer blurs the others. Then confident learning (Northcutt, Jiang and Chuang 2021): from the rows whose vote is beyond
their class's mean confidence, how often each true class is given each label; with that, the true class of each row by Bayes' rule. The
estimate is repeated until it settles. No model is trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.methods.neighbours import Graph, neighbours
from bartizan.model.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEIGHBOURS = 20
"""Neighbours that vote."""

_OUTVOTED = 2.0
"""A row loses its vote where another class has this many times the votes of its own."""

_ROUNDS = 3


@dataclass(frozen=True)
class LabelErrors:
    """What was found, one entry a row: `flagged` where the label is probably wrong, `suggested` the more probable class, `score` the
    probability (0 to 1) that the given label is right. `probabilities` (n, classes) are those of the neighbourhood alone. `transition`
    (classes, classes): how often a true class (row) is given each label (column)."""

    flagged: npt.NDArray[np.bool_]
    suggested: Ints
    score: Floats
    probabilities: Floats
    transition: Floats

    def ranked(self) -> Ints:
        """The flagged rows, least believable first."""
        rows = np.flatnonzero(self.flagged)
        return rows[np.argsort(self.score[rows], kind="stable")]


def label_errors(features: npt.ArrayLike, labels: npt.ArrayLike, *, graph: Graph | None = None, k: int = NEIGHBOURS) -> LabelErrors:
    """Which of the `labels` (n,), class numbers from 0, are probably wrong, from `features` (n, d) in which like things are close.

    graph: neighbours that are known already, at least `k` a row. Raises `InputError` for fewer than two classes or than three rows.
    """
    given = np.asarray(labels, dtype=np.int64)
    classes = int(given.max()) + 1 if len(given) else 0
    if len(given) < 3 or len(np.unique(given)) < 2 or given.min() < 0:
        raise InputError(f"{len(given)} rows of {classes} classes cannot contradict one another", cure="declare at least two classes")
    graph = (neighbours(features, k) if graph is None else graph).first(k)
    if len(graph.index) != len(given):
        raise InputError(f"{len(graph.index)} rows have {len(given)} labels")
    votes = _votes(graph, given, classes)
    probabilities, joint = votes, _confident_joint(votes, given)
    posterior, transition = _posterior(probabilities, given, joint)
    suggested = posterior.argmax(axis=1)
    score = posterior[np.arange(len(given)), given]
    return LabelErrors(suggested != given, suggested, score, probabilities, transition)


def _votes(graph: Graph, given: Ints, classes: int) -> Floats:
    """Probability of each class for each row from its neighbours, (n, classes), those that are outvoted themselves left out."""
    squared = np.square(graph.distance.astype(np.float64))
    weights = np.exp(-squared / (squared[:, [squared.shape[1] // 2]] + 1e-12))
    weights /= weights.sum(axis=1, keepdims=True)
    labels = given[graph.index]
    first = _tally(labels, weights, classes)
    own = first[np.arange(len(given)), given]
    others = first.copy()
    others[np.arange(len(given)), given] = -1.0
    silent = others.max(axis=1) > _OUTVOTED * (own + 0.02)
    second = _tally(labels, np.where(silent[graph.index], 0.0, weights), classes)
    second += 0.1 / classes * np.bincount(given, minlength=classes) / len(given)  # what nobody voted for is not impossible
    votes: Floats = second / second.sum(axis=1, keepdims=True)
    return votes


def _tally(labels: Ints, weights: Floats, classes: int) -> Floats:
    rows = np.arange(len(labels))[:, None] * classes
    counts = np.bincount((rows + labels).ravel(), weights=weights.ravel(), minlength=len(labels) * classes)
    return np.asarray(counts.reshape(-1, classes), dtype=np.float64)


def _confident_joint(votes: Floats, given: Ints) -> Floats:
    """Counts (true class, given label) over the rows whose vote for some class is beyond that class's mean confidence in itself."""
    classes = votes.shape[1]
    threshold = np.array([votes[given == c, c].mean() if (given == c).any() else np.inf for c in range(classes)])
    beyond = np.where(votes >= threshold, votes, -1.0)
    confident = beyond.max(axis=1) >= 0.0
    joint = np.zeros((classes, classes))
    np.add.at(joint, (beyond.argmax(axis=1)[confident], given[confident]), 1.0)
    return joint


def _posterior(votes: Floats, given: Ints, joint: Floats) -> tuple[Floats, Floats]:
    """Probability of each true class given the vote and the label, (n, classes), and the transition it rests on."""
    classes = votes.shape[1]
    posterior, transition = votes, np.eye(classes)
    for _ in range(_ROUNDS):
        transition = (joint + 0.5 * np.eye(classes)) / (joint.sum(axis=1, keepdims=True) + 0.5)
        posterior = votes * transition[:, given].T + 1e-12
        posterior /= posterior.sum(axis=1, keepdims=True)
        joint = np.stack([posterior[given == c].sum(axis=0) for c in range(classes)], axis=1)
    return posterior, transition
