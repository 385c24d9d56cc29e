"""Masks give what the policy says for every type of column, cell by cell, and nothing of what they hide."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from bartizan.areas.access.attempts import masked_cell
from bartizan.areas.access.masks import masked
from bartizan.areas.access.policy import Column, Mask
from bartizan.model.errors import InputError

pl = pytest.importorskip("polars")
KEY = bytes(range(32))

CELLS: dict[str, Any] = {
    "text": ["", "a", "abc", "2024-02-29", "12345", "äöü€", None, "2024-1-1"],
    "whole": pl.Series([0, -1, 7, 10, 12345, -12345, None, 2**40]),
    "small": pl.Series([0, 1, 7, 10, 100, 255, None, 200], dtype=pl.UInt8),
    "number": [0.0, -0.5, 7.25, float("nan"), float("inf"), -12345.75, None, 1e300],
    "day": [*map(dt.date.fromisoformat, ("1999-12-31", "2000-01-01", "0001-01-01", "9999-12-31", "1970-01-01", "1970-01-02")), None,
            dt.date(2024, 2, 29)],
    "moment": [dt.datetime(1999, 12, 31, 23, 59, 59)] * 6 + [None, dt.datetime(2024, 2, 29)],
    "truth": [True, False, True, True, False, False, None, True],
}  # fmt: skip


def shown(name: str, column: Column, key: bytes | None = KEY) -> list[Any]:
    frame = pl.DataFrame(CELLS)
    return frame.lazy().with_columns(masked(name, column, frame.schema[name], key)).select(name).collect(engine="streaming")[name].to_list()


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("text", Column(mask=Mask.PREFIX, keep=2)),
        ("whole", Column(mask=Mask.PREFIX, keep=2)),
        ("text", Column(mask=Mask.YEAR)),
        ("day", Column(mask=Mask.YEAR)),
        ("moment", Column(mask=Mask.YEAR)),
        ("whole", Column(mask=Mask.BUCKET, width=10)),
        ("small", Column(mask=Mask.BUCKET, width=100)),
        ("whole", Column(mask=Mask.BUCKET, width=2.5)),
    ],
)
def test_as_cell_by_cell(name: str, column: Column) -> None:
    cells = pl.DataFrame(CELLS)[name].to_list()
    assert shown(name, column) == [None if cell is None else masked_cell(cell, column) for cell in cells]


@pytest.mark.parametrize("name", list(CELLS))
def test_empty_and_constant_say_nothing(name: str) -> None:
    assert shown(name, Column()) == [None] * 8
    assert shown(name, Column(mask=Mask.CONSTANT, value="*")) == ["*"] * 8


@pytest.mark.parametrize("name", list(CELLS))
def test_keyed_hashes_are_one_to_one(name: str) -> None:
    cells = pl.DataFrame(CELLS)[name]
    made = shown(name, Column(mask=Mask.KEYED))
    pairs = {(str(cell), value) for cell, value in zip(cells.to_list(), made, strict=True)}
    assert len({value for _, value in pairs}) == len({cell for cell, _ in pairs})
    assert made[6] is None
    assert made != shown(name, Column(mask=Mask.KEYED), bytes(32))


def test_equal_values_of_two_columns_are_hashed_apart() -> None:
    frame = pl.DataFrame({"a": ["x"], "b": ["x"]})
    made = frame.lazy().with_columns(masked(n, Column(mask=Mask.KEYED), pl.String, KEY) for n in "ab").collect()
    assert made["a"][0] != made["b"][0]
    assert frame.lazy().with_columns(masked("a", Column(mask=Mask.KEYED), pl.String, KEY)).collect()["a"][0] == made["a"][0]


def test_numbers_that_are_none_show_nothing_in_buckets() -> None:
    assert shown("number", Column(mask=Mask.BUCKET, width=10)) == [0.0, -10.0, 0.0, None, None, -12350.0, None, pytest.approx(1e300)]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("number", Column(mask=Mask.PREFIX)),
        ("truth", Column(mask=Mask.BUCKET, width=1)),
        ("whole", Column(mask=Mask.YEAR)),
        ("text", Column(mask=Mask.BUCKET, width=1)),
    ],
)
def test_a_mask_that_does_not_fit_is_said(name: str, column: Column) -> None:
    with pytest.raises(InputError, match="does not fit"):
        shown(name, column)
    with pytest.raises(InputError, match="keyed hash"):
        shown("text", Column(mask=Mask.KEYED), None)
    for key in (b"", b"short", bytes(65)):  # an unkeyed hash of a number is found by trying out all numbers
        with pytest.raises(InputError, match="16 to 64"):
            shown("text", Column(mask=Mask.KEYED), key)
