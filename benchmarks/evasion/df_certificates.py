"""Certified lower bound <= robust accuracy <= attack's upper bound, at several radii, with the time each took.

    python benchmarks/evasion/df_certificates.py FOLDER WEIGHTS [images]

FOLDER holds Fashion-MNIST, WEIGHTS those of a net hardened by df_training.py.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from df_training import images, network

from bartizan.areas.evasion.api import attack
from bartizan.areas.evasion.certificates.bounds import METHODS
from bartizan.areas.evasion.certificates.certify import certify


def main(folder: str, weights: str, count: str = "100") -> None:
    torch.set_num_threads(1)
    x, y = images(Path(folder), "t10k")
    x, y = x[: int(count)], y[: int(count)]
    net = network()
    net.load_state_dict(torch.load(weights, weights_only=True))
    net.eval()
    print(f"{'norm':<6}{'eps':>6}" + "".join(f"{name + ', s':>18}" for name in (*METHODS, "all in turn", "attack")))
    for norm, eps in (("linf", 0.01), ("linf", 0.02), ("linf", 0.03), ("linf", 0.05), ("l2", 0.25)):
        cells = []
        for methods in (*((name,) for name in METHODS), METHODS):
            start = time.perf_counter()
            found = certify(net, x, y, norm=norm, eps=eps, methods=methods)
            cells.append(f"{found.accuracy:>11.1%}{time.perf_counter() - start:>7.1f}")
        start = time.perf_counter()
        upper = attack(net, x, y, norm=norm, eps=eps)
        cells.append(f"{upper.robust_accuracy:>11.1%}{time.perf_counter() - start:>7.1f}")
        print(f"{norm:<6}{eps:>6g}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
