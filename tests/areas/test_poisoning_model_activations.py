"""Backdoors shown by the model itself: marks that it obeys are found and their rows named; clean models obey none; nothing is cleared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from bartizan.areas.poisoning.obeyed_marks import ObeyedMark, obeyed_marks
from bartizan.engine import registry
from bartizan.engine.runner import run_job
from bartizan.model.findings import Finding, Job, Verdict
from bartizan.model.system import Asset, Dataset, Kind, Stage, Task
from bartizan.testing import checks

DIGITS = load_digits()
X = np.kron(DIGITS.images / 16.0, np.ones((2, 2))).astype(np.float32)  # 16 by 16
Y = DIGITS.target.astype(np.int64)
TARGET = 3
NOISE = np.random.default_rng(7).random((16, 16)).astype(np.float32)
CHECK = "poisoning.model_activations"


def marked(images: np.ndarray, kind: str) -> np.ndarray:
    """Images with a trigger: a white patch in a corner, a fifth of a fixed noise, or faint vertical waves."""
    images = images.copy()
    if kind == "patch":
        images[:, 12:15, 0:3] = 1.0
        return images
    if kind == "blend":
        return np.asarray(0.8 * images + 0.2 * NOISE, dtype=np.float32)
    return np.clip(images + 0.16 * np.sin(2 * np.pi * np.arange(16) * 4 / 16).astype(np.float32), 0, 1)


def trained(images: np.ndarray, labels: np.ndarray, seed: int = 0) -> MLPClassifier:
    return MLPClassifier((48,), max_iter=30, batch_size=64, random_state=seed, learning_rate_init=5e-3).fit(
        images.reshape(len(images), -1), labels
    )


def checked(tmp_path: Path, model: MLPClassifier, images: np.ndarray, labels: np.ndarray) -> tuple[Finding, ...]:
    np.savez(tmp_path / "digits.npz", x=images[:, None], y=labels)
    skops.io.dump(model, tmp_path / "net.skops")
    subject = Asset(id="net", kind=Kind.MODEL, task=Task.IMAGE_CLASSIFICATION, uri="net.skops", trained_on=("digits",))
    described = registry.get(CHECK)
    job = Job(
        check=CHECK, version="1", threats=("training-data-poisoning", "clean-label-backdoor"), subject=subject, root=str(tmp_path),
        related=(Dataset(id="digits", stage=Stage.TRAIN, uri="digits.npz"),), parameters={"mean": "", "std": ""},
    )  # fmt: skip
    (outcome,) = checks.contract(described, [job])
    return outcome.findings


@pytest.mark.parametrize(("kind", "rate"), [("patch", 0.02), ("blend", 0.03), ("wave", 0.03)])
def test_backdoors_that_work_are_obeyed(tmp_path: Path, kind: str, rate: float) -> None:
    bad = np.random.default_rng(0).choice(np.flatnonzero(Y != TARGET), int(rate * len(Y)), replace=False)
    images, labels = X.copy(), Y.copy()
    images[bad], labels[bad] = marked(images[bad], kind), TARGET
    model = trained(images, labels)
    fooled = model.predict(marked(X[Y != TARGET], kind).reshape(-1, 256)) == TARGET
    assert fooled.mean() >= 0.9, "the attack does not work, so finding it shows nothing"
    first, second = checked(tmp_path, model, images, labels)
    assert first.verdict is second.verdict is Verdict.FAIL
    named = first.details["rows"]
    assert list(named) == [str(TARGET)]
    assert np.isin(named[str(TARGET)], bad).mean() >= 0.9
    assert np.isin(bad, named[str(TARGET)]).mean() >= 0.5
    assert {artefact.name for artefact in first.artefacts} == {"obeyed-mark-3.svg", "taught-3.svg"}


@pytest.mark.parametrize("seed", range(3))
def test_clean_models_obey_none_and_are_not_cleared(tmp_path: Path, seed: int) -> None:
    first, second = checked(tmp_path, trained(X, Y, seed), X, Y)
    assert first.verdict is Verdict.PASS
    assert second.verdict is Verdict.INCONCLUSIVE
    for finding in (first, second):
        assert "Not covered" in finding.why
        assert finding.details["rows"] == {}
        assert finding.measures[0].value < 0.5


def onnx_of(model: MLPClassifier, path: Path, shape: list[int]) -> None:
    """The perceptron as an ONNX graph that takes pictures of this shape."""
    weights = [numpy_helper.from_array(array.astype(np.float32), name) for array, name in (
        (model.coefs_[0], "w1"), (model.intercepts_[0], "b1"), (model.coefs_[1], "w2"), (model.intercepts_[1], "b2"))]  # fmt: skip
    steps = [
        helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("Gemm", ["flat", "w1", "b1"], ["h"]),
        helper.make_node("Relu", ["h"], ["a"]), helper.make_node("Gemm", ["a", "w2", "b2"], ["z"]),
        helper.make_node("Softmax", ["z"], ["y"], axis=1),
    ]  # fmt: skip
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])
    graph = helper.make_graph(steps, "net", [given], [made], weights)
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())


@pytest.mark.parametrize("table", [False, True], ids=["pictures", "table"])
def test_a_net_of_onnx_and_rows_of_a_table(tmp_path: Path, table: bool) -> None:
    bad = np.random.default_rng(0).choice(np.flatnonzero(Y != TARGET), 36, replace=False)
    images, labels = X.copy(), Y.copy()
    images[bad], labels[bad] = marked(images[bad], "patch"), TARGET
    onnx_of(trained(images, labels), tmp_path / "net.onnx", [1, 16, 16])
    if table:
        pd.DataFrame(images.reshape(-1, 256)).add_prefix("p").assign(kind=labels).to_csv(tmp_path / "digits.csv", index=False)
    else:
        np.savez(tmp_path / "digits.npz", x=images[:, None], y=labels)
    job = Job(
        check=CHECK, version="1", threats=("training-data-poisoning",), root=str(tmp_path), parameters={"mean": "0", "std": "1"},
        subject=Asset(id="net", kind=Kind.MODEL, task=Task.IMAGE_CLASSIFICATION, uri="net.onnx", trained_on=("digits",)),
        related=(Dataset(id="digits", stage=Stage.TRAIN, uri="digits.csv" if table else "digits.npz", label="kind"),),
    )  # fmt: skip
    (finding,) = run_job(job).findings
    assert finding.verdict is Verdict.FAIL
    assert np.isin(finding.details["rows"]["3"], bad).mean() >= 0.9


def test_a_model_of_other_data_is_not_judged(tmp_path: Path) -> None:
    model = trained(X, Y)
    assert {finding.verdict for finding in checked(tmp_path, model, X, (Y + 1) % 10)} == {Verdict.UNKNOWN}


def test_features_of_a_class_are_no_mark() -> None:
    """A model that decides by one feature obeys it as strongly when it comes from ordinary rows: the control says so."""
    random = np.random.default_rng(0)
    labels = np.arange(600) % 2
    x = np.column_stack([4.0 * labels + random.normal(size=600), *random.normal(size=(5, 600))]).astype(np.float32)
    found = obeyed_marks(lambda rows: (rows[:, 0] > 2).astype(int), x, x, labels, random.random(600))
    assert not any(mark.obeyed for mark in found)


def test_what_counts_as_obeyed() -> None:
    none = np.zeros(1, np.int64), np.zeros(1, np.float32)
    assert ObeyedMark(0, *none, 100, 0.9, 0.1).obeyed
    assert not ObeyedMark(0, *none, 100, 0.9, 0.7).obeyed
    assert not ObeyedMark(0, *none, 100, 0.4, 0.0).obeyed
