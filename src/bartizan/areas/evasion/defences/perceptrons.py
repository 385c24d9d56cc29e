"""Adversarial training of scikit-learn's perceptrons in NumPy, without torch: every batch is attacked before the net learns from it.

The net may stand behind scaling or PCA; these steps stay as they are. Order of rows, noise and first weights depend on the seed and the
count of epochs alone, so that a training that was interrupted and resumed ends at the very weights of one that was not.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bartizan.adapters.numpy_models import Layers
from bartizan.areas.evasion.defences.augmenting import HardenedEstimator, Round
from bartizan.areas.evasion.defences.keeping import Keeper, identity_of
from bartizan.areas.evasion.defences.row_attacks import ascend, blame
from bartizan.areas.evasion.tabular_inputs import Floats, Ints
from bartizan.areas.evasion.tabular_whitebox import Problem
from bartizan.model.errors import InputError
from bartizan.model.statistics import clopper_pearson

LOOK = 500
"""Most held-out rows that are attacked after an epoch."""


class NetPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how fast.

    The radius grows over the first `warm` share of the epochs, so that the net learns the classes before it learns to keep them; the rate
    of Adam falls to zero over all of them. `steps`: gradient steps of the attack on a batch. `widen`: hidden layers so many times as wide
    as those of the net before, because robust nets need more room (Madry et al., ICLR 2018).
    """

    epochs: int = 120
    batch: int = 128
    rate: float = 1e-2
    steps: int = 3
    warm: float = 1.0 / 3.0
    widen: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        least = min(self.epochs, self.batch, self.steps, self.widen)
        if least < 1 or not 0.0 < self.rate < math.inf or not 0.0 <= self.warm < 1.0:
            raise InputError("epochs, batch, steps and widen are at least 1, rate positive, warm in 0 to 1", place="training")


def is_perceptron(estimator: Any) -> bool:
    """Is this an MLPClassifier, alone or at the end of a pipeline?"""
    return type(last_step(estimator)).__name__ == "MLPClassifier"


def harden_perceptron(
    estimator: Any,
    limits: Problem,
    rows: tuple[Floats, Ints],
    held_out: tuple[Floats, Ints],
    eps: float,
    plan: NetPlan | None = None,
    *,
    progress: Callable[[Round], None] | None = None,
    checkpoint: Path | None = None,
) -> HardenedEstimator:
    """A copy of the fitted `estimator` whose net was trained anew on `rows` (x (n, d), classes (n,) as positions in `classes_`) attacked
    within `eps` of `limits`.

    After every epoch the net is attacked on at most `LOOK` of the `held_out` rows; the epoch with the best robust accuracy is returned,
    among those that saw the whole radius. `checkpoint`: a file, written after every epoch and resumed from; it is refused if anything that
    decides the weights differs.
    """
    run = _Run(estimator, limits, rows, held_out, eps, plan or NetPlan())
    settings = (msgspec.json.encode(run.plan), eps, repr(estimator), limits.norm, limits.unit, *(run.before or ()))
    keeper = Keeper(checkpoint, lambda: identity_of(*settings, *rows, *held_out))
    run.restore(keeper.load())
    while len(run.rounds) < run.plan.epochs:
        run.epoch(len(run.rounds))
        keeper.save(run.state)
        if progress is not None:
            progress(run.rounds[-1])
    return HardenedEstimator(model=run.finished(), best=run.best, rounds=tuple(run.rounds))


