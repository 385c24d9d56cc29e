"""Near duplicates: every planted pair is found and none besides, whatever the texts share; pictures saved again are told from like ones."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from bartizan.areas.quality.alike_pictures import near_images
from bartizan.areas.quality.alike_texts import clusters, near_texts
from bartizan.areas.quality.duplicates import duplicate_pictures, duplicate_rows
from bartizan.areas.quality.leaked_rows import table_leakage
from bartizan.engine import registry
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Asset, Dataset, Kind, Stage
from bartizan.testing import checks

WORDS = np.array([f"w{i}" for i in range(5000)])
OFTEN = 1.0 / np.arange(1, 5001)


def corpus(rows: int, copies: int, changed: float, boilerplate: float, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Texts with words as frequent as in real ones, some copied with a share of words changed; the source of each text."""
    random = np.random.default_rng(seed)
    often = OFTEN / OFTEN.sum()
    head = " ".join(random.choice(WORDS, 120, p=often))
    texts = [list(random.choice(WORDS, int(random.integers(50, 150)), p=often)) for _ in range(rows)]
    source = list(range(rows))
    for _ in range(copies):
        origin = int(random.integers(0, rows))
        words = list(texts[origin])
        for place in random.choice(len(words), int(changed * len(words)), replace=False):
            words[place] = str(random.choice(WORDS, p=often))
        texts.append(words)
        source.append(origin)
    headed = random.random(len(texts)) < boilerplate
    return [(head + " " if has else "") + " ".join(words) for has, words in zip(headed, texts, strict=True)], np.array(source)


def pairs_of(source: np.ndarray) -> set[tuple[int, int]]:
    return {pair for one in np.unique(source) for pair in itertools.combinations(np.flatnonzero(source == one).tolist(), 2)}


@pytest.mark.parametrize("boilerplate", [0.0, 0.3, 1.0])
def test_all_near_texts_and_none_besides(boilerplate: float) -> None:
    texts, source = corpus(800, 100, 0.05, boilerplate)
    found = near_texts(texts)
    got, wanted = set(zip(found.left.tolist(), found.right.tolist(), strict=True)), pairs_of(source)
    assert len(got & wanted) / len(wanted) >= 0.95
    assert got <= wanted
    largest = int(np.bincount(clusters(found, len(texts))).max())
    assert largest <= 1.1 * np.bincount(source).max()


def test_the_prefix_filter_loses_no_pair() -> None:
    texts, _ = corpus(150, 60, 0.15, 0.5, seed=4)
    filtered = near_texts(texts, threshold=0.4)
    every = near_texts(texts, threshold=1e-6)  # a prefix that is the whole text: all pairs with a part in common
    wanted = {(int(a), int(b)) for a, b, o in zip(every.left, every.right, every.overlap, strict=True) if o >= 0.4}
    assert set(zip(filtered.left.tolist(), filtered.right.tolist(), strict=True)) == wanted


def test_texts_without_spaces_and_empty_ones() -> None:
    text = "机器学习系统的安全评估需要可信的数据来源和完整的证据链并且应当由独立的人员复核"
    found = near_texts([text, text[:-2] + "审查", "", "x", "完全不同的另一段文字讨论天气和旅行以及其他无关的事情与数据没有关系"])
    assert list(zip(found.left, found.right, strict=True)) == [(0, 1)]
    assert len(near_texts([]).left) == 0
    assert len(near_texts(["", ""]).left) == 0


def digits() -> np.ndarray:
    """Digits enlarged to 32 by 32 pixels, as bytes."""
    return np.kron(load_digits().images * 15.9, np.ones((4, 4))).astype(np.uint8)


def saved_again(image: np.ndarray, quality: int) -> np.ndarray:
    pillow = pytest.importorskip("PIL.Image")
    stream = io.BytesIO()
    pillow.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(pillow.open(stream).convert("L"))


def unit(images: np.ndarray) -> np.ndarray:
    return images[:, None].astype(np.float32) / np.float32(255)


@pytest.mark.parametrize("quality", [40, 85])
def test_pictures_saved_again_are_found(quality: int) -> None:
    images = digits()
    train, test = images[:1200], images[1200:].copy()
    for row in range(0, 200, 2):
        test[row] = saved_again(train[row * 5], quality)
    found = near_images(unit(train), unit(test))
    planted = np.arange(0, 200, 2)
    assert (found.near[planted] & (found.partner[planted] == planted * 5)).mean() >= 0.95
    others = np.setdiff1d(np.arange(len(test)), planted)
    assert found.near[others].mean() <= 0.02


