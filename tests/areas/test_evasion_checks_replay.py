"""Replay: what broke one version of a model is kept as evidence and tried on the next before any attack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from bartizan.engine import registry
from bartizan.engine.parameters import parameters_of
from bartizan.model.findings import EXAMPLES, Artefact, Finding, Job
from bartizan.model.system import Appetite, Asset, Dataset, Kind, Stage, Task


def declared(folder: Path) -> tuple[pd.DataFrame, Asset, tuple[Dataset, ...]]:
    x, y = load_digits(return_X_y=True)
    frame = pd.DataFrame(x / 16, columns=[f"p{i}" for i in range(64)]).assign(digit=y)
    frame[:500].to_csv(folder / "train.csv", index=False)
    frame[500:600].to_csv(folder / "test.csv", index=False)
    asset = Asset(
        id="m", kind=Kind.MODEL, uri="m.skops", trained_on=("train",), tested_on=("test",), task=Task.IMAGE_CLASSIFICATION
    )  # fmt: skip
    return frame[:500], asset, tuple(Dataset(id=n, stage=Stage(n), uri=f"{n}.csv", label="digit") for n in ("train", "test"))


def run(check: str, threat: str, folder: Path, nodes: tuple[Any, ...], earlier: tuple[Artefact, ...], **values: Any) -> Finding:
    described = registry.get(check)
    job = Job(
        check=check, version="1", threats=(threat,), subject=nodes[0], related=nodes[1:], root=str(folder), earlier=earlier, seed=5,
        parameters=parameters_of(described, Appetite(), values),
    )  # fmt: skip
    (finding,) = described.run(job, nodes[0], **job.parameters)
    return finding


@pytest.mark.parametrize(("check", "threat"), [("evasion.white_box", "white-box-evasion"), ("evasion.black_box", "black-box-evasion")])
def test_known_examples_are_tried_on_the_next_version(tmp_path: Path, check: str, threat: str) -> None:
    train, asset, sets = declared(tmp_path)
    versions = [LogisticRegression(C=c, max_iter=200).fit(train.drop(columns="digit"), train.digit) for c in (1.0, 0.8)]
    more = {"queries": 80} if check == "evasion.black_box" else {}
    skops.io.dump(versions[0], tmp_path / "m.skops")
    first = run(check, threat, tmp_path, (asset, *sets), (), eps=0.15, **more)
    assert "known_examples" not in first.details
    (kept,) = [artefact for artefact in first.artefacts if artefact.media_type == EXAMPLES]
    assert first.measures[0].k is not None
    assert first.measures[0].k > 10
    skops.io.dump(versions[1], tmp_path / "m.skops")
    damaged = Artefact(name="damaged", media_type=EXAMPLES)
    second = run(check, threat, tmp_path, (asset, *sets), (kept, damaged), eps=0.15, **more)
    told = second.details["known_examples"]
    assert told["unread"] == 1
    assert 0.5 * told["tried"] < told["working"] <= told["tried"] <= first.measures[0].k
    assert f"{told['working']} of {told['tried']} known examples still worked" in second.why
    known = next(measure for measure in second.measures if measure.name == "known examples that still work")
    assert (known.k, known.n) == (told["working"], told["tried"])
    assert second.measures[0].k >= told["working"]
    small = run(check, threat, tmp_path, (asset, *sets), (kept,), eps=0.001, **more)
    assert small.details["known_examples"]["working"] == 0  # beyond the radius of today


def test_examples_of_other_rows_or_of_nothing_are_passed_over(tmp_path: Path) -> None:
    train, asset, sets = declared(tmp_path)
    skops.io.dump(LogisticRegression(max_iter=200).fit(train.drop(columns="digit"), train.digit), tmp_path / "m.skops")
    first = run("evasion.white_box", "white-box-evasion", tmp_path, (asset, *sets), (), eps=0.15)
    (kept,) = [artefact for artefact in first.artefacts if artefact.media_type == EXAMPLES]
    frame = pd.read_csv(tmp_path / "test.csv")
    frame.iloc[:, :64] = np.clip(frame.iloc[:, :64] + 0.001, 0, 1)
    frame.to_csv(tmp_path / "test.csv", index=False)
    hostile = msgspec.structs.replace(kept, data=b"PK\x03\x04" + b"0" * 50)
    again = run("evasion.white_box", "white-box-evasion", tmp_path, (asset, *sets), (kept, hostile), eps=0.15)
    assert again.details["known_examples"] == {"tried": 0, "working": 0, "unread": 1}
    assert again.measures[0].k == pytest.approx(first.measures[0].k, abs=5)
