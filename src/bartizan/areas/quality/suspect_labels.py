"""Label errors: rows whose given label two unlike witnesses contradict more than the likeness of classes explains.

The first witness are the neighbours of a row, which vote on it (weights fall with distance). The second is a ridge regression on random
cosines of the features (Rahimi and Recht 2007), whose answer for each row as if that row had not been there follows in closed form (Allen
1974): no row judges itself. Their geometric mean says how probable each label is. How often a true class is given each label is read off
the quarter of its rows that the witnesses are surest of, where likeness explains no strange label (anchors: Patrini et al. 2017; confident
learning, Northcutt, Jiang and Chuang 2021, counts half of them, and takes much likeness for error). Bayes' rule then gives the true class
of each row. Rows found wrong lose their say, and all are judged once more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.methods.neighbours import Graph, neighbours
from bartizan.model.errors import InputError

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

NEIGHBOURS = 20
"""Neighbours that vote."""

_OUTVOTED = 2.0
"""A row loses its vote where another class has this many times the votes of its own."""

_SUREST = 0.75
"""Beyond this quantile of the confidence in a class, its rows are taken for anchors."""

_PRIOR = 20.0
"""Rows that the error rate of all classes together counts for beside the anchors of one class."""

_COSINES = 800
"""Random cosines of the regression: what they cost grows with their square."""

_SHARPNESS = 2.0
"""Of the Gaussian kernel that the cosines stand for, in units of the median distance of two rows."""

_RIDGES = (0.05, 1.0, 20.0)
"""Of these the one is taken that makes the labels of `_TRIED` rows most likely."""

_TRIED = 2000
_WARMTHS = (2.0, 4.0, 6.0, 8.0, 10.0, 14.0, 20.0)
_ASTRAY = 0.1
"""Share of labels that are taken to be arbitrary where the answers of the regression are made probabilities."""


@dataclass(frozen=True)
class LabelErrors:
    """What was found, one entry a row: `flagged` where the label is probably wrong, `suggested` the more probable class, `score` the
    probability (0 to 1) that the given label is right. `probabilities` (n, classes) are those of the other rows alone. `transition`
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
    rows = np.asarray(features, dtype=np.float32).reshape(len(features), -1)  # type: ignore[arg-type]
    graph = (neighbours(rows, k) if graph is None else graph).first(k)
    if len(graph.index) != len(given) or len(rows) != len(given):
        raise InputError(f"{len(rows)} rows have {len(given)} labels and {len(graph.index)} lists of neighbours")
    regression = _Regression(rows, given, classes)
    nobody = np.zeros(len(given), dtype=bool)
    first = _agreed(_votes(graph, given, classes), regression.without(nobody))
    transition = _transition(first, given)
    wrong = _posterior(first, given, transition).argmax(axis=1) != given
    probabilities = _agreed(_tallied(graph, given, classes, wrong), regression.without(wrong)) if wrong.any() else first
    posterior = _posterior(probabilities, given, transition)
    suggested = posterior.argmax(axis=1)
    return LabelErrors(suggested != given, suggested, posterior[np.arange(len(given)), given], probabilities, transition)


def _agreed(one: Floats, other: Floats) -> Floats:
    """The geometric mean of two distributions, row by row: what either holds impossible stays improbable."""
    both = np.sqrt((one + 1e-9) * (other + 1e-9))
    agreed: Floats = both / both.sum(axis=1, keepdims=True)
    return agreed


def _votes(graph: Graph, given: Ints, classes: int) -> Floats:
    """Probability of each class for each row from its neighbours, (n, classes), those that are outvoted themselves left out."""
    first = _tallied(graph, given, classes, np.zeros(len(given), dtype=bool))
    own = first[np.arange(len(given)), given]
    others = first.copy()
    others[np.arange(len(given)), given] = -1.0
    return _tallied(graph, given, classes, others.max(axis=1) > _OUTVOTED * (own + 0.02))


