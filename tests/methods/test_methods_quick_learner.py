"""The quick learner grows the trees of scikit-learn's forest, in less time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bartizan.methods.quick_learner import Goal, QuickLearner, matrix_of


@pytest.mark.parametrize("goal", list(Goal))
def test_its_trees_are_those_of_extremely_randomised_trees(goal: Goal) -> None:
    from sklearn.ensemble import ExtraTreesRegressor

    random = np.random.default_rng(0)
    matrix = matrix_of(pd.DataFrame(random.normal(size=(150, 4)), columns=list("abcd")))
    target = {Goal.BINARY: random.random(150) < 0.5, Goal.CLASSES: random.integers(0, 3, 150), Goal.NUMBER: random.normal(size=150)}[goal]
    rows, places = np.arange(120), [0, 2, 3]
    told = QuickLearner(goal, seed=3, trees=7, leaf=4).fit(matrix, rows, places, target.astype(float)).predict(matrix.levels)

    marks = np.eye(3)[target[rows]] if goal is Goal.CLASSES else target[rows].astype(float)
    theirs = ExtraTreesRegressor(n_estimators=7, min_samples_leaf=4, max_features=0.5, random_state=3)
    expected = theirs.fit(matrix.levels[rows][:, places], marks).predict(matrix.levels[:, places])
    assert np.array_equal(told, expected.argmax(axis=1) if goal is Goal.CLASSES else expected)
