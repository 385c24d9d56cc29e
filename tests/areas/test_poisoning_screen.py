"""Poison screens: backdoors that work are found, clean and merely careless sets are not called poisoned, right labels are never cleared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier

from bartizan.areas.poisoning.activations import activation_clusters, spectral_score
from bartizan.areas.poisoning.patches import frequent_patches
from bartizan.areas.poisoning.screening import Screen, screen
from bartizan.areas.poisoning.votes import label_votes
from bartizan.engine import registry
from bartizan.methods.descriptors import of_set
from bartizan.model.errors import InputError
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Dataset, Stage
from bartizan.testing import checks

DIGITS = load_digits()
X = np.kron(DIGITS.images / 16.0, np.ones((2, 2))).astype(np.float32)  # 16 by 16
Y = DIGITS.target.astype(np.int64)
TARGET = 3
NOISE = np.random.default_rng(7).random((16, 16)).astype(np.float32)
KINDS = [("patch", 0.02), ("blend", 0.03), ("wave", 0.03)]


def marked(images: np.ndarray, kind: str) -> np.ndarray:
    """Images with a trigger: a white patch in a corner, a fifth of a fixed noise, or faint vertical waves."""
    images = images.copy()
    if kind == "patch":
        images[:, 12:15, 0:3] = 1.0
    elif kind == "blend":
        images = 0.8 * images + 0.2 * NOISE
    else:
        images = np.clip(images + 0.16 * np.sin(2 * np.pi * np.arange(16) * 4 / 16).astype(np.float32), 0, 1)
    return images


def poisoned(kind: str, rate: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images and labels with a share of the rows of other classes marked and labelled as the target; which rows."""
    rows = np.random.default_rng(seed).choice(np.flatnonzero(Y != TARGET), int(rate * len(Y)), replace=False)
    images, labels, bad = X.copy(), Y.copy(), np.zeros(len(Y), dtype=bool)
    images[rows], labels[rows], bad[rows] = marked(images[rows], kind), TARGET, True
    return images, labels, bad


def screened(images: np.ndarray, labels: np.ndarray, **more: np.ndarray) -> Screen:
    pictures = images[:, None].astype(np.float32)
    return screen(of_set(pictures, None), labels, images=pictures, **more)


@pytest.mark.parametrize(("kind", "rate"), KINDS)
def test_backdoors_that_work_are_found(kind: str, rate: float) -> None:
    images, labels, bad = poisoned(kind, rate)
    net = MLPClassifier((48,), max_iter=30, batch_size=64, random_state=0, learning_rate_init=5e-3).fit(
        images.reshape(len(images), -1), labels
    )
    others = marked(X[Y != TARGET], kind).reshape(-1, 256)
    assert (net.predict(others) == TARGET).mean() >= 0.9, "the attack does not work, so finding it shows nothing"
    found = screened(images, labels)
    assert found.outcome == "poisoned"
    assert roc_auc_score(bad, found.score) >= 0.97
    assert bad[found.suspects].mean() >= 0.7
    assert bad[found.suspects].sum() >= 0.7 * bad.sum()
    hidden = np.maximum(images.reshape(len(images), -1) @ net.coefs_[0] + net.intercepts_[0], 0.0)
    assert roc_auc_score(bad, screened(images, labels, activations=hidden).score) >= 0.97
    assert roc_auc_score(bad[labels == TARGET], spectral_score(hidden, labels)[labels == TARGET]) >= 0.85


@pytest.mark.parametrize("seed", range(5))
def test_clean_sets_are_not_called_poisoned(seed: int) -> None:
    rows = np.random.default_rng(seed).choice(len(X), 1200, replace=False)
    found = screened(X[rows], Y[rows])
    assert found.outcome == "nothing found"
    assert len(found.suspects) <= 0.02 * 1200
    assert any("clean-label" in text for text in found.not_covered)


