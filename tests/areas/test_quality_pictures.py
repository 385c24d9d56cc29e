"""The pictures of the checks of data sets: they are there, well formed, and show no value of the data."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bartizan.areas.quality.distributions import shape
from bartizan.engine import registry
from bartizan.model.findings import Finding, Job, Verdict
from bartizan.model.system import Dataset, Stage
from bartizan.testing import checks

NAMES = ["Zebulon Quarterfield", "Philippa Undergrove", "Anselm Nightwater"]


def people(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """A table of persons whose values are easily recognised."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "name": [f"{NAMES[i % 3]} {i}" for i in range(rows)],
            "sex": random.choice(["female", "male"], rows),
            "income": np.round(random.normal(40_000, 9_000, rows), 2),
            "age": random.integers(18, 80, rows),
            "default": random.integers(0, 2, rows),
        }
    )


def found(check: str, folder: Path, frame: pd.DataFrame, label: str | None = None, **given: object) -> Finding:
    frame.to_csv(folder / "people.csv", index=False)
    known = registry.get(check)
    job = Job(
        check=check, version=known.version, threats=known.threats[:1], root=str(folder),
        subject=Dataset(id="people", stage=Stage.TRAIN, uri="people.csv", label=label), parameters=dict(given),
    )  # fmt: skip
    (outcome,) = checks.contract(known, [job])
    (finding,) = outcome.findings
    return finding


def picture(finding: Finding, name: str) -> str:
    (one,) = (artefact for artefact in finding.artefacts if artefact.name == name)
    assert one.data is not None
    assert one.media_type == "image/svg+xml"
    ElementTree.fromstring(one.data)
    return one.data.decode()


@pytest.mark.parametrize(
    ("check", "label", "name"),
    [
        ("quality.completeness", "default", "distributions.svg"),
        ("quality.outliers", None, "outlier-distances.svg"),
        ("quality.near_duplicates", None, "duplicate-groups.svg"),
        ("quality.representation", "default", "groups.svg"),
    ],
)
def test_each_check_draws_and_shows_nobody(tmp_path: Path, check: str, label: str | None, name: str) -> None:
    frame = people()
    frame = pd.concat([frame, frame.iloc[[5, 5, 9]]], ignore_index=True)
    drawn = picture(found(check, tmp_path, frame, label), name)
    for person in NAMES:
        assert person not in drawn
    extremes = [f"{frame['income'].min():.2f}", f"{frame['income'].max():.2f}", *(f"{value:.2f}" for value in frame["income"].head(20))]
    assert not any(value in drawn for value in extremes)


def test_groups_of_duplicates_stand_at_their_rows(tmp_path: Path) -> None:
    frame = people(100)
    frame = pd.concat([frame, frame.iloc[[0]]], ignore_index=True)
    drawn = picture(found("quality.near_duplicates", tmp_path, frame), "duplicate-groups.svg")
    root = ElementTree.fromstring(drawn)
    spots = [float(dot.get("cx", 0)) for dot in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert len(spots) == 2
    assert spots[0] == pytest.approx(96, abs=0.1)
    assert spots[1] == pytest.approx(96 + 514, abs=0.1)


@pytest.mark.parametrize(
    ("change", "verdict", "said"),
    [
        ({}, Verdict.PASS, "nothing is missing"),
        ({"income": np.nan}, Verdict.FAIL, "income has no value at all"),
        ({"name": ""}, Verdict.FAIL, "name has no value at all"),
        ({"income": [np.nan] * 300 + [1.0] * 100}, Verdict.FAIL, "income is empty in 75.0% of the rows"),
        ({"income": [np.nan] * 10 + [1.0] * 390}, Verdict.PASS, "few cells are missing"),
        ({"default": [1] * 3 + [0] * 397}, Verdict.FAIL, "Label 1 has 3 rows"),
        ({"age": 40}, Verdict.PASS, "One value alone: age."),
    ],
)
def test_columns_have_to_hold_something(tmp_path: Path, change: dict[str, object], verdict: Verdict, said: str) -> None:
    finding = found("quality.completeness", tmp_path, people().assign(**change), "default", most_missing=0.5, least_rows=20)
    assert finding.verdict is verdict
    assert said in f"{finding.title} {finding.why}"


def test_few_rows_show_no_mean(tmp_path: Path) -> None:
    """The mean of a handful of values may be somebody's value."""
    drawn = picture(found("quality.completeness", tmp_path, people(5).assign(income=31_415.0)), "distributions.svg")
    assert "mean" not in drawn
    assert "31" not in drawn.replace("31.", "")


def test_a_table_of_strange_columns_is_drawn(tmp_path: Path) -> None:
    from bartizan.areas.quality.distributions import shapes

    frame = pd.DataFrame(
        {
            "huge": [1.7e308, -1.7e308] * 50,
            "lists": [[1, 2], {"a": 1}] * 50,
            "when": pd.date_range("2026-01-01", periods=100),
            "none": [None] * 100,
            "complex": [1 + 2j] * 100,
            "mixed": [1, "1"] * 50,
        }
    )
    told = {shape.name: shape for shape in shapes(pd.concat([frame, frame["huge"]], axis=1))}
    assert told["lists"].different == 2
    assert told["when"].kind == "times"
    assert told["none"].missing == 100
    assert sum(told["huge"].picture.counts) == 100


def test_pictures_are_counted_by_class_and_brightness(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    np.savez(tmp_path / "set.npz", x=random.integers(0, 255, (60, 8, 8)).astype(np.uint8), y=np.arange(60) % 3)
    known = registry.get("quality.completeness")
    subject = Dataset(id="set", stage=Stage.TRAIN, uri="set.npz")
    job = Job(check=known.id, version=known.version, threats=known.threats[:1], root=str(tmp_path), subject=subject)
    (outcome,) = checks.contract(known, [job])
    drawn = picture(outcome.findings[0], "distributions.svg")
    assert "label, 3 classes" in drawn
    assert "brightness" in drawn


def test_a_few_wordy_values_are_drawn_as_values_and_many_as_texts() -> None:
    history = ["existing credits paid back duly till now", "delay in paying off in the past", "no credits taken at all"]
    assert shape(pd.Series(history * 40), "history").kind == "values"
    assert shape(pd.Series([f"{history[n % 3]} said customer {n}" for n in range(120)]), "remarks").kind == "texts"
