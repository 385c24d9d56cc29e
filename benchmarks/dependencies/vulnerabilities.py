"""Packages against advisories: seconds for 400 packages, weaknesses in seven old pins, and what happens offline, ours beside pip-audit.

`python benchmarks/dependencies/vulnerabilities.py --from PyPI-all.zip [--peer]`: the archive is OSV's or PyPA's; without it the advisories
of the user are taken. `--peer` installs pip-audit into build/peers/.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from bartizan.areas.dependencies.advisories import database, fetching
from bartizan.areas.dependencies.inventory import packages_in
from bartizan.areas.dependencies.typosquats import popular
from bartizan.areas.dependencies.vulnerabilities import judge

ROOT = Path(__file__).resolve().parents[2]
OLD = ("django==2.2", "pillow==8.0.0", "tensorflow==2.4.0", "requests==2.19.0", "jinja2==2.10", "numpy==1.16.0", "pyyaml==5.1")
ANY_AGE = timedelta(days=36_500)


def main() -> int:
    """Print the table; 2 without advisories."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--from", dest="source", help="archive or folder of OSV records")
    parser.add_argument("--peer", action="store_true", help="install and run pip-audit")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = database.folder()
        if options.source:
            base = folder / "advisories"
            start = time.process_time()
            about = database.write(database.path_of("PyPI", base), fetching.advisories_from(options.source, "PyPI"), "PyPI", "archive")
            print(f"{about.count} advisories read and kept in {time.process_time() - start:.2f} s CPU, the newest of {about.newest[:10]}")
        elif not database.path_of("PyPI", base).is_file():
            print("no advisories at hand: pass --from PyPI-all.zip, or run `bartizan advisories update`")
            return 0
        report(folder, base, options.peer)
    return 0


def report(folder: Path, base: Path, peer: bool) -> None:
    """Measure and print."""
    many, old = folder / "many.txt", folder / "old.txt"
    many.write_text("".join(f"{name}==1.0.0\n" for name in list(popular())[:400]))
    old.write_text("\n".join(OLD) + "\n")
    start = time.process_time()
    found = judge(packages_in(many), base=base, max_age=ANY_AGE)
    print(f"400 packages: {time.process_time() - start:.3f} s CPU, {len(found.vulnerable)} weaknesses")
    found = judge(packages_in(old), base=base, max_age=ANY_AGE)
    print(f"seven old pins: {len(found.vulnerable)} weaknesses; repaired by {', '.join(f'{k} {v}' for k, v in found.upgrades.items())}")
    ours = [sys.executable, "-m", "bartizan", "scan", "deps", str(old)]
    print("\nexit codes on the seven old pins")
    print(f"  bartizan, advisories at hand       {code(ours, base)}")
    print(f"  bartizan, none                     {code(ours, folder / 'none')}")
    if peer:
        audit = installed_peer()
        print(f"  pip-audit, no network              {code([audit, '-r', str(old), '--no-deps', '--disable-pip'], base, offline=True)}")


def code(command: list[str], base: Path, *, offline: bool = False) -> int:
    """The exit code of a command; `offline` lets no request through."""
    environment = os.environ | {"BARTIZAN_ADVISORIES": str(base)}
    if offline:
        environment |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    return subprocess.run(command, capture_output=True, check=False, env=environment).returncode


def installed_peer() -> str:
    """pip-audit in a virtual environment of its own."""
    folder = ROOT / "build" / "peers" / "pip-audit"
    if not (folder / "bin" / "pip-audit").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", "pip-audit==2.10.1"], check=True)
    return str(folder / "bin" / "pip-audit")


if __name__ == "__main__":
    sys.exit(main())
