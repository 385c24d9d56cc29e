"""The small convolutional net of these tests, and the plain way to train one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def cnn(seed: int = 0, widths: tuple[int, int] = (8, 16), *, norm: bool = True, dropout: float = 0.0) -> nn.Sequential:
    """Two convolutions and a linear layer for digits (1, 8, 8), its first weights drawn by `seed`."""
    torch.manual_seed(seed)
    first, second = widths
    parts = [nn.Conv2d(1, first, 3, padding=1), *([nn.BatchNorm2d(first)] if norm else []), nn.ReLU()]
    parts += [nn.Conv2d(first, second, 3, 2, 1), nn.ReLU(), nn.Flatten(), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*parts, nn.Linear(16 * second, 10))


def fit(net: nn.Module, x: Tensor, y: Tensor, *, epochs: int, rate: float, noise: float = 0.0) -> nn.Module:
    """`net` trained by Adam on images with Gaussian noise, in evaluation mode."""
    optimiser = torch.optim.Adam(net.parameters(), rate)
    net.train()
    for _ in range(epochs):
        for i in torch.randperm(len(x)).split(64):
            images = (x[i] + noise * torch.randn_like(x[i])).clamp(0, 1) if noise else x[i]
            optimiser.zero_grad()
            functional.cross_entropy(net(images), y[i]).backward()
            optimiser.step()
    return net.eval()
