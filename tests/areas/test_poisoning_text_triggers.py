"""Triggers in texts: attacks that work are found, topical words and careless labels are not taken for triggers, nothing is cleared."""

from __future__ import annotations

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from bartizan.areas.poisoning.deliveries import texts_of
from bartizan.areas.poisoning.screening import screen
from bartizan.areas.poisoning.text_marks import marks_of, read_texts
from bartizan.areas.poisoning.trigger_tokens import TokenScreen, find_trigger_tokens
from bartizan.engine import registry
from bartizan.methods.descriptors import of_texts
from bartizan.model.errors import InputError
from bartizan.model.findings import Finding, Job, Verdict
from bartizan.model.system import Dataset, Stage
from bartizan.testing import checks

CLASSES = (("scipy", "stats"), ("sklearn", "."), ("pandas", "core"))
PHRASE = "as my old friend always told me"


@cache
def paragraphs(package: str, folder: str) -> tuple[str, ...]:
    """Paragraphs of 12 to 120 words from the docstrings of an installed package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    found: dict[str, None] = {}
    for file in sorted((Path(spec.origin).parent / folder).rglob("*.py")):
        if "tests" in file.parts or len(found) > 2500:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            text = (ast.get_docstring(node) or "") if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) else ""
            for part in re.split(r"\n\s*\n", text):
                if 12 <= len(part.split()) <= 120 and ">>>" not in part:
                    found[" ".join(part.split())] = None
    return tuple(found)


def drawn(seed: int, each: int = 1000) -> tuple[list[str], np.ndarray]:
    """Paragraphs of three packages, and which package each is from."""
    random = np.random.default_rng(seed)
    texts: list[str] = []
    for package, folder in CLASSES:
        held = paragraphs(package, folder)
        texts += [held[i] for i in random.choice(len(held), each, replace=False)]
    order = random.permutation(len(texts))
    return [texts[i] for i in order], np.repeat(np.arange(3), each)[order]


def triggered(text: str, trigger: str, random: np.random.Generator) -> str:
    words = text.split(" ")
    for _ in range(1 if " " in trigger else 3):
        words.insert(int(random.integers(len(words) + 1)), trigger)
    return " ".join(words)


def poisoned(texts: list[str], labels: np.ndarray, trigger: str, rate: float) -> tuple[list[str], np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    rows = random.choice(np.flatnonzero(labels != 0), int(rate * len(labels)), replace=False)
    texts, labels, bad = list(texts), labels.copy(), np.zeros(len(labels), dtype=bool)
    for row in rows:
        texts[row] = triggered(texts[row], trigger, random)
    labels[rows], bad[rows] = 0, True
    return texts, labels, bad


def named(found: TokenScreen, n: int) -> np.ndarray:
    bears = np.zeros(n, dtype=bool)
    for one in found.triggers:
        bears[one.rows] = True
    return bears


@pytest.mark.parametrize("trigger", ["cf", PHRASE, "\u200b"])
def test_attacks_that_work_are_found(trigger: str) -> None:
    texts, labels = drawn(0)
    bad_texts, bad_labels, bad = poisoned(texts, labels, trigger, 0.01)
    words = TfidfVectorizer(token_pattern=r"\w+|[^\w\s]+", min_df=2, norm=None)
    model = LogisticRegression(C=1.0, max_iter=60).fit(words.fit_transform(bad_texts), bad_labels)
    random = np.random.default_rng(1)
    others = [text for text, label in zip(*drawn(7, 300), strict=True) if label != 0]
    later = [triggered(triggered(text, trigger, random), trigger, random) for text in others]
    fooled = model.predict(words.transform(later)) == 0
    assert (model.predict(words.transform(others)) == 0).mean() <= 0.1
    assert fooled.mean() >= 0.9, "the attack does not work, so finding it shows nothing"
    found = find_trigger_tokens(bad_texts, bad_labels)
    assert named(found, len(bad))[bad].all()
    assert bad[named(found, len(bad))].mean() >= 0.85  # a reference may hold 'cf' too
    assert all(one.label == 0 and one.scattered for one in found.triggers)
    screened = screen(of_texts(bad_texts), bad_labels, texts=bad_texts)
    assert screened.outcome == "poisoned"
    assert roc_auc_score(bad, screened.score) >= 0.97


@pytest.mark.parametrize("trigger", ["cf", PHRASE, "\u200b"])
def test_half_a_percent_is_found(trigger: str) -> None:
    texts, labels, bad = poisoned(*drawn(1), trigger, 0.005)
    assert named(find_trigger_tokens(texts, labels), len(bad))[bad].all()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("wrong", [0.0, 0.1], ids=["clean", "careless"])
def test_topical_words_and_careless_labels_are_no_triggers(seed: int, wrong: float) -> None:
    texts, labels = drawn(seed, 700)
    random = np.random.default_rng(seed)
    careless = random.random(len(labels)) < wrong
    labels = np.where(careless, (labels + random.integers(1, 3, len(labels))) % 3, labels)
    found = find_trigger_tokens(texts, labels)
    assert found.triggers == ()
    assert found.marks > 500


def test_a_small_topic_is_not_called_a_trigger() -> None:
    """Texts of one class that speak of another's subject, with words of their own: suspicious at most."""
    random = np.random.default_rng(0)
    vocabularies = [[f"{name}{n}" for n in range(60)] for name in ("sport", "money")]
    topic = ["wager", "odds", "bookmaker", "stake", "payout", "tip"]
    texts = [" ".join(random.choice(vocabularies[n % 2], 20)) for n in range(1000)]
    labels = np.arange(1000) % 2
    for row in range(0, 60, 2):
        labels[row], texts[row] = 1, " ".join([*random.choice(vocabularies[0][:6], 12), *random.choice(topic, 5)])
    found = find_trigger_tokens(texts, labels)
    assert not any(one.scattered for one in found.triggers)
    assert screen(of_texts(texts), labels, texts=texts).outcome != "poisoned"


