"""`bartizan scan`: exit codes, formats, one-line errors, and the check on declared models."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from bartizan.cli.app import run
from bartizan.model.findings import Severity, Verdict
from bartizan.model.system import Asset, Kind

GOOD = pickle.dumps({"a": 1})
STRANGE = b"\x80\x02csomebodys.package\nThing\n)\x81."


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache-home"))


def test_exit_codes(tmp_path: Path, evil: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    for name, data in (("good", GOOD), ("strange", STRANGE), ("bad", evil)):
        (tmp_path / name).write_bytes(data)
    assert run(["scan", str(tmp_path / "good")]) == 0
    assert run(["scan", str(tmp_path / "strange")]) == 1
    assert run(["scan", str(tmp_path / "good"), str(tmp_path / "bad")]) == 1
    assert "1 safe, 1 unsafe" in capsys.readouterr().out
    assert run(["scan", str(tmp_path / "missing")]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("bartizan: ")
    (tmp_path / "empty").mkdir()
    assert run(["scan", str(tmp_path / "empty")]) == 2
    assert run(["scan"]) == 2


def test_a_policy_allows_more(tmp_path: Path) -> None:
    (tmp_path / "strange").write_bytes(STRANGE)
    (tmp_path / "policy.yaml").write_text("allow:\n- {modules: somebodys.package, names: Thing, uses: new, why: ours}\n")
    assert run(["scan", str(tmp_path / "strange"), "--policy", str(tmp_path / "policy.yaml")]) == 0
    assert run(["scan", str(tmp_path / "strange")]) == 1, "what another policy allowed is not remembered"


def test_json_and_sarif_say_where(tmp_path: Path, evil: bytes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad model.pkl").write_bytes(evil)
    assert run(["scan", "bad model.pkl", "--format", "json"]) == 1
    plain = json.loads(capsys.readouterr().out)
    assert plain["verdict"] == "unsafe"
    assert plain["counts"] == {"safe": 0, "needs-policy": 0, "unsafe": 1}
    [file] = plain["files"]
    call = next(reason for reason in file["reasons"] if reason["use"]["kind"] == "call")
    assert call["use"]["module"] in ("posix", "os")
    assert evil[call["offset"] : call["offset"] + 1] == b"R"
    assert run(["scan", "bad model.pkl", "--format", "sarif", "-o", "out.sarif"]) == 1
    log = json.loads(Path("out.sarif").read_text())
    located = [result["locations"][0]["physicalLocation"] for result in log["runs"][0]["results"]]
    assert {place["artifactLocation"]["uri"] for place in located} == {"bad%20model.pkl"}
    assert call["offset"] in {place["region"]["byteOffset"] for place in located}


def test_other_kinds_have_their_own_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scan", "deps", "--help"]) == 0
    assert "requirements" in capsys.readouterr().out
    assert run(["scan", "--help"]) == 0
    assert "bartizan scan deps" in capsys.readouterr().out


def test_the_check_passes_on_what_was_reviewed(run_check, tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(GOOD)
    [finding] = run_check("artefacts.model_files", Asset(id="m", kind=Kind.MODEL, uri="m.pkl"))
    assert (finding.verdict, finding.severity) == (Verdict.PASS, Severity.INFO)


def test_the_check_fails_with_the_byte(run_check, tmp_path: Path, evil: bytes) -> None:
    (tmp_path / "m.pkl").write_bytes(GOOD)
    (tmp_path / "export.onnx").write_bytes(evil)
    [finding] = run_check("artefacts.model_files", Asset(id="m", kind=Kind.MODEL, uri="m.pkl", exports=("export.onnx",)))
    assert (finding.verdict, finding.severity) == (Verdict.FAIL, Severity.CRITICAL)
    assert [place.file for place in finding.places] == ["export.onnx"]
    offset = finding.details["offsets"]["export.onnx"]
    assert evil[offset : offset + 1] in (b"c", b"R")


def test_the_check_leaves_open_what_nobody_reviewed(run_check, tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(STRANGE)
    model = Asset(id="m", kind=Kind.MODEL, uri="m.pkl")
    assert run_check("artefacts.model_files", model)[0].verdict is Verdict.UNKNOWN
    (tmp_path / "policy.yaml").write_text("allow:\n- {modules: somebodys.package, names: Thing, uses: new, why: ours}\n")
    assert run_check("artefacts.model_files", model, policy="policy.yaml")[0].verdict is Verdict.PASS
