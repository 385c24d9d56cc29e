"""Nets on handwritten digits, trained once: a plain one, one hardened on attacked images; and one for bright and dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from sklearn.datasets import load_digits  # noqa: E402

from bartizan.model.system import Asset, Dataset, Kind, Stage, Task  # noqa: E402

EPS = 0.12


def _fit(eps: float, epochs: int) -> Any:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = load_digits()
    x, y = torch.tensor(data.data[:1200] / 16, dtype=torch.float32).reshape(-1, 1, 8, 8), torch.tensor(data.target[:1200])
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 48), torch.nn.ReLU(), torch.nn.Linear(48, 10))
    steps = torch.optim.Adam(net.parameters(), 5e-3)
    loss = torch.nn.functional.cross_entropy
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(100):
            moved = x[rows]
            if eps:
                moved = (moved + eps * (2 * torch.rand_like(moved) - 1)).requires_grad_()
                slope = torch.autograd.grad(loss(net(moved), y[rows]), moved)[0]
                moved = torch.minimum(torch.maximum(moved.detach() + eps * slope.sign(), x[rows] - eps), x[rows] + eps).clamp(0, 1)
            steps.zero_grad()
            loss(net(moved), y[rows]).backward()
            steps.step()
    return net.eval()


@pytest.fixture(scope="session")
def weak() -> Any:
    return _fit(0.0, 12)


@pytest.fixture(scope="session")
def hard() -> Any:
    return _fit(EPS, 30)


def save_onnx(net: Any, path: Path) -> None:
    """A net of Flatten, Linear, ReLU, Linear as ONNX, written by hand."""
    helper, arrays = onnx.helper, onnx.numpy_helper
    (first, second), shape = [layer for layer in net if isinstance(layer, torch.nn.Linear)], ("n", 1, 8, 8)
    weights = [arrays.from_array(part.detach().numpy(), name) for name, part in
               (("w", first.weight), ("b", first.bias), ("v", second.weight), ("c", second.bias))]  # fmt: skip
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], ["g"], transB=1),
        helper.make_node("Relu", ["g"], ["h"]),
        helper.make_node("Gemm", ["h", "v", "c"], ["out"], transB=1),
    ]
    taken = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)
    given = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "net", [taken], [given], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


Declared = Callable[..., tuple[Asset, Dataset]]


@pytest.fixture
def digits_of(tmp_path: Path) -> Declared:
    """Declares a net on the last 597 digits as ONNX with an .npz of test images; `more` are fields of the asset."""

    def declare(net: Any, name: str = "net", **more: Any) -> tuple[Asset, Dataset]:
        data = load_digits()
        np.savez(tmp_path / "test.npz", x=(data.images[1200:] / 16).astype(np.float32), y=data.target[1200:])
        save_onnx(net, tmp_path / f"{name}.onnx")
        given = {"task": Task.IMAGE_CLASSIFICATION, "tested_on": ("test",), "uri": f"{name}.onnx", **more}
        return Asset(id=name, kind=Kind.MODEL, **given), Dataset(id="test", stage=Stage.TEST, uri="test.npz")

    return declare


@pytest.fixture
def bright_of(tmp_path: Path) -> Declared:
    """Declares a net that tells bright from dark pictures by their mean: nothing near them changes its mind."""

    def declare(**more: Any) -> tuple[Asset, Dataset]:
        dice = np.random.default_rng(0)
        y = dice.integers(0, 2, 300)
        x = np.clip(0.2 + 0.6 * y[:, None, None] + dice.normal(0, 0.02, (300, 8, 8)), 0, 1)
        np.savez(tmp_path / "bright.npz", x=x.astype(np.float32), y=y)
        first, second = torch.nn.Linear(64, 2), torch.nn.Linear(2, 2)
        with torch.no_grad():
            first.weight.copy_(torch.stack([torch.ones(64), -torch.ones(64)]) / 64)
            first.bias.copy_(torch.tensor([-0.5, 0.5]))
            second.weight.copy_(torch.tensor([[-8.0, 8.0], [8.0, -8.0]]))
            second.bias.zero_()
        save_onnx(torch.nn.Sequential(torch.nn.Flatten(), first, torch.nn.ReLU(), second), tmp_path / "bright.onnx")
        given = {"task": Task.IMAGE_CLASSIFICATION, "tested_on": ("bright",), "uri": "bright.onnx", **more}
        return Asset(id="bright", kind=Kind.MODEL, **given), Dataset(id="bright", stage=Stage.TEST, uri="bright.npz")

    return declare