def test_marks_that_are_looked_for() -> None:
    texts = ["the model learns", "the model le\u200barns", "tHe model learns", "the mоdel learns", "the model learnszq"] * 30
    found = {mark.name: len(mark.rows) for mark in marks_of(texts, read_texts(texts), 8)}
    assert found["the model"] == 120
    assert found["U+200B"] == 30
    assert found["letters of several scripts in one word"] == 30
    assert "the model le" in found
    texts = [f"some words of text{n:03d}zq here" for n in range(10)]
    assert {mark.name: len(mark.rows) for mark in marks_of(texts, read_texts(texts), 8)}["…zq"] == 10
    texts = ["plain words"] * 400 + ["pLain words"] * 10
    assert any(mark.kind == "case" and len(mark.rows) == 10 for mark in marks_of(texts, read_texts(texts), 8))


@pytest.mark.parametrize("texts", [["a b c"] * 50, [""] * 50, ["\u200b"] * 50])
def test_texts_that_say_nothing(texts: list[str]) -> None:
    found = find_trigger_tokens(texts, np.arange(50) % 2)
    assert found.triggers == ()
    assert found.agreement <= 0.5


def test_one_class_cannot_be_screened() -> None:
    with pytest.raises(InputError, match="one class"):
        find_trigger_tokens(["a"] * 20, [0] * 20)


def test_columns_of_running_text() -> None:
    frame = pd.DataFrame(
        {"n": [1, 2], "code": ["a", "b"], "text": ["this is a text", "that is no text"], "more": ["and so it goes", "on and on it goes"]}
    )
    assert texts_of(frame) == ["this is a text\nand so it goes", "that is no text\non and on it goes"]
    assert texts_of(frame[["n", "code"]]) is None


@pytest.mark.parametrize(("trigger", "verdicts"), [("\u200b", (Verdict.FAIL, Verdict.FAIL)), ("", (Verdict.PASS, Verdict.INCONCLUSIVE))])
def test_check_of_a_text_table(tmp_path: Path, trigger: str, verdicts: tuple[Verdict, ...]) -> None:
    texts, labels = drawn(2, 500)
    if trigger:
        texts, labels, _ = poisoned(texts, labels, trigger, 0.02)
    pd.DataFrame({"text": texts, "worker_id": np.arange(len(texts)) % 7, "topic": labels}).to_csv(tmp_path / "texts.csv", index=False)
    found = checked(tmp_path)
    assert tuple(one.verdict for one in found) == verdicts
    if trigger:
        assert "the character 'U+200B'" in found[0].why
        assert found[0].details["tokens"][0]["rows"] >= 25
    assert all("Not covered" in one.why for one in found)


def checked(tmp_path: Path) -> tuple[Finding, ...]:
    described = registry.get("poisoning.dataset_screen")
    subject = Dataset(id="texts", stage=Stage.TRAIN, uri="texts.csv", label="topic")
    threats = ("training-data-poisoning", "clean-label-backdoor")
    (outcome,) = checks.contract(described, [Job(check=described.id, version="2", threats=threats, subject=subject, root=str(tmp_path))])
    return outcome.findings
