"""Hardening by augmentation of estimators without gradients, and that the gate, replay and this load no torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC

from bartizan.areas.evasion.defences.augmenting import corner_search, harden_estimator
from bartizan.model.errors import InputError


@pytest.fixture(scope="module")
def rows():
    x, y = load_digits(return_X_y=True)
    return (x / 16.0).astype(np.float32), y


def test_the_search_stays_inside_and_evades(rows):
    x, y = rows
    model = RandomForestClassifier(20, random_state=0).fit(x[:1000], y[:1000])
    changed = corner_search(0.15)(model, x[1000:1100], y[1000:1100], 3)
    assert np.abs(changed - x[1000:1100]).max() <= 0.15 + 1e-6
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert model.score(changed, y[1000:1100]) < model.score(x[1000:1100], y[1000:1100]) - 0.2
    again = corner_search(0.15)(model, x[1000:1100], y[1000:1100], 3)
    assert np.array_equal(changed, again)


@pytest.mark.parametrize("estimator", [RandomForestClassifier(30, random_state=0), MLPClassifier((32,), max_iter=60, random_state=0)])
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_forest_and_a_net_get_harder_to_evade(rows, estimator):
    x, y = rows
    done = harden_estimator(estimator, x[:400], y[:400], corner_search(0.15, tries=25), held_out=(x[1200:1400], y[1200:1400]), rounds=2)
    assert done.rounds[done.best].robust >= done.rounds[0].robust + 0.04
    assert [one.rows for one in done.rounds] == [400, 800, 1200]
    assert not hasattr(estimator, "classes_")  # the caller's estimator is not fitted
    assert done.rounds[done.best].low <= done.rounds[done.best].robust <= done.rounds[done.best].high


def test_xgboost_gets_harder_to_evade(rows):
    xgboost = pytest.importorskip("xgboost")
    x, y = rows
    few, held = y[:500] < 2, y[500:1500] < 2
    model = xgboost.XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1)
    held_out = (x[500:1500][held], y[500:1500][held])
    done = harden_estimator(model, x[:500][few], y[:500][few], corner_search(0.3, tries=25), held_out=held_out, rounds=2)
    assert done.rounds[done.best].robust >= done.rounds[0].robust + 0.04


def test_labels_alone_are_enough(rows):
    x, y = rows
    done = harden_estimator(LinearSVC(), x[:300], y[:300], corner_search(0.1, tries=5), held_out=(x[1000:1100], y[1000:1100]), rounds=1)
    assert len(done.rounds) == 2
    with pytest.raises(InputError, match="floating"):
        harden_estimator(LinearSVC(), y[:10], y[:10], corner_search(0.1), held_out=(x[:5], y[:5]))


def test_no_torch_is_loaded_where_none_is_needed():
    code = (
        "import sys, bartizan.areas.evasion.gate, bartizan.areas.evasion.replay, bartizan.areas.evasion.defences.augmenting, "
        "bartizan.areas.evasion.certificates, bartizan.areas.evasion.defences; "
        "sys.exit(bool({'torch', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
