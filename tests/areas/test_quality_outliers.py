"""Outliers: broken dependencies are seen though every value is ordinary; ordinary sets have next to none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from bartizan.areas.quality.far_rows import outliers
from bartizan.engine import registry
from bartizan.methods.descriptors import of_table
from bartizan.model.errors import InputError
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Dataset, Stage
from bartizan.testing import checks


def dependent(rows: int, seed: int, share: float = 0.01) -> tuple[pd.DataFrame, np.ndarray]:
    """Twenty columns made of four hidden factors; a share of rows whose columns are each drawn from another row."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 4)) @ random.normal(size=(4, 20)) + 0.3 * random.normal(size=(rows, 20))
    odd = np.zeros(rows, dtype=bool)
    odd[random.choice(rows, int(share * rows), replace=False)] = True
    for column in range(20):
        x[odd, column] = x[random.integers(0, rows, odd.sum()), column]
    return pd.DataFrame(x * 10.0 ** random.uniform(-3, 5, 20)), odd


@pytest.mark.parametrize("seed", [0, 1])
def test_broken_dependencies_are_seen(seed: int) -> None:
    frame, odd = dependent(10_000, seed)
    assert roc_auc_score(odd, outliers(of_table(frame), seed=seed).score) >= 0.95


@pytest.mark.parametrize("seed", [0, 1])
def test_ordinary_sets_have_next_to_none(seed: int) -> None:
    random = np.random.default_rng(seed)
    assert outliers(random.normal(size=(3000, 10)), seed=seed).flagged.mean() <= 0.005
    assert outliers(of_table(pd.DataFrame(random.lognormal(size=(3000, 5)))), seed=seed).flagged.mean() <= 0.01


def test_copies_are_no_scale() -> None:
    x = np.zeros((100, 2))
    x[:10] = np.random.default_rng(0).normal(size=(10, 2))
    x[0] = 50.0
    assert outliers(x).ranked()[0] == 0


def test_few_rows_are_an_error() -> None:
    with pytest.raises(InputError, match="too few"):
        outliers(np.zeros((5, 2)))


@pytest.mark.parametrize(("share", "verdict"), [(0.0, Verdict.PASS), (0.05, Verdict.FAIL)])
def test_check(tmp_path: Path, share: float, verdict: Verdict) -> None:
    frame, odd = dependent(2000, 5, share)
    frame.assign(where=np.where(np.arange(2000) % 2, "north", "south")).to_csv(tmp_path / "rows.csv", index=False)
    job = Job(
        check="quality.outliers",
        version="1",
        threats=("training-data-poisoning",),
        subject=Dataset(id="rows", stage=Stage.TRAIN, uri="rows.csv"),
        root=str(tmp_path),
        parameters={"tolerance": 0.02},
    )
    (outcome,) = checks.contract(registry.get(job.check), [job])
    (finding,) = outcome.findings
    assert finding.verdict is verdict
    if verdict is Verdict.FAIL:
        assert odd[[place.line - 2 for place in finding.places]].mean() >= 0.9
