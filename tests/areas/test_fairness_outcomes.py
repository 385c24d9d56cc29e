"""Outcomes by group: the figures of fairlearn, exact intervals that hold together, and verdicts that chance does not make."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bartizan.areas.fairness.group_rates import outcomes
from bartizan.areas.fairness.metrics import by_metric
from bartizan.engine import registry
from bartizan.model.errors import InputError
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Asset, Dataset, Kind, Stage
from bartizan.testing import checks


def decided(rows: int, seed: int = 0, against: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, what a model with 80 % accuracy gives, and groups; `against`: the share of c's selections that is taken away."""
    random = np.random.default_rng(seed)
    group = random.choice(list("abc"), rows, p=[0.5, 0.3, 0.2])
    truth = random.random(rows) < 0.4
    given = np.where(random.random(rows) < 0.8, truth, ~truth) & ~((group == "c") & (random.random(rows) < against))
    return truth, given, group


def test_gaps_are_those_of_fairlearn() -> None:
    fairlearn = pytest.importorskip("fairlearn.metrics")
    truth, given, group = decided(3000, against=0.3)
    found = outcomes(truth, given, group)
    named = {"y_true": truth, "y_pred": given, "sensitive_features": group}
    assert found.gaps["selection"].difference[0] == pytest.approx(fairlearn.demographic_parity_difference(**named))
    assert found.impact_ratio[0] == pytest.approx(fairlearn.demographic_parity_ratio(**named))
    assert found.equal_opportunity[0] == pytest.approx(fairlearn.equal_opportunity_difference(**named))
    assert found.equalised_odds[0] == pytest.approx(fairlearn.equalized_odds_difference(**named))
    frame = fairlearn.MetricFrame(metrics=fairlearn.false_positive_rate, y_true=truth, y_pred=given, sensitive_features=group)
    for one in found.groups:
        assert one.rates["false_positive"].value == pytest.approx(frame.by_group[one.group])


def test_two_groups_by_hand() -> None:
    """8 of 10 and 4 of 10 selected: difference 0.4, ratio 0.5 (statistical parity difference and disparate impact by their definitions)."""
    given = np.array([1] * 8 + [0] * 2 + [1] * 4 + [0] * 6)
    truth = np.array([1] * 5 + [0] * 5 + [1] * 5 + [0] * 5)
    found = outcomes(truth, given, ["a"] * 10 + ["b"] * 10)
    assert found.gaps["selection"].difference[0] == pytest.approx(0.4)
    assert found.impact_ratio[0] == pytest.approx(0.5)
    assert found.impact_ratio[1] < 0.5 < found.impact_ratio[2] < 1.0 or found.impact_ratio[2] == 1.0
    # Newcombe (1998), method 10, for 8/10 against 4/10 at 95 %: hybrid of Wilson's (0.4902, 0.9433) and (0.1682, 0.6873)
    assert found.gaps["selection"].difference[1:] == pytest.approx(
        (max(0.0, 0.4 - math.hypot(0.8 - 0.4902, 0.6873 - 0.4)), 0.4 + math.hypot(0.9433 - 0.8, 0.4 - 0.1682)), abs=2e-4
    )
    assert found.equal_opportunity[0] == pytest.approx(1 - 0.8)


def test_intervals_hold_together() -> None:
    """Of many tables with known rates, all intervals of all groups are right at once as often as they say."""
    wrong = gap_wrong = 0
    for seed in range(100):
        truth, given, group = decided(600, seed=seed)
        found = outcomes(truth, given, group)
        true = {"selection": 0.8 * 0.4 + 0.2 * 0.6, "true_positive": 0.8, "false_positive": 0.2, "precision": 0.32 / 0.44, "accuracy": 0.8}
        wrong += any(not one.rates[rate].low <= value <= one.rates[rate].high for one in found.groups for rate, value in true.items())
        gap_wrong += found.equal_opportunity[1] > 0.0 or found.impact_ratio[2] < 1.0
    assert wrong <= 9  # 5 % of 100 is 5; 10 and more happen once in 30 such tests
    assert gap_wrong <= 16  # two such statements


