"""The wheel, alone in an empty environment: everything imports, every help prints, `assess` ends in verdicts, not tracebacks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from bartizan.cli.app import COMMANDS

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "credit-scoring"


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=cwd, env=env, timeout=600, check=False)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that holds the wheel and its core dependencies, nothing else."""
    home = tmp_path_factory.mktemp("bare")
    venv.create(home, with_pip=True)
    done = run(home / "bin" / "python", "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel)
    assert done.returncode == 0, done.stderr
    return home / "bin"


def test_the_wheel_holds_the_data_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert any(n.startswith("bartizan/catalog/data/threats/") for n in names)
    assert any(n.startswith("bartizan/renderers/templates/") for n in names)
    assert "bartizan/py.typed" in names


def test_every_module_that_needs_no_extra_imports(bare: Path) -> None:
    code = """
import importlib, pkgutil, sys
import bartizan
missing = []
for info in pkgutil.walk_packages(bartizan.__path__, "bartizan."):
    if info.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(info.name)
    except ModuleNotFoundError as error:
        missing.append((info.name, error.name))
print(missing)
"""
    done = run(bare / "python", "-c", code)
    assert done.returncode == 0, done.stderr
    extras = {
        "numba",
        "onnx",
        "safetensors",
        "blake3",
        "sigstore",
        "pandas",
        "sklearn",
        "skops",
        "scipy",
        "joblib",
        "pyarrow",
        "torch",
        "veritas",
        "xgboost",
        "lightgbm",
        "PIL",
    }
    for module, name in eval(done.stdout):
        assert name.partition(".")[0] in extras, f"{module} needs undeclared {name}"
        room = module.split(".")[1]
        leaf = module.rpartition(".")[2]
        assert room in ("areas", "adapters", "methods"), f"{module} needs {name} outside the rooms that may"
        assert not leaf.startswith("check"), f"{module} imports {name} at its top"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_help_prints(bare: Path, command: str) -> None:
    done = run(bare / "bartizan", *command.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: bartizan" in done.stdout
    assert command in ("", "completion") or "xample" in done.stdout


def test_assess_without_extras_ends_in_verdicts_not_tracebacks(bare: Path, tmp_path: Path) -> None:
    project = tmp_path / "credit"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns(".bartizan", "__pycache__"))
    done = run(bare / "bartizan", "assess", project, "--format", "json", env={**os.environ, "NO_COLOR": "1"})
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    findings = json.loads(done.stdout)["report"]["findings"]
    needing = [f for f in findings if f["check"] == "privacy.membership_inference"]
    assert needing
    assert all(f["verdict"] == "unknown" and "needs pip install 'bartizan[" in f["title"] + f["why"] for f in needing)
    again = run(bare / "bartizan", "verify", project)
    assert again.returncode == 0, again.stdout
