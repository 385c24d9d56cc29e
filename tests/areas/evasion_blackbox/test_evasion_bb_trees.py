"""Nearest evasions of tree ensembles: known distances, agreement with brute force, the model's own precision, constraints."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.tree import DecisionTreeClassifier

from bartizan.adapters.tree_models import is_tree_ensemble, predictor, read_ensemble
from bartizan.areas.evasion.constraints import Constraints, Cost
from bartizan.areas.evasion.trees import nearest_tree_evasion
from bartizan.model.errors import InputError

pytest.importorskip("veritas")
xgboost = pytest.importorskip("xgboost")
lightgbm = pytest.importorskip("lightgbm")


def data(classes: int = 2, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_classification(n, 6, n_informative=5, n_redundant=0, n_classes=classes, random_state=1)
    return x, y


MODELS: dict[str, Any] = {
    "tree": lambda: DecisionTreeClassifier(max_depth=5, random_state=0),
    "forest": lambda: RandomForestClassifier(12, max_depth=4, random_state=0),
    "extra": lambda: ExtraTreesClassifier(12, max_depth=4, random_state=0),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=8, random_state=0),
    "histogram": lambda: HistGradientBoostingClassifier(max_iter=10, max_leaf_nodes=8, random_state=0),
    "xgboost": lambda: xgboost.XGBClassifier(n_estimators=12, max_depth=3, n_jobs=1),
    "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=12, num_leaves=8, n_jobs=1, verbose=-1),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", MODELS)
def test_every_family_is_read_and_evaded_exactly(name: str, classes: int, dtype: Any) -> None:
    x, y = data(classes)
    x = x.astype(dtype)
    model = MODELS[name]().fit(x[:500], y[:500])
    assert is_tree_ensemble(model)
    ensemble = read_ensemble(model, x[500:])
    assert (ensemble.classes[ensemble.scores(x[500:]).argmax(axis=1)] == predictor(model)(x[500:])).all()
    answer = nearest_tree_evasion(model, x[500:512], y[500:512])
    live = answer.found & ~answer.wrong
    assert answer.found.all()
    assert answer.exact.all()
    assert answer.adversarial.dtype == dtype
    assert (np.asarray(model.predict(answer.adversarial[live])) != y[500:512][live]).all()
    change = np.abs(answer.adversarial.astype(float) - x[500:512].astype(float)).max(axis=1)
    np.testing.assert_allclose(answer.distance[live], change[live], rtol=1e-12)


def test_a_stump_turns_at_its_threshold_to_the_last_bit() -> None:
    x = np.array([[0.0], [1.0], [2.0], [3.0]], dtype=np.float32)
    model = DecisionTreeClassifier(max_depth=1).fit(x, [0, 0, 1, 1])
    threshold = float(model.tree_.threshold[0])
    answer = nearest_tree_evasion(model, np.array([[1.0], [2.0]], dtype=np.float32), [0, 1])
    assert answer.adversarial[0, 0] == np.nextafter(np.float32(threshold), np.float32(np.inf))  # x <= threshold goes left
    assert answer.adversarial[1, 0] == np.float32(threshold)
    assert answer.distance == pytest.approx([0.5, 0.5], abs=1e-6)


def brute(model: Any, x: np.ndarray, label: int, norm: str) -> float:
    """The nearest evasion by trying one point of every cell of the grid of thresholds (3 features)."""
    ensemble = read_ensemble(model, x[None])
    axes = []
    for f in range(x.size):
        cuts = sorted({float(t.threshold[i]) for t in ensemble.trees for i in np.flatnonzero(t.left >= 0) if t.feature[i] == f})
        values = [float(x[f])] + [c for c in cuts if c > x[f]]
        values += [float(np.nextafter(np.float32(c), np.float32(-np.inf))) for c in cuts if c <= x[f]]
        axes.append(values)
    grid = np.array(list(itertools.product(*axes)))
    change = np.abs(grid - x)
    length = {"linf": change.max(1), "l1": change.sum(1), "l2": np.sqrt((change**2).sum(1)), "l0": (change > 0).sum(1)}[norm]
    return float(length[model.predict(grid.astype(np.float32)) != label].min())


@pytest.mark.parametrize("norm", ["linf", "l1", "l2", "l0"])
def test_distances_equal_those_of_every_cell_tried(norm: str) -> None:
    x, y = make_classification(300, 3, n_informative=3, n_redundant=0, random_state=3)
    x = x.astype(np.float32)
    model = xgboost.XGBClassifier(n_estimators=5, max_depth=3, n_jobs=1).fit(x, y)
    rows, labels = x[:5], model.predict(x[:5])
    answer = nearest_tree_evasion(model, rows, norm=norm)
    expected = [brute(model, row, label, norm) for row, label in zip(rows, labels, strict=True)]
    assert answer.exact.all()
    np.testing.assert_allclose(answer.distance, expected, rtol=1e-5, atol=1e-6)


def test_distance_is_that_of_veritas_own_robustness_search() -> None:
    import veritas

    x, y = make_classification(700, 30, n_informative=12, random_state=0)
    x = x.astype(np.float32)
    model = xgboost.XGBClassifier(n_estimators=30, max_depth=4, n_jobs=1).fit(x[:600], y[:600])
    rows = x[600:608]
    answer = nearest_tree_evasion(model, rows)
    trees = veritas.get_addtree(model, silent=True)
    for row, label, distance in zip(rows, model.predict(rows), answer.distance, strict=True):
        sides = (trees, None) if label == 1 else (None, trees)
        search = veritas.VeritasRobustnessSearch(row.astype(float), 4.0, *sides, silent=True, num_steps=30)
        assert distance == pytest.approx(search.search()[2], abs=1e-3)


def test_nothing_evades_where_no_split_is_in_reach() -> None:
    x, y = data()
    model = DecisionTreeClassifier(max_depth=1, random_state=0).fit(x, y)
    used = int(model.tree_.feature[0])
    answer = nearest_tree_evasion(model, x[:20], constraints=Constraints(immutable=(used,)))
    assert not answer.found.any()
    assert answer.exact.all()
    assert np.isinf(answer.lower).all()
    assert answer.certified(100.0) == 1.0


def test_constrained_evasions_obey_and_rows_that_do_not_are_reported() -> None:
    x, y = data(n=700)
    x[:, 0] = np.rint(x[:, 0] * 3)
    x[:, 1:4] = np.eye(3)[x[:, 1:4].argmax(axis=1)]
    x = x.astype(np.float32)
    model = xgboost.XGBClassifier(n_estimators=10, max_depth=3, n_jobs=1).fit(x[:600], y[:600])
    x[600, 0] += np.float32(0.5)
    constraints = Constraints(integer=(0,), one_hot=((1, 2, 3),), only_up=(4,), cost={0: Cost(up=1, down=2), 5: Cost()}, budget=4.0)
    rules = constraints.rules(6)
    for norm in ("linf", "l1"):
        answer = nearest_tree_evasion(model, x[600:612], y[600:612], norm=norm, constraints=constraints)
        assert list(answer.discarded) == [0]
        assert "integer" in answer.discarded[0]
        assert not answer.found[0]
        live = answer.found & ~answer.wrong
        assert live.sum() >= 5
        assert rules.obeys(x[600:612][live], answer.adversarial[live]).all()
        assert (model.predict(answer.adversarial[live]) != y[600:612][live]).all()
        assert (answer.lower <= answer.distance + 1e-9).all()


def test_constraints_never_shorten_the_way_and_results_repeat() -> None:
    x, y = data()
    model = MODELS["forest"]().fit(x, y)
    free = nearest_tree_evasion(model, x[:15], y[:15])
    bound = nearest_tree_evasion(model, x[:15], y[:15], constraints=Constraints(immutable=(0,), only_up=(1, 2)))
    again = nearest_tree_evasion(model, x[:15], y[:15])
    assert (bound.distance >= free.distance - 1e-9).all()
    assert (again.adversarial == free.adversarial).all()
    result = free.result([0.01, 0.5])
    assert result.at[0].robust >= result.at[1].robust
    assert result.trust.ok


def test_models_that_cannot_be_read_say_so() -> None:
    x, y = data()
    model = lightgbm.LGBMClassifier(n_estimators=3, zero_as_missing=True, n_jobs=1, verbose=-1).fit(x, y)
    with pytest.raises(InputError, match="zero as missing"):
        nearest_tree_evasion(model, x[:3])
    with pytest.raises(InputError, match="rows of numbers"):
        nearest_tree_evasion(model, x[0])