def _tallied(graph: Graph, given: Ints, classes: int, silent: Flags) -> Floats:
    """The votes of the neighbours that are not `silent`, as probabilities (n, classes)."""
    squared = np.square(graph.distance.astype(np.float64))
    weights = np.exp(-squared / (squared[:, [squared.shape[1] // 2]] + 1e-12))
    weights /= weights.sum(axis=1, keepdims=True)
    weights[silent[graph.index]] = 0.0
    places = np.arange(len(given))[:, None] * classes + given[graph.index]
    counted: Floats = np.bincount(places.ravel(), weights=weights.ravel(), minlength=len(given) * classes).astype(np.float64)
    votes = counted.reshape(-1, classes)
    votes += 0.1 / classes * np.bincount(given, minlength=classes) / len(given)  # what nobody voted for is not impossible
    tallied: Floats = votes / votes.sum(axis=1, keepdims=True)
    return tallied


class _Regression:
    """A ridge regression of the labels on random cosines of the features, asked for each row as if it had not been there."""

    def __init__(self, rows: Singles, given: Ints, classes: int) -> None:
        self._given, self._classes = given, classes
        self._cosines = _cosines(rows)
        self._gram = (self._cosines.T @ self._cosines).astype(np.float64)
        self._wanted = np.full((len(given), classes), -1.0 / classes, dtype=np.float32)
        self._wanted[np.arange(len(given)), given] = 1.0
        self._moments = self._cosines.T @ self._wanted
        tried = np.arange(0, len(given), max(1, len(given) // _TRIED))
        self._ridge = max(_RIDGES, key=lambda ridge: self._probabilities(self._answers(ridge, tried), tried)[1])

    def without(self, silent: Flags) -> Floats:
        """Probabilities (n, classes) from the rows that are not `silent`, each row judged by the others."""
        every = np.arange(len(self._given))
        return self._probabilities(self._answers(self._ridge, every, silent), every)[0]

    def _answers(self, ridge: float, rows: Ints, silent: Flags | None = None) -> Singles:
        """What the regression says of `rows`, each left out itself; `silent` rows are left out of all."""
        gram, moments = self._gram, self._moments
        if silent is not None and silent.any():
            some = self._cosines[silent]
            gram, moments = gram - some.T @ some, moments - some.T @ self._wanted[silent]
        inverse = np.linalg.inv(gram + ridge * np.eye(len(gram))).astype(np.float32)
        asked = self._cosines if len(rows) == len(self._given) else self._cosines[rows]
        leverage = np.clip(np.einsum("ij,ij->i", asked @ inverse, asked), 0.0, 0.999)
        if silent is not None:
            leverage[silent[rows]] = 0.0
        answers = asked @ (inverse @ moments)
        return np.asarray((answers - leverage[:, None] * self._wanted[rows]) / (1.0 - leverage[:, None]), dtype=np.float32)

    def _probabilities(self, answers: Singles, rows: Ints) -> tuple[Floats, float]:
        """The softmax of the answers to `rows`, as sharp as makes the given labels most likely, and how likely it makes them."""
        raised = (answers - answers.max(axis=1, keepdims=True)).astype(np.float64)
        best, chosen = -np.inf, raised
        for warmth in _WARMTHS:
            shares = np.exp(raised * warmth)
            shares /= shares.sum(axis=1, keepdims=True)
            told = (1.0 - _ASTRAY) * shares[np.arange(len(rows)), self._given[rows]] + _ASTRAY / self._classes
            likelihood = float(np.log(told).mean())
            if likelihood > best:
                best, chosen = likelihood, shares
        return chosen, best


def _cosines(rows: Singles) -> Singles:
    """Cosines of random directions, (n, at most 800), whose products come near a Gaussian kernel of the rows."""
    random = np.random.default_rng(0)
    count = min(_COSINES, max(50, len(rows)))
    pairs = random.integers(0, len(rows), (2, 2000))
    apart = np.linalg.norm(rows[pairs[0]] - rows[pairs[1]], axis=1)
    scale = float(np.median(apart[apart > 0.0])) if (apart > 0.0).any() else 1.0
    directions = (random.normal(size=(rows.shape[1], count)) * np.sqrt(2.0 * _SHARPNESS) / scale).astype(np.float32)
    turned = rows @ directions + random.uniform(0.0, 2.0 * np.pi, count).astype(np.float32)
    return np.asarray(np.cos(turned) * np.float32(np.sqrt(2.0 / count)), dtype=np.float32)


def _transition(probabilities: Floats, given: Ints) -> Floats:
    """How often each true class (row) is given each label (column), from the rows that are surest of their class.

    What few rows say is drawn towards an error that is equally likely in all classes and for all labels.
    """
    classes = probabilities.shape[1]
    likely = probabilities.argmax(axis=1)
    counts = np.zeros((classes, classes))
    for one in range(classes):
        rows = np.flatnonzero(likely == one)
        if len(rows):
            confidence = probabilities[rows, one]
            counts[one] = np.bincount(given[rows[confidence >= np.quantile(confidence, _SUREST)]], minlength=classes)
    error = 1.0 - float(np.trace(counts) / counts.sum())
    usual = np.full((classes, classes), error / (classes - 1))
    np.fill_diagonal(usual, 1.0 - error)
    drawn: Floats = (counts + _PRIOR * usual) / (counts.sum(axis=1, keepdims=True) + _PRIOR)
    return drawn


def _posterior(probabilities: Floats, given: Ints, transition: Floats) -> Floats:
    """Probability of each true class given what the others say and the label, (n, classes)."""
    posterior: Floats = probabilities * transition[:, given].T + 1e-12
    posterior /= posterior.sum(axis=1, keepdims=True)
    return posterior