def test_calibration_is_given_by_fifths() -> None:
    random = np.random.default_rng(1)
    scores = random.random(5000)
    group = random.choice(["a", "b"], 5000)
    truth = random.random(5000) < np.where(group == "a", scores, scores**2)
    found = {one.group: one for one in outcomes(truth, scores > 0.5, group, scores=scores).groups}
    assert all(fifth.observed.low <= fifth.mean <= fifth.observed.high for fifth in found["a"].calibration)
    assert sum(fifth.mean > fifth.observed.high for fifth in found["b"].calibration) >= 3


def test_nobody_selected_and_no_positives_are_no_crash() -> None:
    nobody = outcomes([0, 1] * 20, [0] * 40, ["a", "b"] * 20)
    assert nobody.impact_ratio == (1.0, 0.0, 1.0)
    assert "precision" not in nobody.gaps
    none = outcomes([0] * 40, [0, 1] * 20, ["a", "b"] * 20)
    assert none.equal_opportunity == (0.0, 0.0, 1.0)
    assert none.impact_ratio[0] == 0.0


@pytest.mark.parametrize(
    ("truth", "given", "groups", "message"),
    [
        ([0, 1], [0, 1], ["a", "a"], "1 groups"),
        ([0, 2], [0, 1], ["a", "b"], "other than truth values"),
        ([0, 1, 1], [0, 1], ["a", "b"], "3 labels, 2 predictions"),
    ],
)
def test_what_cannot_be_compared_is_refused(truth: list[int], given: list[int], groups: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        outcomes(truth, given, groups)


def test_any_metric_by_group() -> None:
    pytest.importorskip("fairlearn")
    from sklearn.metrics import recall_score

    truth, given, group = decided(800)
    found = by_metric(recall_score, truth, given, group, draws=50)
    rates = {one.group: one.rates["true_positive"].value for one in outcomes(truth, given, group).groups}
    for name, (value, low, high) in found.items():
        assert value == pytest.approx(rates[name])
        assert low < value < high


def project(folder: Path, rows: int, against: float) -> Job:
    """A model that sees the sex and holds it against women, or not."""
    import skops.io
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(3)
    frame = pd.DataFrame({"skill": random.normal(size=rows), "sex": random.integers(0, 2, rows)})
    frame["hired"] = np.where(random.random(rows) < 1 / (1 + np.exp(-2 * frame.skill)), "yes", "no")
    model = LogisticRegression().fit(frame[["skill", "sex"]], frame.hired)
    model.coef_ = np.array([[2.0, -against]])
    model.intercept_ = np.array([0.0])
    skops.io.dump(model, folder / "model.skops")
    frame.to_csv(folder / "test.csv", index=False)
    return Job(
        check="fairness.outcomes",
        version="1",
        threats=("biased-data",),
        subject=Asset(id="hiring", kind=Kind.MODEL, uri="model.skops", trained_on=("train",), tested_on=("test",)),
        related=(Dataset(id="test", stage=Stage.TEST, uri="test.csv", label="hired"),),
        root=str(folder),
        about=(("biased-data", "train"),),
        parameters={"groups": "", "favourable": "yes", "ratio": 0.8, "gap": 0.1},
    )


@pytest.mark.parametrize(
    ("rows", "against", "verdict"), [(3000, 0.0, Verdict.PASS), (3000, 1.5, Verdict.FAIL), (120, 0.2, Verdict.INCONCLUSIVE)]
)
def test_check(tmp_path: Path, rows: int, against: float, verdict: Verdict) -> None:
    job = project(tmp_path, rows, against)
    described = registry.get(job.check)
    (finding,) = described.run(job, job.subject, **job.parameters)
    assert finding.verdict is verdict
    assert finding.asset == "train"
    assert finding.remedy or verdict is Verdict.PASS
    if against == 1.5:
        assert "sex: 1 is selected" in finding.why


def test_check_keeps_the_contract(tmp_path: Path) -> None:
    checks.contract(registry.get("fairness.outcomes"), [project(tmp_path, 300, 0.0)])
