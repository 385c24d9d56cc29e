"""Files without some rows: what stays keeps its bytes, or its values and types, and nothing of what went is left in the file."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.areas.access import rewriting
from bartizan.areas.access.rewriting import rewrite
from bartizan.model.errors import InputError, Refused


def masks(*rows: bool, piece: int = 3) -> Iterator[np.ndarray]:
    return (np.array(rows[n : n + piece], np.bool_) for n in range(0, len(rows), piece))


def without(text: bytes, *gone: bool, kind: str = "csv", folder: Path) -> bytes:
    (folder / "old").write_bytes(text)
    counts = rewrite(folder / "old", folder / "new", kind, None, masks(*gone))
    assert (counts.removed, counts.kept) == (sum(gone), len(gone) - sum(gone))
    return (folder / "new").read_bytes()


def test_every_byte_of_a_row_that_stays_is_kept(tmp_path: Path) -> None:
    text = b'\xef\xbb\xbfa,b\r\n"x\r\ny", "1"" \r\n\r\n 5" pipe,007\r\n"q""r"s,1e3\nlast,9'
    assert without(text, False, False, False, False, folder=tmp_path) == text
    assert without(text, True, False, False, False, folder=tmp_path) == b'\xef\xbb\xbfa,b\r\n 5" pipe,007\r\n"q""r"s,1e3\nlast,9'
    assert without(text, False, False, True, True, folder=tmp_path) == b'\xef\xbb\xbfa,b\r\n"x\r\ny", "1"" \r\n\r\n 5" pipe,007\r\n'


cell = st.one_of(st.text(alphabet='ab,\n\r"é ', max_size=4), st.integers(-99, 99).map(str))
lines = st.lists(st.tuples(cell, cell, st.booleans()), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(rows=lines, end=st.sampled_from(["\n", "\r\n"]), block=st.integers(3, 40), data=st.data())
def test_rows_are_split_as_arrow_reads_them(rows, end: str, block: int, data, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("rows", numbered=True)
    quoted = [f'"{a.replace(chr(34), chr(34) * 2)}",x{b if b.isalnum() else ""}' if q or not a.isalnum() else f"{a},x" for a, b, q in rows]
    text = ("h,i" + end + end.join(quoted) + end).encode()
    options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    types = pyarrow.csv.ConvertOptions(column_types={"h": pa.string(), "i": pa.string()})
    old = pyarrow.csv.read_csv(io.BytesIO(text), parse_options=options, convert_options=types)
    gone = data.draw(st.lists(st.booleans(), min_size=old.num_rows, max_size=old.num_rows))
    before = rewriting.BLOCK
    rewriting.BLOCK = block
    try:
        new = without(text, *gone, folder=folder)
    finally:
        rewriting.BLOCK = before
    kept = pyarrow.csv.read_csv(io.BytesIO(new), parse_options=options, convert_options=types) if not all(gone) else None
    wanted = old.filter(pa.array(~np.array(gone, np.bool_)))
    assert (kept.to_pylist() if kept is not None else []) == wanted.to_pylist()


def test_other_text_formats(tmp_path: Path) -> None:
    lines = b'{"a": 1}\n\n{"a":  2}\n{"a": 3}'
    assert without(lines, True, False, True, kind="jsonl", folder=tmp_path) == b'\n{"a":  2}\n'
    assert without(b"one\n\nthree\n", False, True, False, kind="text", folder=tmp_path) == b"one\nthree\n"
    assert without(b"a\tb\n1,\t2\n3\t4\n", True, False, kind="tsv", folder=tmp_path) == b"a\tb\n3\t4\n"
    (tmp_path / "p.csv.gz").write_bytes(gzip.compress(b"a\n1\n2\n"))
    rewrite(tmp_path / "p.csv.gz", tmp_path / "q.csv.gz", "csv", "gzip", masks(True, False))
    assert gzip.decompress((tmp_path / "q.csv.gz").read_bytes()) == b"a\n2\n"


@pytest.mark.parametrize("count", [1, 3])
def test_rows_that_are_not_those_that_were_judged_are_refused(tmp_path: Path, count: int) -> None:
    (tmp_path / "old").write_bytes(b"a\n1\n2\n")
    with pytest.raises(Refused, match="rows than were judged"):
        rewrite(tmp_path / "old", tmp_path / "new", "csv", None, masks(*[False] * count))


def frame() -> pa.Table:
    names = pa.array(["ann", "Removed Person", "bob", "Removed Person", None]).dictionary_encode()
    return pa.table(
        {
            "name": names,
            "when": pa.array([1, 2, 3, 4, 5], pa.timestamp("ms", "Europe/Berlin")),
            "tags": pa.array([["x"], ["Removed Person"], [], None, ["y"]]),
            "part": pa.array([{"n": 1}, {"n": 2}, None, {"n": 4}, {"n": 5}]),
            "amount": pa.array([1, 2, 3, 4, 5], pa.decimal128(9, 2)),
        }
    ).replace_schema_metadata({"own": "kept"})


GONE = (False, True, False, True, False)


def test_parquet_keeps_schema_metadata_and_encoding(tmp_path: Path) -> None:
    old, new = tmp_path / "o.parquet", tmp_path / "n.parquet"
    pyarrow.parquet.write_table(frame(), old, compression={"when": "zstd", "amount": "gzip"}, row_group_size=2, version="2.6")
    rewrite(old, new, "parquet", None, masks(*GONE))
    before, after = pyarrow.parquet.ParquetFile(old), pyarrow.parquet.ParquetFile(new)
    assert after.read().to_pylist() == [row for row, gone in zip(frame().to_pylist(), GONE, strict=True) if not gone]
    assert after.schema_arrow.equals(before.schema_arrow, check_metadata=True)
    said = [
        {c.path_in_schema: c.compression for c in map(f.metadata.row_group(0).column, range(f.metadata.num_columns))}
        for f in (before, after)
    ]
    assert said[0] == said[1]
    assert after.metadata.row_group(0).num_rows <= 2 or after.metadata.num_row_groups == 1


@pytest.mark.parametrize("kind", ["parquet", "feather", "stream"])
def test_nothing_of_a_removed_row_is_left_in_the_file(tmp_path: Path, kind: str) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    if kind == "parquet":
        pyarrow.parquet.write_table(frame(), old, compression="NONE", use_dictionary=True)
    elif kind == "feather":
        pyarrow.feather.write_feather(frame(), old, compression="uncompressed")
    else:
        with pa.OSFile(str(old), "wb") as out, pa.ipc.new_stream(out, frame().schema) as writer:
            writer.write_table(frame())
    assert b"Removed Person" in old.read_bytes()
    rewrite(old, new, "parquet" if kind == "parquet" else "arrow", None, masks(*GONE))
    assert b"Removed Person" not in new.read_bytes()
    assert b"ann" in new.read_bytes()


def test_views_and_hidden_dictionaries(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    views = pa.table({"v": pa.array(["a long text that stays " * 2, "Removed Person " * 3]).cast(pa.string_view())})
    with pa.OSFile(str(old), "wb") as out, pa.ipc.new_file(out, views.schema) as writer:
        writer.write_table(views)
    rewrite(old, new, "arrow", None, masks(False, True))
    assert b"Removed Person" not in new.read_bytes()
    hidden = pa.table({"m": pa.array([[("k", "Removed Person")], [("k", "v")]], pa.map_(pa.string(), pa.string()))})
    kind = pa.map_(pa.string(), pa.dictionary(pa.int32(), pa.string()))
    keys, items = pa.array(["k", "k"]), pa.array(["Removed Person", "v"]).dictionary_encode()
    held = pa.table({"m": pa.MapArray.from_arrays(pa.array([0, 1, 2], pa.int32()), keys, items)})
    assert held.schema.field("m").type == kind
    assert hidden.num_rows == held.num_rows
    with pa.OSFile(str(old), "wb") as out, pa.ipc.new_stream(out, held.schema) as writer:
        writer.write_table(held)
    with pytest.raises(InputError, match="would keep values"):
        rewrite(old, new, "arrow", None, masks(True, False))


def test_what_pandas_and_polars_wrote_is_read_by_them_again(tmp_path: Path) -> None:
    import polars as pl

    table = pd.DataFrame({"a": [1, 2, 3], "c": pd.Categorical(["x", "y", "x"])}, index=pd.Index(["p", "q", "r"], name="key"))
    table.to_parquet(tmp_path / "p.parquet")
    rewrite(tmp_path / "p.parquet", tmp_path / "q.parquet", "parquet", None, masks(False, True, False))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "q.parquet"), table.drop("q"), check_categorical=False)
    pl.DataFrame({"a": [1, 2, 3], "t": ["x", "y", "z"]}).write_parquet(tmp_path / "l.parquet")
    rewrite(tmp_path / "l.parquet", tmp_path / "m.parquet", "parquet", None, masks(True, True, True))
    assert pl.read_parquet(tmp_path / "m.parquet").is_empty()
    assert pl.read_parquet(tmp_path / "m.parquet").schema == pl.read_parquet(tmp_path / "l.parquet").schema


def test_large_row_groups_are_written_in_constant_memory(tmp_path: Path) -> None:
    old, new = tmp_path / "o.parquet", tmp_path / "n.parquet"
    pyarrow.parquet.write_table(pa.table({"n": np.arange(200_000), "t": np.arange(200_000).astype(str)}), old, row_group_size=150_000)
    rewrite(old, new, "parquet", None, iter([np.arange(200_000) % 10 == 0]))
    assert pyarrow.parquet.ParquetFile(new).metadata.num_rows == 180_000
    assert pyarrow.parquet.ParquetFile(new).metadata.row_group(0).num_rows <= 150_000
    assert json.dumps(pyarrow.parquet.read_table(new)["n"][:3].to_pylist()) == "[1, 2, 3]"
