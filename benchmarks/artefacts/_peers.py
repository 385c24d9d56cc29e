"""The scanners that bartizan stands beside: which versions, how they are asked, and environments of their own for them."""

from __future__ import annotations

import json
import subprocess
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "peers"
LOADERS = HERE / "loaders.txt"
"""The libraries whose files and loaders the corpora need."""


@dataclass(frozen=True)
class Peer:
    """A scanner: what to install, its entry point, how it is asked about a file, and the exit code for "not supported"."""

    name: str
    requirements: tuple[str, ...]
    entry: str
    arguments: tuple[str, ...]
    unsupported: int | None = None


PEERS = (
    Peer("picklescan", ("picklescan==1.0.5",), "picklescan.cli:main", ("-p", "{}")),
    Peer("picklescan strict", ("picklescan==1.0.5",), "picklescan.cli:main", ("--strict", "-p", "{}")),
    Peer("modelscan", ("modelscan==0.8.8",), "modelscan.cli:main", ("-p", "{}"), unsupported=3),
    Peer("fickling", ("fickling==0.1.12", "typing_extensions"), "fickling.__main__:main", ("--check-safety", "{}")),
    Peer("modelaudit", ("modelaudit==0.2.54",), "modelaudit.__main__:_run", ("scan", "--no-cache", "{}")),
)


def environment(name: str, requirements: Sequence[str], folder: Path | None = None) -> str:
    """The Python of an environment that has `requirements`; made below `folder` (build/peers by default) on first use."""
    home = (folder or BUILD) / name
    python = home / "bin" / "python"
    ready = home / ".ready"
    wanted = "\n".join(requirements)
    if not ready.is_file() or ready.read_text() != wanted:
        if not python.is_file():
            venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements], check=True)
        ready.write_text(wanted)
    return str(python)


def ask(peer: Peer, files: Sequence[Path], folder: Path | None = None) -> dict[Path, tuple[int, float]]:
    """For each file the scanner's exit code and its seconds: 0 says that the file passes; None of them loads the file."""
    python = environment(peer.name.partition(" ")[0], peer.requirements, folder)
    given = "\n".join([peer.entry, json.dumps(list(peer.arguments)), *map(str, files)])
    done = subprocess.run([python, "-W", "ignore", HERE / "_asking.py"], input=given, capture_output=True, text=True, check=True)
    answers = {}
    for line in done.stdout.splitlines():
        code, seconds, file = line.split("\t")
        answers[Path(file)] = (int(code), float(seconds))
    return answers
