"""Attacks inside training keep to their limits; checkpoints of trainings in NumPy are refused unless they are ours."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from bartizan.adapters.numpy_models import layers_of
from bartizan.areas.evasion.defences.augmenting import corner_search, harden_estimator
from bartizan.areas.evasion.defences.keeping import Keeper, identity_of
from bartizan.areas.evasion.defences.perceptrons import NetPlan
from bartizan.areas.evasion.defences.row_attacks import ascend, blame
from bartizan.areas.evasion.tabular_whitebox import Problem
from bartizan.model.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


@pytest.fixture(scope="module")
def net() -> Any:
    x, y = load_digits(return_X_y=True)
    return MLPClassifier((16,), max_iter=40, random_state=0).fit(x / 16.0, y)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_attack_inside_training_keeps_ball_range_and_whole_steps(net: Any, norm: str) -> None:
    x, y = load_digits(return_X_y=True)
    x, y = x[:60] / 16.0, y[:60]
    whole = np.arange(64) % 8 == 0
    x[:, whole] = np.rint(x[:, whole])
    unit = np.where(np.arange(64) % 5 == 0, 0.0, np.linspace(0.5, 3.0, 64))
    limits = Problem(cast(Any, SimpleNamespace(estimator=net)), x, y, unit, np.zeros(64), np.ones(64), whole, norm)
    layers = layers_of(net, x[:0])
    assert layers is not None
    moved = ascend(layers, limits, x, y, 0.4, steps=4, dice=np.random.default_rng(0))
    change = (moved - x) / np.where(unit > 0, unit, 1.0)
    size = np.abs(change).max(axis=1) if norm == "linf" else np.linalg.norm(change, axis=1)
    assert size.max() <= 0.4 + 1e-9
    assert moved.min() >= 0.0
    assert moved.max() <= 1.0
    assert (moved[:, whole] == np.rint(moved[:, whole])).all()
    assert (moved[:, unit == 0] == x[:, unit == 0]).all()
    assert (net.predict(moved) == y).mean() < (net.predict(x) == y).mean()


@pytest.mark.parametrize("classes", [1, 4])
def test_slopes_and_blame_are_the_derivatives_of_the_cross_entropy(classes: int) -> None:
    """Against central differences, for weights as for scores."""
    dice = np.random.default_rng(classes)
    x, y = dice.normal(size=(7, 3)), dice.integers(0, max(2, classes), 7)
    net = MLPClassifier((5,), activation="tanh", max_iter=1, random_state=0).fit(x, np.arange(7) % max(2, classes))
    from bartizan.adapters.numpy_models import Layers

    def loss(first: Any) -> float:
        scores = Layers((first, net.coefs_[1]), tuple(net.intercepts_), "tanh").forward(x)[-1]
        if classes == 1:
            return float(np.logaddexp(0.0, np.where(y == 1, -scores[:, 0], scores[:, 0])).sum())
        return float((np.log(np.exp(scores).sum(1)) - scores[np.arange(7), y]).sum())

    layers = Layers(tuple(net.coefs_), tuple(net.intercepts_), "tanh")
    outputs = layers.forward(x)
    weights, _ = layers.slopes(outputs, blame(outputs[-1], y))
    for place in np.ndindex(3, 5):
        step = np.zeros((3, 5))
        step[place] = 1e-6
        numeric = (loss(net.coefs_[0] + step) - loss(net.coefs_[0] - step)) / 2e-6
        assert weights[0][place] == pytest.approx(numeric, abs=1e-5)


class Interrupted(Exception):
    pass


def test_augmentation_goes_on_from_its_checkpoint_to_the_same_model(tmp_path: Path) -> None:
    x, y = load_digits(return_X_y=True)
    x = (x / 16.0).astype(np.float32)
    from sklearn.tree import DecisionTreeClassifier

    def run(**more: Any) -> Any:
        held = (x[200:260], y[200:260])
        return harden_estimator(DecisionTreeClassifier(), x[:200], y[:200], corner_search(0.1, tries=5), held_out=held, rounds=3, **more)

    def stop(seen: Any) -> None:
        if seen.number == 2:
            raise Interrupted

    straight, path = run(), tmp_path / "kept"
    with pytest.raises(Interrupted):
        run(progress=stop, checkpoint=path)
    numbers: list[int] = []
    resumed = run(progress=lambda seen: numbers.append(seen.number), checkpoint=path)
    assert numbers == [3]
    assert resumed.rounds == straight.rounds
    assert np.array_equal(resumed.model.tree_.threshold, straight.model.tree_.threshold)
    with pytest.raises(InputError, match="another model"):
        run(checkpoint=path, seed=1)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(InputError, match="not a checkpoint"):
        Keeper(path, lambda: identity_of("mine")).load()
    with path.open("wb") as file:
        np.savez(file, identity=np.array([object()], dtype=object))
    with pytest.raises(InputError, match="not a checkpoint"):  # a pickle inside is not opened
        Keeper(path, lambda: identity_of("mine")).load()
    assert Keeper(None, lambda: "").load() is None


def test_wrong_plans_are_named() -> None:
    with pytest.raises(InputError, match="at least 1"):
        NetPlan(epochs=0)
    with pytest.raises(InputError, match="positive"):
        NetPlan(rate=-1.0)
