"""The page that says how to add a check tells the truth: its two files, written out, pass."""

import os
import re
import subprocess
import sys
from pathlib import Path

from bartizan.testing.distributions import installed

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/add-a-check.md").read_text()


def test_the_check_and_the_test_of_the_page_work(tmp_path: Path) -> None:
    check, test = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "check_formula_cells.py").write_text(check)
    (tmp_path / "test_formula_cells.py").write_text(test)
    with installed(tmp_path, "added", {"added": "check_formula_cells"}):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_the_entry_point_on_the_page_is_that_of_the_example() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert block in (ROOT / "examples/extra-check/pyproject.toml").read_text()
