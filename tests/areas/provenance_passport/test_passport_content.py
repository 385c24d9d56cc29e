"""The content digest: the same for every encoding of the same rows, another for every other row, order, name or type."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.areas.provenance.passport import encoding, reading, trees
from bartizan.areas.provenance.passport.recording import record, row_hashes
from bartizan.areas.provenance.passport.row_set import RowSet, bits_for, bucket_of
from bartizan.areas.provenance.passport.statement import Details, Passport
from bartizan.evidence.merkle import leaf_hash, root_of
from bartizan.model.errors import InputError, Refused, UnknownName

AT = "2026-11-01T00:00:00Z"
ROWS = 9000


def content(path: Path) -> tuple[str, str]:
    made, _ = record(path, at=AT)
    return made.content.root, made.content.set


def sample(rows: int = ROWS) -> pa.Table:
    names = ["Ada", "Zoë", "日本", "", 'quo"te', "new\nline"]
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "name": [f"{names[i % 6]}{i % 50}" for i in range(rows)],
            "score": [i / 7 if i % 11 else None for i in range(rows)],
            "ok": [i % 3 == 0 for i in range(rows)],
        }
    )


def test_every_encoding_of_the_same_rows_has_the_same_content(tmp_path: Path) -> None:
    table = sample()
    pcsv.write_csv(table, tmp_path / "a.csv")
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    pq.write_table(table, tmp_path / "groups.parquet", row_group_size=997, compression="zstd")
    words = table.set_column(1, "name", table["name"].dictionary_encode())
    pq.write_table(words, tmp_path / "words.parquet", row_group_size=4096)
    large = table.cast(pa.schema([("id", pa.int64()), ("name", pa.large_string()), ("score", pa.float64()), ("ok", pa.bool_())]))
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, large.schema) as writer:
        writer.write_table(large, max_chunksize=333)
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    found = {path.name: content(path) for path in sorted(tmp_path.iterdir())}
    assert len(found) == 6
    assert len(set(found.values())) == 1, found


def _swap(table: pa.Table) -> pa.Table:
    return table.take([1, 0, *range(2, len(table))])


def _cell(table: pa.Table) -> pa.Table:
    values = table["score"].to_pylist()
    values[5000] += 1e-12
    return table.set_column(2, "score", [values])


CHANGES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "one value": _cell,
    "order": _swap,
    "name of a column": lambda t: t.rename_columns(["id", "name", "score", "okay"]),
    "type of a column": lambda t: t.set_column(0, "id", t["id"].cast(pa.int32())),
    "order of columns": lambda t: t.select(["name", "id", "score", "ok"]),
    "one row less": lambda t: t.slice(0, len(t) - 1),
    "one row twice": lambda t: pa.concat_tables([t, t.slice(0, 1)]),
    "null to empty": lambda t: t.set_column(2, "score", [[0.0 if v is None else v for v in t["score"].to_pylist()]]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_rows_changes_the_content(tmp_path: Path, change: str) -> None:
    table = sample(6000)
    pq.write_table(table, tmp_path / "a.parquet")
    pq.write_table(CHANGES[change](table), tmp_path / "b.parquet")
    before, after = content(tmp_path / "a.parquet"), content(tmp_path / "b.parquet")
    assert before[0] != after[0]
    if change == "order":
        assert before[1] == after[1], "the set does not know the order"


def test_a_late_value_widens_its_column_as_if_all_had_been_seen_at_once(tmp_path: Path) -> None:
    """A csv whose column turns from numbers to text after the first megabytes is the table that one sees who reads it whole."""
    rows = 400_000
    values = [str(i) for i in range(rows)] + ["n/a"]
    empty = [""] * rows + ["2.5"]
    (tmp_path / "late.csv").write_text("a,b,c\n" + "".join(f"{x},{y},{'x' * 8}\n" for x, y in zip(values, empty, strict=True)))
    whole = pa.table({"a": values, "b": [None] * rows + [2.5], "c": ["x" * 8] * (rows + 1)})
    pq.write_table(whole, tmp_path / "late.parquet")
    assert content(tmp_path / "late.csv") == content(tmp_path / "late.parquet")


def test_na_is_a_value_and_an_empty_cell_is_none(tmp_path: Path) -> None:
    for name, cell in (("a", "NA"), ("b", ""), ("c", '""')):
        (tmp_path / f"{name}.csv").write_text(f"country,n\n{cell},1\nDE,2\n")
    assert len({content(tmp_path / f"{name}.csv") for name in "abc"}) == 3


@pytest.mark.parametrize("column", [["12345678901234567890", "7"], ["1.5", "9007199254740993"]])
def test_numbers_too_large_to_be_told_apart_stay_text(tmp_path: Path, column: list[str]) -> None:
    (tmp_path / "a.csv").write_text("id\n" + "\n".join(column) + "\n")
    other = [cell[:-1] + "2" if len(cell) > 3 else cell for cell in column]
    (tmp_path / "b.csv").write_text("id\n" + "\n".join(other) + "\n")
    assert content(tmp_path / "a.csv") != content(tmp_path / "b.csv")


@pytest.mark.parametrize("last", ['{"a": "x"}', '{"a": 12345678901234567890}', '{"a": '])
def test_lines_that_fit_no_columns_are_lines(tmp_path: Path, last: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n' + last + "\n")
    file = record(tmp_path / "a.jsonl", at=AT)[1].files[0]
    assert (file.format, file.rows, [c.name for c in file.columns]) == ("text", 2, ["line"])


def test_a_type_that_is_given_is_kept_and_a_misspelt_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("when,n\n2026-01-02T03:04:05,1\n")
    file = record(tmp_path / "a.csv", at=AT, types={"when": "timestamp[s]"})[1].files[0]
    assert file.columns[0].type == "timestamp"
    moment = pa.table({"when": pa.array([dt.datetime(2026, 1, 2, 3, 4, 5)], pa.timestamp("us")), "n": [1]})
    pq.write_table(moment, tmp_path / "a.parquet")
    assert record(tmp_path / "a.parquet", at=AT)[1].files[0].root == file.root
    with pytest.raises(UnknownName, match="did you mean 'when'"):
        record(tmp_path / "a.csv", at=AT, types={"wen": "timestamp[s]"})


def test_nested_values_dates_and_decimals_survive(tmp_path: Path) -> None:
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=dt.UTC)
    table = pa.table(
        {
            "tags": pa.array([["a", None], [], None, ["bc"]], pa.list_(pa.string())),
            "who": pa.array([{"n": "x", "k": 1}, None, {"n": None, "k": 2}, {"n": "", "k": 3}]),
            "at": pa.array([moment, None, moment, moment], pa.timestamp("ms", "UTC")),
            "day": pa.array([dt.date(1969, 12, 31), None, dt.date(2026, 1, 1), dt.date(1, 1, 1)]),
            "price": pa.array([Decimal("1.50"), None, Decimal("-2.00"), Decimal("0.01")], pa.decimal128(10, 2)),
            "pairs": pa.array([[("a", 1)], None, [], [("b", 2)]], pa.map_(pa.string(), pa.int32())),
            "half": pa.array([1.0, None, float("nan"), -0.0], pa.float16()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    finer = table.set_column(2, "at", table["at"].cast(pa.timestamp("us", "UTC")))
    pq.write_table(finer, tmp_path / "b.parquet", row_group_size=1)
    assert content(tmp_path / "a.parquet") == content(tmp_path / "b.parquet")
    other = pa.array([["a"], [None], None, ["bc"]], pa.list_(pa.string()))
    pq.write_table(table.set_column(0, "tags", other), tmp_path / "c.parquet")
    assert content(tmp_path / "a.parquet") != content(tmp_path / "c.parquet")


def test_what_lies_under_a_null_and_the_bits_of_nan_do_not_count() -> None:
    import numpy as np

    odd = np.array([0x7FF8000000000001, 0xFFF8000000000000], "<u8").view("<f8")
    plain = np.array([np.nan, np.nan])
    one, two = (row_hashes(encoding.columns_of([pa.array(a, pa.float64(), from_pandas=False)]), 2) for a in (odd, plain))
    assert one == two
    masked = pa.array(np.array([7, 8]), mask=np.array([True, False]))
    assert row_hashes(encoding.columns_of([masked]), 2) == row_hashes(encoding.columns_of([pa.array([None, 8])]), 2)


TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=1, max_size=12)


@given(TEXTS, TEXTS, st.data())
def test_different_rows_have_different_bytes_however_they_are_cut(
    left: list[str | None], right: list[str | None], data: st.DataObject
) -> None:
    size = min(len(left), len(right))
    rows = [{"a": a, "b": b, "c": [a, b]} for a, b in zip(left[:size], right[:size], strict=True)]
    kind = pa.schema([("a", pa.string()), ("b", pa.string()), ("c", pa.list_(pa.string()))])
    batch = pa.RecordBatch.from_pylist(rows, kind)
    whole = row_hashes(encoding.columns_of(batch.columns), size)
    cut = data.draw(st.integers(0, size))
    parts = [batch.slice(0, cut), batch.slice(cut)]
    assert b"".join(row_hashes(encoding.columns_of(p.columns), p.num_rows) for p in parts if p.num_rows) == whole
    hashes = [whole[n : n + 32] for n in range(0, len(whole), 32)]
    for i in range(size):
        for j in range(size):
            assert (hashes[i] == hashes[j]) == (rows[i] == rows[j])


@given(st.integers(1, 200), st.data())
@settings(max_examples=60)
def test_paths_lead_to_the_root_of_rfc_9162(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([n])) for n in range(size)]
    assert trees.root(leaves).hex() == root_of(leaves)
    index = data.draw(st.integers(0, size - 1))
    steps = trees.path(leaves, index)
    assert trees.climbed(leaves[index], index, size, steps) == trees.root(leaves)
    other = data.draw(st.integers(0, size - 1))
    if other != index:
        assert trees.climbed(leaves[index], other, size, steps) != trees.root(leaves)
    assert trees.climbed(leaves[index], index, size, [*steps, leaves[0]]) is None


def test_a_set_that_goes_to_disk_is_the_set_that_stays_in_memory() -> None:
    hashes = [leaf_hash(n.to_bytes(4, "big")) for n in range(40_000)]
    joined = b"".join(hashes)
    with RowSet() as small, RowSet(in_memory=1000) as spilt, RowSet(in_memory=500) as other:
        small.add(joined)
        for n in range(0, len(joined), 32 * 700):
            spilt.add(joined[n : n + 32 * 700])
        other.add(joined[: 32 * 100])
        other.mark()
        other.add(joined[: 32 * 20_000])
        other.rewind()
        assert other.size == 100
        other.add(joined[32 * 100 :])
        assert small.root() == spilt.root() == other.root()
        bits = bits_for(40_000)
        for number, bucket in enumerate(spilt.buckets(bits)):
            found = [bucket[n : n + 32] for n in range(0, len(bucket), 32)]
            assert found == sorted(found)
            assert all(bucket_of(digest, bits) == number for digest in found)


def recorded(path: Path) -> tuple[Passport, Details]:
    return record(path, at=AT)


def test_links_and_empty_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        recorded(tmp_path / "empty")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.csv").symlink_to("/etc/hostname")
    with pytest.raises(Refused):
        recorded(tmp_path / "folder")


def test_an_empty_table_and_two_columns_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n")
    (tmp_path / "b.csv").write_text("")
    assert recorded(tmp_path / "a.csv")[0].content.rows == 0
    assert [c.name for c in recorded(tmp_path / "a.csv")[1].files[0].columns] == ["x", "y"]
    assert recorded(tmp_path / "b.csv")[0].content.rows == 0
    (tmp_path / "c.csv").write_text("x,x\n1,2\n")
    with pytest.raises(InputError, match="two columns"):
        recorded(tmp_path / "c.csv")
    (tmp_path / "d.parquet").write_bytes(b"PAR1 this is none PAR1")
    with pytest.raises(InputError, match="cannot be read as parquet"):
        recorded(tmp_path / "d.parquet")


def test_the_statement_stays_small_whatever_the_size(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(1500):
        (folder / f"text-{n:05}.bin").write_bytes(n.to_bytes(3, "big"))
    made, details = recorded(folder)
    assert made.files.count == len(details.files) == 1500
    assert len(made.encode()) < 1500


@pytest.mark.slow
def test_the_statement_about_a_hundred_thousand_files(tmp_path: Path) -> None:
    for n in range(100_000):
        if n % 1000 == 0:
            (tmp_path / f"{n:06}").mkdir()
        (tmp_path / f"{n // 1000 * 1000:06}" / f"{n:06}.bin").write_bytes(n.to_bytes(3, "big"))
    made, _ = recorded(tmp_path)
    assert made.files.count == 100_000
    assert len(made.encode()) < 4096


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Ten times the rows take less than half as much memory again. Files are written elsewhere: a child starts at its parent's peak."""
    write = "import sys; import pyarrow as pa, pyarrow.parquet as pq; n = int(sys.argv[2]); "
    write += "pq.write_table(pa.table({'a': range(n), 'b': [f'text {i % 1000}' for i in range(n)]}), sys.argv[1], row_group_size=100_000)"
    code = "import resource, sys; from pathlib import Path; from bartizan.areas.provenance.passport.recording import record; "
    code += "record(Path(sys.argv[1]), at=''); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    peaks = []
    for rows in (500_000, 5_000_000):
        path = tmp_path / f"{rows}.parquet"
        subprocess.run([sys.executable, "-c", write, str(path), str(rows)], check=True)
        done = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.5 * peaks[0], peaks


@pytest.mark.parametrize("coded", [True, False])
def test_long_values_that_are_written_once_are_unpacked_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coded: bool
) -> None:
    table = pa.table({"n": range(2000), "text": ["A" * 10_000] * 2000})
    pq.write_table(table, tmp_path / "small.parquet", use_dictionary=coded, compression="zstd")
    assert (tmp_path / "small.parquet").stat().st_size < 30_000
    whole = content(tmp_path / "small.parquet")
    monkeypatch.setattr(reading, "UNPACKED", 1 << 20)
    sizes = [batch.num_rows for batch in reading.Table(tmp_path / "small.parquet", "parquet", None, {}).batches()]
    assert max(sizes) <= 105
    assert sum(sizes) == 2000
    assert content(tmp_path / "small.parquet") == whole
