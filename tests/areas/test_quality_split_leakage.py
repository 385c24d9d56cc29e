"""Leakage between splits: every kind of copy is found, a clean split gives no alarm, coincidence is told from copying."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.methods.aligned_tables import align, match_columns
from bartizan.methods.row_overlap import find_leakage
from bartizan.model.errors import InputError, Refused
from bartizan.model.findings import Finding, Verdict
from bartizan.model.system import Asset, Dataset, Kind, Stage

WORDS = np.array(["car (new)", "Radio/Television", "education", "repairs"])


def table(rows: int, seed: int) -> pd.DataFrame:
    """People as in a credit file: continuous, counted and named columns, and a label."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "amount": np.round(random.lognormal(8, 1, rows), 2),
            "age": random.integers(18, 80, rows),
            "rate": random.normal(3, 1, rows),
            "purpose": WORDS[random.integers(0, len(WORDS), rows)],
            "housing": np.array(["own", "rent"])[random.integers(0, 2, rows)],
            "bad": random.integers(0, 2, rows),
        }
    )


def test_clean_split_has_no_leak() -> None:
    found = find_leakage(table(2000, 1), table(500, 2), label="bad")
    assert found.leaked == 0
    assert found.by_chance == 0.0


@pytest.mark.parametrize("order", [None, 3, 4])
def test_exact_rows_are_found_in_any_order_of_columns(order: int | None) -> None:
    train, test = table(1000, 1), table(300, 2)
    test.iloc[10:20] = train.iloc[500:510].to_numpy()
    if order is not None:
        test = test[np.random.default_rng(order).permutation(test.columns)]
    found = find_leakage(train, test, label="bad")
    assert list(np.flatnonzero(found.exact)) == list(range(10, 20))
    assert list(found.partner[10:20]) == list(range(500, 510))
    assert found.leaked == 10


def test_renamed_columns_are_matched_by_content() -> None:
    train, test = table(1000, 1), table(300, 2)
    test.iloc[:5] = train.iloc[:5].to_numpy()
    test = test.rename(columns={"amount": "betrag", "purpose": "zweck", "age": "alter"})[
        ["zweck", "bad", "alter", "betrag", "housing", "rate"]
    ]
    assert match_columns(train, test) == {
        "zweck": "purpose", "bad": "bad", "alter": "age", "betrag": "amount", "housing": "housing", "rate": "rate",
    }  # fmt: skip
    found = find_leakage(train, test, label="bad")
    assert found.leaked == 5


def test_other_label_is_told_apart() -> None:
    train, test = table(1000, 1), table(300, 2)
    test.iloc[:7] = train.iloc[:7].to_numpy()
    test.loc[:6, "bad"] = 1 - train.loc[:6, "bad"]
    found = find_leakage(train, test, label="bad")
    assert (found.exact.sum(), found.relabelled.sum()) == (0, 7)


def test_retyped_text_is_found() -> None:
    train, test = table(1000, 1), table(300, 2)
    test.iloc[:9] = train.iloc[:9].to_numpy()
    test.loc[:8, "purpose"] = ["  " + text.upper().replace(" ", "\t ") for text in train.loc[:8, "purpose"]]
    found = find_leakage(train, test, label="bad")
    assert found.leaked == 9
    assert found.retyped.sum() == 9


def test_running_numbers_do_not_hide_a_copy() -> None:
    train, test = table(1000, 1), table(300, 2)
    test.iloc[:6] = train.iloc[:6].to_numpy()
    train.insert(0, "id", [f"C-{i}" for i in range(1000)])
    test.insert(0, "id", [f"C-{i}" for i in range(1000, 1300)])
    found = find_leakage(train, test, label="bad")
    assert found.columns.left_out == ("id",)
    assert found.leaked == 6


def test_texts_are_not_taken_for_running_numbers() -> None:
    train = pd.DataFrame({"text": [f"a story about {i} cats" for i in range(500)], "y": np.arange(500) % 2})
    test = pd.DataFrame({"text": [f"a story about {i} dogs" for i in range(100)], "y": np.arange(100) % 2})
    found = find_leakage(train, test, label="y")
    assert found.leaked == 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.0, 0.99), tolerance=st.sampled_from([0.001, 0.01, 0.05]))
def test_no_near_duplicate_is_missed(seed: int, share: float, tolerance: float) -> None:
    """The grid must agree with brute force over all pairs, for rows moved by up to the tolerance and for all others."""
    random = np.random.default_rng(seed)
    train = pd.DataFrame(random.normal(size=(200, 5)), columns=list("abcde"))
    test = pd.DataFrame(random.normal(size=(60, 5)), columns=list("abcde"))
    pooled = pd.concat([train, test])
    spread = ((pooled.quantile(0.75) - pooled.quantile(0.25)) / 1.349).to_numpy()
    test.iloc[:20] = train.iloc[:20].to_numpy() + random.choice([-1, 1], (20, 5)) * share * tolerance * spread * 0.9
    found = find_leakage(train, test, tolerance=tolerance)
    pooled = pd.concat([train, test])
    spread = ((pooled.quantile(0.75) - pooled.quantile(0.25)) / 1.349).to_numpy()
    gaps = np.abs(test.to_numpy()[:, None, :] - train.to_numpy()[None, :, :]) <= tolerance * spread
    assert list(found.partner >= 0) == list(gaps.all(axis=2).any(axis=1))


