"""A condition gives the same rows in Polars, in DuckDB and by hand, whatever is empty, quoted or not a number."""

from __future__ import annotations

import datetime as dt
import math
import operator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.areas.access import rows
from bartizan.areas.access.rows import Always, Among, Cell, Compare, Every, Matches, Missing, Not, Some
from bartizan.model.errors import InputError

pl = pytest.importorskip("polars")
duckdb = pytest.importorskip("duckdb")

TABLE: dict[str, list[Any]] = {
    "row": list(range(8)),
    "n": [1, 2, 3, None, -5, 2**62, 0, 3],
    "m": [1, 3, 3, 1, None, 5, 0, -3],
    "x": [0.5, float("nan"), None, float("inf"), -0.0, 2.0, 1e300, 0.5],
    'te"xt': ["a", "b'c", "50%", None, "_", "a*b", "line\nend", "\\"],
    "day": [dt.date(2024, 1, d) for d in (1, 2, 3, 4, 5, 6, 7)] + [None],
    "at": [dt.datetime(2024, 1, 1, h) for h in range(7)] + [None],
    "ok": [True, False, None, True, False, True, False, True],
}
FRAME = pl.DataFrame(TABLE, strict=False)
DATABASE = duckdb.connect()
DATABASE.register("t", FRAME.to_arrow())


def by_polars(condition: rows.Condition) -> list[int]:
    return FRAME.lazy().filter(rows.to_polars(condition)).collect()["row"].to_list()


def by_duckdb(condition: rows.Condition) -> list[int]:
    found = DATABASE.execute(f"SELECT row FROM t WHERE {rows.to_sql(condition)} ORDER BY row").fetchall()
    return [row for (row,) in found]


def truth(condition: rows.Condition, row: int) -> bool | None:
    """The condition by hand: Kleene's logic over one row."""
    match condition:
        case Always(value):
            return value
        case Compare(column, op, value):
            left = TABLE[column][row]
            right = TABLE[value.column][row] if isinstance(value, Cell) else value
            return None if left is None or right is None else compared(op, left, right)
        case Among(column, values):
            left = TABLE[column][row]
            return False if not values else None if left is None else left in values
        case Matches(column, parts):
            text = TABLE[column][row]
            if text is None:
                return None
            return matches(text, parts)
        case Missing(column):
            return TABLE[column][row] is None
        case Every(parts):
            found = [truth(part, row) for part in parts]
            return False if False in found else None if None in found else True
        case Some(parts):
            found = [truth(part, row) for part in parts]
            return True if True in found else None if None in found else False
        case Not(part):
            inner = truth(part, row)
            return None if inner is None else not inner


def compared(op: str, left: Any, right: Any) -> bool:
    """Both engines put NaN above every number and equal to itself."""
    if isinstance(left, float):
        left, right = ((math.isnan(v), 0.0 if math.isnan(v) else v) for v in (left, float(right)))
    return bool(getattr(operator, op)(left, right))


def matches(text: str, parts: tuple[str, ...]) -> bool:
    if len(parts) == 1:
        return text == parts[0]
    first, last = parts[0], parts[-1]
    if not text.startswith(first):
        return False
    at = len(first)
    for part in parts[1:-1]:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - at >= len(last) and text.endswith(last)


TEXTS = st.sampled_from(["a", "b'c", "50%", "_", "a*b", "line\nend", "\\", "", "%", "b"])
LEAVES = st.one_of(
    st.builds(Always, st.booleans()),
    st.builds(Compare, st.just("n"), st.sampled_from(sorted(rows.OPERATORS)), st.sampled_from([0, 3, -5, 2**62])),
    st.builds(Compare, st.just("n"), st.sampled_from(sorted(rows.OPERATORS)), st.just(Cell("m"))),
    st.builds(Compare, st.just("x"), st.sampled_from(sorted(rows.OPERATORS)), st.sampled_from([0.5, 0.0, 1e300, float("inf")])),
    st.builds(Compare, st.just('te"xt'), st.sampled_from(sorted(rows.OPERATORS)), TEXTS),
    st.builds(Compare, st.just("day"), st.sampled_from(sorted(rows.OPERATORS)), st.just(dt.date(2024, 1, 3))),
    st.builds(Compare, st.just("at"), st.sampled_from(sorted(rows.OPERATORS)), st.just(dt.datetime(2024, 1, 1, 3))),
    st.builds(Compare, st.just("ok"), st.sampled_from(["eq", "ne"]), st.booleans()),
    st.builds(Among, st.just('te"xt'), st.lists(TEXTS, max_size=3).map(tuple)),
    st.builds(Matches, st.just('te"xt'), st.lists(TEXTS, min_size=1, max_size=3).map(tuple)),
    st.builds(Missing, st.sampled_from(["n", "x", 'te"xt', "day"])),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(Every, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Some, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(CONDITIONS)
def test_polars_duckdb_and_logic_agree(condition: rows.Condition) -> None:
    kept = [row for row in range(8) if truth(condition, row)]
    assert by_polars(condition) == kept
    assert by_duckdb(condition) == kept


def test_names_and_zoned_times_are_quoted() -> None:
    zoned = dt.datetime(2024, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert rows.to_sql(Compare("at", "lt", zoned)) == "(\"at\" < TIMESTAMPTZ '2024-01-01 00:00:00.000000+00:00')"
    assert rows.columns_of(Every((Compare("n", "eq", Cell("m")), Not(Missing("x"))))) == {"n", "m", "x"}


def test_what_is_no_condition_is_said() -> None:
    with pytest.raises(InputError, match="compares nothing"):
        Compare("n", "like", 1)
    with pytest.raises(InputError, match="64 bits"):
        Compare("n", "eq", 2**63)
    with pytest.raises(InputError, match="zero byte"):
        rows.to_sql(Compare("n", "eq", "a\0"))
