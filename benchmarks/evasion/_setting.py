"""What the evasion benchmarks share: images, nets trained once and kept, passes counted at the model, and one environment with every peer.

The peers stand in a virtual environment of their own (`build/peers/evasion` unless the caller names another), with one torch for all of
them and for us, so that every tool runs in the same process on the same arithmetic. ART, foolbox, torchattacks and adv-lib are installed
without their dependencies: they ask for torchvision, old versions of torch or much that these attacks never load.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DEPENDENCIES = (
    "torch==2.13.0", "numpy<3", "scipy", "scikit-learn", "msgspec", "six", "tqdm", "requests", "eagerpy", "GitPython", "setuptools",
    "packaging", "multiprocess", "typing-extensions", "pyautoattack==0.2.0",
)  # fmt: skip
PEERS = ("adversarial-robustness-toolbox==1.20.1", "foolbox==3.3.4", "torchattacks==3.5.1", "adv-lib==0.2.8")
INSIDE = "BARTIZAN_BENCHMARK_PEERS"


def enter(home: Path | None) -> None:
    """Run the calling script again by the interpreter of the peers, one thread, and end with its status; nothing where it runs there."""
    if os.environ.get(INSIDE):
        return
    home = home or ROOT / "build" / "peers" / "evasion"
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*install, *DEPENDENCIES], check=True)
        subprocess.run([*install, "--no-deps", *PEERS], check=True)
    single = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    inside = os.environ | single | {INSIDE: "1", "TQDM_DISABLE": "1", "PYTHONPATH": str(ROOT / "src")}
    sys.exit(subprocess.run([python, *sys.argv], env=inside, check=False).returncode)


def images(fashion: Path | None) -> tuple[Any, Any, Any, Any]:
    """Training images, labels, test images, labels: (n, 1, h, w) floats in 0 to 1. scikit-learn's digits where no folder is named."""
    import numpy as np
    import torch

    if fashion is None:
        from sklearn.datasets import load_digits

        data = load_digits()
        x, y = torch.tensor(data.images[:, None] / 16.0, dtype=torch.float32), torch.tensor(data.target)
        return x[:1200], y[:1200], x[1200:], y[1200:]
    parts = []
    for name in ("train", "t10k"):
        raw = np.frombuffer(gzip.decompress((fashion / f"{name}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
        parts.append(torch.tensor(raw.reshape(-1, 1, 28, 28)) / 255.0)
        labels = np.frombuffer(gzip.decompress((fashion / f"{name}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
        parts.append(torch.tensor(labels).long())
    x, y, test_x, test_y = parts
    return x, y, test_x, test_y


def net(side: int) -> Any:
    """Two convolutions and two linear layers."""
    from torch import nn

    inner = side // 4
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * inner * inner, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip


def trained(x: Any, y: Any, eps: float, seed: int, steps: int) -> Any:
    """A net trained for `steps` batches of 128; with `eps` > 0 on the worst of three steps of PGD (Madry et al., 2018)."""
    import torch
    from torch.nn.functional import cross_entropy

    torch.manual_seed(seed)
    model = net(x.shape[-1])
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(steps):
        rows = torch.randint(0, len(x), (128,))
        clean, labels = x[rows], y[rows]
        moved = clean
        for step in range(3 if eps else 0):
            moved = (clean + eps * (2 * torch.rand_like(clean) - 1)).clamp(0, 1) if step == 0 else moved
            moved.requires_grad_(True)
            (slope,) = torch.autograd.grad(cross_entropy(model(moved), labels), moved)
            moved = (clean + (moved.detach() + eps * slope.sign() - clean).clamp(-eps, eps)).clamp(0, 1)
        loss = cross_entropy(model(moved), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def kept(cache: Path | None, fashion: Path | None, eps: float, seed: int, steps: int) -> Any:
    """The net of `trained`, from the folder `cache` where an earlier run left it."""
    import torch

    folder = cache or Path(tempfile.gettempdir())
    path = folder / f"{'fashion' if fashion else 'digits'}-eps{eps}-steps{steps}-seed{seed}.pt"
    x, y, *_ = images(fashion)
    if cache is not None and path.exists():
        model = net(x.shape[-1])
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    model = trained(x, y, eps, seed, steps)
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        torch.save(model.state_dict(), path)
    return model


def counted(model: Any) -> tuple[Any, list[int]]:
    """`model` as a module that counts: rows that went forward, and rows whose gradient came back through its output."""
    import torch

    seen = [0, 0]

    class Counted(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: Any) -> Any:
            logits, rows = self.inner(x), len(x)
            seen[0] += rows
            if logits.requires_grad:
                logits.register_hook(lambda _: seen.__setitem__(1, seen[1] + rows))
            return logits

    return Counted().eval(), seen


def spent(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What `work` returns, the CPU seconds and the wall seconds it took."""
    processor, wall = time.process_time(), time.perf_counter()
    answer = work()
    return answer, time.process_time() - processor, time.perf_counter() - wall


@dataclass
class Run:
    """One attack on one net: which images stayed right, seconds and passes an image, and how far out of the allowed ball it went."""

    right: Any
    cpu: float
    wall: float
    forwards: float
    backwards: float
    outside: float


def run(attack: Callable[..., Any], model: Any, x: Any, y: Any, eps: float) -> Run:
    """`attack` on every image, judged by the model itself in batches of one size for all."""
    import torch

    watched, seen = counted(model)
    found, cpu, wall = spent(lambda: attack(watched, x.clone(), y.clone(), eps))
    with torch.no_grad():
        right = torch.cat([model(part).argmax(1) for part in found.detach().split(128)]) == y
    found = found.detach()
    outside = float(torch.stack([(found - x).abs().max() - eps, found.max() - 1, -found.min()]).max())
    n = len(x)
    return Run(right, cpu / n, wall / n, seen[0] / n, seen[1] / n, outside)
