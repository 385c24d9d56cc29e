"""The same value has the same normal form whatever it is written in, and a copy is found across formats."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.areas.access import columns
from bartizan.areas.access.copies import Hunt, normal
from bartizan.areas.access.purging import Wish
from bartizan.model.errors import InputError

FLOATS = st.one_of(st.floats(-1e18, 1e18), st.floats(-10, 10), st.integers(-(10**6), 10**6).map(float), st.just(float("nan")))
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), max_size=6)
ROW = st.tuples(
    st.integers(-(2**62), 2**62), FLOATS, TEXT, st.booleans(), st.dates(dt.date(1900, 1, 1), dt.date(2199, 1, 1)),
    st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2199, 1, 1)).map(lambda d: d.replace(microsecond=0)),
)  # fmt: skip
NAMES = ["i", "f", "t", "b", "d", "m"]


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=8))
def test_one_normal_form_in_every_format(rows, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("forms")
    types = dict(zip(NAMES, (pl.Int64, pl.Float64, pl.String, pl.Boolean, pl.Date, pl.Datetime), strict=True))
    held = pl.DataFrame(rows, schema=types, orient="row")
    held.write_parquet(folder / "a.parquet")
    held.write_csv(folder / "b.csv")
    held.write_ipc(folder / "c.arrow", compression="uncompressed")
    frame = held.to_pandas()
    frame.to_csv(folder / "d.csv", index=False)
    wanted = {name: normal(held[name]).to_list() for name in NAMES}
    for name in ("a.parquet", "b.csv", "c.arrow", "d.csv"):
        read = pl.concat(list(columns.frames(folder / name, NAMES)))
        for column in NAMES:
            assert normal(read[column]).to_list() == wanted[column], (name, column, read[column].to_list())


def found(also: Path, gone: pl.DataFrame, kept: pl.DataFrame | None = None) -> dict[str, int]:
    hunt = Hunt([also], None)
    batch = gone.to_arrow().combine_chunks().to_batches()[0]
    hunt.learn(batch, np.ones(len(gone), np.bool_))
    if kept is not None and hunt.doubtful:
        hunt.discount(kept.to_arrow().combine_chunks().to_batches()[0])
    return {place.file.name: place.rows for place in hunt.search().places}


def test_rows_are_found_by_the_columns_that_both_have(tmp_path: Path) -> None:
    gone = pl.DataFrame({"id": [1, 2], "name": ["ann", "bob"], "x": [1.5, None]})
    kept = pl.DataFrame({"id": [3, 4], "name": ["ann", "eve"], "x": [2.5, 3.5]})
    (tmp_path / "reordered.csv").write_text("x,more,id,name\n1.50,?,1,ann\n,!,2,bob\n9,,2,bob\n")
    (tmp_path / "names.jsonl").write_text('{"name": "ann"}\n{"name": "bob"}\n')
    (tmp_path / "other.csv").write_text("colour\nred\n")
    pd.DataFrame({"id": [2.0, 8.0]}).to_parquet(tmp_path / "ids.parquet")
    assert found(tmp_path, gone, kept) == {"reordered.csv": 2, "names.jsonl": 1, "ids.parquet": 1}


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    (tmp_path / "table.xlsx").write_bytes(b"PK")
    (tmp_path / "link.csv").symlink_to("broken.parquet")
    hunt = Hunt([tmp_path], Wish(subjects={"name": ("ann",)}))
    unread = hunt.search().unread
    assert any("broken.parquet" in one for one in unread)
    assert any("table.xlsx" in one for one in unread), "a subject of three letters is not looked for among bytes"
    assert not any("link.csv" in one for one in unread)
    with pytest.raises(InputError, match="not there"):
        Hunt([tmp_path / "nowhere"], None)


def test_a_subject_across_the_border_of_two_blocks_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bartizan.areas.access import copies

    monkeypatch.setattr(copies, "_CHUNK", 16)
    wish = Wish(subjects={"name": ("ann smith",)})
    for start in range(40):
        (tmp_path / "a.log").write_bytes(b"." * start + b" ann smith " + b"." * 30)
        assert Hunt([tmp_path], wish).search().places[0].mentions, start
        (tmp_path / "a.log").write_bytes(b"." * start + b" joann smith " + b"." * 30)
        assert not Hunt([tmp_path], wish).search().places, start


def test_nested_columns_are_passed_over(tmp_path: Path) -> None:
    held = pa.table({"id": [1, 2], "tags": [["a"], ["b"]]})
    pa.parquet.write_table(held, tmp_path / "n.parquet")
    hunt = Hunt([tmp_path], None)
    hunt.learn(held.to_batches()[0], np.array([True, False]))
    (place,) = hunt.search().places
    assert (place.rows, place.shared) == (1, ("id",))
