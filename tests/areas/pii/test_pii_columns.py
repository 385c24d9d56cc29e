"""The scan of columns in batches: the same as reading every value one by one, for every kind of array, in bounded memory."""

from __future__ import annotations

import datetime as dt
import itertools
import tracemalloc
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan import pii
from bartizan.areas.pii import columns
from bartizan.areas.pii.columns import ColumnScan, Found, column_words, scan_table
from bartizan.areas.pii.distinct import SMALL, LargeNumbers, Sample, SmallNumbers

NAMES = ("amount", "phone number", "credit card", "SSN", "passport", "password", "date of birth", "account", "Steuernummer", "id")
TEXTS = ("a@b.example", "call +49 30 901820", "4111111111111111", "nothing", "536-22-1234", " x ", "")


def one_by_one(name: str, values: list[Any]) -> tuple[int, int, dict[str, Found]]:
    """Filled rows, different values and kinds: each value alone through `scan_text`."""
    texts: dict[str, int] = {}
    for value in values:
        if value is None or value != value or value == "" or (isinstance(value, float) and not (value.is_integer() and abs(value) < 1e16)):
            continue
        text = str(int(value) if isinstance(value, float) else value)
        texts[text] = texts.get(text, 0) + 1
    kinds: dict[str, list[int]] = {}
    for text, count in texts.items():
        hits = pii.scan_text(text, hint=column_words(name))
        for kind in {hit.kind for hit in hits}:
            entry = kinds.setdefault(kind, [0, 0, 0])
            entry[0] += count
            entry[1] += 1
            entry[2] += any(hit.kind == kind and hit.value == text.strip() for hit in hits)
    return sum(texts.values()), len(texts), {kind: Found(*entry) for kind, entry in kinds.items()}


def batches(values: list[Any], size: int) -> Iterator[list[Any]]:
    return (values[i : i + size] for i in range(0, max(len(values), 1), size))


integers = st.integers(-(2**63), 2**63 - 1) | st.integers(-2000, 2000) | st.integers(10**6 - 9, 10**6 + 9) | st.integers(10**7, 10**17)
numbers = integers | st.sampled_from([4111111111111111, 536221234, 3090182012, 7])


@settings(max_examples=120, deadline=None)
@given(st.lists(numbers, max_size=40), st.sampled_from(NAMES), st.integers(1, 15))
def test_whole_numbers_are_judged_as_one_by_one(values: list[int], name: str, size: int) -> None:
    filled, different, kinds = one_by_one(name, values)
    arrow, polars = partial(pa.array, type=pa.int64()), partial(pl.Series, "x", dtype=pl.Int64)
    for make in (list, partial(np.array, dtype=np.int64), arrow, polars):
        scan = ColumnScan()
        for part in batches(values, size):
            scan.take({name: make(part)})
        (found,) = scan.finish().values()
        assert (found.rows, found.filled, found.values, found.estimated) == (len(values), filled, different, False)
        assert not kinds or found.kinds == kinds  # without any, a check digit of all values may speak


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.none() | st.sampled_from(TEXTS) | st.floats() | numbers.map(float) | numbers.map(str) | numbers, max_size=40),
    st.sampled_from(NAMES),
    st.integers(1, 15),
)
def test_mixed_values_are_judged_as_one_by_one(values: list[Any], name: str, size: int) -> None:
    filled, different, kinds = one_by_one(name, values)
    scan = ColumnScan()
    for part in batches(values, size):
        scan.take({name: part})
    (found,) = scan.finish().values()
    assert (found.rows, found.filled, found.values) == (len(values), filled, different)
    assert not kinds or found.kinds == kinds


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.sampled_from(TEXTS), min_size=1, max_size=40))
def test_every_kind_of_array_says_the_same(values: list[str | None]) -> None:
    expected = pii.scan_table({"x": values})
    arrow = pa.array(values, pa.string())
    for other in (
        np.array(values, object),
        pd.Series(values, dtype=object).array,
        pd.Series(values, dtype="str"),
        pd.Categorical(values),
        pl.Series(values, dtype=pl.String),
        arrow,
        arrow.dictionary_encode(),
        pa.chunked_array([arrow[:3], arrow[3:]]),
        pa.chunked_array([arrow[:3].dictionary_encode(), arrow[3:].dictionary_encode()]),
    ):
        assert pii.scan_table({"x": other}) == expected, type(other)


