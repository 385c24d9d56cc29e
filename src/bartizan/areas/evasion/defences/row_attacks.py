"""The small attacks on rows of numbers inside training: uphill on known layers, else a random search of corners.

They obey the same limits as the attack that measures (`tabular_whitebox.Problem`): the range and unit of each column, whole steps. They are
quick and decide nothing; figures come from `tabular_whitebox.break_rows`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bartizan.adapters.numpy_models import Layers, layers_of
from bartizan.areas.evasion.defences.augmenting import RowAttack, corner_search
from bartizan.areas.evasion.tabular_inputs import Floats, Ints
from bartizan.areas.evasion.tabular_whitebox import Problem
from bartizan.model.errors import UnknownName

NORMS = ("linf", "l2")
"""Norms that training knows; trees know linf alone."""


def blame(scores: Floats, labels: Ints) -> Floats:
    """The gradient of the cross-entropy of each row by its scores (n, k); a single score is the logit of class 1."""
    if scores.shape[1] == 1:
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * scores)) - labels[:, None])
    shares: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    shares[np.arange(len(labels)), labels] -= 1.0
    return shares


def ascend(layers: Layers, limits: Problem, x: Floats, labels: Ints, eps: float, *, steps: int, dice: np.random.Generator) -> Floats:
    """Rows `x` (n, d) of classes `labels` (n,) moved uphill on the loss from a random start (projected gradient, Madry et al., ICLR 2018).

    Each column moves by at most `eps` of its unit (linf), or the row by `eps` units in length (l2). Deterministic for `dice`.
    """
    here = replace(limits, x=x)
    fall, rise = here.walls(eps)
    moved = x + fall + dice.random(x.shape) * (rise - fall)
    for _ in range(steps):
        outputs = layers.forward(moved)
        slope = layers.pull(outputs, blame(outputs[-1], labels))
        if limits.norm == "l2":
            slope = slope * limits.unit  # uphill in units
            slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-12)
        else:
            slope = np.sign(slope)
        moved = _inside(here, moved + 2.5 * eps / steps * limits.unit * slope, eps, fall, rise)
    return here.settled(moved)


def _inside(here: Problem, moved: Floats, eps: float, fall: Floats, rise: Floats) -> Floats:
    """The ball, then the walls around every column."""
    if here.norm == "l2":
        change = (moved - here.x) / np.where(here.unit > 0, here.unit, 1.0)
        size = np.maximum(np.linalg.norm(change, axis=1, keepdims=True), 1e-12)
        moved = here.x + change * np.minimum(1.0, eps / size) * here.unit
    return np.clip(moved, here.x + fall, here.x + rise)


def row_attack(limits: Problem, estimator: Any, eps: float, *, steps: int = 10, tries: int = 40) -> RowAttack:
    """An attack on models of the kind of `estimator` within `limits` as `harden_estimator` wants one; labels are those of `classes_`.

    Raises `UnknownName` for a norm that it does not know.
    """
    if limits.norm not in NORMS:
        raise UnknownName("norm for training", limits.norm, NORMS)
    if layers_of(estimator, limits.x) is None:
        if limits.norm != "linf":
            raise UnknownName("norm for training without gradients", limits.norm, ("linf",))
        reach = np.where(limits.whole, np.floor(eps * limits.unit + 1e-9), eps * limits.unit)
        return corner_search(reach, tries=tries, low=limits.low, high=limits.high)

    def attack(model: Any, x: Floats, y: Any, seed: int) -> Floats:
        layers = layers_of(model, x[:0])
        assert layers is not None
        labels = np.searchsorted(np.asarray(model.classes_), y)
        return ascend(layers, limits, x, labels, eps, steps=steps, dice=np.random.default_rng(seed))

    return attack
