"""Label errors: planted ones are found, right labels are left alone, a neighbourhood that tells nothing gives no verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from bartizan.areas.quality.suspect_labels import label_errors
from bartizan.engine import registry
from bartizan.methods.descriptors import of_images, of_set, of_texts
from bartizan.model.errors import InputError
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Dataset, Stage
from bartizan.testing import checks

DIGITS = load_digits()
IMAGES = (DIGITS.images / 16.0).astype(np.float32)[:, None]
TRUE = DIGITS.target.astype(np.int64)


def noisy(rate: float, kind: str, seed: int = 0) -> np.ndarray:
    """Labels of which `rate` are wrong: any other class (symmetric), or the next one (pair)."""
    random = np.random.default_rng(seed)
    labels, wrong = TRUE.copy(), random.choice(len(TRUE), int(rate * len(TRUE)), replace=False)
    labels[wrong] = (labels[wrong] + (random.integers(1, 10, len(wrong)) if kind == "symmetric" else 1)) % 10
    return labels


def f1(flagged: np.ndarray, wrong: np.ndarray) -> float:
    return float(2 * (flagged & wrong).sum() / (flagged.sum() + wrong.sum()))


@pytest.mark.parametrize("kind", ["symmetric", "pair"])
@pytest.mark.parametrize("seed", [0, 1])
def test_wrong_labels_of_digits_are_found(kind: str, seed: int) -> None:
    labels = noisy(0.1, kind, seed)
    found = label_errors(of_images(IMAGES), labels)
    wrong = labels != TRUE
    assert f1(found.flagged, wrong) >= 0.9
    hit = found.flagged & wrong
    assert (found.suggested[hit] == TRUE[hit]).mean() >= 0.95
    assert (found.suggested[~found.flagged] == labels[~found.flagged]).all()


def test_right_labels_are_left_alone() -> None:
    assert label_errors(of_images(IMAGES), TRUE).flagged.mean() <= 0.015


def test_order_of_rows_and_names_of_classes_do_not_matter() -> None:
    labels = noisy(0.1, "symmetric")
    order, names = np.random.default_rng(3).permutation(len(labels)), np.random.default_rng(4).permutation(10)
    plain, moved = label_errors(of_images(IMAGES), labels), label_errors(of_images(IMAGES[order]), names[labels[order]])
    assert (plain.flagged[order] == moved.flagged).mean() > 0.999
    ranked = plain.ranked()
    assert (np.diff(plain.score[ranked]) >= 0).all()


def test_unbalanced_classes_do_not_swallow_the_rare_one() -> None:
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(0, 1, (2000, 5)), random.normal(4, 1, (60, 5))])
    labels = np.repeat([0, 1], [2000, 60])
    assert label_errors(x, labels).flagged.sum() <= 2
    labels[:40] = 1
    found = label_errors(x, labels)
    assert found.flagged[:40].mean() >= 0.9
    assert found.flagged[2000:].sum() <= 3


def test_texts_that_speak_of_the_same_lie_close() -> None:
    sport, money = "the team won the match after extra time", "the bank raised its rate for every loan"
    random = np.random.default_rng(0)
    fill = [f"w{i}" for i in range(200)]
    texts = [f"{(sport, money)[i % 2]} {' '.join(random.choice(fill, 3))}" for i in range(300)]
    labels = np.arange(300) % 2
    labels[:20] = 1 - labels[:20]
    found = label_errors(of_texts(texts), labels)
    assert f1(found.flagged, np.arange(300) < 20) >= 0.95


def test_one_class_is_an_error() -> None:
    with pytest.raises(InputError, match="contradict"):
        label_errors(np.zeros((10, 2)), np.zeros(10, dtype=int))


def job(tmp_path: Path, uri: str, **more: str) -> Job:
    subject = Dataset(id="digits", stage=Stage.TRAIN, uri=uri, **more)
    return Job(check="quality.label_errors", version="1", threats=("label-flipping",), subject=subject, root=str(tmp_path),
               parameters={"tolerance": 0.03})  # fmt: skip


@pytest.mark.parametrize(("rate", "verdict"), [(0.0, Verdict.PASS), (0.1, Verdict.FAIL)])
def test_check_of_pictures_has_a_gallery(tmp_path: Path, rate: float, verdict: Verdict) -> None:
    np.savez(tmp_path / "digits.npz", x=(IMAGES[:, 0] * 255).astype(np.uint8), y=noisy(rate, "pair"))
    (outcome,) = checks.contract(registry.get("quality.label_errors"), [job(tmp_path, "digits.npz")])
    (finding,) = outcome.findings
    assert finding.verdict is verdict
    if verdict is Verdict.FAIL:
        confusions, picture = finding.artefacts
        assert confusions.data is not None
        assert b"labelled " in confusions.data
        assert picture.data is not None
        assert picture.data.count(b"<image ") == 48
        assert finding.measures[0].value == pytest.approx(0.1, abs=0.015)
    else:
        assert finding.details["probability_cap"] == 0.3


def test_check_of_a_table_of_pixels_names_lines(tmp_path: Path) -> None:
    labels = noisy(0.1, "symmetric")
    pd.DataFrame(DIGITS.data.astype(int)).assign(digit=labels).to_csv(tmp_path / "digits.csv", index=False)
    (outcome,) = checks.contract(registry.get("quality.label_errors"), [job(tmp_path, "digits.csv", label="digit")])
    (finding,) = outcome.findings
    assert finding.verdict is Verdict.FAIL
    lines = [place.line for place in finding.places]
    wrong = np.flatnonzero(labels != TRUE)
    assert np.isin(np.array(lines) - 2, wrong).mean() >= 0.9


def test_noise_gives_no_verdict(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pd.DataFrame(random.normal(size=(500, 6))).assign(y=random.integers(0, 3, 500)).to_csv(tmp_path / "noise.csv", index=False)
    (outcome,) = checks.contract(registry.get("quality.label_errors"), [job(tmp_path, "noise.csv", label="y")])
    assert outcome.findings[0].verdict is Verdict.INCONCLUSIVE


def test_of_set_takes_pictures_before_columns() -> None:
    assert of_set(IMAGES, None).shape == (len(IMAGES), 60)


def test_a_sample_knows_its_rows(tmp_path: Path) -> None:
    from bartizan.adapters.labelled_sets import read_set

    pd.DataFrame({"a": np.arange(50), "y": np.arange(50) % 2}).to_csv(tmp_path / "rows.csv", index=False)
    whole = read_set(tmp_path, tmp_path / "rows.csv", label="y")
    part = whole.sample(10, seed=3)
    assert part.rows == 10
    assert part.frame is not None
    assert [part.number(row) for row in range(10)] == part.frame["a"].tolist()
    assert whole.sample(50, seed=3) is whole
    assert whole.number(7) == 7


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_classes_that_overlap_are_not_taken_for_errors(seed: int) -> None:
    """Where two of four classes overlap, a tenth of their rows looks like the other: on clean labels at most 1.5 in a hundred are named."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 4, 4000)
    centres = np.array([[0, 0], [2.5, 0], [0, 9], [9, 9]])
    features = (centres[truth] + random.normal(size=(4000, 2))).astype(np.float32)
    found = label_errors(features, truth)
    assert 0.02 < (found.probabilities.argmax(axis=1) != truth).mean() < 0.1
    assert found.flagged.mean() <= 0.015
    wrong = random.choice(4000, 400, replace=False)
    given = truth.copy()
    given[wrong] = (given[wrong] + random.integers(1, 4, 400)) % 4
    assert f1(label_errors(features, given).flagged, given != truth) >= 0.85
