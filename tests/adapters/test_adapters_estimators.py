"""Loading models: skops files of reviewed types and nothing else; a hostile file is refused before anything of it runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from bartizan.adapters.estimators import class_probabilities, load_estimator
from bartizan.model.errors import InputError, Refused

FRAME = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60) % 7, "c": np.array(["x", "y", "z"])[np.arange(60) % 3]})
LABELS = np.array(["good", "bad"])[(np.arange(60) // 7) % 2]


def pipeline(last: object) -> object:
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["c"]), remainder=StandardScaler())
    return make_pipeline(encoder, last).fit(FRAME, LABELS)


@pytest.mark.parametrize(
    "last",
    [
        RandomForestClassifier(5, random_state=0),
        GradientBoostingClassifier(n_estimators=3),
        HistGradientBoostingClassifier(max_iter=3),
        LogisticRegression(),
    ],
)
def test_standard_pipelines_are_loaded(tmp_path: Path, last: object) -> None:
    model = pipeline(last)
    skops.io.dump(model, tmp_path / "m.skops")
    loaded = load_estimator(tmp_path, tmp_path / "m.skops")
    np.testing.assert_allclose(class_probabilities(loaded, FRAME), model.predict_proba(FRAME))


def test_decision_values_become_probabilities() -> None:
    model = LinearSVC().fit(FRAME[["a", "b"]], LABELS)
    probabilities = class_probabilities(model, FRAME[["a", "b"]])
    assert probabilities.shape == (60, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert list(model.classes_[probabilities.argmax(axis=1)]) == list(model.predict(FRAME[["a", "b"]]))


def test_a_regression_is_politely_turned_down() -> None:
    with pytest.raises(InputError, match="no classifier"):
        class_probabilities(LinearRegression().fit(FRAME[["a"]], FRAME["b"]), FRAME[["a"]])


@pytest.mark.parametrize("save", [joblib.dump, lambda model, path: path.write_bytes(pickle.dumps(model))])
def test_pickles_are_refused_whatever_their_name(tmp_path: Path, save: object) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "trace"),)

    save(Bomb(), tmp_path / "m.skops")  # type: ignore[operator]
    with pytest.raises(Refused, match="never opened here"):
        load_estimator(tmp_path, tmp_path / "m.skops")
    assert not (tmp_path / "trace").exists()


def test_types_that_nobody_reviewed_are_refused_by_name(tmp_path: Path) -> None:
    skops.io.dump(FunctionTransformer(os.system), tmp_path / "m.skops")
    with pytest.raises(Refused, match=r"posix\.system"):
        load_estimator(tmp_path, tmp_path / "m.skops")


def rewritten(path: Path, change: object) -> None:
    """The skops file with its structure changed by `change`."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["schema.json"] = change(entries["schema.json"])  # type: ignore[operator]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"[" * 100_000,
        lambda _: b"{}",
        lambda _: b"\xff",
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"LogisticRegression", b"Nothing"),
        lambda data: data.replace(b".npy", b".nix"),
        lambda data: json.dumps({**json.loads(data), "protocol": 99}).encode(),
    ],
)
def test_broken_files_end_in_one_line(tmp_path: Path, change: object) -> None:
    skops.io.dump(LogisticRegression().fit(FRAME[["a"]], LABELS), tmp_path / "m.skops")
    rewritten(tmp_path / "m.skops", change)
    try:
        load_estimator(tmp_path, tmp_path / "m.skops")
    except (InputError, Refused) as error:
        assert "\n" not in str(error)  # noqa: PT017 - a file that a newer protocol number does not break may also load


def test_archives_that_are_no_models_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.skops", "w") as archive:
        archive.writestr("data.pkl", b"\x80\x04.")
    with pytest.raises(Refused, match="not of skops"):
        load_estimator(tmp_path, tmp_path / "m.skops")


def test_a_decompression_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("schema.json", "w") as entry:
        for _ in range(300):
            entry.write(b"\0" * (1 << 20))
    (tmp_path / "m.skops").write_bytes(stream.getvalue())
    with pytest.raises(Refused, match="unpacks to 314572800 bytes"):
        load_estimator(tmp_path, tmp_path / "m.skops")


@pytest.mark.parametrize("field", ["left_child", "right_child", "feature"])
@pytest.mark.parametrize("value", [10**6, -7, 0])
def test_a_forged_tree_is_refused(tmp_path: Path, field: str, value: int) -> None:
    """Compiled code would read outside of its arrays, or never end."""
    model = RandomForestClassifier(1, random_state=0).fit(FRAME[["a", "b"]], LABELS)
    state = model.estimators_[0].tree_.__getstate__()
    state["nodes"][field][0] = value
    model.estimators_[0].tree_.__setstate__(state)
    skops.io.dump(model, tmp_path / "m.skops")
    if field == "feature" and value == 0:
        assert load_estimator(tmp_path, tmp_path / "m.skops")
        return
    with pytest.raises(Refused, match="branches lead out"):
        load_estimator(tmp_path, tmp_path / "m.skops")
