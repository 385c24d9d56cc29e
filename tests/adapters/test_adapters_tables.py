"""Reading tables: formats that are known are read alike, broken and endless ones end in one line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

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
