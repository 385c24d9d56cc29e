"""White-box evasion: the margin cascade beside the official AutoAttack on the same adversarially trained nets, images and radius.

    python benchmarks/evasion/wb_autoattack.py [--images 300] [--seeds 3] [--fashion FOLDER]

Digits of scikit-learn by default; `--fashion` names the folder with Fashion-MNIST's four idx.gz files. The peer (PyPI pyautoattack 0.2)
runs in its own environment, in a process of its own, one thread each. Passes are counted by a hook on the model: every row
that enters it, and rows that enter with a gradient wanted (forward and backward).
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

PEERS = Path(__file__).resolve().parents[2] / "build" / "peers"
PIN = ["torch==2.13.0", "numpy<3", "pyautoattack==0.2.0"]


def images(fashion: Path | None) -> tuple[object, ...]:
    """Training and test images in [0, 1], (n, 1, h, w), with labels."""
    import numpy as np
    import torch

    if fashion is None:
        from sklearn.datasets import load_digits

        data = load_digits()
        x, y = torch.tensor(data.images[:, None] / 16.0, dtype=torch.float32), torch.tensor(data.target)
        return x[:1200], y[:1200], x[1200:], y[1200:]
    parts: list[object] = []
    for name in ("train", "t10k"):
        raw = np.frombuffer(gzip.decompress((fashion / f"{name}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
        parts.append(torch.tensor(raw.reshape(-1, 1, 28, 28)) / 255.0)
        labels = np.frombuffer(gzip.decompress((fashion / f"{name}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
        parts.append(torch.tensor(labels).long())
    return tuple(parts)


def net(side: int) -> object:
    """Two convolutions and two linear layers."""
    from torch import nn

    inner = side // 4
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * inner * inner, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip


def trained(x: object, y: object, eps: float, seed: int, steps: int) -> object:
    """A net adversarially trained with three steps of PGD (Madry et al., 2018)."""
    import torch
    from torch.nn.functional import cross_entropy

    torch.manual_seed(seed)
    model = net(x.shape[-1])
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(steps):
        rows = torch.randint(0, len(x), (128,))
        clean, labels = x[rows], y[rows]
        moved = (clean + eps * (2 * torch.rand_like(clean) - 1)).clamp(0, 1)
        for _ in range(3):
            moved.requires_grad_(True)
            (slope,) = torch.autograd.grad(cross_entropy(model(moved), labels), moved)
            moved = (clean + (moved.detach() + eps * slope.sign() - clean).clamp(-eps, eps)).clamp(0, 1)
        loss = cross_entropy(model(moved), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def measured(who: str, folder: Path, eps: float) -> None:
    """In a process of its own: attacks every saved net and prints one JSON line for each."""
    import torch

    torch.set_num_threads(1)
    x, y = torch.load(folder / "images.pt")
    for saved in sorted(folder.glob("net*.pt")):
        model = net(x.shape[-1])
        model.load_state_dict(torch.load(saved))
        model.eval()
        seen = [0, 0]

        def count(_module: object, inputs: tuple[object, ...], _output: object, seen: list[int] = seen) -> None:
            seen[0] += len(inputs[0])
            seen[1] += len(inputs[0]) if torch.is_grad_enabled() and inputs[0].requires_grad else 0

        hook = model.register_forward_hook(count)
        began = time.process_time()
        if who == "ours":
            from bartizan import evasion

            adversarial = evasion.attack(model, x, y, eps=eps).adversarial
        else:
            from pyautoattack import AutoAttack

            adversarial = AutoAttack(model, eps=eps, seed=0).run_standard_evaluation(x, y, batch_size=len(x))
            adversarial = adversarial[0] if isinstance(adversarial, tuple) else adversarial
        seconds = time.process_time() - began
        hook.remove()
        with torch.no_grad():
            robust = float((model(adversarial).argmax(1) == y).float().mean())
        print(json.dumps({"robust": robust, "seconds": seconds, "forwards": seen[0] / len(x), "both": seen[1] / len(x)}), flush=True)


def peer() -> Path:
    """The interpreter of the peer's environment, made on first use."""
    home = PEERS / "autoattack"
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PIN], check=True)
    return python


def main() -> None:
    """Trains the nets, attacks them twice, prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--eps", type=float, default=None)
    parser.add_argument("--fashion", type=Path)
    chosen = parser.parse_args()
    eps = chosen.eps or (0.1 if chosen.fashion else 0.15)
    import torch

    x, y, test_x, test_y = images(chosen.fashion)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.save((test_x[: chosen.images].clone(), test_y[: chosen.images].clone()), folder / "images.pt")
        for seed in range(chosen.seeds):
            model = trained(x, y, eps, seed, 1500 if chosen.fashion else 300)
            torch.save(model.state_dict(), folder / f"net{seed}.pt")
        print(f"{'':22}{'robust':>8}{'CPU s':>9}{'forwards':>10}{'f+b':>7}   per image, {chosen.images} images, Linf {eps}")
        for who, python in (("ours", Path(sys.executable)), ("autoattack", peer())):
            done = subprocess.run([python, __file__, "--measure", who, name, str(eps)], check=True, capture_output=True, text=True)
            for seed, line in enumerate(r for r in done.stdout.splitlines() if r.startswith("{")):
                row = json.loads(line)
                print(f"{who + f', net {seed}':22}{row['robust']:8.1%}{row['seconds']:9.1f}{row['forwards']:10.0f}{row['both']:7.0f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measured(sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]))
    else:
        main()
