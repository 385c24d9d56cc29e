"""The code that makes the net of which `models/*.safetensors` hold the weights; it runs only with `--run-code`."""

from __future__ import annotations

from torch import nn


def make_net() -> nn.Module:
    """A small convolutional net for grey pictures of 28 by 28 pixels and ten classes."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(32 * 7 * 7, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip
