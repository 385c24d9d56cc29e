"""CPU time of starting: `bartizan --version` and `--help` from an installed wheel, against `python -c pass` of the same environment.

python benchmarks/cli/startup.py          builds the wheel, installs it with byte code into a fresh environment, measures 21 runs in turn
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNS = 21


def cpu_seconds(command: list[str]) -> float:
    """User and system seconds of one run of `command`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the median CPU time of each command and its ratio to the bare interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        subprocess.run(
            [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", home, ROOT], check=True, stdout=subprocess.DEVNULL
        )
        venv.create(home / "env", with_pip=True)
        python = home / "env" / "bin" / "python"
        wheel = next(home.glob("*.whl"))
        subprocess.run([python, "-m", "pip", "install", "-q", "--compile", "-c", ROOT / "constraints.txt", wheel], check=True)
        script = str(home / "env" / "bin" / "bartizan")
        commands = {"python -c pass": [str(python), "-c", "pass"], "--version": [script, "--version"], "--help": [script, "--help"]}
        times: dict[str, list[float]] = {name: [] for name in commands}
        for command in commands.values():
            cpu_seconds(command)
        for _ in range(RUNS):
            for name, command in commands.items():
                times[name].append(cpu_seconds(command))
    bare = statistics.median(times["python -c pass"])
    print(f"{'command':<16}{'median CPU ms':>14}{'x python -c pass':>18}   ({RUNS} runs in turn, {os.cpu_count()} cores)")
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"{name:<16}{1000 * middle:>14.1f}{middle / bare:>18.2f}")


if __name__ == "__main__":
    main()
