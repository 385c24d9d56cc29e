"""What a stranger's slip leads to: exit code 2 and one line that says what to do, before any long work, and nothing half done."""

from __future__ import annotations

import json
import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bartizan.cli.app import run

STRANGE = os.fsdecode(b"odd\xff.pkl")
"""A file's name that is no Unicode text."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("BARTIZAN_ADVISORIES", str(tmp_path / "advisories"))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.pkl").write_bytes(pickle.dumps({"a": 1}))
    return tmp_path


OUTPUTS = (
    ["scan", "in"],
    ["scan", "code", "in"],
    ["scan", "deps", "in"],
    ["convert", "in/a.pkl"],
    ["seal", "in", "--key", "k", "--new-key"],
    ["unseal", "in/a.pkl", "--key", "k"],
    ["sign", "in", "--key", "p", "--new-key", "p256"],
    ["bom", "write", "in"],
    ["policy", "allow", "click"],
    ["bundle"],
    ["report"],
    ["schema"],
    ["threats"],
)


@pytest.mark.parametrize("arguments", OUTPUTS)
def test_a_missing_folder_of_the_output_is_said_before_the_work(
    arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "-o", "gone/out.skops"]) == 2
    assert "the folder 'gone' is not there; make it first" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["in"]


@pytest.mark.parametrize("arguments", OUTPUTS)
def test_what_is_no_plain_file_is_not_replaced(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(folder / "pipe")  # stands for /dev/null, which root could replace
    assert run([*arguments, "-o", "pipe"]) == 2
    assert "is no plain file" in capsys.readouterr().err
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)
    assert sorted(path.name for path in folder.iterdir()) == ["in", "pipe"]


@pytest.mark.parametrize("form", ["table", "json", "sarif"])
def test_a_name_that_is_no_text_hides_no_file_from_the_scan(form: str, folder: Path) -> None:
    (folder / "in" / STRANGE).write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    for _ in range(2):  # the second time around what can be kept is kept
        assert run(["scan", "in", "--format", form, "-o", f"out.{form}"]) == 1
    text = (folder / f"out.{form}").read_text()
    assert "posix.system" in text
    if form == "json":
        assert [file["path"] for file in json.loads(text)["files"]] == ["in/a.pkl", f"in/{STRANGE}"]


def test_a_name_that_is_no_text_is_not_signed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / STRANGE).write_bytes(b"weights")
    assert run(["sign", STRANGE, "--key", "p", "--new-key", "p256"]) == 2
    assert "its name is no Unicode text; rename it" in capsys.readouterr().err


def test_advisories_of_another_ecosystem_are_not_taken_for_its_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = {"package": {"ecosystem": "PyPI", "name": "alpha"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}
    (folder / "one.json").write_text(json.dumps({"id": "PYSEC-1", "modified": "2026-01-01T00:00:00Z", "affected": [package]}))
    assert run(["advisories", "update", "--from", "one.json", "--ecosystem", "npm"]) == 2
    assert "holds no advisory for npm" in capsys.readouterr().err
    assert run(["advisories", "update", "--from", "one.json"]) == 0


def test_scripts_outside_are_no_package(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = folder / "site" / "tool-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: tool\nVersion: 1\n")
    (info / "RECORD").write_text("../../bin/tool,,\ntool.py,,\n")
    (folder / "site" / "tool.py").write_text("class Tool:\n    pass\n")
    assert run(["policy", "allow", "../..", "--environment", "site", "--keys", "keys"]) == 2
    assert "no package '../..'" in capsys.readouterr().err


def test_a_script_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--guard-loads", "gone.py"]) == 2
    assert "gone.py: there is no such script" in capsys.readouterr().err


def test_a_file_without_a_signature_is_no_broken_bundle(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "in/a.pkl"]) == 2
    assert "no signature lies beside it; name its signature with --signature" in capsys.readouterr().err


def test_a_name_that_a_library_cannot_take_is_said() -> None:
    code = "import bartizan.cli.schema as s; s.command.callback = lambda **_: 'odd\\udcff.csv'.encode()"
    code += "; from bartizan.cli.app import run; raise SystemExit(run(['schema']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "odd\\udcff.csv: is no Unicode text; rename it" in done.stderr


def test_an_interrupted_command_says_how_to_go_on() -> None:
    code = "import os, signal, bartizan.cli.schema as s; s.command.callback = lambda **_: os.kill(os.getpid(), signal.SIGINT)"
    code += "; from bartizan.cli.app import run; raise SystemExit(run(['schema']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "run the same command again to go on" in done.stderr


@pytest.mark.parametrize("eps", ["inf", "-inf", "nan", "1e300", "0", "-1"])
@pytest.mark.parametrize("method", ["compression", "sanitisation"])
def test_a_radius_is_finite_and_greater_than_nothing(method: str, eps: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--sanitiser", "median:3"] if method == "sanitisation" else []
    assert run(["harden", method, str(folder), "--eps", eps, *more]) == 2
    said = capsys.readouterr().err
    assert "--eps" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("seconds", ["-1", "-99999999999999", "later", "1e9", "99999999999999999"])
def test_a_date_before_1970_is_no_source_date(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from bartizan.model.errors import InputError
    from bartizan.workflows import register

    monkeypatch.setenv("SOURCE_DATE_EPOCH", seconds)
    with pytest.raises(InputError, match="seconds since 1970"):
        register.now()


@pytest.mark.parametrize("components", [5, "none", {"name": "x"}, [5], True])
def test_a_bill_whose_parts_are_no_list_is_damaged_and_not_unchanged(
    components: object, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.json").write_text(json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components}))
    (folder / "b.json").write_text(json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6"}))
    assert run(["bom", "diff", "a.json", "b.json"]) == 2
    told = capsys.readouterr().err
    assert "a.json" in told
    assert "is damaged" in told
    assert len(told.strip().splitlines()) == 1


@pytest.mark.parametrize("text", ["{}", "about: {}", "rules: []"])
@pytest.mark.parametrize("command", [["show", "p.yaml"], ["diff", "p.yaml", "p.yaml"]])
def test_what_allows_and_denies_nothing_is_no_policy(
    command: list[str], text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "p.yaml").write_text(text)
    assert run(["policy", *command]) == 2
    assert "is no policy" in capsys.readouterr().err


def test_a_dict_is_refused_as_skops_without_loading_scikit_learn(folder: Path) -> None:
    code = (
        "import sys; from bartizan.cli.app import run; r = run(['convert', 'in/a.pkl', '-o', 'a.skops']); "
        "assert r == 2, r; assert 'sklearn' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "no estimator of scikit-learn" in done.stderr
