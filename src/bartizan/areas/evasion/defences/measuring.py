"""What every defence is measured with: rates with their intervals, and an attack as a function, ours or the engine's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bartizan.areas.evasion.defences.inner import Evaluating, Threat, right, strongest
from bartizan.areas.evasion.defences.rates import Rate as Rate
from bartizan.areas.evasion.defences.rates import rate_of
from bartizan.model.errors import InputError

Attack = Callable[[nn.Module, Tensor, Tensor, Threat], Tensor]
"""From a model in evaluation mode, images (N, ...), labels (N,) and the threat to changed images inside it."""

BATCH = 512


def rate(marks: Tensor) -> Rate:
    """The rate of marks (N,) that are true."""
    return rate_of(int(marks.sum()), len(marks))


def own_attack(model: nn.Module, x: Tensor, y: Tensor, threat: Threat) -> Tensor:
    """The room's small attack: two runs of 40 falling steps on the margin, the second from a random start."""
    return strongest(model, x, y, threat, dice=torch.Generator(device=x.device).manual_seed(0))


def engine_attack(**options: Any) -> Attack:
    """`bartizan.evasion.attack` as a function of the same shape; `options` go to it."""

    def run(model: nn.Module, x: Tensor, y: Tensor, threat: Threat) -> Tensor:
        from bartizan.areas.evasion.api import attack

        given = {"bounds": (threat.low, threat.high), **options} if threat.low is not None and threat.high is not None else options
        changed: Tensor = attack(model, x, y, norm=threat.norm, eps=threat.eps, **given).adversarial
        return changed

    return run


def stands(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Which images are classified as their label, (N,)."""
    if len(x) != len(y) or len(x) == 0:
        raise InputError(f"{len(x)} images and {len(y)} labels", place="defence", cure="give one label for each of at least one image")
    with Evaluating(model), torch.no_grad():
        return torch.cat([right(model(x[i : i + BATCH]), y[i : i + BATCH]) for i in range(0, len(x), BATCH)])


def attacked(model: nn.Module, x: Tensor, y: Tensor, threat: Threat, attack: Attack) -> Tensor:
    """The attack's images for all of `x`; images that are wrong already stay as they are."""
    changed = x.clone()
    with Evaluating(model):
        todo = torch.nonzero(stands(model, x, y)).flatten()
        for start in range(0, len(todo), BATCH):
            part = todo[start : start + BATCH]
            changed[part] = attack(model, x[part], y[part], threat).to(x.dtype)
    return changed
