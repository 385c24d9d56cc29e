"""Membership inference: it recognises the training records of models that memorise and those of no other; controls and seeds hold."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from bartizan.adapters.estimators import class_probabilities
from bartizan.areas.privacy import membership, reference_models
from bartizan.model.errors import InputError, Refused
from bartizan.model.findings import Verdict
from bartizan.model.system import Asset, Dataset, Kind, Output, Stage

CHECK = "privacy.membership_inference"


def population(rows: int, seed: int = 0) -> pd.DataFrame:
    features, labels = make_classification(rows, 12, n_informative=6, flip_y=0.2, random_state=seed)
    return pd.DataFrame(features, columns=[f"f{i}" for i in range(12)]).assign(bad=labels)


def attacked(model: object, members: pd.DataFrame, others: pd.DataFrame, seed: int = 0) -> membership.Membership:
    frame = pd.concat([members, others], ignore_index=True)
    features, inside = frame.drop(columns="bad"), np.arange(len(frame)) < len(members)
    classes = reference_models.class_numbers(model, frame["bad"])
    probabilities = class_probabilities(model, features)
    epsilon = membership.resolution(probabilities)
    odds, halves = reference_models.train(model, features, classes, seed, epsilon)
    target = membership.log_odds(probabilities, classes, epsilon)
    return membership.attack(membership.scores_of(target, odds, halves, classes), inside, odds, fpr=0.01, seed=seed)


@pytest.mark.parametrize(
    "model", [DecisionTreeClassifier(random_state=0), KNeighborsClassifier(1), RandomForestClassifier(20, random_state=0)]
)
def test_models_that_memorise_are_recognised(model: object) -> None:
    data = population(1800)
    model.fit(data.iloc[:1000, :-1], data.bad[:1000])
    found = attacked(model, data[:1000], data[1000:])
    assert found.auc > 0.6
    assert found.at[0].true_positives.value > 3 * max(found.at[0].false_positives.value, 0.01)
    assert abs(found.null_auc - 0.5) < 5 * found.null_error
    assert found.null_true_positives < 0.04


@pytest.mark.parametrize("trained_elsewhere", [False, True])
def test_models_that_do_not_memorise_are_not(trained_elsewhere: bool) -> None:
    """A regularised model, and a forest that has seen neither half."""
    data = population(2800)
    elsewhere = data[1800:]
    model = RandomForestClassifier(20, random_state=0) if trained_elsewhere else make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
    own = elsewhere if trained_elsewhere else data[:1000]
    model.fit(own.iloc[:, :-1], own.bad)
    found = attacked(model, data[:1000], data[1000:1800])
    assert abs(found.auc - 0.5) < 3 * found.auc_error
    assert found.at[0].true_positives.value < 0.05


def test_certainty_counts_as_much_as_the_steps_of_the_model_allow() -> None:
    votes = np.array([[60, 0], [59, 1], [0, 60]]) / 60
    assert membership.resolution(votes) == pytest.approx(1 / 120)
    assert membership.resolution(np.array([[1.0, 0.0]])) == membership.COARSEST
    assert membership.resolution(np.array([[1e-9, 1 - 1e-9]])) == membership.FINEST


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=4, max_size=60))
def test_area_equals_that_of_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    scores, members = np.array([float(s) for s, _ in rows]), np.array([m for _, m in rows])
    if members.all() or not members.any():
        return
    assert membership.auc_of(scores, members)[0] == pytest.approx(roc_auc_score(members, scores))


def test_standard_error_of_the_area_is_that_of_the_paper() -> None:
    """Hanley and McNeil, 1982, table II: area 0.893, 51 abnormal and 58 normal images, standard error 0.032."""
    q1, q2, area = 0.893 / (2 - 0.893), 2 * 0.893**2 / (1 + 0.893), 0.893
    expected = np.sqrt((area * (1 - area) + 50 * (q1 - area**2) + 57 * (q2 - area**2)) / (51 * 58))
    assert expected == pytest.approx(0.032, abs=0.001)
    random = np.random.default_rng(0)
    members = np.arange(109) < 51
    scores = random.normal(size=109) + np.where(members, 1.757, 0)
    measured, error = membership.auc_of(scores, members)
    assert error == pytest.approx(0.032, abs=0.012)
    assert measured == pytest.approx(area, abs=0.06)


def declared(tmp_path: Path, model: object, train: pd.DataFrame, test: pd.DataFrame, **more: object) -> tuple[Asset, Dataset, Dataset]:
    train.to_csv(tmp_path / "train.csv", index=False)
    test.to_csv(tmp_path / "test.csv", index=False)
    skops.io.dump(model, tmp_path / "m.skops")
    asset = Asset(id="m", kind=Kind.MODEL, uri="m.skops", trained_on=("train",), tested_on=("test",), **more)  # type: ignore[arg-type]
    sets = [Dataset(id=name, stage=Stage(name), uri=f"{name}.csv", label="bad") for name in ("train", "test")]
    return asset, sets[0], sets[1]


def test_check_fails_on_a_forest_and_repeats_itself(run_check, tmp_path: Path) -> None:
    data = population(900)
    model = RandomForestClassifier(20, random_state=0).fit(data.iloc[:600, :-1], data.bad[:600])
    nodes = declared(tmp_path, model, data[:600], data[600:])
    [finding] = run_check(CHECK, *nodes)
    assert finding.verdict is Verdict.FAIL
    main = finding.measures[0]
    assert (main.role, main.limit, main.n) == ("attack-success", 0.05, 300)
    assert finding.attacker.queries == 1
    assert run_check(CHECK, *nodes) == [finding]


def test_check_does_not_fail_on_a_regularised_model(run_check, tmp_path: Path) -> None:
    data = population(2600)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(data.iloc[:1800, :-1], data.bad[:1800])
    [finding] = run_check(CHECK, *declared(tmp_path, model, data[:1800], data[1800:]))
    assert finding.verdict is Verdict.PASS
    assert not any("0.1%" in measure.name for measure in finding.measures)


def test_labels_alone_tell_less_than_scores(run_check, tmp_path: Path) -> None:
    data = population(900)
    model = RandomForestClassifier(20, random_state=0).fit(data.iloc[:600, :-1], data.bad[:600])
    scores, labels = (
        run_check(CHECK, *declared(tmp_path, model, data[:600], data[600:], output=output))[0].measures[-1].value
        for output in (Output.SCORE, Output.LABEL)
    )
    assert labels < scores


def test_copies_of_training_rows_are_no_others(run_check, tmp_path: Path) -> None:
    data = population(900)
    model = RandomForestClassifier(20, random_state=0).fit(data.iloc[:600, :-1], data.bad[:600])
    [finding] = run_check(CHECK, *declared(tmp_path, model, data[:600], data[500:]))
    assert finding.measures[1].n == 300 + 150


def test_data_that_differ_by_themselves_are_inconclusive(run_check, tmp_path: Path) -> None:
    data = population(1200)
    margin = LogisticRegression().fit(data.iloc[:, :-1], data.bad).decision_function(data.iloc[:, :-1]) * (2 * data.bad - 1)
    data = data.iloc[np.argsort(-margin)].reset_index(drop=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(data.iloc[:800, :-1], data.bad[:800])
    [finding] = run_check(CHECK, *declared(tmp_path, model, data[:800], data[800:]))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "differ by themselves" in finding.why


def test_what_cannot_be_attacked_says_why(run_check, tmp_path: Path) -> None:
    data = population(300)
    model = LinearRegression().fit(data.iloc[:, :-1], data.bad)
    nodes = declared(tmp_path, model, data[:200], data[200:])
    with pytest.raises(InputError, match="no classifier"):
        run_check(CHECK, *nodes)
    with pytest.raises(InputError, match="has no tested_on"):
        run_check(CHECK, *nodes[:2])
    joblib.dump(model, tmp_path / "m.skops")
    with pytest.raises(Refused, match="skops"):
        run_check(CHECK, *nodes)
    nodes = declared(tmp_path, model, data[:200], data[200:210])
    with pytest.raises(InputError, match="too few"):
        run_check(CHECK, *nodes)