def test_a_smaller_brighter_copy_is_the_same_picture() -> None:
    images = unit(digits())
    small = images[:50].reshape(50, 1, 16, 2, 16, 2).mean(axis=(3, 5)) * 0.7 + 0.2
    found = near_images(images, small.astype(np.float32))
    assert (found.near & (found.partner == np.arange(50))).mean() >= 0.95


def test_three_copies_are_one_group() -> None:
    images = unit(digits())[:300]
    again = np.concatenate([images, images[:1], images[:1]])
    assert duplicate_pictures(again)[-2:].tolist() == [0, 0]
    frame = pd.DataFrame({"a": [1, 2, 1, 1], "b": ["x", "y", " X", "z"]})
    assert duplicate_rows(frame).tolist() == [0, 1, 0, 3]


LEAKS = ["exact", "reordered", "retyped", "float noise", "near text"]


@pytest.mark.parametrize("kind", LEAKS)
def test_every_kind_of_leak_is_found(kind: str) -> None:
    random = np.random.default_rng(0)

    def table(texts: list[str]) -> pd.DataFrame:
        return pd.DataFrame({"x": random.normal(size=len(texts)), "z": random.normal(size=len(texts)), "text": texts})

    train, test = table(corpus(600, 0, 0, 0.5)[0]), table(corpus(200, 0, 0, 0.5, seed=9)[0])
    test.iloc[:100] = train.iloc[100:200].to_numpy()
    if kind == "reordered":
        test = test[["text", "z", "x"]]
    if kind == "retyped":
        test["text"] = test["text"].str.upper() + "  "
    if kind == "float noise":
        test["x"] *= 1 + 1e-9
    if kind == "near text":
        test["text"] = [" ".join("changed" if i % 25 == 3 else word for i, word in enumerate(text.split())) for text in test["text"]]
        test["x"] = random.normal(size=200)
    found = table_leakage(train, test)
    assert (found.partner[:100] == np.arange(100, 200)).mean() >= 0.95
    assert (found.partner[100:] >= 0).mean() == 0.0


def test_check_of_pictures_in_both_splits(tmp_path: Path) -> None:
    images = digits()
    train, test = images[:1200], images[1200:].copy()
    test[:30] = [saved_again(image, 70) for image in train[:30]]
    labels = load_digits().target
    np.savez(tmp_path / "train.npz", x=train, y=labels[:1200])
    np.savez(tmp_path / "test.npz", x=test, y=labels[1200:])
    sets = [Dataset(id=name, stage=stage, uri=f"{name}.npz") for name, stage in (("train", Stage.TRAIN), ("test", Stage.TEST))]
    job = Job(
        check="quality.split_leakage",
        version="2",
        threats=("train-test-leakage",),
        subject=Asset(id="net", kind=Kind.MODEL, trained_on=("train",), tested_on=("test",)),
        related=tuple(sets),
        about=(("train-test-leakage", "test"),),
        root=str(tmp_path),
        parameters={"tolerance": 0.02, "near": 0.01},
    )
    (outcome,) = checks.contract(registry.get(job.check), [job])
    (finding,) = outcome.findings
    assert finding.verdict is Verdict.FAIL
    assert 30 <= (finding.measures[0].k or 0) <= 40
    assert finding.artefacts[0].name == "leaked-pictures.svg"


@pytest.mark.parametrize(("copies", "verdict"), [(0, Verdict.PASS), (200, Verdict.FAIL)])
def test_check_of_texts(tmp_path: Path, copies: int, verdict: Verdict) -> None:
    texts, _ = corpus(500, copies, 0.05, 0.3)
    pd.DataFrame({"text": texts}).to_json(tmp_path / "texts.jsonl", orient="records", lines=True)
    job = Job(
        check="quality.near_duplicates",
        version="1",
        threats=("training-data-poisoning",),
        subject=Dataset(id="texts", stage=Stage.TRAIN, uri="texts.jsonl"),
        root=str(tmp_path),
        parameters={"tolerance": 0.05},
    )
    (outcome,) = checks.contract(registry.get(job.check), [job])
    assert outcome.findings[0].verdict is verdict
    assert outcome.findings[0].measures[0].k == copies


def test_categories_with_long_names_are_not_texts() -> None:
    """Rows that share the wording of their categories, and differ in numbers, repeat nothing; one that is copied does."""
    draw = np.random.default_rng(0)
    histories = [f"account number {n} with other credits existing at banks elsewhere" for n in range(6)]
    frame = pd.DataFrame(
        {"history": draw.choice(histories, 300), "amount": draw.integers(250, 20_000, 300), "age": draw.integers(18, 80, 300)}
    )
    frame.loc[299] = frame.loc[7]
    leader = duplicate_rows(frame)
    assert np.flatnonzero(leader != np.arange(300)).tolist() == [299]
    assert leader[299] == 7
