"""Sources that stand out: who flips labels is named, honest ones are not, and the test is the exact one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_digits

from bartizan.areas.poisoning.source_signs import at_least, compare_sources, source_column
from bartizan.areas.poisoning.votes import label_votes
from bartizan.engine import registry
from bartizan.methods.descriptors import of_set
from bartizan.model.errors import InputError
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Dataset, Stage
from bartizan.testing import checks

DIGITS = load_digits()
Y = DIGITS.target.astype(np.int64)
FEATURES = of_set((DIGITS.images / 16).astype(np.float32)[:, None], None)
NAMES = np.array([f"worker-{n:02d}" for n in range(50)])


def drawn(seed: int, n: int = len(Y)) -> np.ndarray:
    """Sources of rows: worker-07 has 100 of them, 49 others the rest."""
    random = np.random.default_rng(seed)
    names = random.choice(np.delete(NAMES, 7), n)
    names[random.choice(n, 100, replace=False)] = NAMES[7]
    return names


def flipped(seed: int, names: np.ndarray, share: float = 0.2) -> np.ndarray:
    """Labels of which worker-07 got a share wrong."""
    random, labels = np.random.default_rng(seed), Y.copy()
    rows = np.flatnonzero(names == NAMES[7])
    rows = random.choice(rows, round(share * len(rows)), replace=False)
    labels[rows] = (labels[rows] + random.integers(1, 10, len(rows))) % 10
    return labels


def test_the_tail_is_that_of_binomials() -> None:
    for count in (0, 1, 5, 30):
        assert at_least(count, [200], [0.05]) == pytest.approx(stats.binom.sf(count - 1, 200, 0.05), rel=1e-9)
    both = np.convolve(stats.binom.pmf(np.arange(41), 40, 0.1), stats.binom.pmf(np.arange(8), 7, 0.6))
    assert at_least(9, [40, 7, 0], [0.1, 0.6, 0.5]) == pytest.approx(both[9:].sum(), rel=1e-9)
    assert at_least(300, [5000], [0.001]) == 1e-10


@pytest.mark.parametrize("seed", range(5))
def test_the_source_that_flips_labels_is_named_alone(seed: int) -> None:
    names = drawn(seed)
    labels = flipped(seed, names)
    found = compare_sources(names.tolist(), labels, {"labels": label_votes(FEATURES, labels).contradicted})
    assert {sign.source for sign in found.named} == {NAMES[7]}
    assert found.named[0].times >= 10


def test_honest_sources_are_not_named() -> None:
    contradicted = label_votes(FEATURES, Y).contradicted
    careless = Y.copy()
    wrong = np.random.default_rng(0).choice(len(Y), 90, replace=False)
    careless[wrong] = (careless[wrong] + 1) % 10
    signs = [(Y, contradicted), (careless, label_votes(FEATURES, careless).contradicted)]
    alarms = [bool(compare_sources(drawn(seed).tolist(), y, {"labels": flags}).named) for seed in range(50) for y, flags in signs]
    assert np.mean(alarms) <= 0.05


def test_whoever_has_the_hard_classes_is_not_blamed() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 4000)
    names = np.where((labels == 1) & (random.random(4000) < 0.9), "hard", np.where(random.random(4000) < 0.5, "a", "b"))
    flags = random.random(4000) < np.where(labels == 1, 0.3, 0.005)
    assert not compare_sources(names.tolist(), labels, {"labels": flags}).named
    blamed = compare_sources(names.tolist(), np.zeros(4000), {"labels": flags}).named
    assert [sign.source for sign in blamed] == ["hard"]


def test_columns_that_name_a_source() -> None:
    assert source_column(["age", "Worker ID", "label"]) == "Worker ID"
    assert source_column(["age", "resource", "label"]) is None
    assert source_column(["age", "who"], "who") == "who"
    with pytest.raises(InputError, match="no column 'whom'"):
        source_column(["age"], "whom")
    with pytest.raises(InputError, match="one source"):
        compare_sources(["a"] * 30, [0] * 30, {})


def asked(tmp_path: Path, uri: str, **parameters: str) -> list[tuple[Verdict, str, str]]:
    described = registry.get("poisoning.sources")
    subject = Dataset(id="rows", stage=Stage.TRAIN, uri=uri, label="kind")
    plan = Job(
        check=described.id,
        version="1",
        threats=("label-flipping",),
        subject=subject,
        root=str(tmp_path),
        parameters={"source": "", **parameters},
    )
    (outcome,) = checks.contract(described, [plan])
    return [(finding.verdict, finding.title, finding.why) for finding in outcome.findings]


def table(labels: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(DIGITS.data, columns=[f"p{n}" for n in range(64)]).assign(kind=labels)


@pytest.mark.parametrize(("share", "verdict"), [(0.2, Verdict.FAIL), (0.0, Verdict.PASS)])
def test_check_of_a_table(tmp_path: Path, share: float, verdict: Verdict) -> None:
    names = drawn(1)
    table(flipped(1, names, share)).assign(contributor=names).to_csv(tmp_path / "rows.csv", index=False)
    ((found, title, why),) = asked(tmp_path, "rows.csv")
    assert found is verdict
    assert ("worker-07" in title) == (verdict is Verdict.FAIL)
    assert "Not covered" in why


def test_check_of_one_file_for_each_source(tmp_path: Path) -> None:
    names = np.where(np.arange(len(Y)) % 3 == 0, "a", np.where(np.arange(len(Y)) % 3 == 1, "b", NAMES[7]))
    held = table(flipped(2, names, 0.1))
    (tmp_path / "rows").mkdir()
    for name, part in held.groupby(names):
        part.to_csv(tmp_path / "rows" / f"{name}.csv", index=False)
    ((found, title, _),) = asked(tmp_path, "rows")
    assert found is Verdict.FAIL
    assert title.endswith("stand out: worker-07.csv")


def test_check_without_sources_or_with_many_small_ones_does_not_pass(tmp_path: Path) -> None:
    table(Y).to_csv(tmp_path / "rows.csv", index=False)
    ((found, _, _),) = asked(tmp_path, "rows.csv")
    assert found is Verdict.UNKNOWN
    table(Y).assign(who=np.arange(len(Y)) // 3).to_csv(tmp_path / "rows.csv", index=False)
    ((found, title, why),) = asked(tmp_path, "rows.csv", source="who")
    assert found is Verdict.INCONCLUSIVE
    assert title.startswith("too little")
    assert "0 of 599 sources" in why
