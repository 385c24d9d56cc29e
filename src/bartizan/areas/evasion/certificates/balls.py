"""The inputs an attacker may choose: a norm ball around each image, cut by the valid range; and what a linear function does on it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bartizan.model.errors import InputError, UnknownName

NORMS = ("linf", "l2", "l1")
_HALVINGS = 40


@dataclass(frozen=True)
class Ball:
    """Inputs within `eps` of `x` (B, *shape) in `norm` that also lie between `low` and `high`, the box that holds them all."""

    norm: str
    eps: float
    x: Tensor
    low: Tensor
    high: Tensor

    def minimum(self, a: Tensor, *, fine: bool = True) -> Tensor:
        """A lower bound (B, S) of the linear functions a (B, S, *shape) over the ball; for linf and, if `fine`, l2 the minimum itself."""
        flat, x = a.flatten(2), self.x.flatten(1).unsqueeze(1)
        below, above = self.low.flatten(1).unsqueeze(1) - x, self.high.flatten(1).unsqueeze(1) - x
        centre = (flat * x).sum(2)
        box = (flat.clamp(min=0) * below + flat.clamp(max=0) * above).sum(2)
        if self.norm == "linf":
            return centre + box
        if self.norm == "l1":
            return centre + torch.maximum(box, -self.eps * flat.abs().amax(2))
        if not fine:
            return centre + torch.maximum(box, -self.eps * flat.norm(dim=2))
        return centre + _capped(flat, below, above, self.eps, box)

    def rows(self, indices: Tensor | slice) -> Ball:
        """The ball of some of the images."""
        return Ball(self.norm, self.eps, self.x[indices], self.low[indices], self.high[indices])


def _capped(a: Tensor, below: Tensor, above: Tensor, eps: float, box: Tensor) -> Tensor:
    """min a.d over below <= d <= above and |d|_2 <= eps, through its dual.

    Every multiplier m >= 0 gives the lower bound  sum of min over d_i of (a_i d_i + m d_i^2) - m eps^2 ; bisection finds the one at which
    the minimiser reaches the sphere, where bound and minimum agree. A multiplier that is not exact makes the bound smaller, never wrong.
    """
    with torch.no_grad():
        size = a.norm(dim=2).clamp_min(torch.finfo(a.dtype).tiny ** 0.5)
        low, high = torch.zeros_like(size), size / (2.0 * eps)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            inside = _minimiser(a, middle, below, above).norm(dim=2) <= eps
            low, high = torch.where(inside, low, middle), torch.where(inside, middle, high)
        step = _minimiser(a, high, below, above)
    dual = (a * step + high.unsqueeze(2) * step**2).sum(2) - high * eps**2
    return torch.maximum(torch.maximum(box, dual), -eps * a.norm(dim=2))


def _minimiser(a: Tensor, multiplier: Tensor, below: Tensor, above: Tensor) -> Tensor:
    free = -a / (2.0 * multiplier).clamp_min(torch.finfo(a.dtype).tiny ** 0.5).unsqueeze(2)
    return torch.maximum(torch.minimum(free, above), below)


def ball(x: Tensor, norm: str, eps: float, valid: tuple[float, float] | None) -> Ball:
    """The ball of radius `eps` >= 0 around the images `x` (B, *shape), cut by the valid range (None: no limits).

    Raises UnknownName for another norm, InputError for a radius that is no radius and for images outside the valid range.
    """
    if norm not in NORMS:
        raise UnknownName("norm", norm, NORMS)
    if not 0.0 <= eps < float("inf"):
        raise InputError(f"eps must be a finite number that is not negative, not {eps}", place="certificate")
    low, high = x - eps, x + eps
    if valid is not None:
        if bool((x < valid[0]).any()) or bool((x > valid[1]).any()):
            raise InputError(
                f"an image leaves the valid range {valid[0]:g} to {valid[1]:g} (from {float(x.min()):g} to {float(x.max()):g})",
                place="certificate", cure="give the range the images have",
            )  # fmt: skip
        low, high = low.clamp_min(valid[0]), high.clamp_max(valid[1])
    return Ball(norm, eps, x, low, high)


def row_norms(rows: Tensor, norm: str) -> Tensor:
    """The dual norm of each row (N, inputs): how far a unit step of `norm` can move that linear function."""
    order = {"linf": 1.0, "l2": 2.0, "l1": float("inf")}[norm]
    found: Tensor = torch.linalg.vector_norm(rows, ord=order, dim=1)
    return found
