"""Randomised smoothing: the sequential decision beside Cohen's fixed number of samples, same model, images, sigma, radius and alpha.

python benchmarks/evasion/df_smoothing.py [images] [samples of the fixed plan]
"""

from __future__ import annotations

import sys
import time

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from bartizan.areas.evasion.certificates import smoothing as sm

SIGMA, ALPHA = 0.25, 0.001


def model_of(x: torch.Tensor, y: torch.Tensor) -> nn.Module:
    """A small convolutional net trained under the noise it will be smoothed with."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10))
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(15):
        for i in torch.randperm(len(x)).split(64):
            loss = functional.cross_entropy(net(x[i] + SIGMA * torch.randn_like(x[i])), y[i])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return net.eval()


def main(images: int = 50, fixed_samples: int = 10_000) -> None:
    torch.set_num_threads(1)
    data, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(data / 16.0, dtype=torch.float32).reshape(-1, 1, 8, 8), torch.tensor(labels)
    net = model_of(x[:1400], y[:1400])
    clean, truth = x[1400 : 1400 + images], y[1400 : 1400 + images]
    start = time.perf_counter()
    fixed = [
        sm.certify_fixed(sm.noisy(net, image, SIGMA, seed=i), SIGMA, samples=fixed_samples, alpha=ALPHA) for i, image in enumerate(clean)
    ]
    fixed_seconds = time.perf_counter() - start
    print("radius  certified fixed/sequential  differ  samples fixed/sequential  seconds fixed/sequential")
    for radius in (0.1, 0.25, 0.5, 0.75):
        start = time.perf_counter()
        found = sm.certify_smoothed(net, clean, truth, sigma=SIGMA, radius=radius, alpha=ALPHA, budget=fixed_samples)
        seconds = time.perf_counter() - start
        old = [one.label == int(label) and one.radius >= radius for one, label in zip(fixed, truth, strict=True)]
        new = [one.decision is sm.Decision.CERTIFIED for one in found.decisions]
        differ = sum(a != b for a, b in zip(old, new, strict=True))
        each = fixed_samples + 100
        print(f"{radius:6.2f}  {sum(old):4d} / {sum(new):4d} of {images}          {differ:4d}    {each:6d} / {found.samples / images:8.0f}"
              f"         {fixed_seconds:7.2f} / {seconds:6.2f}")  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
