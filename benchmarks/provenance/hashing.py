"""Hashing, verifying and sealing of a large file beside the hash and the cipher themselves, and beside the reference implementation.

python benchmarks/provenance/hashing.py [GiB]     the peer needs model-signing: BARTIZAN_MODEL_SIGNING names its python, else it is left out

All run in turn on the same file in the page cache; the figures are medians. `wall` is GB/s by the clock, `CPU` GB per second of processor
time: on a busy machine the second is the steadier one. The bound of a file that is read once is the hash over memory that is there already.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bartizan.adapters.wrapping_keys import LocalKey
from bartizan.areas.provenance.sealing import seal, unseal
from bartizan.areas.provenance.signing.chunk_tree import tree_of
from bartizan.areas.provenance.signing.hashing import digest_of

RUNS = 5
MIB = 1024 * 1024
PEER = "import sys, model_signing as m; m.hashing.Config().use_file_serialization().hash(sys.argv[1])"


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of `work`, children included."""
    wall, before = time.perf_counter(), os.times()
    work()
    after = os.times()
    return time.perf_counter() - wall, sum(after[:4]) - sum(before[:4])


def main() -> None:
    """Print the speed of each and its ratio to the hash over memory."""
    gib = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.bin"
        block = os.urandom(64 * MIB)
        with path.open("wb") as file:
            for _ in range(int(gib * 16)):
                file.write(block)
        size = path.stat().st_size
        rows = measured(path, block, size)
    bound = rows["sha256 over memory (bound)"]
    cipher = rows["AES-256-GCM over memory (bound)"]
    print(f"{size / 1e9:.2f} GB, {RUNS} runs in turn, {os.cpu_count()} cores")
    print(f"{'':<44}{'wall GB/s':>10}{'CPU GB/s':>10}{'wall ratio':>12}{'CPU ratio':>11}")
    for name, (wall, cpu) in rows.items():
        base = cipher if "seal" in name or "AES" in name else bound
        print(f"{name:<44}{size / wall / 1e9:>10.2f}{size / cpu / 1e9:>10.2f}{base[0] / wall:>12.2f}{base[1] / cpu:>11.2f}")


def measured(path: Path, block: bytes, size: int) -> dict[str, tuple[float, float]]:
    """Medians of wall and processor seconds, by what was measured."""
    works = works_on(path, block, size)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for round_ in range(RUNS + 1):
        for name, work in works.items():
            spent = timed(work)
            if round_:
                times[name].append(spent)
    return {name: (statistics.median(t[0] for t in all_), statistics.median(t[1] for t in all_)) for name, all_ in times.items()}


def works_on(path: Path, block: bytes, size: int) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    key, sealed, back = LocalKey(bytes(32)), path.with_name("sealed"), path.with_name("back")
    gcm = AESGCM(bytes(32))

    def over_memory() -> None:
        total = hashlib.sha256()
        for _ in range(size // len(block)):
            total.update(block)

    def encrypt_memory() -> None:
        part = block[:MIB]
        for number in range(size // MIB):
            gcm.encrypt(number.to_bytes(12, "big"), part, None)

    def file_digest() -> None:
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")

    works: dict[str, Callable[[], object]] = {
        "sha256 over memory (bound)": over_memory,
        "bartizan sign/verify: SHA-256": lambda: digest_of(path),
        "bartizan sign: SHA-256 and BLAKE3 tree": lambda: digest_of(path, tree="blake3"),
        "bartizan verify --fast: BLAKE3 tree": lambda: tree_of(path, "blake3"),
        "hashlib.file_digest": file_digest,
    }
    if shutil.which("openssl"):
        works["openssl dgst -sha256"] = lambda: run("openssl", "dgst", "-sha256", str(path))
    if shutil.which("sha256sum"):
        works["sha256sum"] = lambda: run("sha256sum", str(path))
    if peer := os.environ.get("BARTIZAN_MODEL_SIGNING"):
        works["model_signing (with its start)"] = lambda: run(peer, "-c", PEER, str(path))
    works["AES-256-GCM over memory (bound)"] = encrypt_memory
    works["bartizan seal (written, synced)"] = lambda: seal(path, sealed, key, replace=True)
    works["bartizan unseal (written, synced)"] = lambda: unseal(sealed, back, key, replace=True)
    return works


def run(*words: str) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
