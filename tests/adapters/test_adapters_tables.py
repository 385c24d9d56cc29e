"""Reading tables: formats that are known are read alike, broken and endless ones end in one line."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pandas as pd
import pytest

from bartizan.adapters import tables
from bartizan.adapters.tables import read_table
from bartizan.model.errors import InputError

FRAME = pd.DataFrame({"amount": [1.5, 2.0], "name": ["a", "b, c"]})


def written(path: Path) -> Path:
    name = path.name
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
        FRAME.to_parquet(path)
    elif ".jsonl" in name:
        FRAME.to_json(path, orient="records", lines=True)
    else:
        FRAME.to_csv(path, index=False, sep="\t" if ".tsv" in name else ",")
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.CSV", "t.csv.gz", "t.jsonl", "t.jsonl.gz", "t.parquet"])
def test_known_formats_give_the_same_table(tmp_path: Path, name: str) -> None:
    table = read_table(tmp_path, written(tmp_path / name))
    assert table.to_dict("list") == FRAME.to_dict("list")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.csv.gz", b"not gzip"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n")[:15]),
        ("t.parquet", b"PAR1 broken PAR1"),
        ("t.jsonl", b"{" * 10_000),
        ("t.xlsx", b"PK"),
        ("t", b"a,b"),
    ],
)
def test_broken_tables_end_in_one_line_with_their_name(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=r"^t"):
        read_table(tmp_path, tmp_path / name)


def test_a_table_is_parsed_once_while_its_file_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "t.csv")
    long_ago = path.stat().st_mtime_ns - 10**12
    os.utime(path, ns=(long_ago, long_ago))
    monkeypatch.setattr(tables, "FRESH", 0)
    first = read_table(tmp_path, path)
    first.loc[0, "amount"] = 99.0
    parsed = []
    monkeypatch.setattr(tables, "_parsed", lambda *_: parsed.append(1) or FRAME)
    assert read_table(tmp_path, path)["amount"].tolist() == [1.5, 2.0], "what a caller changes is that caller's"
    assert not parsed
    path.write_text("amount,name\n3.5,x\n4.0,y\n")
    read_table(tmp_path, path)
    assert parsed, "another file at the same place"


def test_a_file_written_just_now_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for amount in ("1", "2"):
        path.write_text(f"amount\n{amount}\n")
        assert read_table(tmp_path, path)["amount"].tolist() == [int(amount)]


def test_tables_that_are_kept_take_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "FRESH", 0)
    monkeypatch.setattr(tables, "KEPT", 3000)
    for n in range(5):
        (tmp_path / f"{n}.csv").write_text("a\n" + "1\n" * 150)
        read_table(tmp_path, tmp_path / f"{n}.csv")
    assert len(tables._MEMO) == 2
