"""White-box evasion: the margin cascade beside AutoAttack as four tools ship it, on the same adversarially trained nets, images and radius.

    python benchmarks/evasion/wb_autoattack.py [--images 300 [300 ...]] [--seeds 3] [--fashion FOLDER] [--cache FOLDER] [--peers FOLDER]

Digits of scikit-learn by default; `--fashion` names the folder with Fashion-MNIST's four idx.gz files, `--cache` one to keep the trained
nets in. `--images` are the images for each seed (the last holds for the rest). All tools run in one process, one thread, one torch. The
cascade runs before and after the official attack of each net, so that a busy machine falls on both; the table shows the mean of the two.
ART, torchattacks and adv-lib attack the first images only (`--few`, `--art`): their time is shown for an image, and so is ours. Ratios are
CPU time for an image, theirs over ours. Forwards are rows that went through the model, backwards rows whose gradient came back.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from _setting import Run, enter, images, kept, run


def show(name: str, row: Run, own: Run) -> None:
    """One line: the tool, how many images, robust accuracy of both on these images, costs for an image, ratio to ours."""
    n = len(row.right)
    print(
        f"{name:26}{n:7}{float(row.right.float().mean()):9.1%}{float(own.right[:n].float().mean()):8.1%}{row.cpu * 1e3:11.2f}"
        f"{row.wall * 1e3:11.2f}{row.forwards:10.1f}{row.backwards:11.1f}{row.cpu / own.cpu:9.1f}x{row.outside:10.0e}",
        flush=True,
    )


def compare(model: Any, x: Any, y: Any, eps: float, name: str, few: int, art: int) -> tuple[Run, Run]:
    """Every tool on one net; our run (the mean of two) and the official one."""
    from _peers import AUTOATTACKS, ours

    before = run(ours, model, x, y, eps)
    official = run(AUTOATTACKS["autoattack"], model, x, y, eps)
    after = run(ours, model, x, y, eps)
    own = Run(before.right, (before.cpu + after.cpu) / 2, (before.wall + after.wall) / 2, before.forwards, before.backwards, before.outside)
    show(f"bartizan, {name}", own, own)
    show(f"autoattack, {name}", official, own)
    for tool, some in (("adv-lib apgd", few), ("torchattacks", few), ("art", art)):
        if some:
            show(f"{tool}, {name}", run(AUTOATTACKS[tool], model, x[:some], y[:some], eps), own)
    return own, official


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, nargs="+", default=[300])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--eps", type=float)
    parser.add_argument("--few", type=int, default=64)
    parser.add_argument("--art", type=int, default=16)
    for folder in ("--fashion", "--cache", "--peers"):
        parser.add_argument(folder, type=Path)
    chosen = parser.parse_args()
    enter(chosen.peers)
    import torch

    torch.set_num_threads(1)
    eps = chosen.eps or (0.1 if chosen.fashion else 0.15)
    _, _, x, y = images(chosen.fashion)
    models = [kept(chosen.cache, chosen.fashion, eps, seed, 3000 if chosen.fashion else 300) for seed in chosen.seeds]
    print(f"Linf {eps}, one thread; CPU and wall in ms for an image")
    names = f"{'robust':>9}{'ours':>8}{'CPU ms':>11}{'wall ms':>11}{'forwards':>10}{'backwards':>11}{'CPU':>10}{'outside':>10}"
    print(f"{'':26}{'images':>7}{names}")
    missed = 0
    for place, (seed, model) in enumerate(zip(chosen.seeds, models, strict=True)):
        n = chosen.images[min(place, len(chosen.images) - 1)]
        own, official = compare(model, x[:n].clone(), y[:n].clone(), eps, f"net {seed}", min(chosen.few, n), min(chosen.art, n))
        gap = float(own.right.float().mean() - official.right.float().mean())
        missed += gap > 0.005 or own.outside > 1e-6 or own.backwards > 100 or own.forwards > 300 or official.cpu < 15 * own.cpu
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
