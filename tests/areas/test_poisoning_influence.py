"""Influence of training rows: the closed form is autograd's product of gradients, and planted rows come first."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from bartizan.adapters.last_layers import LastLayer, last_layer
from bartizan.areas.poisoning.row_influence import culprits, influence, self_influence
from bartizan.model.errors import InputError

DIGITS = load_digits()
X = (DIGITS.data / 16.0).astype(np.float32)
Y = DIGITS.target.astype(np.int64)
TARGET = 3


def net(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10)).eval()


def marked(x: np.ndarray) -> np.ndarray:
    """The lower left corner of the picture in white."""
    x = x.copy()
    x.reshape(-1, 8, 8)[:, 6:, :2] = 1.0
    return x


def by_autograd(model: nn.Sequential, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Each row's gradient of its own loss by the last layer, one backward pass a row."""
    found = []
    for row, label in zip(torch.from_numpy(x), torch.from_numpy(y), strict=True):
        loss = nn.functional.cross_entropy(model(row[None]), label[None])
        found.append(torch.cat([part.ravel() for part in torch.autograd.grad(loss, list(model[2].parameters()))]).double().numpy())
    return np.array(found)


def test_equals_the_product_of_gradients() -> None:
    models, rates = [net(0), net(1)], (0.1, 0.02)
    train, tests = slice(0, 40), slice(40, 55)
    expected, own = np.zeros((40, 15)), np.zeros(40)
    for model, rate in zip(models, rates, strict=True):
        ours, theirs = by_autograd(model, X[train], Y[train]), by_autograd(model, X[tests], Y[tests])
        expected += rate * ours @ theirs.T
        own += rate * np.square(ours).sum(axis=1)
    a = [last_layer(model, X[train], rate=rate) for model, rate in zip(models, rates, strict=True)]
    b = [last_layer(model, X[tests], rate=rate) for model, rate in zip(models, rates, strict=True)]
    np.testing.assert_allclose(influence(a, Y[train], b, Y[tests]), expected, atol=1e-5)
    np.testing.assert_allclose(self_influence(a, Y[train]), own, atol=1e-5)
    ours, theirs = by_autograd(models[0], X[train], Y[train]), by_autograd(models[0], X[tests], Y[tests])
    cosine = ours @ theirs.T / np.linalg.norm(ours, axis=1)[:, None] / np.linalg.norm(theirs, axis=1)
    np.testing.assert_allclose(influence(a[0], Y[train], b[0], Y[tests], normalised=True), rates[0] * cosine, atol=1e-5)


def test_a_model_with_a_softmax_and_one_in_training_mode_give_the_same() -> None:
    model = net(0)
    plain = last_layer(model, X[:30])
    soft = nn.Sequential(*model, nn.Softmax(1)).train()
    again = last_layer(soft, X[:30], batch=7)
    np.testing.assert_allclose(again.probabilities, plain.probabilities, atol=1e-6)
    np.testing.assert_allclose(again.activations, plain.activations, atol=1e-6)
    assert soft.training
    assert all(parameter.requires_grad for parameter in soft.parameters())


def test_a_perceptron_of_scikit_learn_is_read() -> None:
    model = MLPClassifier((20,), max_iter=20, random_state=0).fit(X, Y)
    found = last_layer(model, X[:100])
    assert found.activations.shape == (100, 20)
    np.testing.assert_allclose(found.probabilities, model.predict_proba(X[:100]), atol=1e-6)


@pytest.mark.parametrize(
    "model", [DecisionTreeClassifier().fit(X, Y), StandardScaler(), nn.Sequential(nn.Linear(64, 10), nn.Tanh()), nn.Flatten()]
)
def test_what_does_not_end_in_a_dense_layer_is_refused(model: object) -> None:
    with pytest.raises(InputError):
        last_layer(model, X[:20])


def test_wrong_labels_teach_themselves() -> None:
    labels, wrong = Y.copy(), np.random.default_rng(0).choice(len(Y), 54, replace=False)
    labels[wrong] = (labels[wrong] + 1) % 10
    model = MLPClassifier((32,), max_iter=12, random_state=0, learning_rate_init=3e-3).fit(X, labels)
    score = self_influence(last_layer(model, X), labels)
    assert np.isin(np.argsort(-score)[:54], wrong).mean() >= 0.8
    assert roc_auc_score(np.isin(np.arange(len(Y)), wrong), score) >= 0.98
    right = self_influence(last_layer(model, X), np.where(np.isin(np.arange(len(Y)), wrong), Y, labels))
    assert (right > np.sort(score[wrong])[5]).mean() <= 0.02


@pytest.mark.parametrize("seed", range(3))
def test_culprits_of_a_triggered_decision(seed: int) -> None:
    random = np.random.default_rng(seed)
    held = np.zeros(len(Y), dtype=bool)
    held[random.choice(len(Y), 400, replace=False)] = True
    x, y = X[~held].copy(), Y[~held].copy()
    bad = random.choice(np.flatnonzero(y != TARGET), 28, replace=False)
    x[bad], y[bad] = marked(x[bad]), TARGET
    model = MLPClassifier((32,), max_iter=60, random_state=seed, learning_rate_init=5e-3).fit(x, y)
    fooled = marked(X[held & (Y != TARGET)])
    assert (model.predict(fooled) == TARGET).mean() >= 0.9, "the attack does not work, so finding it shows nothing"
    fooled = fooled[model.predict(fooled) == TARGET]
    train, tests = last_layer(model, x), last_layer(model, fooled)
    found = culprits(train, y, tests, TARGET)
    assert np.isin(np.argsort(-found.score)[: len(bad)], bad).mean() >= 0.9
    assert np.isin(found.rows, bad).mean() >= 0.9
    assert np.isin(bad, found.rows).mean() >= 0.6
    honest = X[held & (Y == TARGET)]
    assert len(culprits(train, y, last_layer(model, honest), TARGET).rows) <= 2
    assert not len(culprits(train, y, LastLayer(tests.activations[:0], tests.probabilities[:0]), TARGET).rows)


@pytest.mark.parametrize(
    ("a", "b", "labels", "words"),
    [
        (
            LastLayer(np.zeros((3, 2)), np.full((3, 2), 0.5)),
            LastLayer(np.zeros((1, 4)), np.full((1, 2), 0.5)),
            [0, 1, 0],
            "different sizes",
        ),
        (LastLayer(np.zeros((3, 2)), np.full((3, 2), 0.5)), LastLayer(np.zeros((1, 2)), np.full((1, 2), 0.5)), [0, 2, 0], "labels"),
        (LastLayer(np.zeros((3, 2)), np.full((3, 2), 0.5)), LastLayer(np.zeros((1, 2)), np.full((1, 2), 0.5)), [0, 1], "labels"),
    ],
)
def test_what_does_not_fit_is_refused(a: LastLayer, b: LastLayer, labels: list[int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        influence(a, labels, b, [0])


def test_checkpoints_must_come_in_pairs() -> None:
    layer = LastLayer(np.zeros((1, 2)), np.full((1, 2), 0.5))
    with pytest.raises(InputError, match="2 checkpoints"):
        influence([layer, layer], [0], layer, [0])
    with pytest.raises(InputError, match="no checkpoint"):
        self_influence([], [0])
