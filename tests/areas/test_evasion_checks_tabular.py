"""Manipulated tables: weak models are flipped with changes that are plausible and confirmed, robust ones are not, and seeds hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import IsolationForest, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from bartizan.areas.evasion.tabular_changes import MOST_VALUES, plausible_changes
from bartizan.areas.evasion.tabular_inputs import Prepared, class_numbers
from bartizan.areas.evasion.tabular_search import Asked, random_flips, search
from bartizan.engine import registry
from bartizan.engine.parameters import parameters_of
from bartizan.model.errors import InputError, UnknownName
from bartizan.model.findings import Finding, Job, Verdict
from bartizan.model.system import Appetite, Asset, Dataset, Kind, Stage, Task
from bartizan.testing import checks

CHECK = "evasion.tabular_manipulation"
ABOUT = [("black-box-evasion", "m")]


def applicants(rows: int, seed: int = 0) -> pd.DataFrame:
    """Loans with whole, real, named and true/false features; who repays depends on all of them, with noise."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 80, rows),
            "amount": np.round(random.gamma(2.0, 1500.0, rows), 2),
            "purpose": random.choice(["car", "furniture", "education"], rows),
            "owner": random.random(rows) < 0.5,
            "months": random.choice([12, 24, 36, 48], rows),
        }
    )
    score = (frame.age - 45) / 20 - (frame.amount - 3000) / 2000 + frame.owner - (frame.purpose == "education") - frame.months / 40
    return frame.assign(repaid=np.where(score + random.normal(0, 0.5, rows) > -0.5, "yes", "no"))


def fitted(model: object, train: pd.DataFrame) -> object:
    encode = ColumnTransformer([("named", OneHotEncoder(sparse_output=False), ["purpose"])], remainder="passthrough")
    return make_pipeline(encode, model).fit(train.drop(columns="repaid"), train.repaid)


