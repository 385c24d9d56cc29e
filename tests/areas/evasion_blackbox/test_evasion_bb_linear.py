"""Linear models in closed form: against linear programming, known distances, boxes, the model's own word; perceptrons as layers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC

from bartizan.adapters.numpy_models import layers_of, numpy_target
from bartizan.areas.evasion.constraints import Constraints
from bartizan.areas.evasion.linear import nearest_linear_evasion
from bartizan.areas.evasion.targets import margin_gradient
from bartizan.model.errors import InputError


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    return x / 16, y


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2), ("l1", np.inf)])
def test_the_distance_is_the_margin_by_the_dual_norm(norm: str, dual: float) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 5))
    y = (x @ [1.0, -2, 0.5, 3, 0] > 0.3).astype(int)
    model = LogisticRegression().fit(x, y)
    answer = nearest_linear_evasion(model, x[:40], norm=norm)
    expected = np.abs(model.decision_function(x[:40])) / np.linalg.norm(model.coef_[0], dual)
    np.testing.assert_allclose(answer.distance, expected, rtol=2e-5)
    np.testing.assert_allclose(answer.lower, expected, rtol=1e-9)
    assert answer.exact.all()


def programmed(model: LogisticRegression, row: np.ndarray, label: int, norm: str) -> float:
    """The distance by linear programming over all rival classes inside [0, 1]."""
    best, d = np.inf, row.size
    for rival in range(len(model.classes_)):
        if rival == label:
            continue
        w = model.coef_[rival] - model.coef_[label]
        gap = -(row @ w + model.intercept_[rival] - model.intercept_[label])
        upper, limits = [np.r_[-w, w, 0]], [-gap]
        if norm == "linf":
            upper += [np.r_[np.eye(d)[i], np.eye(d)[i], -1] for i in range(d)]
            limits += [0.0] * d
        cost = np.r_[np.zeros(2 * d), 1] if norm == "linf" else np.r_[np.ones(2 * d), 0]
        bounds = [(0, 1 - v) for v in row] + [(0, v) for v in row] + [(0, None)]
        solved = linprog(cost, A_ub=np.array(upper), b_ub=limits, bounds=bounds)
        best = min(best, solved.fun) if solved.status == 0 else best
    return best


@pytest.mark.parametrize("norm", ["linf", "l1"])
def test_softmax_inside_a_box_equals_linear_programming(digits: tuple[np.ndarray, np.ndarray], norm: str) -> None:
    x, y = digits
    model = LogisticRegression(max_iter=200).fit(x[:800], y[:800])
    answer = nearest_linear_evasion(model, x[:5], y[:5], norm=norm, valid_range=(0.0, 1.0))
    expected = [programmed(model, row, label, norm) for row, label in zip(x[:5], y[:5], strict=True)]
    np.testing.assert_allclose(answer.lower, expected, rtol=1e-6)
    np.testing.assert_allclose(answer.distance, expected, rtol=3e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_families_and_preprocessing_confirmed_by_predict(digits: tuple[np.ndarray, np.ndarray], norm: str, dtype: type) -> None:
    x, y = digits[0][:400].astype(dtype), digits[1][:400]
    for model in (LinearSVC(), RidgeClassifier(), make_pipeline(StandardScaler(), MinMaxScaler(), LogisticRegression(max_iter=300))):
        model.fit(x, y)
        answer = nearest_linear_evasion(model, x[:30], y[:30], norm=norm, valid_range=(0.0, 1.0))
        live = answer.found & ~answer.wrong
        assert answer.found.all()
        assert (model.predict(answer.adversarial[live]) != y[:30][live]).all()
        assert answer.adversarial.min() >= 0
        assert answer.adversarial.max() <= 1
        assert (answer.distance[live] <= answer.lower[live] * (1 + 1e-4) + 1e-6).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_steps_and_relations_are_kept(seed: int) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(60, 5))
    x[:, 0] = np.rint(x[:, 0] * 4)
    x[:, 4] = x[:, 3] - random.random(60)
    y = (x @ random.normal(size=5) > 0).astype(int)
    if len(set(y.tolist())) < 2:
        return
    constraints = Constraints(integer=(0,), at_least=((3, 4),), only_down=(2,), most_change={1: 1.0})
    answer = nearest_linear_evasion(LogisticRegression().fit(x, y), x[:20], norm="linf", constraints=constraints)
    assert constraints.rules(5).obeys(x[:20], answer.adversarial).all()
    assert (answer.lower <= answer.distance).all()


def test_a_model_that_ignores_what_may_move_cannot_be_evaded() -> None:
    x = np.random.default_rng(0).normal(size=(100, 3))
    model = LogisticRegression().fit(x, (x[:, 0] > 0).astype(int))
    model.coef_[0, 1:] = 0.0
    answer = nearest_linear_evasion(model, x, constraints=Constraints(immutable=(0,)))
    assert not answer.found.any()
    assert np.isinf(answer.lower).all()
    with pytest.raises(InputError, match="no linear classifier"):
        nearest_linear_evasion(RandomForestClassifier(3).fit(x, x[:, 0] > 0), x)


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize("classes", [2, 3])
def test_gradients_of_perceptrons_equal_differences(digits: tuple[np.ndarray, np.ndarray], activation: str, classes: int) -> None:
    keep = digits[1] < classes
    x, y = digits[0][keep][:200], digits[1][keep][:200]
    net = make_pipeline(StandardScaler(), MLPClassifier((9, 7), activation=activation, max_iter=40, random_state=0)).fit(x, y)
    target = numpy_target(net, x[:4])
    _, gradient = margin_gradient(target, x[:4], y[:4])
    assert layers_of(net, x) is not None
    for column in (10, 20, 36):
        step = np.zeros(64)
        step[column] = 1e-6
        above, below = (margin_gradient(target, x[:4] + sign * step, y[:4])[0] for sign in (1, -1))
        np.testing.assert_allclose(gradient[:, column], (above - below) / 2e-6, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(target.decide(x[:50]), net.predict(x[:50]))


def test_what_a_function_gives_is_read_and_checked() -> None:
    x = np.random.default_rng(0).random((6, 2))
    assert numpy_target(lambda r: (r[:, 0] > 0.5).astype(int), x).gives == "labels"
    assert numpy_target(lambda r: np.column_stack([r[:, 0], 1 - r[:, 0]]), x).gives == "probabilities"
    assert numpy_target(lambda r: r * 7 - 3, x).gives == "logits"
    with pytest.raises(InputError, match="neither"):
        numpy_target("model", x)
    with pytest.raises(InputError, match="NaN"):
        numpy_target(lambda r: r * np.nan, x, gives="logits").logits(x)
