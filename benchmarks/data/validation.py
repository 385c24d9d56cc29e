"""One bad value in millions of rows: the gate beside pandera on Polars and Great Expectations, same file, same rules, in turn.

python benchmarks/data/validation.py [rows]     by default 10,000,000; the peers live in build/peers/, made on first use

Rows a second are by processor time of the whole process group and by the clock; memory is the peak of the process. A peer that reports
nothing although the value is there is marked: pandera does not look at data in a lazy frame, so it also runs on a collected one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

BUILD = Path(__file__).parents[2] / "build" / "peers"

HEAD = "import json, os, resource, sys, time\nbegan = time.perf_counter()\nused = os.times()\n"
TAIL = """
now = os.times()
print(json.dumps({"found": bool(found), "wall": time.perf_counter() - began, "cpu": sum(now[:2]) - sum(used[:2]),
    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""

OURS = """
from pathlib import Path
from bartizan.areas.quality.schema import Column, Schema, Type
from bartizan.areas.quality.schema_gate import gate
began, used = time.perf_counter(), os.times()
number = dict(type=Type.NUMBER)
schema = Schema(format=1, columns={"id": Column(type=Type.INTEGER, min=0), "age": Column(type=Type.INTEGER, min=0, max=120),
    "income": Column(type=Type.NUMBER, min=0), "state": Column(type=Type.TEXT, among=("open", "paid", "late", "lost")),
    "amount": Column(type=Type.NUMBER, min=0, max=1000), "share": Column(type=Type.NUMBER, min=0, max=1)})
verdict = gate(Path(sys.argv[1]), schema)
found = [v for v in verdict.violations if v.rule == "age.min" and v.rows]
"""

PANDERA = """
import polars as pl, pandera.polars as pa
began, used = time.perf_counter(), os.times()
schema = pa.DataFrameSchema({"id": pa.Column(pl.Int64, pa.Check.ge(0)), "age": pa.Column(pl.Int64, pa.Check.in_range(0, 120)),
    "income": pa.Column(pl.Float64, pa.Check.ge(0)), "state": pa.Column(pl.String, pa.Check.isin(["open", "paid", "late", "lost"])),
    "amount": pa.Column(pl.Float64, pa.Check.in_range(0, 1000)), "share": pa.Column(pl.Float64, pa.Check.in_range(0, 1))})
frame = pl.scan_parquet(sys.argv[1])
frame = frame if LAZY else frame.collect()
try:
    result = schema.validate(frame, lazy=True)
    found = []
except (pa.errors.SchemaError, pa.errors.SchemaErrors) as error:
    found = [error]
"""

EXPECTATIONS = """
import logging, pandas as pd, great_expectations as gx
logging.disable(logging.CRITICAL)
began, used = time.perf_counter(), os.times()
context = gx.get_context(mode="ephemeral")
batch = context.data_sources.add_pandas("d").add_dataframe_asset("t").add_batch_definition_whole_dataframe("b").get_batch(
    {"dataframe": pd.read_parquet(sys.argv[1])})
e = gx.expectations
suite = gx.ExpectationSuite(name="s", expectations=[
    *(e.ExpectColumnValuesToNotBeNull(column=c) for c in ("id", "age", "income", "state", "amount", "share")),
    e.ExpectColumnValuesToBeBetween(column="id", min_value=0), e.ExpectColumnValuesToBeBetween(column="age", min_value=0, max_value=120),
    e.ExpectColumnValuesToBeBetween(column="income", min_value=0),
    e.ExpectColumnValuesToBeInSet(column="state", value_set=["open", "paid", "late", "lost"]),
    e.ExpectColumnValuesToBeBetween(column="amount", min_value=0, max_value=1000),
    e.ExpectColumnValuesToBeBetween(column="share", min_value=0, max_value=1)])
found = [r for r in batch.validate(suite).results if not r.success]
"""


def python(name: str, *requirements: str) -> str:
    """The Python of an environment with `requirements`, made on first use."""
    home = BUILD / name
    if not (home / ".ready").is_file():
        venv.create(home, with_pip=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", *requirements], check=True, stderr=subprocess.DEVNULL)
        (home / ".ready").write_text("\n".join(requirements))
    return str(home / "bin" / "python")


def write(path: Path, rows: int) -> None:
    """Six columns, and one age of -1 somewhere in the last quarter."""
    import numpy as np
    import polars as pl

    draw = np.random.default_rng(0)
    age = draw.integers(18, 90, rows)
    age[int(rows * 0.765)] = -1
    states = pl.Series(np.array(["open", "paid", "late", "lost"])[draw.integers(0, 4, rows)])
    frame = {"id": np.arange(rows), "age": age, "income": draw.gamma(2.0, 2e4, rows), "state": states}
    pl.DataFrame(frame | {"amount": draw.random(rows) * 1000, "share": draw.random(rows)}).write_parquet(path)


def main() -> None:
    """Print one line for each."""
    if sys.argv[1:2] == ["--write"]:
        write(Path(sys.argv[2]), int(sys.argv[3]))
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    peer = python("validation", "pandera[polars]>=0.24", "pandas<3", "pyarrow")
    suite = python("expectations", "great_expectations>=1.5", "pandas<3", "pyarrow")
    work = {
        "bartizan gate": (sys.executable, OURS),
        "pandera, lazy frame": (peer, "LAZY = True\n" + PANDERA),
        "pandera, collected": (peer, "LAZY = False\n" + PANDERA),
        "Great Expectations": (suite, EXPECTATIONS),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        subprocess.run([sys.executable, __file__, "--write", str(path), str(rows)], check=True)  # the peak of a parent would be its child's
        print(f"{rows:,} rows of 6 columns, one bad value")
        print(f"{'':<22}{'Mrows/s wall':>13}{'Mrows/s CPU':>13}{'memory MB':>11}  found")
        for name, (binary, text) in work.items():
            done = subprocess.run([binary, "-c", HEAD + text + TAIL, str(path)], capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{name:<22}  failed: {done.stderr.strip().splitlines()[-1][:100]}")
                continue
            seen = json.loads(done.stdout.strip().splitlines()[-1])
            said = "yes" if seen["found"] else "NO: the value was not seen"
            print(f"{name:<22}{rows / seen['wall'] / 1e6:>13.2f}{rows / seen['cpu'] / 1e6:>13.2f}{seen['memory']:>11}  {said}")


if __name__ == "__main__":
    main()