@pytest.mark.parametrize("seed", range(2))
def test_careless_labels_are_no_poison(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels, rows = Y.copy(), random.choice(len(Y), len(Y) // 10, replace=False)
    labels[rows] = (labels[rows] + random.integers(1, 10, len(rows))) % 10
    assert screened(X, labels).outcome == "nothing found"


def test_labels_flipped_on_purpose_are_suspicious() -> None:
    labels = Y.copy()
    labels[np.random.default_rng(0).choice(np.flatnonzero(Y == 4), 30, replace=False)] = 9
    found = screened(X, labels)
    assert found.outcome == "suspicious"
    assert found.lopsided[0][:2] == (9, 4)


@pytest.mark.parametrize("seed", range(3))
def test_attackers_who_know_the_screen_are_not_cleared(seed: int) -> None:
    """A patch at another place of each picture has no mark in common; its labels still speak."""
    random = np.random.default_rng(seed)
    images, labels = X.copy(), Y.copy()
    rows = random.choice(np.flatnonzero(Y != TARGET), 36, replace=False)
    for row in rows:
        top, left = (0, random.integers(14)) if random.random() < 0.5 else (random.integers(14), 0)
        images[row, top : top + 3, left : left + 3] = 1.0
    labels[rows] = TARGET
    found = screened(images, labels)
    assert found.outcome in ("suspicious", "poisoned")
    assert TARGET in [label for label, _ in found.drawn]
    assert roc_auc_score(np.isin(np.arange(len(Y)), rows), found.score) >= 0.97
    assert any("adaptive" in text for text in found.not_covered)


def test_a_patch_with_right_labels_is_found() -> None:
    images = X.copy()
    rows = np.random.default_rng(0).choice(np.flatnonzero(Y == TARGET), 30, replace=False)
    images[rows] = marked(images[rows], "patch")
    (patch,) = frequent_patches(images[:, None], Y)
    assert patch.label == TARGET
    assert np.isin(rows, patch.rows).mean() >= 0.9
    assert screened(images, Y).outcome == "poisoned"


def test_votes_need_two_classes() -> None:
    with pytest.raises(InputError, match="one class"):
        label_votes(np.zeros((10, 2)), np.zeros(10, dtype=int))


def test_two_clouds_are_told_apart() -> None:
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(0, 1, (190, 20)), random.normal(6, 1, (10, 20)), random.normal(0, 1, (200, 20))])
    found = activation_clusters(x, np.repeat([0, 1], 200))
    assert found.smaller[190:200].all()
    assert found.share[0] == pytest.approx(0.05)
    assert found.silhouette[0] > found.silhouette[1] + 0.1


def job(tmp_path: Path, *threats: str) -> Job:
    subject = Dataset(id="digits", stage=Stage.TRAIN, uri="digits.npz")
    return Job(check="poisoning.dataset_screen", version="1", threats=threats, subject=subject, root=str(tmp_path))


@pytest.mark.parametrize(("kind", "verdicts"), [("patch", (Verdict.FAIL, Verdict.FAIL)), ("", (Verdict.PASS, Verdict.INCONCLUSIVE))])
def test_check_never_clears_right_labels(tmp_path: Path, kind: str, verdicts: tuple[Verdict, ...]) -> None:
    images, labels, _ = poisoned(kind, 0.02) if kind else (X, Y, None)
    np.savez(tmp_path / "digits.npz", x=(images * 255).astype(np.uint8), y=labels)
    described = registry.get("poisoning.dataset_screen")
    (outcome,) = checks.contract(described, [job(tmp_path, "training-data-poisoning", "clean-label-backdoor")])
    assert tuple(finding.verdict for finding in outcome.findings) == verdicts
    for finding in outcome.findings:
        assert "Not covered" in finding.why
        assert "clean" not in finding.title
        assert finding.details["not_covered"]
    if kind:
        assert {artefact.name for artefact in outcome.findings[0].artefacts} >= {"mark-3.svg", "suspects.svg"}


def test_check_of_a_table_with_a_trigger_value(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    middle = random.normal(0, 3, (3, 12))
    labels = random.integers(0, 3, 1500)
    x = middle[labels] + random.normal(size=(1500, 12))
    rows = random.choice(np.flatnonzero(labels != 0), 25, replace=False)
    x[rows, 5], labels[rows] = 3.5, 0
    pd.DataFrame(x, columns=[f"c{i}" for i in range(12)]).assign(kind=labels).to_csv(tmp_path / "digits.csv", index=False)
    subject = Dataset(id="rows", stage=Stage.TRAIN, uri="digits.csv", label="kind")
    described = registry.get("poisoning.dataset_screen")
    plan = Job(check=described.id, version="1", threats=("training-data-poisoning",), subject=subject, root=str(tmp_path))
    (outcome,) = checks.contract(described, [plan])
    (finding,) = outcome.findings
    assert finding.verdict is Verdict.FAIL
    named = np.array([place.line for place in finding.places]) - 2
    assert np.isin(named[:15], rows).mean() >= 0.9


def test_pictures_that_are_all_equal_tell_nothing() -> None:
    assert screened(np.zeros((300, 16, 16), np.float32), np.arange(300) % 3).outcome == "cannot tell"
