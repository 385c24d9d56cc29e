"""White-box evasion without torch: exact figures agree with brute force, gradients break nets, whole steps and ranges hold."""

from __future__ import annotations

import dataclasses
import itertools
import struct
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bartizan.adapters.numpy_models import layers_of
from bartizan.areas.evasion import check_white_box, tabular_whitebox
from bartizan.areas.evasion.images_picture import side_by_side
from bartizan.areas.evasion.result import Trust
from bartizan.areas.evasion.tabular_inputs import Prepared, class_numbers
from bartizan.areas.evasion.tabular_whitebox import Problem, break_rows, problem_of, random_breaks
from bartizan.engine import registry
from bartizan.engine.parameters import parameters_of
from bartizan.model.errors import InputError
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Appetite, Asset, Dataset, Format, Kind, Stage, Task
from bartizan.testing import checks

CHECK = "evasion.white_box"
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def table(rows: int, columns: int = 5, classes: int = 3) -> pd.DataFrame:
    features, labels = make_classification(
        rows, columns, n_informative=columns - 1, n_redundant=0, n_classes=classes, n_clusters_per_class=1, class_sep=0.8, random_state=0
    )
    frame = pd.DataFrame(features * [1, 10, 0.1, 4, 1][:columns], columns=[f"f{i}" for i in range(columns)])
    frame["f3"] = np.rint(frame.f3)
    return frame.assign(kind=[f"k{label}" for label in labels])


def subject_of(model: Any, data: pd.DataFrame, split: int) -> Prepared:
    train, test = data[:split], data[split:].reset_index(drop=True)
    model.fit(train.drop(columns="kind"), train.kind)
    labels = class_numbers(model.classes_, test.kind)
    return Prepared(model, train.drop(columns="kind"), test.drop(columns="kind"), labels, np.arange(1, len(test) + 1))


def problem(model: Any, data: pd.DataFrame, split: int, norm: str = "linf", *, images: bool = False) -> Problem:
    subject = subject_of(model, data, split)
    return problem_of(subject, subject.correct(), norm, images=images)


def digits(rows: int) -> pd.DataFrame:
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.data))[:rows]
    frame = pd.DataFrame(data.data[order] / 16, columns=[f"p{i:02d}" for i in range(64)])
    return frame.assign(kind=data.target[order])


def test_linear_models_are_decided_exactly_as_by_all_corners() -> None:
    """Brute force over the 2^5 corners of the box, whole steps included, finds the same rows."""
    task = problem(make_pipeline(StandardScaler(), LogisticRegression()), table(400), 300)
    found = break_rows(task, 0.4, 0)
    fall, rise = task.walls(0.4)
    corners = [task.x + np.where(sides, fall, rise) for sides in itertools.product([True, False], repeat=5)]
    broken = np.any([task.decisions(corner) != task.labels for corner in corners], axis=0)
    assert (found.broken == broken).all()
    assert (found.proven == ~broken).all()
    assert 0.05 < found.broken.mean() < 0.95
    assert found.exact


def test_changed_rows_keep_radius_range_and_whole_steps() -> None:
    for model in (LogisticRegression(max_iter=500), MLPClassifier((16,), max_iter=60, random_state=0)):
        task = problem(make_pipeline(StandardScaler(), model), table(400), 300)
        found = break_rows(task, 0.5, 0)
        assert found.broken.any()
        change = np.abs(found.changed - task.x)
        assert (change <= 0.5 * task.unit * (1 + 1e-6)).all()
        assert (found.changed >= task.low).all()
        assert (found.changed <= task.high).all()
        assert (found.changed[:, 3] == np.rint(found.changed[:, 3])).all()
        assert (task.decisions(found.changed)[found.broken] != task.labels[found.broken]).all()
        assert (change[~found.broken] == 0).all()


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_closed_form_is_never_beaten_by_the_cascade(norm: str) -> None:
    """Two roads to the same figure: the nearest half-space, and gradients on the same model."""
    data = table(300).drop(columns="f3")
    task = problem(make_pipeline(StandardScaler(), LogisticRegression()), data, 200, norm)
    exact = break_rows(task, 0.5, 0)
    layers = layers_of(task.prepared.estimator, task.prepared.test.to_numpy())
    assert layers is not None
    searched = tabular_whitebox._cascade(task, layers, 0.5, 0)
    assert (searched.broken <= exact.broken).all()
    assert searched.broken.sum() >= 0.95 * exact.broken.sum()
    assert (exact.broken | exact.proven).all()
    assert [radius for radius, _ in exact.curve] == [0.125, 0.25, 0.5]


def test_trees_are_decided_exactly() -> None:
    pytest.importorskip("veritas")
    task = problem(RandomForestClassifier(8, max_depth=5, random_state=0), table(300), 240)
    found = break_rows(task, 0.3, 0)
    assert found.exact
    assert 0 < found.broken.sum() < len(found.broken)
    for _ in range(300):  # no random corner or inner point breaks what is proven
        fall, rise = task.walls(0.3)
        point = task.x + np.random.default_rng(_).uniform(fall, rise)
        point[:, 3] = np.rint(point[:, 3])
        assert (task.decisions(point)[found.proven] == task.labels[found.proven]).all()
    with pytest.raises(InputError, match="set norm to linf"):
        break_rows(problem(RandomForestClassifier(3), table(300), 240, "l2"), 0.3, 0)


def test_random_changes_break_less_than_the_attack() -> None:
    for norm in ("linf", "l2", "l1"):
        task = problem(MLPClassifier((32,), max_iter=40, random_state=0), digits(700), 500, norm, images=True)
        eps = {"linf": 0.1, "l2": 0.5, "l1": 2.0}[norm]
        assert random_breaks(task, eps, 3, 0) < 0.5 * break_rows(task.only(np.arange(80)), eps, 0).broken.mean()


