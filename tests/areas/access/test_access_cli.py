"""`bartizan data read`: what somebody sees is printed or written, what was decided is explained, and a mistake is one line."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from access_loans import KEY, POLICY, ROWS, loans, write

from bartizan.areas.access.queries import Query
from bartizan.areas.access.reading import open
from bartizan.cli.app import run
from bartizan.evidence import Store

pl = pytest.importorskip("polars")
pytest.importorskip("cedarpy")
pytest.importorskip("duckdb")

LOANS = loans()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "pseudonyms.key"
    path.touch(0o600)
    path.write_text(KEY.hex())
    return path


def read(*arguments: object) -> int:
    return run(["data", "read", *(str(argument) for argument in arguments)])


def as_alice(data: Path, *more: object) -> int:
    return read(data, "--as", "alice", "--purpose", "training", *more)


def test_what_is_seen_is_printed(data: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert as_alice(data, "--key", key, "--columns", "id,zip,ssn") == 0
    shown = capsys.readouterr().out
    assert "10" in shown
    assert LOANS["zip"][0] not in shown
    assert "and 80 rows more: --output" in shown
    assert as_alice(data, "--key", key, "--sql", "SELECT count(*) AS n FROM loans", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == [{"n": 100}]


def test_explain_reads_nothing_and_records_nothing(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert as_alice(data, "--explain") == 0
    shown = capsys.readouterr().out
    assert "masked (bucket)" in shown
    assert "features for training" in shown
    assert "rows: (\"region\" = 'north')" in shown
    assert not (data.parent / ".bartizan").exists()
    assert as_alice(data, "--explain", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["columns"][0]["shown"] == "clear"
    assert read(data, "--as", "eve", "--purpose", "training", "--explain") == 0
    assert "no rule permits it" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_copy_is_what_is_seen(tmp_path: Path, key: Path, suffix: str) -> None:
    path, copy = write(tmp_path), tmp_path / f"copy{suffix}"
    assert as_alice(path, "--key", key, "-o", copy) == 0
    frame = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".jsonl": pl.read_ndjson}[suffix](copy)
    with open(path, "alice", "training", key=KEY) as alice:
        due = alice.frame()
    assert frame.height == due.height == 100
    assert frame["email"].to_list() == due["email"].to_list()
    assert not set(LOANS["email"]) & set(frame["email"])
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert not list(tmp_path.glob(".*.part"))


def test_an_empty_copy_is_a_table(tmp_path: Path, key: Path) -> None:
    path, copy = write(tmp_path, policy=POLICY.replace("region: north, level: 3", "region: west, level: 3")), tmp_path / "copy.parquet"
    assert as_alice(path, "--key", key, "-o", copy) == 0
    assert pl.read_parquet(copy).shape == (0, len(LOANS))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--as", "alise", "--purpose", "training"], "unknown principal 'alise' of policy 'loans'; did you mean 'alice'?"),
        (["--as", "alice", "--purpose", "traning"], "unknown purpose 'traning' of policy 'loans'; did you mean 'training'?"),
        (["--as", "eve", "--purpose", "training"], "sees nothing of 'loans': no rule permits any column"),
        (["--as", "alice", "--purpose", "training"], "is masked by a keyed hash; give its key: --key FILE"),
        (["--as", "bob", "--purpose", "billing", "--columns", "incom"], "unknown column 'incom'"),
        (["--as", "bob", "--purpose", "billing", "--sql", "SELECT * FROM 'loans.csv'"], "unknown table 'loans.csv'"),
        (["--as", "bob", "--purpose", "billing", "--sql", "SELECT 1", "--columns", "id"], "give either --sql or --columns"),
        (["--as", "bob", "--purpose", "billing", "-o", "copy.xlsx"], "no format that is written"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    path = write(tmp_path)
    arguments = [str(tmp_path / a) if a == "copy.xlsx" else a for a in arguments]
    assert read(path, *arguments) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert len(told.err.strip().splitlines()) == 1
    assert not told.out


def test_what_is_no_file_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path)
    who = ["--as", "bob", "--purpose", "billing"]
    os.mkfifo(tmp_path / "pipe.parquet")
    assert read(tmp_path / "pipe.parquet", *who, "--policy", f"{path}.access.yaml") == 2
    assert "is no table" in capsys.readouterr().err
    assert read(path, *who, "--policy", tmp_path / "pipe.parquet") == 2
    assert "is no plain file" in capsys.readouterr().err
    strange = tmp_path / os.fsdecode(b"odd\xff.parquet")
    path.rename(strange)
    assert run(["data", "read", str(strange), *who, "--policy", f"{path}.access.yaml"]) == 2
    assert "no UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["", ";", "SELECT 1 \0", "SELECT \udcff", "SELECT * FROM loans WHERE", "--", "/* x", "'", '"', "SELECT $1", "SELECT ?"]
)
def test_strange_queries_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert read(write(tmp_path), "--as", "bob", "--purpose", "billing", "--sql", text) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_data_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path)
    before = path.read_bytes()
    assert read(path, "--as", "bob", "--purpose", "billing", "-o", path) == 2
    assert "is the data itself" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_records_lie_with_the_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bartizan.yaml").write_text("bartizan: 1\nsystem: {name: x}\n")
    (tmp_path / "data").mkdir()
    path = write(tmp_path / "data")
    assert read(path, "--as", "bob", "--purpose", "billing", "--columns", "id") == 0
    with Store.open(tmp_path / ".bartizan") as store:
        assert [a.act for a in store.accesses("bob")] == ["open", "frame"]
    capsys.readouterr()
    assert run(["verify", str(tmp_path)]) == 0
    assert "the record holds" in capsys.readouterr().out


def test_no_policy_is_said_with_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path)
    Path(f"{path}.access.yaml").unlink()
    assert read(path, "--as", "bob", "--purpose", "billing") == 2
    assert "loans.parquet.access.yaml: cannot be read: No such file" in capsys.readouterr().err
    assert len(LOANS["id"]) == ROWS
    assert Query("SELECT id FROM loans", "loans", ["id", "zip"]).columns == ("id",)
