"""What a scan promises, on an excerpt of the corpus: nothing that a real loader runs passes, and ordinary models do. The whole is slow."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest

from bartizan.areas.artefacts.safety import Safety
from bartizan.areas.artefacts.scanning import scan, scan_bytes

CORPUS = Path(__file__).parents[2] / "benchmarks" / "artefacts"
sys.path.insert(0, str(CORPUS))

import _exploits  # noqa: E402

EVERY = 8
"""The excerpt takes each eighth exploit of those that need the standard library alone."""

PLAIN = frozenset({"pickle", "loads", "python", "gzip", "gzip twice", "compressed", "zip", "tar", "shelve", "notebook", "handler"})
"""Loaders that need no library."""

INSTALLED = ("torch-zip", "torch-case-variant-beside", "torch-duplicate-first", "torch-good-then-evil", "torch-tar-gnu", "joblib-zlib",
             "joblib-gzip", "joblib-bz2", "joblib-xz", "joblib-lzma", "joblib-object-array-packed", "numpy-archive", "extension-registered",
             "int-in-hex", "frame-straddled-128k", "memo-after-pop", "pickle-as-png", "begins-as-bitmap")  # fmt: skip
"""Exploits that the acceptance list names; they belong to the excerpt whatever its stride."""


def chosen() -> list[_exploits.Exploit]:
    found = _exploits.exploits()
    plain = [exploit for exploit in found if exploit.loader in PLAIN and exploit.family != "libraries"]
    titles = {exploit.title for exploit in plain[::EVERY]} | set(INSTALLED)
    return [exploit for exploit in found if exploit.title in titles]


def passing(folder: Path, exploits: list[_exploits.Exploit]) -> tuple[set[Path], list[str]]:
    """The exploits that their loaders ran, and those of them that a scan calls safe."""
    written = _exploits.build(folder, exploits)
    ran = _exploits.prove(sys.executable, written)
    return ran, [file.path for file in scan(sorted(ran), workers=1).files if file.safety is Safety.SAFE]


def test_no_exploit_of_the_excerpt_passes(tmp_path: Path) -> None:
    exploits = chosen()
    ran, passed = passing(tmp_path, exploits)
    assert len(ran) >= 0.9 * len(exploits) >= 45
    assert not passed


@pytest.mark.slow
def test_no_exploit_passes(tmp_path: Path) -> None:
    ran, passed = passing(tmp_path, _exploits.exploits())
    assert len(ran) >= 180
    assert not passed


def ordinary(folder: Path, *rooms: str) -> list[Path]:
    subprocess.run([sys.executable, "-W", "ignore", CORPUS / "_benign.py", folder, *rooms], check=True, capture_output=True)
    return [path for path in folder.rglob("*") if path.is_file()]


def share_of_clean(files: list[Path]) -> float:
    return sum(file.safety is Safety.SAFE for file in scan(files, workers=1).files) / len(files)


def test_ordinary_files_of_the_excerpt_are_clean(tmp_path: Path) -> None:
    files = ordinary(tmp_path / "benign", "plain", "numpy", "pandas")
    assert len(files) >= 50
    assert share_of_clean(files) >= 0.98


@pytest.mark.slow
def test_ordinary_models_are_clean(tmp_path: Path) -> None:
    files = ordinary(tmp_path / "benign")
    assert len(files) >= 270
    assert share_of_clean(files) >= 0.98


def test_an_exploit_cut_off_anywhere_is_safe_only_where_its_payload_is_gone(tmp_path: Path) -> None:
    """The payload runs when the opcode REDUCE has been read; whatever is cut off behind it changes nothing."""
    raw = _exploits.evil(tmp_path / "marker") + pickle.dumps({"weights": list(range(400))})
    called = raw.index(b"R0}") + 1
    chance = random.Random(0)
    for end in sorted(chance.sample(range(1, len(raw)), 200)):
        verdict = scan_bytes(raw[:end], "model.pkl").safety
        assert verdict is Safety.UNSAFE if end >= called else end < 2 or verdict is not Safety.SAFE, end
