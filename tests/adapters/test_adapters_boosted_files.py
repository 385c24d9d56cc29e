"""XGBoost files are data: what was saved comes back, and a forged tree is told before anything walks it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bartizan.adapters.boosted_files import load_xgboost
from bartizan.model.errors import InputError

xgboost = pytest.importorskip("xgboost")


@pytest.mark.parametrize("ending", [".json", ".ubj"])
def test_a_saved_model_comes_back_with_its_rounds_and_depth(tmp_path: Path, ending: str) -> None:
    x, y = load_digits(return_X_y=True)
    model = xgboost.XGBClassifier(n_estimators=3, max_depth=2, n_jobs=1).fit(x[:200], y[:200])
    model.save_model(tmp_path / f"m{ending}")
    again = load_xgboost(tmp_path, tmp_path / f"m{ending}")
    assert np.array_equal(again.predict(x), model.predict(x))
    assert (again.n_estimators, again.max_depth) == (3, 2)


@pytest.mark.parametrize(("key", "value"), [("left_children", 0), ("right_children", 10_000), ("split_indices", 900)])
def test_a_tree_that_leads_out_of_itself_is_refused(tmp_path: Path, key: str, value: int) -> None:
    x, y = load_digits(n_class=2, return_X_y=True)
    path = tmp_path / "m.json"
    xgboost.XGBClassifier(n_estimators=1, max_depth=2, n_jobs=1).fit(x, y).save_model(path)
    described = json.loads(path.read_text())
    described["learner"]["gradient_booster"]["model"]["trees"][0][key][0] = value
    path.write_text(json.dumps(described))
    with pytest.raises(InputError, match=r"out of it|no readable"):
        load_xgboost(tmp_path, path)


def test_other_files_are_told(tmp_path: Path) -> None:
    for name, content, says in (("a.json", "{}", "no readable"), ("b.ubj", "x", "no readable"), ("c.bin", "x", "save_model")):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=says):
            load_xgboost(tmp_path, tmp_path / name)
