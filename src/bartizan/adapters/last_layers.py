"""What a classifier's last dense layer is given and what it makes of it: activations and probabilities, for nets of torch and scikit-learn.

The layer is found by running the model: the last `nn.Linear` that a pass calls, whose scores must be those of the model; of scikit-learn
the last layer of perceptrons and linear models. Nothing is trained and no gradient is taken.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bartizan.model.errors import InputError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LastLayer:
    """Of n rows the `activations` (n, h) that enter the last dense layer, and the `probabilities` (n, k) that leave the softmax after it.

    rate: the learning rate of the checkpoint, where several are summed; 1 for a final model
    """

    activations: Floats
    probabilities: Floats
    rate: float = 1.0


def last_layer(model: Any, x: npt.ArrayLike, *, batch: int = 512, rate: float = 1.0) -> LastLayer:
    """The last dense layer of `model`, a torch module (of ONNX too: `load_onnx`) or a scikit-learn classifier, on rows `x` (n, *shape).

    Raises `InputError` where the model does not end in a dense layer, or its scores are not those of that layer.
    """
    rows = np.asarray(x)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        hidden, scores = _of_torch(model, rows, batch)
    else:
        hidden, scores = _of_layers(model, rows)
    if scores.shape[1] == 1:
        scores = np.hstack([-scores / 2, scores / 2])
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return LastLayer(hidden, powers / powers.sum(axis=1, keepdims=True), rate)


def _of_layers(model: Any, rows: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    from bartizan.adapters.numpy_models import layers_of

    flat = rows.reshape(len(rows), -1)
    layers = layers_of(model, flat[:500]) if hasattr(model, "classes_") else None
    if layers is None:
        raise InputError(
            f"{type(model).__name__} does not end in a dense layer that can be read",
            cure="give a net of torch or ONNX, or a perceptron or linear model of scikit-learn",
        )
    outputs = layers.forward(flat.astype(np.float64))
    return outputs[-2], outputs[-1]


def _of_torch(model: Any, rows: npt.NDArray[Any], batch: int) -> tuple[Floats, Floats]:
    import torch

    from bartizan.adapters.torch_models import TorchModel

    target = TorchModel(model, torch.as_tensor(rows[:2]).float(), batch=batch)
    calls: list[tuple[Any, Any]] = []
    dense = [part for part in model.modules() if isinstance(part, torch.nn.Linear)]
    hooks = [part.register_forward_hook(lambda _, given, made: calls.append((given[0].detach(), made.detach()))) for part in dense]
    hidden, scores = [], []
    try:
        with target.session(0):
            for start in range(0, len(rows), batch):
                part = rows[start : start + batch]
                calls.clear()
                said = target.logits(target.rows(torch.as_tensor(part).float()))
                hidden.append(_entering(calls, said, len(part)))
                scores.append(calls[-1][1].double().cpu().numpy())
    finally:
        for hook in hooks:
            hook.remove()
    return np.concatenate(hidden), np.concatenate(scores)


def _entering(calls: list[tuple[Any, Any]], said: Any, n: int) -> Floats:
    """What entered the last dense layer, once its scores are known to be the model's own."""
    import torch

    cure = "give a classifier whose last step is a dense layer, with or without a softmax after it"
    if not calls or calls[-1][0].shape[:-1] != (n,):
        raise InputError("the model does not end in a dense layer", cure=cure)
    given, made = calls[-1]
    if made.shape[1] == 1:
        made = torch.cat([-made / 2, made / 2], dim=1)
    same = made.shape == said.shape and torch.allclose(made.softmax(1), said.softmax(1).to(made.dtype), atol=1e-4)
    if not same:
        raise InputError("the model's scores are not those of its last dense layer", cure=cure)
    return np.asarray(given.double().cpu().numpy())
