"""A misspelt name in a manifest ends `assess` with 2, its line and the nearest name; a right one does not."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bartizan.adapters.table_header import columns_of
from bartizan.cli.app import run

MANIFEST = """\
bartizan: 1
system: {name: small, purpose: try things, owner: us, role: provider, impact: low}
datasets:
  - {id: rows, stage: train, uri: rows.csv, label: LABEL, subjects: [none]}
assets:
  - id: scorer
    kind: model
    task: tabular-classification
    uri: m.pkl
    trained_on: [rows]
    constraints: {immutable: [COLUMN]}
appetite:
  tolerances: {TOLERANCE: 0.1}
"""


def project(folder: Path, label: str = "bad", column: str = "age", tolerance: str = "evasion") -> Path:
    (folder / "rows.csv").write_text("age, income,bad\n1,2,0\n3,4,1\n")
    (folder / "m.pkl").write_bytes(b"\x80\x04}\x94.")
    path = folder / "bartizan.yaml"
    path.write_text(MANIFEST.replace("LABEL", label).replace("COLUMN", column).replace("TOLERANCE", tolerance))
    return path


def assessed(path: Path) -> int:
    return run(["assess", str(path), "--only", "access", "--quiet", "--executor", "inline"])


@pytest.mark.parametrize(
    ("wrong", "line", "meant"),
    [
        ({"label": "badd"}, 4, "bad"),
        ({"column": "incom"}, 11, "income"),
        ({"tolerance": "evasoin"}, 13, "evasion"),
        ({"tolerance": "privacy.membrship_inference"}, 13, "privacy.membership_inference"),
    ],
)
def test_a_misspelt_name_is_an_error_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: dict[str, str], line: int, meant: str
) -> None:
    assert assessed(project(tmp_path, **wrong)) == 2
    said = capsys.readouterr().err
    assert f"did you mean '{meant}'?" in said
    assert f"bartizan.yaml:{line}" in said
    assert not (tmp_path / ".bartizan").exists(), "nothing is half-written"


def test_right_names_run_and_a_tolerance_of_nothing_installed_is_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert assessed(project(tmp_path)) in (0, 1)
    assert "note:" not in capsys.readouterr().out
    assert assessed(project(tmp_path, tolerance="jailbreak")) in (0, 1)
    assert "note: no installed check answers to the tolerance 'jailbreak'" in capsys.readouterr().out


def test_a_header_that_cannot_be_read_is_left_to_the_checks(tmp_path: Path) -> None:
    path = project(tmp_path, label="anything", column="whatever")
    (tmp_path / "rows.csv").unlink()
    assert assessed(path) in (0, 1)


def test_columns_are_those_of_the_head(tmp_path: Path) -> None:
    plain = tmp_path / "a.csv"
    plain.write_bytes(b'\xef\xbb\xbf"a, b",c \r\n1,2\r\n')
    packed = tmp_path / "a.tsv.gz"
    packed.write_bytes(gzip.compress(b"x\ty\n1\t2\n"))
    assert columns_of(plain) == ("a, b", "c")
    assert columns_of(packed) == ("x", "y")
    (tmp_path / "broken.csv.gz").write_bytes(b"no gzip")
    (tmp_path / "long.csv").write_bytes(b"x" * (2 << 20))
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "no.parquet").write_bytes(b"PAR1")
    for name in ("broken.csv.gz", "long.csv", "empty.csv", "no.parquet", "missing.csv"):
        assert columns_of(tmp_path / name) is None


def test_columns_of_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(arrow.table({"a": [1], " b": [2]}), tmp_path / "t.parquet")
    assert columns_of(tmp_path / "t.parquet") == ("a", "b")


def test_checks_are_named_one_by_one_or_with_commas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project(tmp_path)
    assert run(["assess", str(path), "--only", "access.retention, quality.completeness", "--quiet", "--executor", "inline"]) in (0, 1)
    assert "unknown" not in capsys.readouterr().err
