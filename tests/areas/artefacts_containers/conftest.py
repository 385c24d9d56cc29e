"""Harmless exploits, proved by the real loaders in child processes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from containers_samples import Touch


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


@pytest.fixture
def evil(marker: Path) -> bytes:
    """A pickle that makes `marker`."""
    return pickle.dumps(Touch(marker), protocol=2)


@pytest.fixture
def loads(tmp_path: Path, marker: Path) -> Callable[[str, bytes], bool]:
    """Does `code`, run in a child with the file's path as `path`, make the marker?"""

    def run(code: str, data: bytes, name: str = "victim.bin") -> bool:
        path = tmp_path / name
        path.write_bytes(data)
        program = f"import sys\npath = {str(path)!r}\ntry:\n    {code}\nexcept BaseException as error:\n    print(error)"
        subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, timeout=120)
        made = marker.exists()
        if made:
            marker.rmdir()
        return made

    return run
