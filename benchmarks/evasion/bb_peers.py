"""Black-box attacks beside ART and foolbox on convolutional nets: Square and SignOPT against ART's, HopSkipJump against foolbox's.

    python benchmarks/evasion/bb_peers.py [--images 40] [--fashion FOLDER] [--cache FOLDER] [--peers FOLDER]

Every tool attacks one image at a time through the same counter: a query is a row that went through the model, the attack is cut off at its
budget, and what counts is what the model was really shown: the first query inside the radius that it got wrong (Square), the nearest wrong
one so far (the others). HopSkipJump starts for both from the nearest image of another class; ART's SignOPT looks for its own start, and
ours is shown both ways. Numbers of votes and step lengths of our attacks on labels were chosen on the 501st to 1,000th test image of
Fashion-MNIST, with nets made as here; what is shown is measured on the first 500. Digits of scikit-learn unless `--fashion` names the
folder of Fashion-MNIST.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from _setting import enter, images, kept, spent

BUDGETS = (250, 1000, 2500)


class Spent(Exception):
    """The budget is used up."""


def watched(model: Any, x: Any, y: int, norm: str, budget: int) -> tuple[Any, list[tuple[int, float]]]:
    """`model` for attacks on one image `x` (1, 1, h, w): ends the attack at `budget` rows; number and distance of every wrong row."""
    import torch

    wrong: list[tuple[int, float]] = []
    asked = [0]

    class Watched(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, rows: Any) -> Any:
            if asked[0] >= budget:
                raise Spent
            with torch.no_grad():
                logits = self.inner(rows)
                change = (rows - x).flatten(1)
                sizes = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
                inside = (rows.flatten(1).amin(1) >= -1e-6) & (rows.flatten(1).amax(1) <= 1 + 1e-6)
                good = (logits.argmax(1) != y) & inside
            places = [place for place in good.nonzero()[:, 0].tolist() if asked[0] + place < budget]
            wrong.extend((asked[0] + place + 1, float(sizes[place])) for place in places)
            asked[0] += len(rows)
            return logits

    return Watched().eval(), wrong


@dataclass
class Case:
    """One image (1, 1, h, w), its label (1,), an image of another class to start from, the norm and the radius (Square's)."""

    x: Any
    y: Any
    start: Any
    norm: str
    eps: float


Attack = Callable[[Any, Case], Any]


def our(name: str, *, started: bool = True) -> Attack:
    def attack(model: Any, case: Case) -> None:
        from bartizan.areas.evasion.blackbox.attacks import black_box

        near = {"eps": case.eps} if name == "square" else {}
        starts = case.start.numpy() if started else None
        black_box(model, case.x, case.y.numpy(), attack=name, norm=case.norm, queries=max(BUDGETS), starts=starts, **near)

    return attack


def art_square(model: Any, case: Case) -> None:
    from _peers import art_classifier
    from art.attacks.evasion import SquareAttack

    attack = SquareAttack(art_classifier(model, case.x), eps=case.eps, max_iter=max(BUDGETS), nb_restarts=1, verbose=False)
    attack.generate(case.x.numpy(), case.y.numpy())


def art_signopt(model: Any, case: Case) -> None:
    from _peers import art_classifier
    from art.attacks.evasion import SignOPTAttack

    SignOPTAttack(art_classifier(model, case.x), targeted=False, query_limit=max(BUDGETS)).generate(case.x.numpy(), case.y.numpy())


def foolbox_hopskipjump(model: Any, case: Case) -> None:
    import foolbox

    attack = foolbox.attacks.HopSkipJumpAttack(steps=64, constraint=case.norm)
    watching = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    attack.run(watching, case.x, foolbox.criteria.Misclassification(case.y), starting_points=case.start)


def trails(attack: Attack, model: Any, x: Any, y: Any, starts: Any, norm: str, eps: float) -> tuple[list[list[tuple[int, float]]], float]:
    """For each image the wrong rows that the attack showed the model, and CPU seconds for an image."""
    import numpy as np
    import torch

    found, seconds = [], 0.0
    for place in range(len(x)):
        torch.manual_seed(place)
        np.random.seed(place)
        one = slice(place, place + 1)
        watching, wrong = watched(model, x[one], int(y[place]), norm, max(BUDGETS))

        case = Case(x[one].clone(), y[one], starts[one], norm, eps)

        def work(watching: Any = watching, case: Case = case) -> None:
            try:
                attack(watching, case)
            except Spent:
                return

        seconds += spent(work)[1]
        found.append(wrong)
    return found, seconds / len(x)


def radius(rows: list[list[tuple[int, float]]], eps: float) -> tuple[float, list[float]]:
    """The median number of queries until the first wrong row within `eps` (inf: not found), and the share found by each budget."""
    import numpy as np

    firsts = np.array([min((n for n, size in row if size <= eps + 1e-6), default=np.inf) for row in rows])
    return float(np.median(firsts)), [float((firsts <= budget).mean()) for budget in BUDGETS]


def nearest(rows: list[list[tuple[int, float]]]) -> list[float]:
    """The median distance of the nearest wrong row by each budget."""
    import numpy as np

    return [float(np.median([min((size for n, size in row if n <= budget), default=np.inf) for row in rows])) for budget in BUDGETS]


def squares(nets: dict[str, tuple[Any, float]], x: Any, y: Any, count: int) -> int:
    """The table of Square; how many times ours needs more queries or breaks fewer."""
    print(f"{'Square, Linf':44}{'median queries':>16}" + "".join(f"{f'broken by {b}':>16}" for b in BUDGETS) + f"{'CPU ms':>9}")
    worse = 0
    for name, (model, eps) in nets.items():
        some, labels, starts = chosen_images(model, x, y, count)
        told = {}
        for who, attack in (("bartizan", our("square")), ("art", art_square)):
            rows, seconds = trails(attack, model, some, labels, starts, "linf", eps)
            told[who] = radius(rows, eps)
            shares = "".join(f"{share:16.0%}" for share in told[who][1])
            print(f"{f'{who}, {name}, eps {eps}':44}{told[who][0]:16.0f}{shares}{seconds * 1e3:9.0f}", flush=True)
        worse += told["bartizan"][0] > told["art"][0] or told["bartizan"][1][-1] < told["art"][1][-1]
    return worse


def decisions(nets: dict[str, tuple[Any, float]], x: Any, y: Any, count: int) -> int:
    """The table of the attacks on labels; how many times ours ends farther away than the peer's at a budget, by more than 2 %."""
    print(f"\n{'median distance by queries':44}" + "".join(f"{b:>10}" for b in BUDGETS) + f"{'CPU ms':>9}")
    pairs = [(norm, {"bartizan": our("hopskipjump"), "foolbox": foolbox_hopskipjump}, "hopskipjump") for norm in ("l2", "linf")]
    pairs.append(("l2", {"bartizan": our("signopt", started=False), "bartizan started": our("signopt"), "art": art_signopt}, "signopt"))
    worse = 0
    for name, (model, _) in nets.items():
        some, labels, starts = chosen_images(model, x, y, count)
        for norm, tools, what in pairs:
            told = {}
            for who, attack in tools.items():
                rows, seconds = trails(attack, model, some, labels, starts, norm, 0.0)
                told[who] = nearest(rows)
                print(
                    f"{f'{what} {norm}: {who}, {name}':44}" + "".join(f"{d:10.4f}" for d in told[who]) + f"{seconds * 1e3:9.0f}", flush=True
                )
            peer = next(who for who in told if not who.startswith("bartizan"))
            worse += any(own > other * 1.02 for own, other in zip(told["bartizan"], told[peer], strict=True))
    return worse


def chosen_images(model: Any, x: Any, y: Any, count: int) -> tuple[Any, Any, Any]:
    """The first images that the model gets right, their labels, and for each the nearest other one of another class."""
    import torch

    with torch.no_grad():
        said = torch.cat([model(part).argmax(1) for part in x.split(256)])
    right = (said == y).nonzero()[:, 0]
    some = right[:count]
    starts = []
    for row in some.tolist():
        others = right[y[right] != y[row]]
        starts.append(x[others[(x[others] - x[row]).flatten(1).norm(dim=1).argmin()]])
    return x[some].clone(), y[some].clone(), torch.stack(starts)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=40)
    for folder in ("--fashion", "--cache", "--peers"):
        parser.add_argument(folder, type=Path)
    chosen = parser.parse_args()
    enter(chosen.peers)
    import torch

    torch.set_num_threads(1)
    _, _, x, y = images(chosen.fashion)
    x, y = x[:500], y[:500]
    radius_of, steps = (0.1, 3000) if chosen.fashion else (0.15, 300)
    nets = {
        "undefended": (kept(chosen.cache, chosen.fashion, 0.0, 0, steps), radius_of / 2),
        "adversarially trained": (kept(chosen.cache, chosen.fashion, radius_of, 0, steps), radius_of),
    }
    return 1 if squares(nets, x, y, chosen.images) + decisions(nets, x, y, chosen.images) else 0


if __name__ == "__main__":
    sys.exit(main())