def test_coincidence_is_estimated_from_the_training_data() -> None:
    """Two binary columns: every honest test row has twins, and so have the training rows."""
    random = np.random.default_rng(0)
    train = pd.DataFrame(random.integers(0, 2, (400, 2)), columns=["a", "b"])
    test = pd.DataFrame(random.integers(0, 2, (100, 2)), columns=["a", "b"])
    found = find_leakage(train, test)
    assert found.leaked == 100
    assert found.by_chance == 1.0
    assert found.independent > 0.99


def test_tables_without_common_columns_are_refused() -> None:
    with pytest.raises(InputError, match="counterpart"):
        align(pd.DataFrame({"a": [1.0] * 30}), pd.DataFrame({"text": [f"word {i}" for i in range(30)]}), None)


def declared(tmp_path: Path, train: pd.DataFrame, test: pd.DataFrame) -> tuple[Dataset, Dataset]:
    train.to_csv(tmp_path / "train.csv", index=False)
    test.to_csv(tmp_path / "test.csv", index=False)
    return Dataset(id="train", stage=Stage.TRAIN, uri="train.csv", label="bad"), Dataset(id="test", stage=Stage.TEST, uri="test.csv")


def leakage_check(run_check, held_out: Dataset, loans: Dataset, **parameters: float) -> list[Finding]:
    model = Asset(id="model", kind=Kind.MODEL, trained_on=(loans.id,), tested_on=(held_out.id,))
    about = [("train-test-leakage", held_out.id)]
    return run_check("quality.split_leakage", model, loans, held_out, about=about, **parameters)


def test_check_fails_on_a_leak_and_names_the_lines(run_check, tmp_path: Path) -> None:
    train, test = table(400, 1), table(100, 2)
    test.iloc[3] = train.iloc[50].to_numpy()
    loans, held_out = declared(tmp_path, train, test)
    [finding] = leakage_check(run_check, held_out, loans)
    assert finding.verdict is Verdict.FAIL
    assert [str(place) for place in finding.places] == ["test.csv:5"]
    assert (tmp_path / "test.csv").read_text().splitlines()[4].split(",")[0] == f"{train.amount[50]}"
    assert finding.measures[0].k == 1
    assert finding.details["rows"] == [{"row": 3, "train": 50}]


def test_check_passes_on_a_clean_split_and_respects_the_tolerance(run_check, tmp_path: Path) -> None:
    train, test = table(400, 1), table(100, 2)
    loans, held_out = declared(tmp_path, train, test)
    assert [f.verdict for f in leakage_check(run_check, held_out, loans)] == [Verdict.PASS]
    test.iloc[3] = train.iloc[50].to_numpy()
    loans, held_out = declared(tmp_path, train, test)
    assert [f.verdict for f in leakage_check(run_check, held_out, loans, tolerance=0.02)] == [Verdict.PASS]


def test_check_does_not_cry_wolf_where_rows_coincide_honestly(run_check, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    train, test = (pd.DataFrame(random.integers(0, 2, (n, 3)), columns=["a", "b", "bad"]) for n in (400, 100))
    loans, held_out = declared(tmp_path, train, test)
    [finding] = leakage_check(run_check, held_out, loans)
    assert finding.verdict is Verdict.INCONCLUSIVE


def test_check_asks_for_the_training_data(run_check, tmp_path: Path) -> None:
    _, held_out = declared(tmp_path, table(30, 1), table(30, 2))
    with pytest.raises(InputError, match="training data of"):
        run_check("quality.split_leakage", Asset(id="m", kind=Kind.MODEL, tested_on=("test",)), held_out)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00broken" * 100,
        b"a,b\n" + b'"' * 1_000_000,
        b"x" * 10_000_000,
        b"a,b\n1,2,3\n1\n",
        b"[" * 100_000,
        b"",
        b"a,a,a\n1,2,3\n",
    ],
)
def test_hostile_tables_end_quickly(run_check, tmp_path: Path, content: bytes) -> None:
    loans, held_out = declared(tmp_path, table(50, 1), table(50, 2))
    (tmp_path / "test.csv").write_bytes(content)
    begun = time.process_time()
    try:
        findings = leakage_check(run_check, held_out, loans)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both ends are right, a traceback is not
    else:
        assert findings
    assert time.process_time() - begun < 10


def test_hostile_places_are_refused(run_check, tmp_path: Path) -> None:
    loans, _ = declared(tmp_path, table(50, 1), table(50, 2))
    (tmp_path / "link.csv").symlink_to("/etc/passwd")
    for uri in ("link.csv", "../../../etc/passwd", "/etc/passwd", "file:///etc/passwd"):
        with pytest.raises(Refused, match="out of the project"):
            leakage_check(run_check, Dataset(id="t", stage=Stage.TEST, uri=uri), loans)


def test_a_decompression_bomb_is_stopped(tmp_path: Path) -> None:
    from bartizan.adapters.tables import read_table

    bomb = tmp_path / "bomb.csv.gz"
    bomb.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 2_000_000))
    with pytest.raises(InputError, match="grows beyond"):
        read_table(tmp_path, bomb, limit=1_000_000)
