"""A schema inferred, and a table judged, while it passes in batches: the same as from a reading of its own."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.areas.quality.schema import Column, Drift, Rule, Schema, Span, Type, dump
from bartizan.areas.quality.schema_gate import gate
from bartizan.areas.quality.schema_infer import infer
from bartizan.areas.quality.schema_profile import Profiler
from bartizan.areas.quality.schema_stream import Gate
from bartizan.areas.quality.unique_values import Distinct, Room
from bartizan.methods.one_pass import Batch, Consumer, Form
from bartizan.model.errors import InputError


def passed(consumer: Consumer, path: Path, rows: int = 37) -> None:
    """Hand the file at `path` to `consumer` in batches of `rows` rows."""
    if path.suffix == ".csv":
        names = path.read_text().splitlines()[0].split(",")
        convert = pcsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        )
        whole = pcsv.read_csv(path, convert_options=convert, parse_options=pcsv.ParseOptions(newlines_in_values=True))
    else:
        whole = pl.read_parquet(path).to_arrow()
    batches: Iterable[Any] = whole.combine_chunks().to_batches(max_chunksize=rows)
    consumer.begin(path, Form.TABLE, whole.schema)
    for batch in batches:
        consumer.take(Batch(batch, batch if path.suffix == ".csv" else None))
    consumer.finish()


def frame(rows: int = 400) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "id": draw.permutation(rows * 3)[:rows],
            "amount": np.round(draw.random(rows) * 1000, 2),
            "state": [("open", "paid", "late")[i % 3] for i in range(rows)],
            "day": [f"2026-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(rows)],
            "late": ["7" if i < rows - 3 else "seven" for i in range(rows)],
            "number": [str(i) if i < rows - 5 else f"{i}.5" for i in range(rows)],
            "code": [f"A{i:05}" for i in range(rows)],
            "maybe": [None if i % 4 else f"text number {i}" for i in range(rows)],
            "none": [None] * rows,
            "flag": [i % 2 == 0 for i in range(rows)],
        },
        schema_overrides={"none": pl.String},
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("rows", [1, 37, 1000])
def test_the_schema_is_that_of_a_reading_of_its_own(tmp_path: Path, suffix: str, rows: int) -> None:
    path = tmp_path / f"t{suffix}"
    frame().write_csv(path) if suffix == ".csv" else frame().write_parquet(path)
    profiler = Profiler()
    passed(profiler, path, rows)
    assert dump(profiler.schemas()[path]) == dump(infer(path))


CELLS = st.sampled_from(
    ["1", "2", "-7", "3.5", "1e3", "nan", "inf", "true", "False", "0", "2024-02-29", "2024-01-01 10:00:00", "x", "yy", ""]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=30), st.integers(1, 10))
def test_any_cells_give_the_same_schema(tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]], rows: int) -> None:
    path = tmp_path_factory.mktemp("c") / "t.csv"
    path.write_text("a,b,end\n" + "".join(f"{a},{b},z\n" for a, b in cells))
    profiler = Profiler()
    passed(profiler, path, rows)
    assert dump(profiler.schemas()[path]) == dump(infer(path))


def test_what_was_taken_before_a_new_beginning_is_forgotten_and_kinds_of_tables_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n2\n")
    (tmp_path / "b.csv").write_text("x\n9\n")
    (tmp_path / "c.csv").write_text("x,y\n9,1\n")
    (tmp_path / "d.csv").write_text("x\n")
    profiler = Profiler()
    profiler.begin(tmp_path / "a.csv", Form.TABLE, pa.schema([("x", pa.string())]))
    profiler.take(Batch(pa.record_batch({"x": ["word"]}), pa.record_batch({"x": ["word"]})))
    for name in "abcd":
        passed(profiler, tmp_path / f"{name}.csv")
    found = {place.name: schema.columns for place, schema in profiler.schemas().items()}
    assert list(found) == ["a.csv", "c.csv"]
    assert (found["a.csv"]["x"].type, found["a.csv"]["x"].min, found["a.csv"]["x"].max) == (Type.INTEGER, 1, 9)
    assert [place.name for place in profiler.empty] == ["d.csv"]


SCHEMA = Schema(
    format=1,
    extra=True,
    columns={
        "id": Column(type=Type.INTEGER, unique=True, min=0),
        "amount": Column(type=Type.NUMBER, max=1000, drift=Drift(mean=Span(min=300, max=700), nulls=Span(max=0.1))),
        "state": Column(type=Type.TEXT, among=("open", "paid", "late"), drift=Drift(shares={"open": 0.34, "paid": 0.33, "late": 0.33})),
        "day": Column(type=Type.TEXT, matches="^2026"),
        "maybe": Column(type=Type.TEXT, nulls=0.8, tolerance=0.05, not_matches=" 8$"),
        "none": Column(nulls=1.0, empty=True),
    },
    unique=(("id", "state"),),
    rules=(Rule(name="paid", holds="amount >= 0 OR state = 'open'"),),
)


def judged(path: Path, schema: Schema, rows: int = 37) -> tuple[Gate, Any]:
    one = Gate(schema)
    passed(one, path, rows)
    return one, one.verdict(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_that_keeps_its_schema_is_judged_without_another_reading(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    frame().write_csv(path) if suffix == ".csv" else frame().write_parquet(path)
    one, found = judged(path, SCHEMA)
    assert found.ok, found
    assert not one.read_again
    assert found == gate(path, SCHEMA, values=False)


@pytest.mark.parametrize(
    ("column", "row", "value"),
    [
        ("id", 7, None), ("id", 7, -1), ("amount", 3, 1001.0), ("amount", 3, float("nan")), ("state", 9, "gone"),
        ("day", 399, "2025-01-01"),
        ("none", 5, "x"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_broken_rule_is_found_and_shown_as_by_the_gate(tmp_path: Path, column: str, row: int, value: Any, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    table = frame().with_columns(pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))
    table.write_csv(path) if suffix == ".csv" else table.write_parquet(path)
    one, found = judged(path, SCHEMA)
    assert found == gate(path, SCHEMA, values=False)
    assert one.read_again is not found.ok


def test_a_value_that_stands_twice_in_different_batches_is_found(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    frame().with_columns(
        pl.when(pl.int_range(pl.len()) == 399).then(pl.col("id").first()).otherwise(pl.col("id")).alias("id")
    ).write_parquet(path)
    _, found = judged(path, SCHEMA)
    assert [v.rule for v in found.violations] == ["id.unique", "unique(id, state)"]


@pytest.mark.parametrize("rule", ["amount <= 3 * AVG(amount)", "amount > (SELECT 1)", "SUM(amount) OVER () > 0"])
def test_a_rule_about_more_than_a_row_is_judged_over_the_whole(rule: str) -> None:
    one = Gate(Schema(format=1, extra=True, columns={"amount": Column()}, rules=(Rule(name="r", holds=rule),)))
    assert one._again


def test_columns_that_differ_between_files_are_left_to_the_gate(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "b.csv").write_text("y\n1\n")
    one = Gate(Schema(format=1, columns={"x": Column(type=Type.INTEGER)}))
    for name in "ab":
        passed(one, tmp_path / f"{name}.csv")
    one.verdict(tmp_path / "a.csv")
    assert one.read_again


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 300).map(lambda n: n * 2**55 % 2**64 + n), max_size=40), max_size=10))
def test_distinct_agrees_with_a_set(batches: list[list[int]]) -> None:
    distinct, values = Distinct(), [value for batch in batches for value in batch]
    for batch in batches:
        distinct.add(np.array(batch, np.uint64))
    assert distinct.twice is (len(set(values)) < len(values))


def test_beyond_the_room_that_all_share_distinct_says_that_it_does_not_know_and_gives_it_back() -> None:
    room = Room(100)
    one, other = Distinct(room), Distinct(room)
    one.add(np.arange(60, dtype=np.uint64))
    other.add(np.arange(60, dtype=np.uint64))
    assert (one.twice, other.twice, room.left) == (False, None, 40)
    another = Distinct(room)
    another.add(np.arange(60, 100, dtype=np.uint64))
    one.merge(another)
    assert (one.twice, room.left) == (False, 0)
    one.add(np.zeros(0, np.uint64))
    one.forget()
    assert (one.twice, room.left) == (None, 100)


def test_dictionaries_are_read_as_their_words(tmp_path: Path) -> None:
    words = pa.array(["a", "b", "a"] * 20).dictionary_encode()
    profiler = Profiler()
    batch = pa.record_batch({"w": words})
    profiler.begin(tmp_path / "t.parquet", Form.TABLE, batch.schema)
    profiler.take(Batch(batch))
    profiler.finish()
    (schema,) = profiler.schemas().values()
    assert schema.columns["w"].among == ("a", "b")
    assert pc.count(words).as_py() == 60


@pytest.mark.parametrize(
    "values",
    [
        pa.array([Decimal(i) for i in range(3)], pa.decimal256(50, 3)), pa.RunEndEncodedArray.from_arrays(pa.array([3], pa.int32()), ["a"]),
        pa.array([[("k", 1)]] * 3, pa.map_(pa.string(), pa.int64())), pa.array([{"a": 1}] * 3), pa.nulls(3),
        pa.array([1.5] * 3, pa.float16()),
        pa.array([1, 2, 1]).dictionary_encode(), pa.array([b"x"] * 3, pa.binary_view()), pa.array([2**63] * 3, pa.uint64()),
        pa.array([float("nan")] * 3), pa.array([1, 2, 3], pa.duration("s")), pa.array([b"abcd"] * 3, pa.binary(4)),
    ],
    ids=lambda values: str(values.type),
)  # fmt: skip
def test_every_type_of_arrow_passes_or_is_refused_in_one_line(tmp_path: Path, values: Any) -> None:
    batch = pa.record_batch({"x": values})
    profiler, one = Profiler(), Gate(Schema(format=1, columns={"x": Column()}))
    for consumer in (profiler, one):
        consumer.begin(tmp_path / "t.arrow", Form.TABLE, batch.schema)
        with suppress(InputError):  # one line, no panic of a library
            consumer.take(Batch(batch))
            consumer.finish()


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bartizan.cli.app import run

    (tmp_path / "t.csv").write_text("")
    assert run(["data", "gate", str(tmp_path / "t.csv"), "--infer", str(tmp_path / "s.yaml")]) == 2
    assert "t.csv: is empty; name a table with a row in it" in capsys.readouterr().err
