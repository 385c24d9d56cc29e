"""Poison screens: backdoors that are first shown to work, clean sets, careless labels; beside the published scores on the same activations.

    python benchmarks/data/poisoning.py [attacks] [clean]

The net is a small one of torch, trained on the poisoned set. Plain spectral signatures and activation clustering are written as published
(Tran, Li and Madry 2018; Chen and others 2018). Seconds are processor seconds of the screen, descriptors included.
"""

from __future__ import annotations

import time

import numpy as np
from _sets import noisy, picture_sets, wanted
from sklearn.metrics import roc_auc_score

from bartizan.areas.poisoning.activations import activation_clusters
from bartizan.areas.poisoning.screening import Screen, screen
from bartizan.methods.descriptors import of_set

ATTACKS = (("patch", 0.01), ("blend", 0.03), ("sinusoid", 0.03))
TARGET = 6


def marked(x: np.ndarray, kind: str) -> np.ndarray:
    """Pictures with a trigger: a white patch of 3 by 3, a fifth of a fixed noise, or waves of 20 in 255."""
    x, side = x.copy(), x.shape[-1]
    if kind == "patch":
        x[..., -4:-1, -4:-1] = 1.0
        return x
    if kind == "blend":
        return 0.8 * x + 0.2 * np.random.default_rng(7).random((side, side)).astype(np.float32)
    return np.clip(x + 20 / 255 * np.sin(2 * np.pi * np.arange(side) * 6 / side).astype(np.float32), 0, 1)


def poisoned(x: np.ndarray, y: np.ndarray, kind: str, rate: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A share of rows of other classes, marked and labelled as the target; which rows."""
    rows = np.random.default_rng(seed).choice(np.flatnonzero(y != TARGET), int(rate * len(y)), replace=False)
    x, y, bad = x.copy(), y.copy(), np.zeros(len(y), dtype=bool)
    x[rows], y[rows], bad[rows] = marked(x[rows], kind), TARGET, True
    return x, y, bad


def trained(x: np.ndarray, y: np.ndarray, seed: int):
    """A net of two convolutions; gives (activations of the last hidden layer, decisions) of pictures."""
    import torch

    torch.manual_seed(seed)
    cells = (x.shape[-1] // 4) ** 2
    body = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Conv2d(16, 32, 5, padding=2),
        torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(32 * cells, 64), torch.nn.ReLU(),
    )  # fmt: skip
    head = torch.nn.Linear(64, int(y.max()) + 1)
    optimiser = torch.optim.Adam([*body.parameters(), *head.parameters()], 2e-3)
    images, labels = torch.tensor(x), torch.tensor(y)
    for _ in range(4):
        for rows in torch.randperm(len(x)).split(128):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(head(body(images[rows])), labels[rows]).backward()
            optimiser.step()

    def asked(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            hidden = torch.cat([body(part) for part in torch.tensor(pictures).split(1000)])
            return hidden.numpy(), head(hidden).argmax(1).numpy()

    return asked


def plain_spectral(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The square of each row's part along its class's first direction."""
    score = np.zeros(len(x))
    for label in np.unique(y):
        rest = x[y == label] - x[y == label].mean(axis=0)
        score[y == label] = (rest @ np.linalg.svd(rest, full_matrices=False)[2][0]) ** 2
    return score


def screened(x: np.ndarray, y: np.ndarray) -> tuple[Screen, float]:
    begun = time.process_time()
    return screen(of_set(x, None), y, images=x), time.process_time() - begun


def attacks() -> None:
    for name, (x, y) in picture_sets().items():
        if len(x) < 15_000:
            continue
        test = x[50_000:51_000][y[50_000:51_000] != TARGET]
        for kind, rate in ATTACKS:
            px, py, bad = poisoned(x[:10_000], y[:10_000], kind, rate, 0)
            net = trained(px, py, 0)
            works = (net(marked(test, kind))[1] == TARGET).mean()
            found, spent = screened(px, py)
            hidden = net(px)[0]
            with_net = screen(of_set(px, None), py, images=px, activations=hidden)
            named, last = found.suspects, with_net.spectral
            scores = {
                "AUROC": found.score, "votes alone": found.votes.score, "whitened spectrum": last,
                "plain spectral": plain_spectral(hidden, py), "activation clustering": activation_clusters(hidden, py).smaller,
            }  # fmt: skip
            told = ", ".join(f"{title} {roc_auc_score(bad, score):.4f}" for title, score in scores.items())
            right = f"precision {bad[named].mean() if len(named) else 0:.3f}, recall {bad[named].sum() / bad.sum():.3f}"
            print(f"{name}, {kind} {rate:.0%}: works on {works:.3f}; {found.outcome}; {told}; named {len(named)}, {right}; {spent:.1f} s")


def clean() -> None:
    for name, (x, y) in picture_sets().items():
        for kind in ("clean", "symmetric"):
            for seed in range(5 if kind == "clean" else 2):
                rows = np.random.default_rng(seed).choice(len(x), min(6000, len(x) * 9 // 10), replace=False)
                found, _ = screened(x[rows], noisy(y[rows], kind, seed=seed))
                strongest = max((mark.strength for mark in found.marks), default=0.0)
                lopsided = max((share for *_, share in found.lopsided), default=0.0)
                print(
                    f"{name}, {kind} labels, draw {seed}: {found.outcome}; named {len(found.suspects) / len(rows):.2%}, strongest mark "
                    f"{strongest:.1f}, lopsided {lopsided:.3f}, contradicted {found.votes.contradicted.mean():.2%}",
                    flush=True,
                )


if __name__ == "__main__":
    for section, run in (("attacks", attacks), ("clean", clean)):
        if wanted(section):
            run()
