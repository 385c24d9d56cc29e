"""`bartizan data` and `bartizan scan data` from the command line: exit codes, words, and what assess makes of passport and schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bartizan.cli.app import run
from bartizan.engine import registry
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Dataset, Stage
from bartizan.testing import checks


def rows(count: int = 200, first: int = 0) -> str:
    body = "".join(f"{first + i},{20 + i % 50},{('open', 'paid')[i % 2]},person{i}@example.org\n" for i in range(count))
    return f"id,age,state,email\n{body}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loans.csv").write_text(rows())
    assert run(["data", "record", "loans.csv", "--key", "data.pem", "--new-key", "ed25519", "--croissant", "croissant.json"]) == 0
    return tmp_path


def test_record_verify_and_a_change(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads((folder / "croissant.json").read_text())["name"] == "loans.csv"
    assert run(["data", "verify", "loans.csv", "--key", "data.pem.pub"]) == 0
    (folder / "loans.csv").write_text(rows().replace("7,27,", "7,72,", 1))
    capsys.readouterr()
    assert run(["data", "verify", "loans.csv", "--key", "data.pem.pub"]) == 1
    assert "column 'age' has other values" in capsys.readouterr().out
    (folder / "other.pem.pub").write_bytes(b"")
    assert run(["data", "verify", "loans.csv", "--key", "other.pem.pub"]) == 2


def test_diff_lineage_and_hand_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "clean.csv").write_text(rows(150))
    (folder / "clean.py").write_text("keep = 150\n")
    record = ["data", "record", "clean.csv", "--key", "data.pem", "--from", "loans.csv.passport.jsonl", "--by", "clean.py"]
    assert run(record) == 0
    assert run(["data", "verify", "clean.csv", "--key", "data.pem.pub", "--from", "loans.csv.passport.jsonl"]) == 0
    capsys.readouterr()
    assert run(["data", "diff", "loans.csv.passport.jsonl", "clean.csv.passport.jsonl", "--key", "data.pem.pub"]) == 1
    said = capsys.readouterr().out
    assert "200 rows, now 150 (-50)" in said
    assert "made from loans.csv" in said
    assert run(["sign", "clean.py", "--key", "theirs.pem", "--new-key", "p256"]) == 0
    handed = ["data", "hand-over", "clean.csv.passport.jsonl", "--key", "data.pem", "--to", "theirs.pem.pub", "--name", "team b"]
    assert run(handed) == 0
    assert run(handed) == 2, "who has handed it on holds it no longer"
    assert run(["data", "verify", "clean.csv", "--key", "data.pem.pub"]) == 0
    assert "handed on to team b" in capsys.readouterr().out


def test_proofs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "prove", "loans.csv", "--row", "17", "-o", "p.json"]) == 0
    (folder / "kept").mkdir()
    for name in ("p.json", "data.pem.pub"):
        (folder / "kept" / name).write_bytes((folder / name).read_bytes())
    capsys.readouterr()
    assert run(["data", "verify", "--proof", "kept/p.json", "--key", "kept/data.pem.pub"]) == 0
    assert "person17@example.org" in capsys.readouterr().out
    (folder / "loans.csv").write_text("".join(line for line in rows().splitlines(keepends=True) if not line.startswith("17,")))
    assert run(["data", "record", "loans.csv", "--key", "data.pem"]) == 0
    assert run(["data", "prove", "loans.csv", "--gone", "p.json", "--key", "data.pem.pub", "-o", "gone.json"]) == 0
    assert run(["data", "verify", "--proof", "gone.json", "--key", "data.pem.pub"]) == 0
    (folder / "gone.json").write_text((folder / "gone.json").read_text().replace('"steps":["', '"steps":["00', 1))
    assert run(["data", "verify", "--proof", "gone.json", "--key", "data.pem.pub"]) == 1


def test_the_gate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "gate", "loans.csv", "--infer", "s.yaml"]) == 0
    assert run(["data", "gate", "loans.csv", "--schema", "s.yaml"]) == 0
    assert run(["data", "gate", "loans.csv", "--schema", "s.yaml", "--reviewed-only"]) == 1
    (folder / "bad.csv").write_text(rows().replace("\n9,29,", "\n9,twenty-nine,", 1))
    capsys.readouterr()
    assert run(["data", "gate", "bad.csv", "--schema", "s.yaml"]) == 1
    assert "row 9: twenty-nine" in capsys.readouterr().out
    assert run(["data", "gate", "bad.csv", "--schema", "s.yaml", "--no-values", "--format", "json"]) == 1
    assert "twenty-nine" not in capsys.readouterr().out
    (folder / "empty.csv").write_text("id,age,state,email\n")
    assert run(["data", "gate", "empty.csv", "--schema", "s.yaml"]) == 1


def test_a_scan_needs_no_manifest_and_calls_nothing_clean_that_it_did_not_look_at(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "test.csv").write_text(rows(50, 1000))
    capsys.readouterr()
    assert run(["scan", "data", "loans.csv", "--label", "state", "--test", "test.csv", "--format", "json"]) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    assert found["passport"]["content"]["rows"] == 200
    assert "age:" in found["schema"]
    areas = {answer["area"] for answer in found["answers"]}
    assert {"provenance", "pii", "quality", "poisoning", "fairness", "access"} <= areas
    asked = {answer["check"] for answer in found["answers"]}
    assert "quality.split_leakage" in asked
    for answer in found["answers"]:
        assert answer["verdict"] or answer["title"].startswith(("not covered", "recorded, not signed", "inferred, not reviewed"))
    assert run(["scan", "data", "loans.csv", "--skip", "quality", "--skip", "pii"]) in (0, 1)
    assert "left out on request" in capsys.readouterr().out


def test_the_passport_holds_what_checks_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "gate", "loans.csv", "--infer", "s.yaml"]) == 0
    text = (folder / "s.yaml").read_text().replace("version: 1\n", "version: 1\nreviewed: {by: somebody, on: 2026-11-02}\n")
    (folder / "s.yaml").write_text(text)
    record = ["data", "record", "loans.csv", "--key", "data.pem", "--scan", "--schema", "s.yaml", "-o"]
    assert run([*record, "before.jsonl"]) == 0
    (folder / "loans.csv").write_text(rows().replace("\n9,29,", "\n9,290,", 1))
    assert run([*record, "after.jsonl"]) == 0
    capsys.readouterr()
    assert run(["data", "diff", "before.jsonl", "after.jsonl", "--key", "data.pem.pub"]) == 1
    assert "quality.schema said pass and says fail" in capsys.readouterr().out
    assert run(["data", "verify", "loans.csv", "--passport", "after.jsonl", "--key", "data.pem.pub"]) == 0


def job(check: str, root: Path, **fields: str) -> Job:
    described = registry.get(check)
    node = Dataset(id="loans", stage=Stage.TRAIN, uri="loans.csv", **fields)  # type: ignore[arg-type]
    return Job(check=check, version=described.version, threats=described.threats, subject=node, root=str(root))


def test_assess_judges_the_passport(folder: Path) -> None:
    said = {"passport": "loans.csv.passport.jsonl", "signed_by": "data.pem.pub"}
    (outcome,) = checks.contract(registry.get("provenance.passport"), [job("provenance.passport", folder, **said)])
    assert outcome.findings[0].verdict is Verdict.PASS
    (unsigned,) = checks.contract(registry.get("provenance.passport"), [job("provenance.passport", folder, passport=said["passport"])])
    assert unsigned.findings[0].verdict is Verdict.UNKNOWN
    (folder / "loans.csv").write_text(rows(199))
    (changed,) = checks.contract(registry.get("provenance.passport"), [job("provenance.passport", folder, **said)])
    assert changed.findings[0].verdict is Verdict.FAIL
    assert "now 199" in changed.findings[0].why


def test_assess_judges_the_schema(folder: Path) -> None:
    check = registry.get("quality.schema")
    assert run(["data", "gate", "loans.csv", "--infer", "s.yaml"]) == 0
    (open_one,) = checks.contract(check, [job(check.id, folder, schema="s.yaml")])
    assert open_one.findings[0].verdict is Verdict.INCONCLUSIVE
    text = (folder / "s.yaml").read_text().replace("version: 1\n", "version: 1\nreviewed: {by: somebody, on: 2026-11-02}\n")
    (folder / "s.yaml").write_text(text)
    (passed,) = checks.contract(check, [job(check.id, folder, schema="s.yaml")])
    assert passed.findings[0].verdict is Verdict.PASS
    (folder / "loans.csv").write_text(rows().replace("\n9,29,", "\n9,290,", 1))
    (failed,) = checks.contract(check, [job(check.id, folder, schema="s.yaml")])
    assert failed.findings[0].verdict is Verdict.FAIL
    assert failed.findings[0].places[0].line == 11
    assert "290" not in str(failed.findings[0].details)