def declared(folder: Path, model: object, train: pd.DataFrame, test: pd.DataFrame, **more: Any) -> tuple[Asset, Dataset, Dataset]:
    train.to_csv(folder / "train.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)
    skops.io.dump(model, folder / "m.skops")
    asset = Asset(id="m", kind=Kind.MODEL, uri="m.skops", trained_on=("train",), tested_on=("test",), **more)
    sets = [Dataset(id=name, stage=Stage(name), uri=f"{name}.csv", label="repaid") for name in ("train", "test")]
    return asset, sets[0], sets[1]


def by_threat(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.threat: finding for finding in findings}


def prepared_of(model: Any, train: pd.DataFrame, test: pd.DataFrame) -> Prepared:
    labels = class_numbers(model.classes_, test.repaid)
    return Prepared(model, train.drop(columns="repaid"), test.drop(columns="repaid"), labels, np.arange(1, len(test) + 1))


def test_an_overfitted_tree_is_flipped(run_check, tmp_path: Path) -> None:
    data = applicants(450)
    nodes = declared(tmp_path, fitted(DecisionTreeClassifier(random_state=0), data[:300]), data[:300], data[300:])
    found = by_threat(run_check(CHECK, *nodes))
    single, shared = found["black-box-evasion"], found["feature-manipulation"]
    assert single.verdict is Verdict.FAIL
    assert shared.verdict is Verdict.FAIL
    main = single.measures[0]
    assert main.value > 0.8
    assert main.null is not None
    assert main.null < main.value / 2
    assert (main.role, main.limit) == ("attack-success", 0.1)
    assert single.attacker.queries == 500
    assert single.attacker.budget == {"features": 2.0}
    assert shared.measures[0].value > (shared.measures[0].null or 0.0)
    for shown in single.details["examples"]:
        assert 1 <= len(shown["changed"]) <= 2
        assert all(change["from"] != change["to"] for change in shown["changed"])


def test_the_shown_changes_flip_the_shown_rows(run_check, tmp_path: Path) -> None:
    """By hand, with the model itself, from what the finding says and nothing else."""
    data = applicants(450)
    model = fitted(RandomForestClassifier(15, random_state=0), data[:300])
    [finding] = run_check(CHECK, *declared(tmp_path, model, data[:300], data[300:]), about=ABOUT)
    test = pd.read_csv(tmp_path / "test.csv").drop(columns="repaid")
    assert finding.details["examples"]
    for shown in finding.details["examples"]:
        row = test.iloc[[shown["row"] - 1]]
        changed = row.copy()
        for change in shown["changed"]:
            assert row[change["feature"]].iloc[0] == change["from"]
            changed[change["feature"]] = change["to"]
        assert model.predict(changed)[0] != model.predict(row)[0]


@pytest.mark.parametrize("model", [DummyClassifier(), "one immutable feature"])
def test_robust_models_pass(run_check, tmp_path: Path, model: object) -> None:
    data = applicants(600)
    if isinstance(model, str):
        data.repaid = np.where(data.age > 40, "yes", "no")
        model = DecisionTreeClassifier(max_depth=1)
    nodes = declared(tmp_path, fitted(model, data[:300]), data[:300], data[300:])
    for finding in run_check(CHECK, *nodes, immutable="age"):
        assert finding.verdict is Verdict.PASS
        assert finding.measures[0].k == 0


def test_the_contract_of_a_check(tmp_path: Path) -> None:
    data = applicants(300)
    nodes = declared(tmp_path, fitted(DecisionTreeClassifier(random_state=0), data[:200]), data[:200], data[200:])
    described = registry.get(CHECK)
    parameters = parameters_of(described, Appetite(), {"queries": 120})
    job = Job(
        check=CHECK,
        version="1",
        threats=described.threats,
        subject=nodes[0],
        related=nodes[1:],
        root=str(tmp_path),
        seed=3,
        parameters=parameters,
    )
    (outcome,) = checks.contract(described, [job])
    assert {finding.verdict for finding in outcome.findings} == {Verdict.FAIL}
    assert not described.applies(Asset(id="t", kind=Kind.MODEL, task=Task.TEXT_CLASSIFICATION), None)


def test_labels_alone_say_less_than_scores() -> None:
    """Two of three votes among twelve features must be moved together; scores lead there, labels leave it to luck."""
    random = np.random.default_rng(0)
    features = pd.DataFrame(random.normal(size=(300, 9)), columns=[f"f{i}" for i in range(9)])
    for name in ("a", "b", "c"):
        features[name] = random.integers(0, 2, 300)
    votes = features[["a", "b", "c"]].sum(axis=1)
    labels = pd.Series(np.where(votes >= 2, 1, 0), name="repaid")
    model = LogisticRegression(C=100).fit(features, labels)
    subject = prepared_of(model, features.assign(repaid=labels), features.assign(repaid=labels))
    changes, unanimous = plausible_changes(subject.train, frozenset(), 40), np.flatnonzero(votes.isin([0, 3]))
    scores, alone = (search(Asked(subject, unanimous, changes, labels_only=mode), 2, 60, 0) for mode in (False, True))
    assert scores.flipped.all()
    assert alone.flipped.mean() < 0.5


def test_a_model_without_scores_is_attacked_by_labels() -> None:
    """A vote of two kinds of models shows what was decided and nothing else."""
    data = applicants(400)
    vote = VotingClassifier([("svc", LinearSVC(random_state=0)), ("tree", DecisionTreeClassifier(max_depth=4, random_state=0))])
    subject = prepared_of(fitted(vote, data[:300]), data[:300], data[300:])
    asked = Asked(subject, subject.correct(), plausible_changes(subject.train, frozenset(), 60), labels_only=False)
    assert asked.labels_only
    assert search(asked, 2, 60, 0).flipped.any()


def test_what_cannot_be_attacked_says_why(run_check, tmp_path: Path) -> None:
    data = applicants(300)
    model = fitted(DecisionTreeClassifier(), data[:200])
    nodes = declared(tmp_path, model, data[:200], data[200:])
    with pytest.raises(UnknownName, match="did you mean 'age'"):
        run_check(CHECK, *nodes, immutable="agee")
    with pytest.raises(InputError, match="no feature may change"):
        run_check(CHECK, *nodes, immutable="age, amount, purpose, owner, months")
    with pytest.raises(InputError, match="has no tested_on"):
        run_check(CHECK, *nodes[:2])
    with pytest.raises(InputError, match="has no trained_on"):
        run_check(CHECK, nodes[0], nodes[2])
    with pytest.raises(InputError, match="nothing to try"):
        run_check(CHECK, *nodes, k=0)
    with pytest.raises(InputError, match="decided correctly"):
        run_check(CHECK, *declared(tmp_path, model, data[:200], data[200:210]))
    with pytest.raises(InputError, match="no classifier"):
        run_check(CHECK, *declared(tmp_path, IsolationForest(n_estimators=5).fit(data[["age", "amount"]]), data[:200], data[200:]))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 50), st.integers(1, 3), st.integers(5, 80))
