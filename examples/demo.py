"""`make demo`: assess the credit-scoring example for real, from its data to its running service, and write the report.

Prepares data and model (once), starts the service on loopback, runs `bartizan assess`, verifies the record, writes the report into
`build/demo/`, stops the service; then assesses a net before and after hardening (`--one` leaves that out). Ends with 0 when all of that
worked; that the examples have weaknesses is no failure, they are their point.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "credit-scoring"
IMAGES = ROOT / "examples" / "image-classifier"
OUT = ROOT / "build" / "demo"
BARTIZAN = [sys.executable, "-m", "bartizan"]
WAIT_SECONDS = 60


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(description="Assess the examples for real and write their reports into build/demo/.")
    parser.add_argument("--one", action="store_true", help="assess the credit score alone")
    options = parser.parse_args()
    say("1. Data and model: German credit, 1,000 applicants; training a scikit-learn model")
    run([sys.executable, EXAMPLE / "prepare.py"], allowed=(0,))
    say("2. Threats: what can go wrong with this system")
    run([*BARTIZAN, "threats", EXAMPLE], allowed=(0,))
    say("3. Assess: attack and inspect the data, the model, the running service and the infrastructure")
    with service(declared_url()):
        code = run([*BARTIZAN, "assess", EXAMPLE], allowed=(0, 1))
    say("4. What would loading the model files do? Nothing is loaded to tell")
    run([*BARTIZAN, "scan", EXAMPLE / "models"], allowed=(0, 1))
    say("5. Proof: the record verifies offline; reports for people and machines; the bill of materials")
    run([*BARTIZAN, "verify", EXAMPLE], allowed=(0,))
    OUT.mkdir(parents=True, exist_ok=True)
    for name in ("report.html", "report.md", "report.json", "findings.sarif"):
        run([*BARTIZAN, "report", EXAMPLE, "-o", OUT / name], allowed=(0,))
    run([*BARTIZAN, "bundle", EXAMPLE, "-o", OUT / "audit.bartizan.zip"], allowed=(0,))
    run([*BARTIZAN, "bom", "write", EXAMPLE, "-o", OUT / "bom.cdx.json"], allowed=(0,))
    if not options.one:
        hardening()
    shown = OUT.relative_to(ROOT)
    opened = f"{shown}/report.html" + ("" if options.one else f" and {shown}/images.html")
    say(f"Done. Open {opened}. The assessment ended with {code}: the credit score is weak on purpose, see its README.")
    return 0


def hardening() -> None:
    """Assess the second example: the same task with a plain and with a hardened net."""
    say("6. A second system: a net that reads digits, before and after it was trained on attacked images")
    run([sys.executable, IMAGES / "prepare.py"], allowed=(0,))
    run([*BARTIZAN, "assess", IMAGES], allowed=(0, 1))
    run([*BARTIZAN, "report", IMAGES, "-o", OUT / "images.html"], allowed=(0,))


def say(text: str) -> None:
    """Print a heading."""
    print(f"\n--- {text}", flush=True)


def run(command: list[str | Path], allowed: tuple[int, ...]) -> int:
    """Run a step; end the demo where its exit code is not one of `allowed`."""
    code = subprocess.run(command, check=False).returncode
    if code not in allowed:
        sys.exit(f"demo: {Path(command[0]).name} {' '.join(str(c) for c in command[1:])} ended with {code}")
    return code


def declared_url() -> str:
    """The URL that the example's manifest declares for its endpoint."""
    from bartizan.manifest import load

    return next(asset.url for asset in load(EXAMPLE / "bartizan.yaml").assets if asset.url)


@contextlib.contextmanager
def service(url: str) -> Iterator[None]:
    """The example's service, running at `url` on loopback."""
    place = urlsplit(url)
    host, port = place.hostname or "127.0.0.1", place.port or 80
    if reachable(host, port):
        sys.exit(f"demo: something already listens on {host}:{port}; stop it and run make demo again")
    command = [sys.executable, "-m", "uvicorn", "service:app", "--host", host, "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(command, cwd=EXAMPLE, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while not reachable(host, port):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit("demo: the example's service did not start; its message is above")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def reachable(host: str, port: int) -> bool:
    """Whether something listens there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
