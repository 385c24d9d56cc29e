"""Representation: groups that are few or get other labels are named, with exact intervals; chance is not called bias."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bartizan.areas.quality.representation import candidates, groups_of, imbalance, widest_gap
from bartizan.engine import registry
from bartizan.model.errors import InputError
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Dataset, Stage
from bartizan.testing import checks


def people(rows: int, favour: tuple[float, float], women: float = 0.5, seed: int = 0) -> pd.DataFrame:
    """Applicants whose sex decides how often they are granted; women miss their income three times as often."""
    random = np.random.default_rng(seed)
    woman = random.random(rows) < women
    income = np.where(random.random(rows) < np.where(woman, 0.3, 0.1), np.nan, random.lognormal(10, 1, rows))
    granted = random.random(rows) < np.where(woman, favour[0], favour[1])
    return pd.DataFrame({"sex": np.where(woman, "f", "m"), "income": income, "granted": granted.astype(int)})


def test_rates_have_the_exact_intervals_of_clopper_and_pearson() -> None:
    frame = pd.DataFrame({"sex": ["f"] * 10 + ["m"] * 20, "granted": [1] * 2 + [0] * 8 + [1] * 20})
    men, women = groups_of(frame, "sex", label="granted")
    assert (women.rows, men.rows) == (10, 20)
    assert women.favourable == pytest.approx((0.2, 0.0252, 0.5561), abs=1e-4)  # the exact interval of 2 in 10
    assert men.favourable == pytest.approx((1.0, 0.8316, 1.0), abs=1e-4)  # 1 - 0.025 ** (1 / 20) below
    gap = widest_gap((men, women), least=5)
    assert gap is not None
    assert gap.ratio == pytest.approx(0.2)
    assert gap.difference[0] == pytest.approx(0.8)


def test_missing_values_are_counted_by_group_and_are_a_group() -> None:
    frame = people(4000, (0.5, 0.5))
    frame.loc[:9, "sex"] = None
    found = {group.value: group for group in groups_of(frame, "sex", label="granted")}
    assert found["(missing)"].rows == 10
    assert found["f"].missing[0] == pytest.approx(0.3, abs=0.03)
    assert found["m"].missing[2] < found["f"].missing[1]


def test_numbers_are_cut_into_quarters_and_names_are_guessed() -> None:
    frame = people(1000, (0.5, 0.5)).assign(age=np.arange(1000) % 60, usage=1, Gender_ID="x")
    assert [group.rows for group in groups_of(frame, "age")] == pytest.approx([250] * 4, abs=25)
    assert candidates(frame, "granted") == ("sex", "age", "Gender_ID")
    assert imbalance(pd.Series(["a"] * 90 + ["b"] * 10)) == (0.1, 10)


def test_a_column_of_names_is_no_group() -> None:
    with pytest.raises(InputError, match="has 100 values"):
        groups_of(pd.DataFrame({"name": [f"n{i}" for i in range(100)]}), "name")
    with pytest.raises(InputError, match="no column"):
        groups_of(pd.DataFrame({"a": [1]}), "sex")


@pytest.mark.parametrize(
    ("rows", "favour", "women", "verdict"),
    [
        (4000, (0.5, 0.5), 0.5, Verdict.PASS),
        (4000, (0.3, 0.6), 0.5, Verdict.FAIL),
        (4000, (0.5, 0.5), 0.01, Verdict.FAIL),
        (300, (0.38, 0.52), 0.5, Verdict.INCONCLUSIVE),
    ],
)
def test_check(tmp_path: Path, rows: int, favour: tuple[float, float], women: float, verdict: Verdict) -> None:
    people(rows, favour, women, seed=2).to_csv(tmp_path / "loans.csv", index=False)
    job = Job(
        check="quality.representation",
        version="1",
        threats=("biased-data",),
        subject=Dataset(id="loans", stage=Stage.TRAIN, uri="loans.csv", label="granted"),
        root=str(tmp_path),
        parameters={"groups": "", "favourable": "", "ratio": 0.8, "least_rows": 100},
    )
    (outcome,) = checks.contract(registry.get(job.check), [job])
    assert outcome.findings[0].verdict is verdict