def test_values_inside_values_dates_bytes_and_marks_of_emptiness() -> None:
    nested = [[{"mail": "a@b.example"}, 3], [], None, [[[[[["c@d.example"]]]]]]]
    for values in (nested[:3], pa.array([[{"mail": "a@b.example"}], [], None])):
        assert pii.scan_table({"x": values})["x"].kinds["email"].rows == 1
    assert pii.scan_table({"x": nested})["x"].kinds["email"].rows == 1
    assert pii.scan_table({"x": [b"a@b.example", b"\xff\xfe a@b.example", bytearray(b"a@b.example")]})["x"].kinds["email"].rows == 2
    born = dt.date(1980, 2, 3)
    for dates in ([born, None], np.array(["1980-02-03", "NaT"], "datetime64[ns]"), pa.array([born, None]), [pd.NaT, born, pd.NA]):
        found = pii.scan_table({"date of birth": dates})["date of birth"]
        assert (found.filled, found.kinds["date_of_birth"].rows) == (1, 1)
    unsigned = pii.scan_table({"x": np.array([2**64 - 1, 7], np.uint64)})["x"]
    assert (unsigned.filled, unsigned.values) == (2, 2)
    assert pii.scan_table({"x": pd.array([1, None, 4111111111111111], dtype="Int64")})["x"].kinds["payment_card"].rows == 1


def test_a_check_digit_over_batches_speaks_as_over_one() -> None:
    weights = (1, 4, 3, 7, 5, 8, 6, 9, 10)
    tfn = [n for n in range(100_000_000, 100_004_000) if sum(int(d) * w for d, w in zip(str(n), weights, strict=True)) % 11 == 0]
    for make in (list, np.array, pa.array, lambda part: [str(n) for n in part]):
        scan = ColumnScan()
        for part in batches([7, *tfn[:200]], 30):
            scan.take({"reference": make(part)})
        assert scan.finish()["reference"].main == "au_tfn"


def test_memory_is_bounded_rows_stay_exact_and_the_rest_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MEMORY", 1 << 20)
    scan, peak = ColumnScan(), []
    tracemalloc.start()
    for batch in range(30):
        numbers = range(batch * 2000, batch * 2000 + 2000)
        mails = [f"u{n}@example.org" for n in numbers]
        note = [
            mail if n % 4 == 0 else f"note {n} of {mail}" if n % 4 == 1 else f"note {n}" for n, mail in zip(numbers, mails, strict=True)
        ]
        scan.take({"note": note * 2, "few": ["a@b.example", "b"] * 2000})
        peak.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    note, few = scan.finish().values()
    assert (note.rows, note.filled, note.estimated) == (120_000, 120_000, True)
    assert note.kinds["email"].rows == 60_000
    assert note.values == pytest.approx(60_000, rel=0.08)
    assert note.kinds["email"].values == pytest.approx(30_000, rel=0.08)
    assert note.kinds["email"].whole == pytest.approx(15_000, rel=0.12)
    assert (few.values, few.estimated, few.kinds["email"]) == (2, False, Found(60_000, 1, 1))
    assert max(peak[15:]) < max(peak[:15]) * 1.2


@given(st.lists(st.lists(st.integers(-SMALL + 1, SMALL - 1), min_size=1, max_size=30), max_size=8))
def test_small_numbers_are_counted_as_by_a_set(parts: list[list[int]]) -> None:
    seen: set[int] = set()
    held = SmallNumbers()
    for part in parts:
        new = {part[place] for place in held.add(np.array(part)).tolist()}
        assert new == set(part) - seen
        seen |= set(part)
        assert all(number in held for number in part)
    assert len(held) == len(seen)


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-50, 50), max_size=30), max_size=9))
def test_large_numbers_are_counted_as_by_a_set(parts: list[list[int]]) -> None:
    seen: set[int] = set()
    held = LargeNumbers()
    for part in parts:
        numbers = np.unique(np.array(part, np.int64))
        fresh = held.new(numbers)
        assert set(numbers[fresh].tolist()) == set(part) - seen
        held.add(numbers[fresh])
        seen |= set(part)
    assert sum(map(len, held.runs)) == len(seen)
    assert all(len(one) >= 2 * len(other) for one, other in itertools.pairwise(held.runs))


@given(st.lists(st.text(max_size=5), max_size=60), st.integers(2, 9))
def test_a_sample_depends_on_the_values_alone_and_counts_them_exactly(values: list[str], size: int) -> None:
    one, other = Sample(size), Sample(size)
    for value in values:
        one.add(value, text=value)
    for value in sorted(values):
        other.add(value, text=value)
    assert [(e.text, e.count) for e in one] == [(e.text, e.count) for e in other]
    assert all(entry.count == values.count(entry.text) for entry in one)
    assert not one.complete or one.estimate() == len(set(values))


def test_a_yes_and_a_no_single_nobody_out_and_wordy_categories_are_no_free_text() -> None:
    """The credit data says for each applicant whether there is a telephone, and how credits were paid in five phrases."""
    history = ["existing credits paid back duly till now", "critical account, other credits existing", "delay in paying off in the past"]
    table = {
        "telephone": ["none", "yes, registered under the customers name"] * 60,
        "phone": [f"none {n}" for n in range(120)],
        "credit_history": history * 40,
        "remarks": [f"{history[0]} said customer {n}" for n in range(120)],
    }
    found = scan_table(table)
    assert not found["telephone"].personal
    assert found["phone"].personal, "by its name"
    assert not found["credit_history"].free_text
    assert found["remarks"].free_text
