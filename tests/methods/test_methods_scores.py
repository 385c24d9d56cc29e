"""Scores with intervals, the quick learner and single columns: against scikit-learn, scipy and simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score

from bartizan.methods.groups import candidates, group_values
from bartizan.methods.quick_learner import Goal, QuickLearner, Sort, folds_of, matrix_of
from bartizan.methods.scores import accuracy, auroc, explained, loss
from bartizan.methods.single_columns import clusters, likeness, told_by


def sample(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.random(rows) < 0.4
    shared = random.normal(size=rows)
    return truth, truth + shared + 0.3 * random.normal(size=rows), truth + shared + 0.5 * random.normal(size=rows)


def test_values_are_those_of_scikit_learn() -> None:
    truth, one, other = sample(300, 0)
    assert auroc(np.round(one, 1), truth).value == pytest.approx(roc_auc_score(truth, np.round(one, 1)))  # ties counted half
    assert accuracy((one > 0.5) == truth).value == pytest.approx(accuracy_score(truth, one > 0.5))
    assert explained(one, other).value == pytest.approx(r2_score(one, other))


def test_errors_are_the_spread_over_many_samples() -> None:
    """Of a score, and of the paired difference of two scores, which is far smaller than that of unpaired ones."""
    areas, errors, losses, loss_errors = [], [], [], []
    for seed in range(400):
        truth, one, other = sample(200, seed)
        first, second = auroc(one, truth), auroc(other, truth)
        areas.append(first.value)
        errors.append(first.error)
        lost = loss(first, second)
        losses.append(lost.value)
        loss_errors.append(lost.error)
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.12)  # 400 samples tell a spread to 3.5 %
    assert np.mean(loss_errors) == pytest.approx(np.std(losses), rel=0.12)
    assert np.mean(loss_errors) < 0.7 * np.mean(errors)


def test_folds_are_averaged_and_one_class_does_not_count() -> None:
    truth, one, _ = sample(300, 1)
    folds = np.arange(300) % 3
    by_hand = np.mean([roc_auc_score(truth[folds == fold], one[folds == fold]) for fold in range(3)])
    assert auroc(one, truth, folds).value == pytest.approx(by_hand)
    with pytest.raises(ValueError, match="both classes"):
        auroc(one, np.ones(300))


def test_an_interval_stays_between_nothing_and_all() -> None:
    value, low, high = auroc(np.arange(40), np.arange(40) >= 20).interval()
    assert (value, high) == (1.0, 1.0)
    assert 0.8 < low < 1.0


def test_a_matrix_takes_what_tables_hold() -> None:
    frame = pd.DataFrame(
        {
            "number": [1.0, np.nan, np.inf, 4.0] * 10,
            "word": ["a", None, "b", "a"] * 10,
            "many": [f"w{i}" for i in range(40)],
            "when": pd.to_datetime(["2020-01-01", None, "2020-01-02", "2020-01-01"] * 10),
            "list": [[1], [1, 2], None, [1]] * 10,
            "none": [None] * 40,
        }
    )
    matrix = matrix_of(frame)
    assert matrix.sorts == (Sort.NUMBER, Sort.CATEGORY, Sort.MANY, Sort.NUMBER, Sort.CATEGORY, Sort.CATEGORY)
    assert np.isnan(matrix.values[:4, 0]).tolist() == [False, True, True, False]
    assert np.isfinite(matrix.levels).all()
    assert matrix.values[2, 3] - matrix.values[0, 3] == 86400.0
    rows = np.arange(40)
    target = (rows % 2).astype(float)
    told = QuickLearner(Goal.BINARY).fit(matrix, rows, [0, 1, 2, 3, 4, 5], target).predict(matrix.levels)
    assert told.shape == (40,)
    assert ((told >= 0) & (told <= 1)).all()


def test_the_learner_finds_what_no_column_tells_alone() -> None:
    random = np.random.default_rng(0)
    x = random.integers(0, 2, (1500, 2))
    matrix = matrix_of(pd.DataFrame(np.column_stack([x, random.normal(size=(1500, 4))])))
    target = (x[:, 0] ^ x[:, 1]).astype(float)
    learner = QuickLearner(Goal.BINARY, seed=1).fit(matrix, np.arange(1000), list(range(6)), target)
    assert roc_auc_score(target[1000:], learner.predict(matrix.levels[1000:])) > 0.95
    again = QuickLearner(Goal.BINARY, seed=1).fit(matrix, np.arange(1000), list(range(6)), target)
    assert (learner.predict(matrix.levels[1000:]) == again.predict(matrix.levels[1000:])).all()


def test_single_columns_and_their_likeness() -> None:
    random = np.random.default_rng(2)
    a = random.normal(size=3000)
    frame = pd.DataFrame({"a": a, "rising": np.exp(a) + 0.01 * random.normal(size=3000), "bent": a**2, "free": random.normal(size=3000)})
    matrix = matrix_of(frame)
    alike = likeness(matrix)
    assert alike[0, 1] == pytest.approx(abs(spearmanr(frame.a, frame.rising)[0]), abs=0.01)
    assert alike[0, 2] > 0.7  # no rank correlation, and the same column all the same
    assert alike[0, 3] < 0.15
    found = clusters(alike)
    assert found[0] == found[1] == found[2] != found[3]
    truth = (np.abs(a) > 1).astype(float)
    folds = folds_of(truth, 5, 0)
    told = told_by(matrix, 0, truth, Goal.BINARY, folds)
    assert auroc(told, truth == 1, folds).value > 0.95  # a relation that falls and rises


def test_folds_hold_each_class_alike_and_the_seed_decides() -> None:
    target = np.array([0.0] * 90 + [1.0] * 10)
    folds = folds_of(target, 5, 3)
    assert [int(target[folds == fold].sum()) for fold in range(5)] == [2] * 5
    assert (folds == folds_of(target, 5, 3)).all()
    assert (folds != folds_of(target, 5, 4)).any()


def test_groups_by_name_and_value() -> None:
    assert candidates(pd.DataFrame(columns=["sex", "usage", "Nationality", "y"]), "y") == ("sex", "Nationality")
    assert sorted(group_values(pd.Series([True, False, None])).unique()) == ["(missing)", "False", "True"]
