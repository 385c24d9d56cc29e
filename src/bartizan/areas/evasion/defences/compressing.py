"""Pruned and quantised copies of a torch model, and the table of what compression did to its robustness.

The copies compute what the compressed model would answer with ordinary float layers (weights rounded to their integer grid, pruned ones
zero), so that every attack and certificate works on them; a quantised activation has the identity's gradient.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bartizan.areas.evasion.defences.drop import Comparison, version
from bartizan.areas.evasion.defences.inner import Evaluating, Threat
from bartizan.areas.evasion.defences.measuring import Attack, attacked, own_attack, stands
from bartizan.model.errors import InputError

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


def _weighted(model: nn.Module) -> list[nn.Linear | nn.Conv1d | nn.Conv2d]:
    found = [part for part in model.modules() if isinstance(part, _LAYERS)]
    if not found:
        raise InputError("the model has no linear or convolution layer", place="compression")
    return found


def prune_magnitude(model: nn.Module, share: float) -> nn.Module:
    """A copy without the `share` (0 to 1) of all linear and convolution weights smallest in magnitude, over the whole net."""
    if not 0.0 <= share < 1.0:
        raise InputError(f"the pruned share lies in 0 to 1, not {share}", place="compression")
    pruned = copy.deepcopy(model)
    weights = [layer.weight for layer in _weighted(pruned)]
    sizes = torch.cat([w.detach().abs().flatten() for w in weights])
    count = int(share * len(sizes))
    if count:
        limit = sizes.kthvalue(count).values
        with torch.no_grad():
            for weight in weights:
                weight.mul_(weight.abs() > limit)
    return pruned


def prune_channels(model: nn.Module, share: float) -> nn.Module:
    """A copy without the `share` of each layer's output channels with the smallest l2 norm; the last layer keeps its outputs.

    A pruned channel is zero, and so is a batch norm that follows it directly: its answers are those of the net with the channel cut out.
    """
    if not 0.0 <= share < 1.0:
        raise InputError(f"the pruned share lies in 0 to 1, not {share}", place="compression")
    pruned = copy.deepcopy(model)
    parts = [part for part in pruned.modules() if isinstance(part, (*_LAYERS, nn.BatchNorm1d, nn.BatchNorm2d))]
    last = _weighted(pruned)[-1]
    with torch.no_grad():
        for at, layer in enumerate(parts):
            if not isinstance(layer, _LAYERS) or layer is last:
                continue
            norms = torch.linalg.vector_norm(layer.weight.flatten(1), dim=1)
            keep = torch.ones_like(norms)
            keep[norms.argsort()[: int(share * len(norms))]] = 0.0
            following = parts[at + 1] if at + 1 < len(parts) else None
            for part in (layer, following if isinstance(following, (nn.BatchNorm1d, nn.BatchNorm2d)) else None):
                if part is None or len(part.weight) != len(keep):
                    continue
                part.weight.mul_(keep.reshape(-1, *[1] * (part.weight.dim() - 1)))
                if part.bias is not None:
                    part.bias.mul_(keep)
    return pruned


def _round_input(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Round a layer's input to 8 bits of each image's own range; the gradient is the identity's."""
    x = inputs[0]
    step = x.detach().abs().flatten(1).amax(1).clamp_min(1e-12).reshape(-1, *[1] * (x.dim() - 1)) / 127
    return (x + (torch.round(x / step) * step - x).detach(), *inputs[1:])


def quantise(model: nn.Module, bits: int = 8, *, dynamic: bool = False, per_channel: bool = True) -> nn.Module:
    """A copy with linear and convolution weights on a symmetric grid of `bits` (2 to 8) bits, one scale for each output channel or layer.

    `dynamic`: the inputs of these layers are rounded to 8 bits as well, each image by its own range, as dynamic quantisation does.
    """
    if not 2 <= bits <= 8:
        raise InputError(f"weights are quantised to 2 to 8 bits, not {bits}", place="compression")
    quantised = copy.deepcopy(model)
    levels = 2 ** (bits - 1) - 1
    with torch.no_grad():
        for layer in _weighted(quantised):
            flat = layer.weight.flatten(1).abs()
            most = flat.amax(1, keepdim=True) if per_channel else flat.amax().expand(len(flat), 1)
            step = (most.clamp_min(1e-12) / levels).reshape(-1, *[1] * (layer.weight.dim() - 1))
            layer.weight.copy_(torch.round(layer.weight / step) * step)
            if dynamic:
                layer.register_forward_pre_hook(_round_input)
    return quantised


def compare(
    model: nn.Module, versions: Mapping[str, nn.Module], x: Tensor, y: Tensor, threat: Threat, *, attack: Attack = own_attack
) -> Comparison:
    """Clean and robust accuracy of `model` and of its compressed `versions` (name -> model) on images `x` (N, ...) with labels `y` (N,)."""
    examples = attacked(model, x, y, threat, attack)
    right = stands(model, x, y)
    before = right & stands(model, examples, y)
    rows = []
    for name, made in versions.items():
        with Evaluating(made):
            clean = stands(made, x, y)
            after = clean & stands(made, examples, y)
            todo = torch.nonzero(after).flatten()
            if len(todo):
                after[todo] = stands(made, attacked(made, x[todo], y[todo], threat, attack), y[todo])
        rows.append(version(name, int(clean.sum()), before.tolist(), after.tolist()))
    original = version("original", int(right.sum()), before.tolist(), before.tolist())
    return Comparison(before=original, after=tuple(rows), eps=threat.eps, norm=threat.norm)


def standard_versions(model: nn.Module, shares: Sequence[float] = (0.5, 0.8)) -> dict[str, nn.Module]:
    """The versions people ship: int8 and int4 weights, dynamic int8, magnitude and channel pruning at `shares`."""
    versions = {
        "int8 weights": quantise(model, 8),
        "int4 weights": quantise(model, 4),
        "int4 weights, one scale": quantise(model, 4, per_channel=False),
        "int8 dynamic": quantise(model, 8, dynamic=True),
    }
    for share in shares:
        versions[f"pruned {share:.0%}"] = prune_magnitude(model, share)
        versions[f"channels pruned {share / 2:.0%}"] = prune_channels(model, share / 2)
    return versions
