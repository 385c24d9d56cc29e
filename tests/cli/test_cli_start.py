"""The command line starts light, helps with every command and answers mistakes with one line and exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bartizan.cli.app import COMMANDS, run

HEAVY = ("torch", "sklearn", "pandas", "pydantic", "sqlalchemy", "starlette", "httpx", "rich", "numpy", "cryptography", "jinja2")


def loaded_after(code: str) -> set[str]:
    text = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    assert not loaded_after("import bartizan.cli, bartizan.cli.app").intersection(HEAVY)


def test_listing_all_checks_loads_nothing_heavy() -> None:
    assert not loaded_after("from bartizan.engine import registry; assert registry.load()").intersection(HEAVY)


def test_version_does_not_even_load_click() -> None:
    code = "import sys; sys.argv = ['bartizan', '--version']; from bartizan.cli import main; main()"
    assert "click" not in loaded_after(code)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_every_command_helps(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage: bartizan" in shown
    if command:
        assert "Example:" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["asess"], "did you mean 'assess'?"),
        (["threats", "no-such-folder"], "no such file or folder"),
        (["threats", "--format", "pdf", "."], "pdf"),
        (["explain"], "Missing argument"),
        (["verify", "/nowhere-at-all"], "does not exist"),
        (["report", ".", "-o", "report.docx"], "cannot tell the report's format"),
        (["checks", "privacy.membership_inferense"], "did you mean 'privacy.membership_inference'?"),
        (["catalog", "threats", "membership-inferense"], "did you mean 'membership-inference'?"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_a_folder_without_a_manifest_says_how_to_get_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["threats", str(tmp_path)]) == 2
    assert "bartizan init" in capsys.readouterr().err


def test_init_then_threats_then_refuses_to_overwrite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.joblib").write_bytes(b"\x80\x04N.")
    (tmp_path / "requirements.txt").write_text("scikit-learn\n")
    assert run(["init", str(tmp_path)]) == 0
    assert run(["threats", str(tmp_path)]) == 0
    before = (tmp_path / "bartizan.yaml").read_bytes()
    assert run(["init", str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "bartizan.yaml").read_bytes() == before
