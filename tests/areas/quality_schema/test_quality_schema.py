"""The schema of a table: inferred, read with lines in its errors, and judged without a rule ever being skipped."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.areas.quality import schema as schemas
from bartizan.areas.quality.schema import Column, Drift, Rule, Schema, Span, Type
from bartizan.areas.quality.schema_gate import Verdict, gate, judge
from bartizan.areas.quality.schema_infer import infer
from bartizan.model.errors import InputError, UnknownName

ROWS = 400


def frame(rows: int = ROWS) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": range(rows),
            "age": [20 + i % 60 for i in range(rows)],
            "income": [1000.0 + (i * 37) % 900 for i in range(rows)],
            "state": [("open", "paid", "late")[i % 3] for i in range(rows)],
            "day": [dt.date(2026, 1, 1) + dt.timedelta(days=i % 200) for i in range(rows)],
            "ok": [i % 2 == 0 for i in range(rows)],
            "note": [None if i % 4 else f"text number {i}" for i in range(rows)],
        }
    )


SCHEMA = Schema(
    format=1,
    columns={
        "id": Column(type=Type.INTEGER, unique=True),
        "age": Column(type=Type.INTEGER, min=18, max=120, drift=Drift(mean=Span(min=30, max=70))),
        "income": Column(type=Type.NUMBER, above=0, below=10_000),
        "state": Column(type=Type.TEXT, among=("open", "paid", "late"), drift=Drift(shares={"open": 0.34, "paid": 0.33, "late": 0.33})),
        "day": Column(type=Type.DATE, min=dt.date(2026, 1, 1), max="2026-12-31"),
        "ok": Column(type=Type.BOOLEAN),
        "note": Column(type=Type.TEXT, nulls=0.8, matches="^text", length=Span(min=5, max=40), not_in=("forbidden",)),
    },
    rules=(Rule(name="grown up", holds="age >= 18 OR income < 500"),),
)


def put(column: str, row: int, value: Any) -> pl.DataFrame:
    table = frame()
    return table.with_columns(pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))


def broken(verdict: Verdict) -> dict[str, tuple[int, ...]]:
    return {v.rule: v.rows for v in verdict.violations}


def test_a_table_that_keeps_its_schema_passes_lazy_or_not() -> None:
    assert judge(frame(), SCHEMA).ok
    assert judge(frame().lazy(), SCHEMA).ok


CASES: list[tuple[str, Any, str]] = [
    ("id", 3, "id.unique"),
    ("age", 17, "age.min"),
    ("age", 121, "age.max"),
    ("age", None, "age.nulls"),
    ("income", 0.0, "income.above"),
    ("income", 10_000.0, "income.below"),
    ("income", float("nan"), "income.finite"),
    ("income", float("inf"), "income.finite"),
    ("state", "gone", "state.in"),
    ("day", dt.date(2027, 1, 1), "day.max"),
    ("day", dt.date(2025, 12, 31), "day.min"),
    ("note", "other", "note.matches"),
    ("note", "text", "note.length"),
]


@pytest.mark.parametrize(("column", "value", "rule"), CASES)
def test_one_bad_value_is_found_with_its_row(column: str, value: Any, rule: str) -> None:
    found = broken(judge(put(column, 200, value).lazy(), SCHEMA))
    assert rule in found, found
    assert 200 in found[rule]


@pytest.mark.parametrize(("column", "value", "rule"), [c for c in CASES if c[1] is not None])
def test_the_same_in_a_csv(column: str, value: Any, rule: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    put(column, 200, value).write_csv(path)
    found = broken(gate(path, SCHEMA))
    assert rule in found, found


def test_a_cell_that_is_no_number_is_a_violation_not_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = frame().write_csv().splitlines()
    lines[8] = lines[8].replace(",27,", ",twenty,", 1)
    path.write_text("\n".join(lines))
    (violation,) = gate(path, SCHEMA).violations
    assert (violation.rule, violation.rows, violation.values) == ("age.type", (7,), ("twenty",))
    assert gate(path, SCHEMA, values=False).violations[0].values == ()


def test_columns_that_are_missing_new_or_of_another_type_are_named() -> None:
    table = frame().drop("ok").with_columns(pl.col("age").cast(pl.String), pl.lit(1).alias("extra"))
    schema = Schema(format=1, columns=SCHEMA.columns)
    found = broken(judge(table, schema))
    assert {"ok.there", "age.type", "extra"} <= set(found)
    swapped = Schema(format=1, ordered=True, columns=SCHEMA.columns)
    assert "ordered" in broken(judge(frame().select(reversed(frame().columns)), swapped))


@pytest.mark.parametrize("text", ["", "a,b\n"])
def test_a_table_without_rows_does_not_pass(text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    schema = Schema(format=1, columns={"a": Column(type=Type.INTEGER, nulls=1.0), "b": Column(nulls=1.0)})
    assert "rows" in broken(gate(path, schema))


def test_a_column_without_one_value_does_not_pass_unless_it_may_be_empty() -> None:
    table = pl.DataFrame({"a": [None] * 10, "b": range(10)}, schema={"a": pl.Float64, "b": pl.Int64})
    columns = {"a": Column(type=Type.NUMBER, nulls=1.0, min=0, max=1), "b": Column(type=Type.INTEGER)}
    assert "a.empty" in broken(judge(table, Schema(format=1, columns=columns)))
    allowed = columns | {"a": Column(type=Type.ANY, nulls=1.0, empty=True)}
    assert judge(table, Schema(format=1, columns=allowed)).ok


def test_drift_is_found_where_every_value_is_allowed() -> None:
    shifted = frame().with_columns((pl.col("age") + 40).alias("age"), pl.lit("open").alias("state"))
    assert {"age.drift.mean", "state.drift.shares"} <= set(broken(judge(shifted, SCHEMA)))


def test_a_rule_over_columns_counts_its_rows_and_needs_its_columns() -> None:
    table = pl.DataFrame({"start": [1, 5, None], "end": [2, 4, 1]})
    columns = {"start": Column(nulls=1.0), "end": Column()}
    found = judge(table, Schema(format=1, columns=columns, rules=(Rule(name="order", holds='start <= "end"'),)))
    assert broken(found) == {"rule.order": (1,)}
    assert found.violations[0].count == 1
    with pytest.raises(InputError, match="which is not there"):
        judge(table, Schema(format=1, columns=columns, rules=(Rule(name="order", holds="start <= finish"),)))
    with pytest.raises(InputError, match="no SQL expression"):
        judge(table, Schema(format=1, columns=columns, rules=(Rule(name="order", holds="start <=< 3"),)))


def test_shares_allow_what_they_say_and_no_more() -> None:
    table = pl.DataFrame({"x": [-1] * 5 + [1] * 95})
    assert judge(table, Schema(format=1, columns={"x": Column(min=0, tolerance=0.05)})).ok
    assert not judge(table, Schema(format=1, columns={"x": Column(min=0, tolerance=0.04)})).ok
    pairs = pl.DataFrame({"a": [1, 1, 2], "b": [1, 2, 1]})
    assert judge(pairs, Schema(format=1, columns={"a": Column(), "b": Column()}, unique=(("a", "b"),))).ok
    assert not judge(pl.concat([pairs, pairs]), Schema(format=1, columns={"a": Column(), "b": Column()}, unique=(("a", "b"),))).ok


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_what_is_inferred_passes_is_read_back_and_finds_a_change(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"loans.{suffix}"
    write = {"parquet": frame().write_parquet, "csv": frame().write_csv, "jsonl": frame().write_ndjson}[suffix]
    write(path)
    found = infer(path)
    place = tmp_path / "loans.schema.yaml"
    place.write_text(schemas.dump(found))
    again = schemas.load(place)
    assert again.columns["state"].among == ("late", "open", "paid")
    assert again.columns["id"].unique
    assert again.columns["age"].min == 20
    assert again.columns["age"].max == 79
    verdict = gate(path, again)
    assert verdict.ok, verdict.violations
    assert "reviewed" in verdict.notes[0]
    changed = tmp_path / f"changed.{suffix}"
    bad = put("age", 7, 80)
    {"parquet": bad.write_parquet, "csv": bad.write_csv, "jsonl": bad.write_ndjson}[suffix](changed)
    assert broken(gate(changed, again)) == {"age.max": (7,)}


CELLS = st.one_of(st.none(), st.integers(-5, 5))


@given(st.lists(CELLS, min_size=1, max_size=40), st.integers(-5, 5), st.integers(0, 5))
@settings(max_examples=80, deadline=None)
def test_the_gate_agrees_with_counting_by_hand(cells: list[int | None], low: int, width: int) -> None:
    schema = Schema(format=1, columns={"x": Column(type=Type.INTEGER, nulls=1.0, empty=True, min=low, max=low + width)})
    verdict = judge(pl.DataFrame({"x": pl.Series(cells, dtype=pl.Int64)}), schema, shown=100)
    below = tuple(i for i, v in enumerate(cells) if v is not None and v < low)
    above = tuple(i for i, v in enumerate(cells) if v is not None and v > low + width)
    assert broken(verdict) == ({"x.min": below} if below else {}) | ({"x.max": above} if above else {})


WRONG = {
    "schema: 1\ncolumns:\n  age: {typ: integer}\n": (UnknownName, "did you mean 'type'"),
    "schema: 1\ncolumns:\n  age: {type: integr}\n": (UnknownName, "did you mean 'integer'"),
    "schema: 1\ncolumns:\n  age: {min: 5, max: 3}\n": (InputError, "exchange min and max"),
    "schema: 1\ncolumns:\n  age: {matches: '('}\n": (InputError, "the pattern is none"),
    "schema: 1\ncolumns:\n  age: {in: []}\n": (InputError, "allows nothing"),
    "schema: 1\ncolumns:\n  age: {nulls: 3}\n": (InputError, "no share"),
    "schema: 2\ncolumns:\n  age: {}\n": (InputError, "format 2"),
    "schema: 1\n": (InputError, "asks for nothing"),
}


@pytest.mark.parametrize("text", WRONG)
def test_mistakes_in_a_schema_are_named_with_their_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    kind, said = WRONG[text]
    with pytest.raises(kind, match=r"s\.yaml") as error:
        schemas.load(path)
    assert said in str(error.value)


def test_a_suite_of_great_expectations_is_judged(tmp_path: Path) -> None:
    suite = {
        "name": "loans",
        "expectations": [
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "age", "min_value": 18, "max_value": 70, "mostly": 0.9}},
            {"expectation_type": "expect_column_values_to_not_be_null", "kwargs": {"column": "age"}},
            {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "state", "value_set": ["open", "paid"]}},
            {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1, "max_value": 1000}},
            {"type": "expect_column_pair_values_a_to_be_greater_than_b", "kwargs": {"column_A": "income", "column_B": "age"}},
        ],
    }
    path = tmp_path / "suite.json"
    path.write_text(json.dumps(suite))
    schema = schemas.load(path)
    assert schema.extra
    found = judge(frame(), schema)
    (mostly,) = [v for v in found.violations if v.rule.startswith("rule.age")]
    assert set(broken(found)) == {mostly.rule, "state.in"}
    assert mostly.count == sum(1 for a in frame()["age"] if a > 70)
    suite["expectations"].append({"type": "expect_column_kl_divergence_to_be_less_than", "kwargs": {"column": "age"}})
    path.write_text(json.dumps(suite))
    with pytest.raises(InputError, match=r"kl_divergence.*is not judged"):
        schemas.load(path)


PANDERA = """
schema_type: dataframe
version: 0.24.0
columns:
  age:
    dtype: int64
    nullable: false
    checks:
      greater_than_or_equal_to: {value: 18, options: {raise_warning: false}}
      less_than: 70
    unique: false
    required: true
  state:
    dtype: str
    nullable: true
    checks:
      isin: [open, paid, late]
