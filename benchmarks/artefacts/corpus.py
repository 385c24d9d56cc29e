"""Which exploits pass, and which ordinary models are cried at: bartizan beside picklescan, modelscan, fickling and modelaudit.

Both corpora are made afresh: an exploit counts when its real loader, in a child process, made the marker; an ordinary model is what a
library's own function wrote. A file passes a scanner whose exit code is 0.

    python benchmarks/artefacts/corpus.py [--peers NAMES] [--sample N] [--slow-sample N] [--environments FOLDER] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import _peers  # noqa: E402
from _exploits import Exploit, build, exploits, prove  # noqa: E402

from bartizan.areas.artefacts.safety import Safety  # noqa: E402
from bartizan.areas.artefacts.scanning import scan  # noqa: E402

SLOW = ("modelaudit",)
"""Scanners that take seconds for a file: asked about a sample."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; 1 where an exploit passes bartizan or fewer than 98 % of the ordinary models do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=",".join(peer.name for peer in _peers.PEERS), help="names, separated by commas; '' for none")
    parser.add_argument("--sample", type=int, default=0, help="files of each corpus that the peers are asked about (0: all)")
    parser.add_argument("--slow-sample", type=int, default=30, help="the same for the slow ones")
    parser.add_argument("--environments", type=Path, default=_peers.BUILD, help="where the environments of peers and loaders are")
    parser.add_argument("--keep", type=Path, help="write the corpora to this folder and leave them there")
    chosen = parser.parse_args(arguments)
    folder = chosen.keep or Path(tempfile.mkdtemp())
    try:
        return _run(folder, chosen)
    finally:
        if chosen.keep is None:
            shutil.rmtree(folder)


def _run(folder: Path, chosen: argparse.Namespace) -> int:
    requirements = tuple(_peers.LOADERS.read_text().split())
    python = _peers.environment("loaders", requirements, chosen.environments)
    proved = _exploits(folder / "exploits", python)
    subprocess.run(
        [python, "-W", "ignore", HERE / "_benign.py", folder / "benign"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    benign = sorted(path for path in (folder / "benign").rglob("*") if path.is_file())
    harmful = [path for _, path in proved]
    failed = _ours(harmful, benign)
    for peer in _peers.PEERS:
        if peer.name in chosen.peers.split(","):
            size = chosen.slow_sample if peer.name in SLOW else chosen.sample
            _theirs(peer, _sampled(harmful, size), _sampled(benign, size), chosen.environments)
    return failed


def _exploits(folder: Path, python: str) -> list[tuple[Exploit, Path]]:
    written = build(folder, exploits())
    ran = prove(python, written)
    proved = [(exploit, path) for exploit, path in written if path in ran]
    families = Counter(exploit.family for exploit, _ in proved)
    print(f"{len(proved)} of {len(written)} exploits proved: " + ", ".join(f"{family} {count}" for family, count in families.items()))
    for exploit, path in written:
        if path not in ran:
            print(f"  not proved here: {exploit.family}, {exploit.title}")
    return proved


def _sampled(files: list[Path], size: int) -> list[Path]:
    return files if not size or size >= len(files) else random.Random(0).sample(files, size)


def _ours(harmful: list[Path], benign: list[Path]) -> int:
    begun = time.perf_counter()
    bad, good = scan(harmful, workers=1), scan(benign, workers=1)
    seconds = time.perf_counter() - begun
    passed = [file for file in bad.files if file.safety is Safety.SAFE]
    cried = [file for file in good.files if file.safety is not Safety.SAFE]
    print(f"{len(benign)} ordinary models: " + ", ".join(f"{room} {count}" for room, count in Counter(p.parts[-2] for p in benign).items()))
    print("\n| scanner | exploits that pass | exploits not judged | benign that pass | seconds a file |\n|---|---|---|---|---|")
    _row("bartizan", len(passed), len(bad.files), 0, len(benign) - len(cried), len(benign), seconds / (len(harmful) + len(benign)))
    for file in passed + cried:
        print(f"  {file.safety.value}: {file.path}: {file.reasons[0].text if file.reasons else file.format}", file=sys.stderr)
    return int(bool(passed) or len(cried) > 0.02 * len(benign))


def _theirs(peer: _peers.Peer, harmful: list[Path], benign: list[Path], environments: Path) -> None:
    bad, good = (_peers.ask(peer, files, environments) for files in (harmful, benign))
    codes = [code for code, _ in bad.values()]
    unjudged = sum(code == peer.unsupported or code < 0 or (code > 1 and peer.unsupported is None) for code in codes)
    seconds = sum(seconds for _, seconds in (*bad.values(), *good.values())) / (len(bad) + len(good))
    _row(peer.name, codes.count(0), len(codes), unjudged, sum(code == 0 for code, _ in good.values()), len(good), seconds)


def _row(name: str, passed: int, of: int, unjudged: int, clean: int, benign: int, seconds: float) -> None:
    print(f"| {name} | {passed} of {of} | {unjudged} | {clean} of {benign} ({clean / benign:.1%}) | {seconds:.4f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
