"""Out-of-domain inputs: models that extrapolate are caught, models that doubt pass, and what is sent really is unlike the training data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from bartizan.areas.evasion.tabular_domain import foreign_inputs
from bartizan.areas.evasion.tabular_inputs import Prepared, class_numbers
from bartizan.engine import registry
from bartizan.engine.parameters import parameters_of
from bartizan.model.errors import InputError
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Appetite, Asset, Dataset, Kind, Stage
from bartizan.testing import checks

CHECK = "evasion.out_of_domain"


def rings(rows: int, seed: int = 0) -> pd.DataFrame:
    """Two tight clouds in four dimensions that depend on each other, with a category that follows the cloud."""
    random = np.random.default_rng(seed)
    side = random.choice([-1.0, 1.0], rows)
    frame = pd.DataFrame(side[:, None] * [1, 2, -1, 3] + random.normal(0, 0.2, (rows, 4)), columns=list("abcd"))
    frame["place"] = np.where(side > 0, "north", "south")
    return frame.assign(label=np.where(side > 0, 1, 0))


def declared(folder: Path, model: Any, data: pd.DataFrame, split: int) -> tuple[Asset, Dataset, Dataset]:
    data[:split].to_csv(folder / "train.csv", index=False)
    data[split:].to_csv(folder / "test.csv", index=False)
    skops.io.dump(model.fit(data[:split].drop(columns="label"), data[:split].label), folder / "m.skops")
    asset = Asset(id="m", kind=Kind.MODEL, uri="m.skops", trained_on=("train",), tested_on=("test",))
    sets = [Dataset(id=name, stage=Stage(name), uri=f"{name}.csv", label="label") for name in ("train", "test")]
    return asset, sets[0], sets[1]


def encoded(model: Any) -> Any:
    return make_pipeline(ColumnTransformer([("place", OneHotEncoder(), ["place"])], remainder="passthrough"), model)


def test_a_model_that_extrapolates_fails(tmp_path: Path) -> None:
    nodes, described = declared(tmp_path, encoded(LogisticRegression()), rings(400), 300), registry.get(CHECK)
    values = parameters_of(described, Appetite(), {})
    job = Job(
        check=CHECK, version="1", threats=described.threats, subject=nodes[0], related=nodes[1:], root=str(tmp_path), parameters=values
    )
    (outcome,) = checks.contract(described, [job])
    [finding] = outcome.findings
    assert finding.verdict is Verdict.FAIL
    main, *kinds, control = finding.measures
    assert (main.role, main.limit) == ("attack-success", 0.1)
    assert main.k == sum(kind.k or 0 for kind in kinds)
    assert len(kinds) == 3
    assert control.value > 0.9


def test_a_model_that_doubts_passes(run_check, tmp_path: Path) -> None:
    """Far from its data a Gaussian process with a short length scale falls back to one half."""
    data = rings(160).drop(columns="place")
    model = GaussianProcessClassifier(RBF(0.7, "fixed"), optimizer=None)
    [finding] = run_check(CHECK, *declared(tmp_path, model, data, 100), threshold=0.6)
    assert finding.verdict is Verdict.PASS
    assert finding.measures[-1].value > 0.9


def test_a_threshold_that_nothing_reaches_says_nothing(run_check, tmp_path: Path) -> None:
    [finding] = run_check(CHECK, *declared(tmp_path, encoded(DummyClassifier(strategy="prior")), rings(300), 200))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "does not separate" in finding.why
    assert finding.needed is None


def test_what_is_sent_is_unlike_the_training_data_and_well_typed() -> None:
    data = rings(400).assign(whole=np.arange(400) % 7)
    train, test = data[:300].drop(columns="label"), data[300:].drop(columns="label").reset_index(drop=True)
    subject = Prepared(None, train, test, class_numbers([0, 1], data.label[300:]), np.arange(100))
    kinds = foreign_inputs(subject, 50, 0)
    assert [len(one.frame) for one in kinds] == [50, 50, 50]
    noise, shuffled, wide = (one.frame for one in kinds)
    for name in "abcd":
        assert noise[name].between(train[name].min(), train[name].max()).all()
        assert set(shuffled[name]) <= set(test[name])
    assert (~wide[list("abcd")].apply(lambda c: c.between(train[c.name].min(), train[c.name].max())).all(axis=1)).all()
    assert wide.whole.dtype == train.whole.dtype
    assert set(wide.place) <= {"north", "south"}
    nearest = np.array([np.abs(train[list("abcd")] - row).max(axis=1).min() for row in shuffled[list("abcd")].to_numpy()])
    assert (nearest > 0).all()


def test_independent_columns_are_no_other_domain_when_shuffled() -> None:
    """Columns that never belonged together are the same data when they are drawn apart: that kind is left out."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(3000, 2)), columns=["a", "b"])
    subject = Prepared(None, frame[:2500], frame[2500:].reset_index(drop=True), np.zeros(500, dtype=np.int64), np.arange(500))
    assert all("shuffled" not in one.kind for one in foreign_inputs(subject, 100, 0))


def test_what_cannot_be_measured_says_why(run_check, tmp_path: Path) -> None:
    data = pd.DataFrame({"place": ["north", "south"] * 100, "label": [1, 0] * 100})
    nodes = declared(tmp_path, make_pipeline(OneHotEncoder(), LogisticRegression()), data, 100)
    with pytest.raises(InputError, match="nothing that was drawn is unlike"):
        run_check(CHECK, *nodes)
    with pytest.raises(InputError, match="is no probability"):
        run_check(CHECK, *nodes, threshold=1.5)


def test_a_density_model_is_confident_everywhere(run_check, tmp_path: Path) -> None:
    data = rings(400).drop(columns="place")
    [finding] = run_check(CHECK, *declared(tmp_path, QuadraticDiscriminantAnalysis(reg_param=0.1), data, 300))
    assert finding.verdict is Verdict.FAIL
