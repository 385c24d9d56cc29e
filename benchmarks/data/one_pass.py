"""One reading against one reading each: passport, schema gate, first schema and personal data of the same file, together and in turn.

python benchmarks/data/one_pass.py [rows]     by default 1,000,000 rows of 10 columns; the peers live in build/peers/, made on first use

Each measurement runs in a process of its own: seconds by the clock and of the processor, the memory at its peak, how many bytes of the
file were read (system calls, as the kernel counts them for the process; its modules are loaded before) and what was found. The peers in
turn are sha256sum, pandera on Polars, and Great Expectations; they look for no personal data, for which Presidio takes hours here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import indent

from validation import EXPECTATIONS, PANDERA, python

ROUNDS = 3

HEAD = """
import json, os, resource, sys, time
from pathlib import Path
path, schema_path = Path(sys.argv[1]), Path(sys.argv[2])
def rchar():
    return int(Path("/proc/self/io").read_text().split("rchar:")[1].split()[0])
"""
BEGIN = """
import warnings
warnings.simplefilter("ignore")
before = rchar()
began, used = time.perf_counter(), os.times()
"""
TAIL = """
now = os.times()
print(json.dumps({"wall": time.perf_counter() - began, "cpu": sum(now[:4]) - sum(used[:4]), "read": rchar() - before,
    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "found": str(found)}))
"""

IMPORTS = """
import pyarrow.csv, pyarrow.json, pyarrow.parquet, pyarrow.compute, polars, pandas
from bartizan.areas.pii import check_personal_data
from bartizan.areas.pii.files import scan_file
from bartizan.areas.pii.passing import FilesScan
from bartizan.areas.provenance.passport.recording import record
from bartizan.areas.quality.schema import load
from bartizan.areas.quality.schema_gate import gate
from bartizan.areas.quality.schema_infer import infer
from bartizan.areas.quality.schema_profile import Profiler
from bartizan.areas.quality.schema_stream import Gate
"""

KINDS = """
def kinds(maps):
    return sorted(name for columns in maps.values() for name, column in columns.items() if column.kinds)
"""
TOGETHER = """
scan, judge, profile = FilesScan(path.parent), Gate(load(schema_path)), Profiler()
made, _ = record(path, at="", consumers=[scan, judge, profile])
found = made.content.root[:8], judge.verdict(path).ok, len(profile.schemas()), kinds(scan.maps)
"""
PARTS = {
    "passport alone": 'found = record(path, at="")[0].content.root[:8]',
    "gate alone": "found = gate(path, load(schema_path)).ok",
    "schema alone": "found = len(infer(path).columns)",
    "personal data alone": "found = kinds(scan_file(path.parent, path)[0])",
}
SHA = "import hashlib\nwith path.open('rb') as file:\n    found = hashlib.file_digest(file, 'sha256').hexdigest()[:8]"

SCHEMA = """
schema: 1
reviewed: {by: benchmark, on: 2026-11-01}
extra: true
columns:
  id: {type: integer, min: 0}
  age: {type: integer, min: -1, max: 120}
  income: {type: number, min: 0}
  state: {type: text, in: [open, paid, late, lost]}
  amount: {type: number, min: 0, max: 1000}
  share: {type: number, min: 0, max: 1}
