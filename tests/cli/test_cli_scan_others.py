"""`bartizan scan deps` and `scan code`: exit codes and forms for people and programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bartizan.cli.app import run


@pytest.fixture
def advisories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Advisories of today on one package, at hand for this test."""
    monkeypatch.setenv("BARTIZAN_ADVISORIES", str(tmp_path / "advisories"))
    affected = {
        "package": {"ecosystem": "PyPI", "name": "alpha"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]}],
    }
    record = {
        "id": "PYSEC-1",
        "modified": datetime.now(UTC).isoformat(),
        "aliases": ["CVE-1"],
        "summary": "alpha is weak",
        "affected": [affected],
    }
    (tmp_path / "PYSEC-1.json").write_text(json.dumps(record))
    assert run(["advisories", "update", "--from", str(tmp_path / "PYSEC-1.json")]) == 0
    return tmp_path


def deps(folder: Path, text: str, *more: str) -> int:
    (folder / "requirements.txt").write_text(text)
    return run(["scan", "deps", str(folder / "requirements.txt"), *more])


@pytest.mark.parametrize(
    ("text", "expected"), [("alpha==1\n", 1), ("alpha==2\n", 0), ("alpha\n", 1), ("alpha===?\n", 1), ("reqeusts==1\n", 1), ("# none\n", 2)]
)
def test_exit_codes(advisories: Path, text: str, expected: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert deps(advisories, text) == expected, capsys.readouterr().out


def test_without_or_with_old_advisories_nothing_passes(advisories: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert deps(advisories, "alpha==2\n", "--max-age", "0") == 2
    monkeypatch.setenv("BARTIZAN_ADVISORIES", str(advisories / "none"))
    assert deps(advisories, "alpha==2\n") == 2
    assert run(["advisories"]) == 2


def test_an_intended_name(advisories: Path) -> None:
    assert deps(advisories, "reqeusts==1\n", "--known-name", "reqeusts") == 0


def test_forms(advisories: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert deps(advisories, "alpha==1\n") == 1
    table = capsys.readouterr().out
    assert "PYSEC-1" in table
    assert "alpha: install 2" in table
    assert deps(advisories, "alpha==1\n", "--format", "json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["vulnerable"][0]["ids"] == ["PYSEC-1", "CVE-1"]
    assert deps(advisories, "\nalpha==1\n", "--format", "sarif") == 1
    (result,) = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 2}


def test_vex_that_we_write_has_to_be_answered_first(advisories: Path) -> None:
    out = advisories / "vex.json"
    assert deps(advisories, "alpha==1\n", "--write-vex", str(out)) == 1
    assert deps(advisories, "alpha==1\n", "--vex", str(out)) == 1
    document = json.loads(out.read_text())
    document["statements"][0] |= {"status": "not_affected", "justification": "vulnerable_code_not_present"}
    out.write_text(json.dumps(document))
    assert deps(advisories, "alpha==1\n", "--vex", str(out)) == 0


@pytest.mark.parametrize(("text", "expected"), [("import torch\ntorch.load('m.pt')\n", 1), ("print(1)\n", 0), ("def (\n", 2)])
def test_code(tmp_path: Path, text: str, expected: int, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.py").write_text(text)
    assert run(["scan", "code", str(tmp_path)]) == expected
    assert run(["scan", "code", str(tmp_path), "--format", "json"]) == expected
    assert run(["scan", "code", str(tmp_path), "--format", "sarif", "-o", str(tmp_path / "out.sarif")]) == expected
    assert json.loads((tmp_path / "out.sarif").read_text())["version"] == "2.1.0"


def test_an_unknown_rule_offers_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.py").write_text("print(1)\n")
    assert run(["scan", "code", str(tmp_path), "--rule", "unsafe-loads"]) == 2
    assert "unsafe-load" in capsys.readouterr().err
    assert run(["scan", "code", "--rules"]) == 0