class _Run:
    """The state of one training."""

    def __init__(
        self, estimator: Any, limits: Problem, rows: tuple[Floats, Ints], held_out: tuple[Floats, Ints], eps: float, plan: NetPlan
    ) -> None:
        (self.x, self.y), (test_x, test_y) = rows, held_out
        if len(self.x) != len(self.y) or not len(self.x) or not len(test_x):
            raise InputError(f"{len(self.x)} rows, {len(self.y)} labels, {len(test_x)} held-out rows", place="training")
        self.limits, self.eps, self.plan = limits, eps, plan
        self.test = test_x[:LOOK], test_y[:LOOK]
        self.estimator = copy.deepcopy(estimator)
        self.before = _affine(self.estimator, self.x.shape[1])
        self.net = self._fresh()
        self.decay = float(self.net.alpha) / len(self.x)
        self.weights = [np.array(part, dtype=np.float64) for part in (*self.net.coefs_, *self.net.intercepts_)]
        self.first = [np.zeros_like(part) for part in self.weights]
        self.second = [np.zeros_like(part) for part in self.weights]
        self.kept = self.weights
        self.rounds: list[Round] = []
        self.best = 0

    def _fresh(self) -> Any:
        """An unspoilt net of the same kind, given its first weights by scikit-learn itself."""
        from sklearn.base import clone

        net = last_step(self.estimator)
        hidden = [int(size) * self.plan.widen for size in np.atleast_1d(net.hidden_layer_sizes)]
        made = clone(net).set_params(hidden_layer_sizes=tuple(hidden), early_stopping=False, solver="adam", random_state=self.plan.seed)
        few = np.flatnonzero(np.arange(len(self.x)) < self.plan.batch)
        return made.partial_fit(self._scaled(self.x[few]), net.classes_[self.y[few]], classes=net.classes_)

    def _scaled(self, rows: Floats) -> Floats:
        return rows if self.before is None else rows @ self.before[0] + self.before[1]

    def layers(self) -> Layers:
        """The net behind its scaling, as layers on the rows themselves."""
        half = len(self.weights) // 2
        weights, shifts = self.weights[:half], self.weights[half:]
        if self.before is not None:
            shifts = [self.before[1] @ weights[0] + shifts[0], *shifts[1:]]
            weights = [self.before[0] @ weights[0], *weights[1:]]
        return Layers(tuple(weights), tuple(shifts), self.net.activation)

    def epoch(self, number: int) -> None:
        """One pass over the rows, then a look at the held-out ones."""
        plan = self.plan
        dice = np.random.default_rng((plan.seed, number))
        share = (number + 1) / plan.epochs
        eps = self.eps * min(1.0, share / plan.warm if plan.warm else 1.0)
        order = dice.permutation(len(self.x))
        batches = [order[at : at + plan.batch] for at in range(0, len(order), plan.batch)]
        for place, chosen in enumerate(batches):
            moved = ascend(self.layers(), self.limits, self.x[chosen], self.y[chosen], eps, steps=plan.steps, dice=dice)
            step = number * len(batches) + place
            self._learn(moved, self.y[chosen], step + 1, plan.rate * (1.0 - step / (plan.epochs * len(batches))))
        if not all(np.isfinite(part).all() for part in self.weights):
            raise InputError(f"the weights are no numbers after epoch {number + 1}", place="training", cure="lower the rate")
        self._look(number)

    def _learn(self, moved: Floats, labels: Ints, step: int, rate: float) -> None:
        """One step of Adam (Kingma and Ba, ICLR 2015) on the cross-entropy of the attacked rows."""
        half = len(self.weights) // 2
        inner = Layers(tuple(self.weights[:half]), tuple(self.weights[half:]), self.net.activation)
        outputs = inner.forward(self._scaled(moved))
        by_weights, by_shifts = inner.slopes(outputs, blame(outputs[-1], labels) / len(labels))
        fresh = []
        for place, slope in enumerate([*by_weights, *by_shifts]):
            slope = slope + self.decay * self.weights[place] if place < half else slope
            self.first[place] = 0.9 * self.first[place] + 0.1 * slope
            self.second[place] = 0.999 * self.second[place] + 0.001 * slope**2
            size = np.sqrt(self.second[place] / (1.0 - 0.999**step)) + 1e-8
            fresh.append(self.weights[place] - rate * self.first[place] / (1.0 - 0.9**step) / size)
        self.weights = fresh

    def _look(self, number: int) -> None:
        x, y = self.test
        layers = self.layers()
        right = _decided(layers, x) == y
        changed = ascend(layers, self.limits, x[right], y[right], self.eps, steps=10, dice=np.random.default_rng(self.plan.seed))
        robust = int((_decided(layers, changed) == y[right]).sum())
        low, high = clopper_pearson(robust, len(y))
        seen = Round(number=number + 1, rows=len(self.x), clean=float(right.mean()), robust=robust / len(y), low=low, high=high)
        if not self.rounds or not self._whole(number) or not self._whole(self.best) or seen.robust > self.rounds[self.best].robust:
            self.best, self.kept = number, self.weights
        self.rounds.append(seen)

    def _whole(self, number: int) -> bool:
        """Did this epoch see the whole radius?"""
        return (number + 1) / self.plan.epochs >= self.plan.warm

    def state(self) -> dict[str, Any]:
        """All that a checkpoint must hold."""
        parts = {"weights": self.weights, "first": self.first, "second": self.second, "kept": self.kept}
        arrays = {f"{name}_{place}": array for name, list_ in parts.items() for place, array in enumerate(list_)}
        return {**arrays, "best": np.array(self.best), "rounds": msgspec.json.encode(self.rounds)}

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go on from a checkpoint, where there is one."""
        if state is None:
            return
        count = range(len(self.weights))
        self.weights, self.first, self.second, self.kept = (
            [state[f"{name}_{place}"] for place in count] for name in ("weights", "first", "second", "kept")
        )
        self.best, self.rounds = int(state["best"]), msgspec.json.decode(state["rounds"], type=list[Round])

    def finished(self) -> Any:
        """The estimator with the weights of the best epoch."""
        half = len(self.kept) // 2
        self.net.coefs_, self.net.intercepts_ = list(self.kept[:half]), list(self.kept[half:])
        vars(self.net).pop("_optimizer", None)  # of the first weights; scikit-learn makes a new one where it goes on
        if self.estimator is last_step(self.estimator):
            return self.net
        self.estimator.steps[-1] = (self.estimator.steps[-1][0], self.net)
        return self.estimator


def _decided(layers: Layers, rows: Floats) -> Ints:
    scores = layers.forward(rows)[-1]
    return np.asarray((scores[:, 0] > 0) if scores.shape[1] == 1 else scores.argmax(axis=1), dtype=np.int64)


def last_step(estimator: Any) -> Any:
    """The classifier itself: the last step of a pipeline."""
    return estimator.steps[-1][1] if type(estimator).__name__ == "Pipeline" else estimator


def _affine(estimator: Any, columns: int) -> tuple[Floats, Floats] | None:
    """What the steps before the net do, as (columns, outputs) and (outputs,), read off a basis; None where there are none."""
    if estimator is last_step(estimator) or len(estimator.steps) == 1:
        return None
    steps = estimator[:-1]
    shift = np.asarray(steps.transform(np.zeros((1, columns))), dtype=np.float64)[0]
    return np.asarray(steps.transform(np.eye(columns)), dtype=np.float64) - shift, shift
