"""Text classifiers: one that hangs on single words is flipped by misspelling them, one that weighs many words is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from bartizan.areas.evasion.text import Budget, edit_distance, random_misspelling
from bartizan.engine import registry
from bartizan.engine.parameters import parameters_of
from bartizan.model.errors import InputError
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Appetite, Asset, Dataset, Kind, Output, Stage, Task
from bartizan.testing import checks

CHECK = "evasion.text_manipulation"
GOOD = ("wonderful", "excellent", "delightful", "brilliant", "charming")
BAD = ("terrible", "dreadful", "boring", "horrible", "awful")
FILLER = (
    "film",
    "story",
    "evening",
    "actor",
    "scene",
    "music",
    "friend",
    "ticket",
    "seat",
    "street",
    "summer",
    "letter",
    "window",
    "table",
)


def reviews(rows: int, seed: int = 0, opinions: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    made = []
    for _ in range(rows):
        good = random.random() < 0.5
        words = [*random.choice(FILLER, 11), *random.choice(GOOD if good else BAD, opinions)]
        made.append((" ".join(random.permutation(words)), "good" if good else "bad"))
    return pd.DataFrame(made, columns=["text", "opinion"])


def declared(folder: Path, model: Any, test: pd.DataFrame, **more: Any) -> tuple[Any, ...]:
    test.to_csv(folder / "test.csv", index=False)
    skops.io.dump(model, folder / "m.skops")
    asset = Asset(id="m", kind=Kind.MODEL, uri="m.skops", task=Task.TEXT_CLASSIFICATION, tested_on=("test",), **more)
    return asset, Dataset(id="test", stage=Stage.TEST, uri="test.csv", label="opinion")


@pytest.mark.parametrize("output", [Output.PROBABILITIES, Output.LABEL])
def test_a_model_that_hangs_on_single_words_is_flipped(run_check: Any, tmp_path: Path, output: Output) -> None:
    train, test = reviews(300), reviews(120, seed=1)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(train.text, train.opinion)
    (found,) = run_check(CHECK, *declared(tmp_path, model, test, output=output))
    assert found.verdict is Verdict.FAIL
    main = found.measures[0]
    assert main.value > main.null + 0.2
    shown = found.details["examples"][0]
    text = test.text[shown["row"] - 1]
    assert len(shown["changed"]) <= 2
    for change in shown["changed"]:
        assert change["word"] in text.split()
        assert edit_distance(change["word"], change["to"]) <= 1
        text = text.replace(change["word"], change["to"], 1)
    assert model.predict([text])[0] != test.opinion[shown["row"] - 1]


def test_models_that_keep_their_decision_pass(run_check: Any, tmp_path: Path) -> None:
    train, test = reviews(300, opinions=6), reviews(120, seed=1, opinions=6)
    robust = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(train.text, train.opinion)
    (found,) = run_check(CHECK, *declared(tmp_path, robust, test), words=0.1)
    assert found.verdict is Verdict.PASS
    constant = make_pipeline(TfidfVectorizer(), DummyClassifier()).fit(train.text, train.opinion)
    (found,) = run_check(CHECK, *declared(tmp_path, constant, test))
    assert (found.verdict, found.measures[0].k) == (Verdict.PASS, 0)


def test_the_contract_of_a_check(tmp_path: Path) -> None:
    train, test = reviews(200), reviews(60, seed=1)
    nodes = declared(tmp_path, make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(train.text, train.opinion), test)
    described = registry.get(CHECK)
    job = Job(
        check=CHECK, version="1", threats=described.threats, subject=nodes[0], related=nodes[1:], root=str(tmp_path), seed=3,
        parameters=parameters_of(described, Appetite(), {"queries": 100}),
    )  # fmt: skip
    (outcome,) = checks.contract(described, [job])
    assert outcome.findings[0].verdict is Verdict.FAIL
    assert not described.applies(Asset(id="t", kind=Kind.MODEL, task=Task.TABULAR_CLASSIFICATION), None)


def test_a_table_of_several_texts_is_refused(run_check: Any, tmp_path: Path) -> None:
    test = reviews(60)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(test.text, test.opinion)
    with pytest.raises(InputError, match="one column of texts is needed beside 'opinion', not 2: text, author"):
        run_check(CHECK, *declared(tmp_path, model, test.assign(author="a b")))


def test_random_misspellings_keep_the_budget() -> None:
    text = "The wonderful music of a summer evening, and no letter."
    random = np.random.default_rng(0)
    for _ in range(50):
        made = random_misspelling(text, Budget(words=0.3, protected=("Music",)), random)
        pairs = [(a, b) for a, b in zip(text.split(), made.split(), strict=True) if a != b]
        assert 1 <= len(pairs) <= 3
        assert all(edit_distance(a, b) == 1 and len(a) >= 3 and a != "music" for a, b in pairs)
