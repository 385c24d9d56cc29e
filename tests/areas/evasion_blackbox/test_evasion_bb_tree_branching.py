"""Branching on splits and the box-after-box search of Veritas prove the same distances; what was not proven is not claimed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("veritas")

from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

from bartizan.adapters.tree_models import read_ensemble
from bartizan.areas.evasion.constraints import Constraints
from bartizan.areas.evasion.tree_branching import nearest_branched, nearest_point
from bartizan.areas.evasion.tree_search import Pair, Steps, nearest_by_boxes, pair_of, reach, steps_of


def setting(kind: str) -> tuple[Pair, Steps, np.ndarray, Any]:
    """The pair (1 less 0) of an ensemble, and rows that it puts into class 0."""
    x, y = make_classification(600, 8, n_informative=6, random_state=3)
    forest = RandomForestClassifier(20, max_depth=5, random_state=0)
    model = (forest if kind == "forest" else GradientBoostingClassifier(n_estimators=25, max_depth=4, random_state=0)).fit(x, y)
    ensemble = read_ensemble(model, x[:50])
    steps = steps_of(ensemble, Constraints().rules(8))
    rows = x[500:]
    return pair_of(ensemble, 0, 1, steps), steps, ensemble.rounded(rows[model.predict(rows) == 0][:12]), model


def around(x: np.ndarray, half: float) -> tuple[np.ndarray, np.ndarray]:
    return x - half, x + half


@pytest.mark.parametrize("kind", ["forest", "boosted"])
def test_one_pass_proves_what_box_after_box_proves(kind: str) -> None:
    pair, steps, rows, model = setting(kind)
    for row in rows:
        window = around(row, math.inf)
        bottom = reach(pair, row, window, 0.0)
        one, proven = nearest_branched(pair, row, window, least=1e-9, within=math.inf, bottom=bottom, nodes=5000)
        other = nearest_by_boxes(pair, steps, row, window, least=1e-9, within=math.inf, bottom=bottom, effort=200_000)
        assert proven
        assert other.lower == other.distance
        assert one.distance == pytest.approx(other.distance, abs=1e-9)
        assert one.distance >= bottom * (1 - 1e-12)
        assert model.predict(one.point[None])[0] == 1


def test_out_of_parts_nothing_is_claimed_that_is_not_proven() -> None:
    pair, steps, rows, _ = setting("forest")
    cut_short = 0
    for row in rows:
        window = around(row, math.inf)
        bottom = reach(pair, row, window, 1e-9)
        true, _ = nearest_branched(pair, row, window, least=1e-9, within=math.inf, bottom=bottom, nodes=5000)
        for nodes in (1, 3, 10):
            found, proven = nearest_branched(pair, row, window, least=1e-9, within=math.inf, bottom=bottom, nodes=nodes)
            cut_short += not proven
            assert found.lower <= true.distance * (1 + 1e-12)
            assert not proven or found.distance == true.distance
            assert found.point is None or found.distance >= true.distance
        rest = nearest_point(pair, steps, row, window, least=1e-9, within=math.inf, effort=40)
        assert rest.lower <= true.distance * (1 + 1e-12)
    assert cut_short


def test_radius_and_window_bound_the_search() -> None:
    pair, _, rows, _ = setting("boosted")
    for row in rows:
        free, _ = nearest_branched(pair, row, around(row, math.inf), least=1e-9, within=math.inf, bottom=0.0, nodes=5000)
        short, proven = nearest_branched(pair, row, around(row, math.inf), least=1e-9, within=free.distance * 0.9, bottom=0.0, nodes=5000)
        assert proven
        assert short.point is None
        assert free.distance * 0.9 <= short.lower <= free.distance
        none, proven = nearest_branched(pair, row, around(row, free.distance * 0.9), least=1e-9, within=math.inf, bottom=0.0, nodes=5000)
        assert proven
        assert none.point is None
        assert math.isinf(none.lower)
        held = np.arange(8) == int(np.abs(free.point - row).argmax())  # the feature that moved most stays
        window = (np.where(held, row, -np.inf), np.where(held, row, np.inf))
        other, _ = nearest_branched(pair, row, window, least=1e-9, within=math.inf, bottom=0.0, nodes=5000)
        assert other.distance >= free.distance
        assert other.point is None or other.point[held] == row[held]
