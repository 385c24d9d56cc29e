"""The passport of a data set beside the hash of its bytes: speed, memory, size of the statement, and what survives another encoding.

python benchmarks/data/passport.py [rows] [files]     by default 2,000,000 rows and 20,000 files

Each measurement runs in a process of its own, so that its memory is its own. The bound is SHA-256 over the file; it knows no rows.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

MEASURE = """
import json, resource, sys, time
from pathlib import Path
from bartizan.areas.provenance.passport.recording import record
began = time.process_time(), time.perf_counter()
made, details = record(Path(sys.argv[1]), at="2026-01-01T00:00:00Z")
print(json.dumps({"cpu": time.process_time() - began[0], "wall": time.perf_counter() - began[1], "rows": made.content.rows,
    "root": made.content.root, "statement": len(made.encode()), "details": len(details.encode()),
    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""


def measured(path: Path) -> dict[str, float]:
    """What recording `path` took, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def table(rows: int) -> pa.Table:
    """Six columns of numbers, texts and empty cells."""
    draw = np.random.default_rng(0)
    words = np.array(["open", "paid", "late", "lost"])
    return pa.table(
        {
            "id": np.arange(rows),
            "age": draw.integers(18, 90, rows),
            "income": draw.gamma(2.0, 20_000.0, rows),
            "state": pa.array(words[draw.integers(0, 4, rows)]),
            "ok": draw.random(rows) < 0.5,
            "note": pa.array([f"note {i % 1000}" if i % 7 else None for i in range(rows)]),
        }
    )


def main() -> None:
    """Print one line for each encoding and one for many files."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    files = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = table(rows)
        parquet.write_table(made, folder / "a.parquet", row_group_size=50_000)
        parquet.write_table(made.set_column(3, "state", made["state"].dictionary_encode()), folder / "b.parquet", compression="zstd")
        csv.write_csv(made, folder / "c.csv")
        many = folder / "many"
        many.mkdir()
        for n in range(files):
            (many / f"{n:06}.bin").write_bytes(n.to_bytes(8, "big") * 32)
        began = time.process_time()
        hashlib.file_digest((folder / "a.parquet").open("rb"), "sha256")
        bound = time.process_time() - began
        print(f"{rows:,} rows of 6 columns; SHA-256 of the parquet file alone: {bound:.2f} CPU s")
        print(f"{'':<12}{'rows/s':>12}{'CPU s':>8}{'memory MB':>11}{'statement B':>13}{'details KB':>12}  content")
        for path in (folder / "a.parquet", folder / "b.parquet", folder / "c.csv", many):
            found = measured(path)
            speed = found["rows"] / found["cpu"]
            row = f"{speed:>12,.0f}{found['cpu']:>8.1f}{found['memory']:>11}{found['statement']:>13}{found['details'] // 1024:>12}"
            print(f"{path.name:<12}{row}  {str(found['root'])[:16]}")


if __name__ == "__main__":
    main()