checks: null
index: null
strict: false
unique: null
"""


def test_a_schema_of_pandera_is_judged_on_a_lazy_frame(tmp_path: Path) -> None:
    path = tmp_path / "pandera.yaml"
    path.write_text(PANDERA)
    schema = schemas.load(path)
    assert set(broken(judge(frame().lazy(), schema))) == {"age.below"}
    path.write_text(PANDERA.replace("less_than: 70", "unheard_of: 70"))
    with pytest.raises(InputError, match=r"unheard_of.*is not judged"):
        schemas.load(path)


FLAT = """
schema_type: dataframe
api: pandas
columns:
  age:
    dtype: int64
    greater_than_or_equal_to: 30
    in_range: {min_value: 0, max_value: 120, include_min: true, include_max: true}
    less_than: 70
  state:
    dtype: str
    str_length: {min_value: 1, max_value: 20, exact_value: null}
    str_startswith: "o"
"""


def test_checks_that_newer_pandera_writes_among_the_keys_are_not_lost(tmp_path: Path) -> None:
    """As pandera 0.35 writes them; two bounds of one column hold both."""
    path = tmp_path / "pandera.yaml"
    path.write_text(FLAT)
    schema = schemas.load(path)
    assert (schema.columns["age"].min, schema.columns["age"].max, schema.columns["age"].below) == (30, 120, 70)
    assert {"age.min", "age.below", "state.matches"} <= set(broken(judge(frame().lazy(), schema)))
    path.write_text(FLAT + "wide_to_long_check: 3\n")
    with pytest.raises(InputError, match="over the whole frame"):
        schemas.load(path)
    path.write_text(FLAT.replace("str_startswith", "isprintable"))
    with pytest.raises(InputError, match=r"isprintable.*is not judged"):
        schemas.load(path)


MOSTLY: list[tuple[str, dict[str, Any], int]] = [
    ("expect_column_values_to_be_between", {"column": "age", "min_value": 30, "max_value": 70}, 90),
    ("expect_column_values_to_be_in_set", {"column": "state", "value_set": ["open", "paid"]}, 50),
    ("expect_column_values_to_match_regex", {"column": "note", "regex": "number 1"}, 90),
    ("expect_column_value_lengths_to_be_between", {"column": "note", "min_value": 15}, 90),
]


@pytest.mark.parametrize(("kind", "kwargs", "percent"), MOSTLY)
def test_mostly_is_a_share_of_the_values_that_are_there(kind: str, kwargs: dict[str, Any], percent: int, tmp_path: Path) -> None:
    path = tmp_path / "suite.json"
    verdicts = []
    for share in (percent / 100, 0.01):
        path.write_text(json.dumps({"expectations": [{"type": kind, "kwargs": kwargs | {"mostly": share}}]}))
        verdicts.append(judge(frame(), schemas.load(path)).ok)
    assert verdicts == [percent == 50, True]