def test_every_change_is_plausible_within_budget_and_confirmed(seed: int, k: int, queries: int) -> None:
    data = applicants(140, seed)
    train, test = data[:100], data[100:].reset_index(drop=True)
    model = fitted(DecisionTreeClassifier(random_state=0), train)
    subject = prepared_of(model, train, test)
    asked = Asked(subject, np.arange(40), plausible_changes(subject.train, frozenset({"owner"}), 60), labels_only=False)
    flips = search(asked, k, queries, seed)
    assert (flips.queries <= queries).all()
    assert (flips.size[flips.flipped] <= k).all()
    changed = asked.changes.applied(asked.frame, np.arange(40), flips.changes)
    different = changed.astype(object).ne(asked.frame.astype(object))
    assert (different.sum(axis=1) == flips.size).all()
    assert not different.owner.any()
    for name in subject.train.columns:
        assert set(changed[name][different[name]]) <= set(subject.train[name])
    assert ((model.predict(changed) != model.predict(asked.frame)) == flips.flipped).all()


def test_two_features_are_found_where_one_does_not_do() -> None:
    """Decided by two votes of three: a decision at 3:0 needs two changes, and exactly two are made."""
    random = np.random.default_rng(0)
    votes = pd.DataFrame(random.integers(0, 2, (400, 3)), columns=["a", "b", "c"])
    labels = pd.Series(np.where(votes.sum(axis=1) >= 2, 1, 0), name="repaid")
    data = votes.assign(repaid=labels)
    model = DecisionTreeClassifier().fit(votes, labels)
    subject = prepared_of(model, data, data)
    asked = Asked(subject, np.arange(400), plausible_changes(subject.train, frozenset(), 60), labels_only=False)
    unanimous = votes.sum(axis=1).isin([0, 3]).to_numpy()
    one, two = search(asked, 1, 100, 0), search(asked, 2, 100, 0)
    assert (one.flipped == ~unanimous).all()
    assert two.flipped.all()
    assert (two.size == np.where(unanimous, 2, 1)).all()
    assert (two.queries[~unanimous] <= 3).all()
    assert random_flips(asked, 1, 20, 0) == pytest.approx((~unanimous).mean() * 2 / 3, abs=0.03)


def test_many_values_are_thinned_to_the_budget() -> None:
    frame = pd.DataFrame({"x": np.arange(1000) / 7, "n": np.arange(1000) % 50, "c": [f"v{i % 40}" for i in range(1000)], "one": 1})
    wide = plausible_changes(frame, frozenset(), 10_000)
    assert [len(values) for values in wide.values] == [MOST_VALUES, MOST_VALUES, MOST_VALUES, 0]
    narrow = plausible_changes(frame, frozenset(), 30)
    assert narrow.count == 30
    assert narrow.values[0][0] == 0
    assert narrow.values[0][-1] == pytest.approx(999 / 7)
