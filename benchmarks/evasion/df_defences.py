"""Defences on Fashion-MNIST: what they seem to be worth and what is left under an attack that knows them; compression of a hardened net.

    python benchmarks/evasion/df_defences.py FOLDER [--cache FOLDER] [--images 300] [--steps 5000] [--eps 0.05] [--hardened]

FOLDER holds the data set. `--cache` names a folder for the trained nets. The sanitised net is trained without an attack for `--steps`
batches of 128: after few steps margins are narrow everywhere, and every figure is smaller. `--hardened` adds the compression of the net of
`df_training.py` (from the cache where it is there, else trained first).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from df_training import EPS, hardened, images, network
from torch import Tensor, nn
from torch.nn import functional

from bartizan.areas.evasion.defences import compressing, detecting, measuring, sanitising
from bartizan.areas.evasion.defences.drop import drop_gate
from bartizan.areas.evasion.defences.inner import Threat
from bartizan.areas.evasion.defences.rates import Rate


def plain(folder: Path, cache: Path | None, steps: int) -> nn.Module:
    """The same net trained without an attack, from `cache` where an earlier run left it."""
    kept = (cache or Path()) / f"plain-{steps}.pt"
    net = network()
    if cache is not None and kept.exists():
        net.load_state_dict(torch.load(kept, weights_only=True))
        return net.eval()
    x, y = images(folder, "train")
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(steps):
        i = torch.randint(0, len(x), (128,))
        loss = functional.cross_entropy(net(x[i]), y[i])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        torch.save(net.state_dict(), kept)
    return net.eval()


def sanitisers(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> None:
    """The table of sanitisers; `adaptive` with its interval, because it alone is a claim."""
    names = ("bare", "attacked", "clean", "naive", "transfer", "adaptive")
    print(f"{f'sanitiser at eps {eps:g}':<24}" + "".join(f"{name:>10}" for name in names) + f"{'(95 %)':>20}{'s':>8}")
    for one in (sanitising.bit_depth(3), sanitising.bit_depth(1), sanitising.median(3), sanitising.gaussian(1.0), sanitising.jpeg(50),
                sanitising.total_variation(0.1), sanitising.noise(0.1)):  # fmt: skip
        start = time.perf_counter()
        found = sanitising.measure_sanitiser(net, one, x, y, Threat(eps=eps), draws=4)
        rates = (found.bare_clean, found.bare_robust, found.clean, found.naive, found.transfer, found.adaptive)
        columns = "".join(f"{rate.value:>10.1%}" for rate in rates)
        interval = f"({found.adaptive.low:.1%} to {found.adaptive.high:.1%})"
        print(f"{found.name:<24}{columns}{interval:>20}{time.perf_counter() - start:>8.1f}", flush=True)


def detectors(net: nn.Module, x: Tensor, y: Tensor, quiet: Tensor, eps: float) -> None:
    """The table of squeezing detectors fitted on the clean images `quiet`: naive beside adaptive."""
    wanted = ([sanitising.bit_depth(1)], [sanitising.bit_depth(3), sanitising.median(2)], [sanitising.bit_depth(1), sanitising.median(2)])
    names = ("recall naive", "recall adaptive", "robust naive", "robust adaptive")
    print(f"\n{f'detector at eps {eps:g}':<30}{'false alarms':>24}" + "".join(f"{name:>24}" for name in names))
    for squeezers in wanted:
        found = detecting.measure_detector(detecting.fit_detector(net, squeezers, quiet), x, y, Threat(eps=eps))
        rates = (found.false_alarms, found.naive_recall, found.adaptive_recall, found.naive_robust, found.adaptive_robust)
        print(f"{' + '.join(one.name for one in squeezers):<30}" + "".join(f"{_short(rate):>24}" for rate in rates), flush=True)


def _short(rate: Rate) -> str:
    return f"{rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%})"


def compressed(net: nn.Module, x: Tensor, y: Tensor) -> None:
    """The table and the gate for compressed copies of the hardened net."""
    table = compressing.compare(net, compressing.standard_versions(net), x, y, Threat(eps=EPS), attack=measuring.own_attack)
    print(f"\ncompression, attacked at eps {EPS:g}, {len(x)} images\n{table}")
    for ruling in drop_gate(table):
        print(f"{ruling.name:<26}{ruling.verdict.value:<14}{ruling.why}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--eps", type=float, default=0.05)
    parser.add_argument("--hardened", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    x, y = images(chosen.folder, "t10k")
    few, labels = x[: chosen.images], y[: chosen.images]
    net = plain(chosen.folder, chosen.cache, chosen.steps)
    sanitisers(net, few, labels, chosen.eps)
    detectors(net, few, labels, x[2000:3000], chosen.eps)
    if chosen.hardened:
        compressed(hardened(chosen.folder, chosen.cache)[0], x[:1000], y[:1000])


if __name__ == "__main__":
    main()
