"""One bad value in ten million rows is found from a lazy scan, in less than a gigabyte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

WRITE = """
import sys, numpy as np, polars as pl
draw, rows = np.random.default_rng(0), 10_000_000
age = draw.integers(18, 90, rows)
age[7_654_321] = -1
pl.DataFrame({"id": np.arange(rows), "age": age, "income": draw.gamma(2.0, 2e4, rows)}).write_parquet(sys.argv[1])
"""

JUDGE = """
import json, resource, sys
from pathlib import Path
from bartizan.areas.quality.schema import Column, Schema, Type
from bartizan.areas.quality.schema_gate import gate
columns = {"id": Column(type=Type.INTEGER, min=0), "age": Column(type=Type.INTEGER, min=0, max=120)}
columns |= {"income": Column(type=Type.NUMBER, min=0)}
verdict = gate(Path(sys.argv[1]), Schema(format=1, columns=columns))
print(json.dumps([[v.rule, v.count, list(v.rows)] for v in verdict.violations]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_one_bad_value_in_ten_million_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    subprocess.run([sys.executable, "-c", WRITE, str(path)], check=True)
    done = subprocess.run([sys.executable, "-c", JUDGE, str(path)], check=True, capture_output=True, text=True)
    found, memory = done.stdout.splitlines()
    assert json.loads(found) == [["age.min", 1, [7_654_321]]]
    assert int(memory) < 1000
