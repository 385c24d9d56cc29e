"""Runs every benchmark, each in a process of its own: `make bench`, or `python benchmarks/run.py privacy` for one room.

A benchmark is a script in `benchmarks/<room>/` that prints its own table. Peers are installed into virtual environments of their own under
`build/peers/`, by the benchmark that needs them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(rooms: list[str]) -> int:
    """Run the scripts of `rooms` (all by default), print their output, return 1 where one failed."""
    scripts = sorted(p for p in HERE.glob("*/*.py") if not p.name.startswith("_") and (not rooms or p.parent.name in rooms))
    failed = []
    for script in scripts:
        print(f"\n=== {script.relative_to(HERE.parent)}", flush=True)
        if subprocess.run([sys.executable, script], check=False).returncode:
            failed.append(script.name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
