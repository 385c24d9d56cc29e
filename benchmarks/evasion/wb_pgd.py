"""PGD of 40 steps on an undefended net beside ART, foolbox, torchattacks and adv-lib, same net, images, radius and step length.

    python benchmarks/evasion/wb_pgd.py [--images 512] [--fashion FOLDER] [--cache FOLDER] [--peers FOLDER]

Ours twice: PGD of 40 steps itself, and the margin cascade with its diagnostics, which is what `attack` runs by default. Every tool runs
`--repeat` times in turn in one process with one thread; the table shows the fastest run of each in CPU time, and rows through the model for
an image. Digits of scikit-learn unless `--fashion` names the folder of Fashion-MNIST.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _setting import enter, images, kept, run


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--eps", type=float, default=0.1)
    parser.add_argument("--repeat", type=int, default=3)
    for folder in ("--fashion", "--cache", "--peers"):
        parser.add_argument(folder, type=Path)
    chosen = parser.parse_args()
    enter(chosen.peers)
    import torch
    from _peers import PGDS, our_pgd, ours

    torch.set_num_threads(1)
    _, _, x, y = images(chosen.fashion)
    model = kept(chosen.cache, chosen.fashion, 0.0, 0, 3000 if chosen.fashion else 300)
    x, y = x[: chosen.images].clone(), y[: chosen.images].clone()
    tools = {"bartizan, pgd": our_pgd, "bartizan, cascade": ours} | PGDS
    every = {name: [run(attack, model, x, y, chosen.eps)] for name, attack in tools.items()}
    for _ in range(chosen.repeat - 1):
        for name, attack in tools.items():
            every[name].append(run(attack, model, x, y, chosen.eps))
    best = {name: min(runs, key=lambda row: row.cpu) for name, runs in every.items()}
    own = best["bartizan, pgd"]
    print(f"undefended net, {len(x)} images, Linf {chosen.eps}, one thread")
    print(f"{'':20}{'robust':>8}{'CPU s':>8}{'wall s':>8}{'forwards':>10}{'backwards':>11}{'CPU':>9}{'outside':>10}")
    for name, row in best.items():
        print(
            f"{name:20}{float(row.right.float().mean()):8.1%}{row.cpu * len(x):8.2f}{row.wall * len(x):8.2f}{row.forwards:10.1f}"
            f"{row.backwards:11.1f}{row.cpu / own.cpu:8.1f}x{row.outside:10.0e}"
        )
    weaker = float(own.right.float().mean()) > min(float(best[name].right.float().mean()) for name in PGDS)
    return 1 if weaker or own.backwards > 6 or best["bartizan, cascade"].backwards > 6 else 0


if __name__ == "__main__":
    sys.exit(main())
