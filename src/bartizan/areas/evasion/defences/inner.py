"""The small gradient attack inside training and inside the defences' own measurements: a few projected steps, by the input alone.

It is not the engine's attack: numbers that decide something are measured with `bartizan.evasion.attack`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from bartizan.model.errors import InputError, UnknownName

NORMS = ("linf", "l2")

Loss = Callable[[Tensor, Tensor], Tensor]
"""From logits (B, K) and labels (B,) to a value per image (B,) that the attacker raises."""


class Threat(msgspec.Struct, frozen=True, kw_only=True):
    """What the attacker may do: perturbations of `norm` up to `eps` > 0, inputs kept inside `low` to `high` (None: no limit)."""

    eps: float
    norm: str = "linf"
    low: float | None = 0.0
    high: float | None = 1.0

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise UnknownName("norm", self.norm, NORMS)
        if not 0.0 < self.eps < math.inf:
            raise InputError(f"eps must be a positive number, not {self.eps}", place="defence")


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy per image; a single output counts as the logit of class 1."""
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits[:, 0], y.to(logits.dtype), reduction="none")
    return functional.cross_entropy(logits, y, reduction="none")


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """How far the best other class is above the label: positive means evaded."""
    if logits.shape[1] == 1:
        return logits[:, 0] * (1.0 - 2.0 * y.to(logits.dtype))
    own = logits.gather(1, y.unsqueeze(1)).squeeze(1)
    return logits.scatter(1, y.unsqueeze(1), -math.inf).amax(1) - own


def right(logits: Tensor, y: Tensor) -> Tensor:
    """Which images are classified as their label."""
    return margin(logits, y) < 0


def uniform(like: Tensor, threat: Threat, dice: torch.Generator | None, reach: float = 1.0) -> Tensor:
    """A random perturbation: uniform in the cube for linf; for l2 in a random direction with a uniform share of the radius."""
    if threat.norm == "linf":
        u = torch.rand(like.shape, generator=dice, device=like.device, dtype=like.dtype)
        return (2.0 * u - 1.0) * (threat.eps * reach)
    step = torch.randn(like.shape, generator=dice, device=like.device, dtype=like.dtype)
    share = torch.rand((len(like), *[1] * (like.dim() - 1)), generator=dice, device=like.device, dtype=like.dtype)
    return _unit(step) * share * threat.eps * reach


def _unit(step: Tensor) -> Tensor:
    size: Tensor = torch.linalg.vector_norm(step.flatten(1), dim=1).clamp_min(1e-12)
    return step / size.reshape(-1, *[1] * (step.dim() - 1))


def ascent(slope: Tensor, threat: Threat) -> Tensor:
    """The steepest unit step of the norm."""
    step: Tensor = slope.sign() if threat.norm == "linf" else _unit(slope)
    return step


def project(x: Tensor, changed: Tensor, threat: Threat) -> Tensor:
    """The nearest input to `changed` inside the ball, then inside the valid range."""
    delta = changed - x
    if threat.norm == "linf":
        delta = delta.clamp(-threat.eps, threat.eps)
    else:
        size = delta.flatten(1).norm(dim=1).clamp_min(1e-12)
        delta = delta * (threat.eps / size).clamp_max(1.0).reshape(-1, *[1] * (delta.dim() - 1))
    return within(x + delta, threat)


def within(x: Tensor, threat: Threat) -> Tensor:
    """`x` cut to the valid range."""
    return x if threat.low is None and threat.high is None else x.clamp(threat.low, threat.high)


def gradient(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    """The loss per image and its gradient by the input; parameters gather none."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        value = loss(model(leaf), y)
        (slope,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), slope


def pgd(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    steps: int = 10,
    step: float | None = None,
    loss: Loss = cross_entropy,
    dice: torch.Generator | None = None,
    start: Tensor | None = None,
) -> Tensor:
    """Projected gradient ascent (Madry et al., ICLR 2018) from `start` or a random point; returns the last point, inside ball and range.

    `step` None: 2.5 eps / steps. The model's mode is left alone: put it into evaluation mode where batch norm must not learn.
    """
    size = 2.5 * threat.eps / steps if step is None else step
    changed = project(x, x + uniform(x, threat, dice) if start is None else start, threat)
    for _ in range(steps):
        changed = project(x, changed + size * ascent(gradient(model, changed, y, loss)[1], threat), threat)
    return changed.detach()


def strongest(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    steps: int = 40,
    restarts: int = 2,
    loss: Loss = margin,
    dice: torch.Generator | None = None,
) -> Tensor:
    """The point of highest loss met in `restarts` runs with falling steps, per image; broken images are not attacked again.

    The first run starts at the image, the others at random points.
    """
    best = x.clone()
    with torch.no_grad():
        height = loss(model(x), y)
    for run in range(restarts):
        open_ = torch.nonzero(height <= 0).flatten()
        if len(open_) == 0:
            break
        clean, labels = x[open_], y[open_]
        changed = clean if run == 0 else project(clean, clean + uniform(clean, threat, dice), threat)
        for k in range(steps):
            value, slope = gradient(model, changed, labels, loss)
            higher = value > height[open_]
            best[open_[higher]], height[open_[higher]] = changed[higher], value[higher]
            size = threat.eps * (1.0 + math.cos(math.pi * k / steps)) / 2.0 + 0.01 * threat.eps
            changed = project(clean, changed + size * ascent(slope, threat), threat)
        with torch.no_grad():
            value = loss(model(changed), labels)
        higher = value > height[open_]
        best[open_[higher]], height[open_[higher]] = changed[higher], value[higher]
    return best.detach()


class Evaluating:
    """Evaluation mode while inside, the earlier mode of every part afterwards."""

    def __init__(self, model: object) -> None:
        self.parts = list(model.modules()) if isinstance(model, nn.Module) else []
        self.modes = [part.training for part in self.parts]

    def __enter__(self) -> None:
        for part in self.parts:
            part.training = False

    def __exit__(self, *_: object) -> None:
        for part, mode in zip(self.parts, self.modes, strict=True):
            part.training = mode
