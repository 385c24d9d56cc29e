"""Which training rows taught a model what it decides: the product of last-layer gradients, in closed form (TracIn).

The gradient of the cross-entropy by the last dense layer is (probabilities - label) times (activations, 1); the product of those of two
rows is therefore a product of two small products, and all pairs cost two matrix products and no backward pass (Pruthi, Liu, Kale and
Sundararajan 2020, section 4). Of a finished model rows that it learnt well have nearly no gradient left, however much they taught it; the
normalised form compares directions alone (Hammoudeh and Lowd 2022). `culprits` of a suspicious decision goes one step further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.adapters.last_layers import LastLayer
from bartizan.model.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FAR = 2.5
"""Robust deviations above the usual from which a row counts as a culprit; what that gives is printed by benchmarks/data/poisoning.py."""

_FEWEST = 20
_TINY = 1e-30


def influence(
    train: LastLayer | Sequence[LastLayer],
    labels: npt.ArrayLike,
    tests: LastLayer | Sequence[LastLayer],
    test_labels: npt.ArrayLike,
    *,
    normalised: bool = False,
) -> Floats:
    """How much a step on each training row lowered the loss of each test row: (n, m), positive helps, negative hurts.

    train, tests: the last layer on n training rows and m test rows, of the final model or of the same checkpoints in the same order, summed
        with their learning rates
    labels, test_labels: class numbers (n,) and (m,); for a suspicious decision give what was decided, and the rows that argued for it score
        highest
    normalised: gradients at unit length, -1 to 1 for one checkpoint: what a finished model learnt well keeps its weight
    Raises `InputError` where checkpoints, classes or lengths do not fit.
    """
    ours, theirs = _checkpoints(train), _checkpoints(tests)
    if len(ours) != len(theirs):
        raise InputError(f"{len(ours)} checkpoints of training rows, {len(theirs)} of test rows", cure="give the same checkpoints of both")
    total = np.zeros((len(ours[0].activations), len(theirs[0].activations)))
    for a, b in zip(ours, theirs, strict=True):
        if a.activations.shape[1] != b.activations.shape[1] or a.probabilities.shape[1] != b.probabilities.shape[1]:
            raise InputError("training and test rows come from layers of different sizes", cure="take both from one model")
        (xa, ea), (xb, eb) = (_gradient(layer, y, normalised) for layer, y in ((a, labels), (b, test_labels)))
        total += a.rate * (xa @ xb.T) * (ea @ eb.T)
    return total


def self_influence(train: LastLayer | Sequence[LastLayer], labels: npt.ArrayLike) -> Floats:
    """How much each row had to teach itself, (n,), at least 0: high for wrong labels and rows unlike all others."""
    total = np.zeros(len(_checkpoints(train)[0].activations))
    for layer in _checkpoints(train):
        x, e = _gradient(layer, labels, normalised=False)
        total += layer.rate * np.einsum("ij,ij->i", x, x) * np.einsum("ij,ij->i", e, e)
    return total


@dataclass(frozen=True)
class Culprits:
    """For each training row how much it argued for the suspicious decisions (`score` (n,), -1 to 1; -1 for rows of other labels), and the
    `rows` that stand out, strongest first."""

    score: Floats
    rows: Ints


def culprits(train: LastLayer, labels: npt.ArrayLike, tests: LastLayer, decided: int) -> Culprits:
    """The rows labelled `decided` that taught the model to decide so on the suspicious rows `tests`.

    Among rows of one label that a finished model has learnt, gradients differ next to nothing in the errors, and in the activations by what
    the whole class shares; so the class's median is taken off, and the score is the mean cosine with the suspicious rows. Rows count from
    `FAR` robust deviations above the median on, which none reaches where culprits are more than a fifth of the class: then the order of
    the scores is what is told. Give several decisions that look alike: one alone says little (see the benchmark).
    """
    given = np.asarray(labels, dtype=np.int64)
    rows = np.flatnonzero(given == decided)
    score = np.full(len(given), -1.0)
    if len(rows) < _FEWEST or not len(tests.activations):
        return Culprits(score, np.zeros(0, dtype=np.int64))
    middle = np.median(train.activations[rows], axis=0)
    own, asked = (_unit(layer - middle) for layer in (train.activations[rows], tests.activations))
    score[rows] = found = own @ asked.mean(axis=0)
    usual = float(np.median(found))
    spread = 1.4826 * float(np.median(usual - found[found <= usual]))
    order = rows[np.argsort(-found, kind="stable")]
    return Culprits(score, np.asarray(order[score[order] > usual + FAR * max(spread, _TINY)], dtype=np.int64))


def _unit(x: Floats) -> Floats:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), _TINY))


def _checkpoints(layers: LastLayer | Sequence[LastLayer]) -> Sequence[LastLayer]:
    found = (layers,) if isinstance(layers, LastLayer) else tuple(layers)
    if not found:
        raise InputError("no checkpoint is given", cure="give the last layer of one model or more: bartizan.poisoning.last_layer(model, x)")
    return found


def _gradient(layer: LastLayer, labels: npt.ArrayLike, normalised: bool) -> tuple[Floats, Floats]:
    """The two factors of each row's gradient: activations with the 1 of the bias, and probabilities less the label."""
    given = np.asarray(labels, dtype=np.int64)
    n, k = layer.probabilities.shape
    if given.shape != (n,) or len(layer.activations) != n or (n and (given.min() < 0 or given.max() >= k)):
        raise InputError(f"{given.shape} labels do not fit {n} rows of {k} classes", cure="give class numbers from 0, one a row")
    x = np.hstack([np.asarray(layer.activations, dtype=np.float64), np.ones((n, 1))])
    e = np.array(layer.probabilities, dtype=np.float64)
    e[np.arange(n), given] -= 1.0
    if normalised:
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        e /= np.maximum(np.linalg.norm(e, axis=1, keepdims=True), _TINY)
    return x, e
