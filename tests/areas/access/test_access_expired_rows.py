"""Rows that have expired: every way to write a moment, exact counts in every format, and what nobody can date."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.areas.access import columns, retention
from bartizan.areas.access.retention import Expiry
from bartizan.engine import registry
from bartizan.model.errors import InputError
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Dataset, Stage, Subject
from bartizan.testing import checks

NOON = dt.datetime(2024, 1, 31, 12, tzinfo=dt.UTC)
MIDNIGHT = dt.datetime(2024, 2, 1, tzinfo=dt.UTC)
EPOCH = 1706702400  # 2024-01-31T12:00:00Z, by `date -d @1706702400`
CHECK = "access.expired_rows"


def end(value: object, shape: str | None = None) -> dt.datetime | None:
    (found,) = retention.ends(pl.Series([value], strict=False), shape)
    return None if found is None else dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=found)


@pytest.mark.parametrize("text", ["2024-01-31", "2024/01/31", "31.01.2024", "20240131", " 2024-01-31 ", 20240131, dt.date(2024, 1, 31)])
def test_a_date_is_over_at_its_midnight(text: object) -> None:
    assert end(text) == MIDNIGHT


@pytest.mark.parametrize(
    "moment",
    [
        "2024-01-31T12:00:00", "2024-01-31 12:00", "2024-01-31T12:00:00Z", "2024-01-31 12:00:00 UTC", "2024-01-31T13:00:00+01:00",
        "2024-01-31T13:00:00+0100", "2024-01-31T07:00-05", str(EPOCH), EPOCH, EPOCH * 10**3, EPOCH * 10**6, EPOCH * 10**9, float(EPOCH),
        NOON, dt.datetime(2024, 1, 31, 12), NOON.astimezone(dt.timezone(dt.timedelta(hours=5))),
    ],
)  # fmt: skip
def test_a_moment_is_the_same_in_every_writing(moment: object) -> None:
    assert end(moment) == NOON + dt.timedelta(microseconds=1)


@pytest.mark.parametrize(
    "nothing",
    [
        "",
        "x",
        "03/04/2024",
        "2024-02-30",
        "2024-13-01",
        "2024",
        2024,
        0,
        20240230,
        float("nan"),
        float("inf"),
        True,
        None,
        "99999-01-01",
        [1],
    ],
)
def test_what_names_no_moment_is_undated(nothing: object) -> None:
    assert end(nothing) is None


def test_a_given_shape_settles_what_is_ambiguous() -> None:
    assert end("03/04/2024", "%d/%m/%Y") == dt.datetime(2024, 4, 4, tzinfo=dt.UTC)
    assert end("03/04/2024", "%m/%d/%Y") == dt.datetime(2024, 3, 5, tzinfo=dt.UTC)
    assert end("2024-01-31", "%d/%m/%Y") is None
    assert retention.ends(pl.Series(["9999-12-31"]))[0] is not None, "a date that means never is a date"


@settings(max_examples=60, deadline=None)
@given(st.datetimes(dt.datetime(1974, 1, 1), dt.datetime(2200, 1, 1)), st.integers(0, 4000))
def test_the_day_and_the_moment_agree_with_the_calendar(when: dt.datetime, days: int) -> None:
    cutoff = Expiry(column="x", days=days).cutoff(NOON)
    moment = when.replace(tzinfo=dt.UTC)
    assert retention.before(pl.Series([when]), cutoff)[0] == (moment < cutoff)
    assert retention.before(pl.Series([when.isoformat()]), cutoff)[0] == (moment < cutoff)
    day = dt.datetime.combine(when.date() + dt.timedelta(days=1), dt.time(), dt.UTC)
    assert retention.before(pl.Series([when.date()]), cutoff)[0] == (day <= cutoff)
    assert retention.before(pl.Series([when.date().isoformat()]), cutoff)[0] == (day <= cutoff)


def test_the_lazy_expression_keeps_no_undated_row() -> None:
    frame = pl.LazyFrame({"made": ["2023-01-01", "2024-01-30", None, "soon"], "n": [1, 2, 3, 4]})
    expiry = Expiry(column="made", days=30)
    assert retention.count(frame, expiry, NOON) == retention.Counted(rows=4, expired=1, undated=2)
    assert frame.filter(~retention.expired(expiry, NOON)).collect()["n"].to_list() == [2]


def test_days_without_a_calendar_are_refused() -> None:
    with pytest.raises(InputError, match="year 1"):
        Expiry(column="x", days=10**6).cutoff(NOON)
    with pytest.raises(InputError, match="no date"):
        retention.moment("31.1.24")


def table(old: int, young: int, undated: int) -> pa.Table:
    now = dt.datetime.now(dt.UTC)
    made = [now - dt.timedelta(days=400)] * old + [now - dt.timedelta(days=10)] * young + [None] * undated
    return pa.table({"n": list(range(len(made))), "made": pa.array(made, pa.timestamp("us", tz="UTC"))})


def stored(folder: Path, kind: str, held: pa.Table) -> str:
    path = folder / f"people.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(held, path, row_group_size=50)
    elif kind == "feather":
        pyarrow.feather.write_feather(held, path)
    else:
        rows = pl.from_arrow(held).with_columns(pl.col("made").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        rows.write_csv(path) if kind == "csv" else rows.write_ndjson(path)
    return path.name


def run(root: Path, uri: str, **fields: object):
    described = registry.get(CHECK)
    parameters = fields.pop("parameters", {})
    node = Dataset(id="people", stage=Stage.TRAIN, uri=uri, subjects=(Subject.PERSON,), **fields)
    job = Job(check=CHECK, version="1", threats=described.threats, subject=node, root=str(root), parameters=parameters)
    (outcome,) = checks.contract(described, [job])
    return outcome.findings[0]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "feather"])
def test_every_format_is_counted_exactly(tmp_path: Path, kind: str) -> None:
    finding = run(tmp_path, stored(tmp_path, kind, table(37, 200, 5)), retention=365, retention_column="made")
    assert finding.verdict is Verdict.FAIL
    assert (finding.details["rows"], finding.details["expired"], finding.details["undated"]) == (242, 37, 5)
    assert finding.measures[0].k == 37
    assert "data purge" in finding.remedy
    assert [place.file for place in finding.places] == [f"people.{kind}"]


def test_verdicts(tmp_path: Path) -> None:
    fresh = stored(tmp_path, "csv", table(0, 9, 0))
    assert run(tmp_path, fresh, retention=365, retention_column="made").verdict is Verdict.PASS
    undeclared = run(tmp_path, fresh, retention=365)
    assert (undeclared.verdict, "retention_column: made" in undeclared.remedy) == (Verdict.UNKNOWN, True)
    undated = stored(tmp_path, "csv", table(0, 9, 1))
    assert run(tmp_path, undated, retention=365, retention_column="made").verdict is Verdict.INCONCLUSIVE
    strict = run(tmp_path, undated, retention=365, retention_column="made", parameters={"undated_expired": True})
    assert (strict.verdict, strict.title) == (Verdict.FAIL, "1 of 10 rows of people are kept too long")
    empty = stored(tmp_path, "csv", table(0, 0, 0))
    assert run(tmp_path, empty, retention=365, retention_column="made").verdict is Verdict.UNKNOWN
    past = stored(tmp_path, "csv", table(0, 9, 0))
    assert run(tmp_path, past, retention_column="made").verdict is Verdict.FAIL, "without days the column says when a row expires"


def test_a_file_of_the_folder_without_the_column_is_no_pass(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    stored(tmp_path / "set", "csv", table(0, 9, 0))
    (tmp_path / "set" / "other.csv").write_text("a,b\n1,2\n")
    finding = run(tmp_path, "set", retention=365, retention_column="made")
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "other.csv has no column 'made'" in finding.why


def test_packed_and_broken_files(tmp_path: Path) -> None:
    import gzip

    packed = tmp_path / "p.csv.gz"
    packed.write_bytes(gzip.compress(b"made\n2001-01-01\n2099-01-01\n"))
    assert columns.names(packed) == ["made"]
    assert [cells.to_list() for cells in columns.cells(packed, "made")] == [["2001-01-01", "2099-01-01"]]
    with pytest.raises(InputError, match="no column"):
        list(columns.cells(packed, "when"))
    broken = tmp_path / "b.parquet"
    broken.write_bytes(b"PAR1 no table")
    with pytest.raises(InputError, match="cannot be read"):
        columns.names(broken)
    (tmp_path / "nothing.csv").write_text("")
    assert columns.names(tmp_path / "nothing.csv") == []
