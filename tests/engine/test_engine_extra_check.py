"""The example distribution, really built and installed, shows up beside our own checks and is planned like them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "extra-check"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables under which the example is installed."""
    pytest.importorskip("hatchling", reason="needs the build back end to be installed")
    target = tmp_path_factory.mktemp("installed")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
    ]
    subprocess.run([*pip, "--target", str(target), str(EXAMPLE)], check=True, capture_output=True, cwd=target)
    return {**os.environ, "PYTHONPATH": str(target)}


def test_its_checks_are_listed_with_their_distribution(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bartizan", "checks", "--format", "json"], env=environment, capture_output=True, text=True, check=True
    )
    assert '"file_modes.world_writable"' in done.stdout
    assert '"bartizan-file-modes"' in done.stdout
    assert '"quality.split_leakage"' in done.stdout


def test_its_own_tests_pass(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_it_names_threats_and_controls_of_the_catalogue(environment: dict[str, str]) -> None:
    code = (
        "from bartizan import catalog; from bartizan.engine import registry; c = catalog.load();"
        "registry.validate([registry.get('file_modes.world_writable')], c.threats, c.controls)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
