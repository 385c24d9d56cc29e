"""Adversarial training on Fashion-MNIST at linf 0.1: time, and robust accuracy measured by the engine on held-out images.

    python benchmarks/evasion/df_training.py FOLDER [method] [epochs] [threads] [images attacked] [file for the weights]

FOLDER holds the four files of the data set as distributed (Debian's package dataset-fashion-mnist puts them there).
"""

from __future__ import annotations

import gzip
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bartizan.areas.evasion.defences.inner import Threat, right, strongest
from bartizan.areas.evasion.defences.trainer import Plan, Progress, train
from bartizan.areas.evasion.defences.training import Recipe

EPS = 0.1


def images(folder: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 1, 28, 28) in 0 to 1 and labels (N,) of one part of the data set."""
    pixels = np.frombuffer(gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return torch.tensor(pixels.reshape(-1, 1, 28, 28) / np.float32(255)), torch.tensor(labels.astype(np.int64))


def network() -> nn.Module:
    """A small convolutional net: 0.9 million weights."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 32, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(3136, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
    )


def show(progress: Progress) -> None:
    if progress.robust is not None:
        print(f"epoch {progress.epoch:2d}  loss {progress.loss:.3f}  clean {progress.clean:.3f}  pgd-10 {progress.robust:.3f}  "
              f"relapses {progress.relapses}  {progress.seconds:.0f} s", flush=True)  # fmt: skip


def main(folder: str, method: str = "fast", epochs: str = "12", threads: str = "1", attacked: str = "1000", weights: str = "") -> None:
    torch.set_num_threads(int(threads))
    x, y = images(Path(folder), "train")
    test_x, test_y = images(Path(folder), "t10k")
    net = network()
    start = time.perf_counter()
    train(
        net, x[:58000], y[:58000], Recipe(threat=Threat(eps=EPS), method=method),
        Plan(epochs=int(epochs), rate=0.1, average=0.995, decay=2e-4), validation=(x[58000:59000], y[58000:59000]), progress=show,
    )  # fmt: skip
    print(f"{method}: {time.perf_counter() - start:.0f} s on {threads} thread(s)")
    if weights:
        torch.save(net.state_dict(), weights)
    few, labels = test_x[: int(attacked)], test_y[: int(attacked)]
    start = time.perf_counter()
    with torch.no_grad():
        clean = float(right(net(few), labels).float().mean())
    changed = strongest(net, few, labels, Threat(eps=EPS), dice=torch.Generator().manual_seed(0))
    with torch.no_grad():
        robust = float(right(net(changed), labels).float().mean())
    print(f"clean {clean:.3f}, robust {robust:.3f} on the margin, 2 x 40 steps ({time.perf_counter() - start:.1f} s)")
    from bartizan.areas.evasion.api import attack

    start = time.perf_counter()
    found = attack(net, few, labels, norm="linf", eps=EPS)
    print(f"engine: {found} ({time.perf_counter() - start:.1f} s)")


if __name__ == "__main__":
    main(*sys.argv[1:])
