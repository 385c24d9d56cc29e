"""Adversarial training on Fashion-MNIST at linf 0.1: time, and robust accuracy measured by the engine on held-out images.

    python benchmarks/evasion/df_training.py FOLDER [--method fast] [--epochs 12] [--threads 1] [--images 1000] [--cache FOLDER]

FOLDER holds the four files of the data set as distributed (Debian's package dataset-fashion-mnist puts them there). `--cache` names a
folder where the weights are kept with the seconds that training them took; a second run reads both from there.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bartizan.areas.evasion.api import attack
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


def hardened(folder: Path, cache: Path | None, method: str = "fast", epochs: int = 12) -> tuple[nn.Module, float, bool]:
    """The net trained under attack, wall seconds of its training, and whether it was read from `cache`."""
    name = f"hardened-{method}-{epochs}"
    kept, told = ((cache or Path()) / f"{name}{ending}" for ending in (".pt", ".json"))
    net = network()
    if cache is not None and kept.exists() and told.exists():
        net.load_state_dict(torch.load(kept, weights_only=True))
        return net.eval(), float(json.loads(told.read_text())["seconds"]), True
    x, y = images(folder, "train")
    start = time.perf_counter()
    train(
        net, x[:58000], y[:58000], Recipe(threat=Threat(eps=EPS), method=method),
        Plan(epochs=epochs, rate=0.1, average=0.995, decay=2e-4), validation=(x[58000:59000], y[58000:59000]), progress=show,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        torch.save(net.state_dict(), kept)
        told.write_text(json.dumps({"seconds": round(seconds), "threads": torch.get_num_threads()}))
    return net.eval(), seconds, False


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--method", default="fast")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--cache", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    net, seconds, earlier = hardened(chosen.folder, chosen.cache, chosen.method, chosen.epochs)
    print(
        f"{chosen.method}: {chosen.epochs} epochs, {seconds:.0f} s on {chosen.threads} thread(s){', in an earlier run' if earlier else ''}"
    )
    x, y = images(chosen.folder, "t10k")
    few, labels = x[: chosen.images], y[: chosen.images]
    start = time.perf_counter()
    changed = strongest(net, few, labels, Threat(eps=EPS), dice=torch.Generator().manual_seed(0))
    with torch.no_grad():
        clean, robust = (float(right(net(rows), labels).float().mean()) for rows in (few, changed))
    print(f"clean {clean:.3f}, robust {robust:.3f} on the margin, 2 x 40 steps ({time.perf_counter() - start:.1f} s)")
    start = time.perf_counter()
    found = attack(net, few, labels, norm="linf", eps=EPS)
    print(f"engine: {found} ({time.perf_counter() - start:.1f} s)")


if __name__ == "__main__":
    main()
