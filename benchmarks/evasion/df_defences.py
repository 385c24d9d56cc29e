"""Defences on Fashion-MNIST: what they seem to be worth and what is left under an attack that knows them; compression of a hardened net.

python benchmarks/evasion/df_defences.py FOLDER [weights of a net hardened by df_training.py] [images]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from df_training import images, network
from torch import nn
from torch.nn import functional

from bartizan.areas.evasion.defences import compressing, detecting, measuring, sanitising
from bartizan.areas.evasion.defences.inner import Threat


def plain(x: torch.Tensor, y: torch.Tensor, epochs: int = 3) -> nn.Module:
    """The same net trained without an attack."""
    net = network()
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(epochs):
        for i in torch.randperm(len(x)).split(128):
            loss = functional.cross_entropy(net(x[i]), y[i])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return net.eval()


def main(folder: str, weights: str = "", count: str = "300") -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y = images(Path(folder), "train")
    test_x, test_y = images(Path(folder), "t10k")
    few, labels = test_x[: int(count)], test_y[: int(count)]
    net = plain(x, y)
    print(
        f"{'sanitiser at eps .05':<24}"
        + "".join(f"{name:>10}" for name in ("bare", "attacked", "clean", "naive", "transfer", "adaptive", "s"))
    )
    for one in (sanitising.bit_depth(3), sanitising.bit_depth(1), sanitising.median(3), sanitising.gaussian(1.0), sanitising.jpeg(50),
                sanitising.total_variation(0.1), sanitising.noise(0.1)):  # fmt: skip
        start = time.perf_counter()
        found = sanitising.measure_sanitiser(net, one, few, labels, Threat(eps=0.05), draws=4)
        rates = (found.bare_clean, found.bare_robust, found.clean, found.naive, found.transfer, found.adaptive)
        columns = "".join(f"{rate.value:>10.1%}" for rate in rates)
        print(f"{found.name:<24}{columns}{time.perf_counter() - start:>9.1f}", flush=True)
    detector = detecting.fit_detector(net, [sanitising.bit_depth(1), sanitising.median(2)], test_x[2000:3000])
    caught = detecting.measure_detector(detector, few, labels, Threat(eps=0.05))
    print(f"detector at eps .05: false alarms {caught.false_alarms}")
    print(f"  recall naive {caught.naive_recall}, adaptive {caught.adaptive_recall}")
    print(f"  robust naive {caught.naive_robust}, adaptive {caught.adaptive_robust}")
    if weights:
        hardened = network()
        hardened.load_state_dict(torch.load(weights, weights_only=True))
        table = compressing.compare(
            hardened.eval(),
            compressing.standard_versions(hardened),
            test_x[:1000],
            test_y[:1000],
            Threat(eps=0.1),
            attack=measuring.own_attack,
        )
        print(table)
        for ruling in compressing.drop_gate(table):
            print(f"{ruling.name:<26}{ruling.verdict.value:<14}{ruling.why}")


if __name__ == "__main__":
    main(*sys.argv[1:])