"""


def widen(path: Path) -> None:
    """Four columns more: a truth, a town, a day, and an address of which no two are alike; as parquet and as csv."""
    import polars as pl

    frame = pl.read_parquet(path)
    rows = pl.int_range(pl.len())
    frame = frame.with_columns(
        (rows % 2 == 0).alias("ok"),
        pl.format("town {}", rows % 500).alias("town"),
        pl.format("2026-0{}-1{}", 1 + rows % 9, rows % 10).alias("day"),
        pl.format("user{}@example.org", rows).alias("mail"),
    )
    for part, name in ((frame, path.stem), (frame.head(1000), "few")):
        part.write_parquet(path.with_name(f"{name}.parquet"))
        part.write_csv(path.with_name(f"{name}.csv"))


def ours(text: str) -> str:
    """The program that does `text` with the few first rows, so that all modules are there, and is then measured with the file."""
    work = f"def work(path):\n{indent(text.strip(), '    ')}\n    return found\n"
    return IMPORTS + KINDS + work + "work(path.with_name('few' + path.suffix))\n" + BEGIN + "found = work(path)\n"


def measured(binary: str, text: str, path: Path, schema: Path) -> dict[str, object]:
    """The quickest of some runs, by processor time."""
    best: dict[str, object] = {}
    for _ in range(ROUNDS):
        done = subprocess.run([binary, "-c", HEAD + text + TAIL, str(path), str(schema)], capture_output=True, text=True, check=False)
        if done.returncode:
            return {"failed": done.stderr.strip().splitlines()[-1][:100]}
        seen = json.loads(done.stdout.strip().splitlines()[-1])
        best = seen if not best or seen["cpu"] < best["cpu"] else best
    return best


def shown(name: str, seen: dict[str, object], size: int) -> None:
    """Print a line."""
    if "failed" in seen:
        print(f"{name:<34}  failed: {seen['failed']}")
        return
    times = f"{seen['wall']:>8.2f}{seen['cpu']:>8.2f}{seen['memory']:>8}"
    print(f"{name:<34}{times}{seen['read'] / size:>8.2f}  {str(seen['found'])[:70]}")  # type: ignore[operator]


def peers() -> dict[str, tuple[str, str]]:
    """What is run beside, each with its Python; they read parquet."""
    peer = python("validation", "pandera[polars]>=0.24", "pandas<3", "pyarrow")
    suite = python("expectations", "great_expectations>=1.5", "pandas<3", "pyarrow")
    reset = "began, used = time.perf_counter(), os.times()\n"
    plain, suites = (text.replace(reset, BEGIN) for text in (f"LAZY = False\n{PANDERA}", EXPECTATIONS))
    return {
        "sha256sum": (sys.executable, BEGIN + SHA),
        "pandera on Polars": (peer, f"{plain}found = bool(found)"),
        "Great Expectations": (suite, f"{suites}found = bool(found)"),
    }


def main() -> None:
    """Print a table for each format."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path, schema = Path(folder) / "t.parquet", Path(folder) / "schema.yaml"
        schema.write_text(SCHEMA)
        made = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from pathlib import Path; from one_pass import widen; "
        made += "from validation import write; path = Path(sys.argv[1]); write(path, int(sys.argv[2])); widen(path)"
        subprocess.run([sys.executable, "-c", made, str(path), str(rows)], check=True)
        for place in (path.with_suffix(".csv"), path):
            size = place.stat().st_size
            print(f"\n{place.suffix[1:]}: {rows:,} rows of 10 columns, {size / 1e6:.0f} MB")
            print(f"{'':<34}{'wall s':>8}{'CPU s':>8}{'MB':>8}{'reads':>8}  found")
            together = measured(sys.executable, ours(TOGETHER), place, schema)
            shown("bartizan, one reading", together, size)
            parts = {name: measured(sys.executable, ours(text), place, schema) for name, text in PARTS.items()}
            for name, seen in parts.items():
                shown("  " + name, seen, size)
            total = {key: sum(float(seen[key]) for seen in parts.values()) for key in ("wall", "cpu", "read")}  # type: ignore[arg-type]
            total_memory = max(int(seen["memory"]) for seen in parts.values())  # type: ignore[call-overload]
            shown("  the four in turn", {**total, "memory": total_memory, "found": ""}, size)
            print(f"  together: {float(together['cpu']) / total['cpu']:.2f} of the processor time")  # type: ignore[arg-type]
            if place.suffix == ".parquet":
                for name, (binary, text) in peers().items():
                    shown(name, measured(binary, text, place, schema), size)


if __name__ == "__main__":
    main()
