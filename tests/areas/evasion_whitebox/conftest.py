"""Small nets on scikit-learn's digits, trained in seconds with fixed seeds; nothing here without torch."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def digits() -> tuple[Any, Any]:
    """8x8 images in [0, 1], float32 (n, 1, 8, 8), and labels, as tensors."""
    torch = pytest.importorskip("torch")
    from sklearn.datasets import load_digits

    torch.set_num_threads(1)
    data = load_digits()
    return torch.tensor(data.images[:, None] / 16.0, dtype=torch.float32), torch.tensor(data.target)


def fitted(x: Any, y: Any, eps: float) -> Any:
    """A small net, trained on single-step adversarial examples of radius `eps` (0: plainly)."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    optimiser = torch.optim.Adam(net.parameters(), 5e-3)
    for _ in range(150):
        rows = torch.randint(0, 1000, (128,))
        images = x[rows]
        if eps:
            images = (images + eps * (2 * torch.rand_like(images) - 1)).requires_grad_(True)
            (slope,) = torch.autograd.grad(nn.functional.cross_entropy(net(images), y[rows]), images)
            images = (x[rows] + (images.detach() - x[rows] + 1.25 * eps * slope.sign()).clamp(-eps, eps)).clamp(0, 1)
        loss = nn.functional.cross_entropy(net(images), y[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval()


@pytest.fixture(scope="session")
def weak(digits: tuple[Any, Any]) -> Any:
    return fitted(*digits, 0.0)


@pytest.fixture(scope="session")
def hard(digits: tuple[Any, Any]) -> Any:
    return fitted(*digits, 0.15)


@pytest.fixture(scope="session")
def held_out(digits: tuple[Any, Any]) -> tuple[Any, Any]:
    """100 images that no net was fitted on."""
    return digits[0][1100:1200], digits[1][1100:1200]