def declared(folder: Path, model: Any, data: pd.DataFrame, split: int, **more: Any) -> tuple[Asset, Dataset, Dataset]:
    data[:split].to_csv(folder / "train.csv", index=False)
    data[split:].to_csv(folder / "test.csv", index=False)
    skops.io.dump(model.fit(data[:split].drop(columns="kind"), data[:split].kind), folder / "m.skops")
    asset = Asset(id="m", kind=Kind.MODEL, uri="m.skops", trained_on=("train",), tested_on=("test",), **more)
    sets = [Dataset(id=name, stage=Stage(name), uri=f"{name}.csv", label="kind") for name in ("train", "test")]
    return asset, sets[0], sets[1]


def test_the_check_on_images_keeps_its_contract_and_shows_a_picture(tmp_path: Path) -> None:
    data, described = digits(700), registry.get(CHECK)
    model = MLPClassifier((32,), max_iter=40, random_state=0)
    nodes = declared(tmp_path, model, data, 500, task=Task.IMAGE_CLASSIFICATION)
    values = parameters_of(described, Appetite(), {})
    job = Job(
        check=CHECK, version="1", threats=described.threats, subject=nodes[0], related=nodes[1:], root=str(tmp_path), parameters=values
    )
    (outcome,) = checks.contract(described, [job])
    [finding] = outcome.findings
    assert finding.verdict is Verdict.FAIL
    main, clean, robust = finding.measures
    assert (main.role, main.limit) == ("attack-success", 0.1)
    assert robust.k == clean.k - main.k
    assert robust.name == "robust accuracy, at most"
    curve = finding.details["robust_accuracy_by_eps"]
    assert curve[0] == [0.0, clean.value]
    assert [eps for eps, _ in curve] == [0.0, 0.025, 0.05, 0.1]
    assert sorted((share for _, share in curve), reverse=True) == [share for _, share in curve]
    [picture] = [artefact for artefact in finding.artefacts if artefact.media_type == "image/png"]
    assert picture.data is not None
    assert picture.data.startswith(b"\x89PNG")


def test_a_robust_model_passes_and_is_proven(run_check, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    data = pd.DataFrame({"a": random.choice([-3.0, 3.0], 400) + random.normal(0, 0.1, 400), "b": random.normal(size=400)})
    data["kind"] = np.where(data.a > 0, "up", "down")
    [finding] = run_check(CHECK, *declared(tmp_path, LogisticRegression(), data, 250))
    assert finding.verdict is Verdict.PASS
    assert finding.measures[0].k == 0
    assert finding.measures[-1].name == "robust accuracy, proven"
    assert finding.measures[-1].value == 1.0
    assert not finding.artefacts


@pytest.mark.parametrize(("tolerance", "verdict"), [(0.9, Verdict.INCONCLUSIVE), (0.1, Verdict.FAIL)])
def test_a_figure_that_cannot_be_trusted_is_no_pass(tolerance: float, verdict: Verdict) -> None:
    """An attack that was misled is no evidence of robustness; but what it flipped is flipped, whatever hides behind it."""
    task = problem(make_pipeline(StandardScaler(), LogisticRegression()), table(400), 300)
    found = dataclasses.replace(break_rows(task, 0.4, 0), trust=Trust(ok=False, reasons=("gradients vanish",)))
    job = Job(check=CHECK, version="1", threats=("white-box-evasion",), subject=Asset(id="m", kind=Kind.MODEL))
    finding = check_white_box._finding(job, ("white-box-evasion", "m"), found, task, 100, (0.4, tolerance, 0.0))
    assert finding.verdict is verdict
    assert "inconclusive: not trustworthy because gradients vanish" in finding.why
    assert ("not trustworthy" in finding.title) == (verdict is Verdict.INCONCLUSIVE)
    checks.portable(finding)


def test_what_cannot_be_attacked_says_what_can(run_check, tmp_path: Path) -> None:
    data = table(300)
    with pytest.raises(InputError, match=r"GaussianNB is not read from inside.*linear models and MLPClassifier"):
        run_check(CHECK, *declared(tmp_path, GaussianNB(), data, 200))
    nodes = declared(tmp_path, LogisticRegression(max_iter=500), data, 200)
    with pytest.raises(InputError, match="is no radius"):
        run_check(CHECK, *nodes, eps=0.0)
    with pytest.raises(InputError, match="is no radius"):
        run_check(CHECK, *nodes, norm="l0")
    with pytest.raises(InputError, match="stored as torch"):
        run_check(CHECK, msgspec.structs.replace(nodes[0], format=Format.TORCH), *nodes[1:])
    named = data.assign(f0="text")
    named.to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(InputError):
        run_check(CHECK, *nodes)


def test_the_picture_is_a_png_of_three_panels() -> None:
    original, changed = np.zeros(64), np.full(64, 16.0)
    data = side_by_side(original, changed, 0.0, 16.0)
    assert data is not None
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) == ((3 * 8 + 2) * 16, 8 * 16)
    start = data.index(b"IDAT") + 4
    (size,) = struct.unpack(">I", data[start - 8 : start - 4])
    lines = np.frombuffer(zlib.decompress(data[start : start + size]), dtype=np.uint8).reshape(height, width + 1)[:, 1:]
    assert [int(lines[0, at]) for at in (0, 9 * 16, 18 * 16)] == [0, 255, 255]
    assert side_by_side(np.zeros(60), np.zeros(60), 0.0, 1.0) is None
