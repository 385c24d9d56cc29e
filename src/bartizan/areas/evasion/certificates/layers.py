"""The layers through which bounds are carried: forwards as intervals, backwards as linear functions.

A layer maps batches (B, *shape). Its `interval` maps boxes of its inputs to a box of its output (interval bound propagation: Gowal et al.,
2018). Its `backward` takes coefficients a of shape (B, S, *output shape), S linear functions for each image, and returns coefficients for
its inputs and constants (B, S) such that  a . layer(z) >= sum of (returned a) . z + constant  for all z inside the known boxes (CROWN:
Zhang et al., NeurIPS 2018). A layer that is affine is exact in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

Box = tuple[Tensor, Tensor]
"""Lower and upper bounds, each (B, *shape)."""


class Layer(Protocol):
    """One step of a network."""

    @property
    def affine(self) -> bool:
        """Whether the layer is affine, so that its bounds are exact."""
        ...

    def forward(self, *z: Tensor) -> Tensor:
        """The layer itself, on a batch."""
        ...

    def interval(self, *boxes: Box) -> Box:
        """A box that holds the outputs for all inputs inside `boxes`."""
        ...

    def backward(self, a: Tensor, boxes: Sequence[Box], slope: Tensor | None) -> tuple[tuple[Tensor, ...], Tensor]:
        """Linear lower bounds through the layer; `slope` replaces the lower slopes that a nonlinear layer would choose, if it has any."""
        ...


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Sum over all but the first two dimensions of a (B, S, *shape) times b, which broadcasts."""
    return (a * b).flatten(2).sum(2)


def _through(fn: Callable[[Tensor], Tensor], a: Tensor) -> Tensor:
    """`fn` on (B, S, ...) as one batch of B * S."""
    out = fn(a.flatten(0, 1))
    return out.reshape(*a.shape[:2], *out.shape[1:])


@dataclass(frozen=True)
class Affine:
    """z -> L z + b. `apply` is the map on batches, `absolute` is |L|, `transpose` is L transposed, `bias` is b with the output's shape."""

    apply: Callable[[Tensor], Tensor]
    absolute: Callable[[Tensor], Tensor]
    transpose: Callable[[Tensor], Tensor]
    bias: Tensor
    affine: bool = True

    def forward(self, *z: Tensor) -> Tensor:
        return self.apply(z[0])

    def interval(self, *boxes: Box) -> Box:
        low, high = boxes[0]
        centre, radius = self.apply((low + high) / 2), self.absolute((high - low) / 2)
        return centre - radius, centre + radius

    def backward(self, a: Tensor, boxes: Sequence[Box], slope: Tensor | None) -> tuple[tuple[Tensor, ...], Tensor]:  # noqa: ARG002
        return (_through(self.transpose, a),), _dot(a, self.bias)


def dense(weight: Tensor, bias: Tensor | None) -> Affine:
    """z -> z W^T + b over the last dimension, `weight` (out, in)."""
    shift = weight.new_zeros(weight.shape[0]) if bias is None else bias
    absolute = weight.abs()
    return Affine(
        lambda z: functional.linear(z, weight, shift),
        lambda r: functional.linear(r, absolute),
        lambda a: functional.linear(a, weight.T),
        shift,
    )


def convolution(weight: Tensor, bias: Tensor | None, shape: Sequence[int], stride: tuple[int, ...], padding: tuple[int, ...],
                dilation: tuple[int, ...], groups: int) -> Affine:  # fmt: skip
    """A convolution over one or two dimensions with zero padding; `shape` is that of one input (channels, *space)."""
    one = weight.dim() == 3
    conv = functional.conv1d if one else functional.conv2d
    back = functional.conv_transpose1d if one else functional.conv_transpose2d
    absolute, shift = weight.abs(), weight.new_zeros(weight.shape[0]) if bias is None else bias
    space, kernel = shape[1:], weight.shape[2:]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    out = [(n + 2 * p - r) // s + 1 for n, p, r, s in zip(space, padding, reach, stride, strict=True)]
    rest = [n - ((o - 1) * s - 2 * p + r) for n, o, s, p, r in zip(space, out, stride, padding, reach, strict=True)]

    def run(z: Tensor, kernel: Tensor, add: Tensor | None) -> Tensor:
        return conv(z, kernel, add, stride, padding, dilation, groups)

    def transpose(a: Tensor) -> Tensor:
        return back(a, weight, None, stride, padding, rest, groups, dilation)

    spread = shift.reshape(-1, *[1] * len(space)).expand(-1, *out)
    return Affine(lambda z: run(z, weight, shift), lambda r: run(r, absolute, None), transpose, spread)


def scaling(scale: Tensor, shift: Tensor) -> Affine:
    """z -> scale * z + shift, both with the shape of one input: batch norm in evaluation mode, normalisation, constants added."""
    absolute = scale.abs()
    return Affine(lambda z: z * scale + shift, lambda r: r * absolute, lambda a: a * scale, shift)


def averaging(fn: Callable[[Tensor], Tensor], shape: Sequence[int], like: Tensor) -> Affine:
    """A linear map without negative weights and without bias: average pooling, reshaping, permuting, padding, mean."""

    def transpose(a: Tensor) -> Tensor:
        zero = a.new_zeros((a.shape[0], *shape)).requires_grad_()
        with torch.enable_grad():
            out = fn(zero)
        found: Tensor = torch.autograd.grad(out, zero, a, create_graph=a.requires_grad)[0]
        return found

    with torch.no_grad():
        bias = fn(like.new_zeros((1, *shape)))[0]
    return Affine(fn, fn, transpose, bias)


@dataclass(frozen=True)
class Sum:
    """The signed sum of several inputs of one shape: a residual connection."""

    signs: tuple[float, ...]
    affine: bool = True

    def forward(self, *z: Tensor) -> Tensor:
        total = self.signs[0] * z[0]
        for sign, more in zip(self.signs[1:], z[1:], strict=True):
            total = total + sign * more
        return total

    def interval(self, *boxes: Box) -> Box:
        ordered = [(low, high) if sign > 0 else (-high, -low) for sign, (low, high) in zip(self.signs, boxes, strict=True)]
        low, high = ordered[0]
        for more_low, more_high in ordered[1:]:
            low, high = low + more_low, high + more_high
        return low, high

    def backward(self, a: Tensor, boxes: Sequence[Box], slope: Tensor | None) -> tuple[tuple[Tensor, ...], Tensor]:  # noqa: ARG002
        return tuple(sign * a for sign in self.signs), a.new_zeros(a.shape[:2])


@dataclass(frozen=True)
class Concatenation:
    """Inputs joined along dimension `dim` (counted with the batch), of these sizes."""

    dim: int
    sizes: tuple[int, ...]
    affine: bool = True

    def forward(self, *z: Tensor) -> Tensor:
        return torch.cat(z, self.dim)

    def interval(self, *boxes: Box) -> Box:
        return torch.cat([low for low, _ in boxes], self.dim), torch.cat([high for _, high in boxes], self.dim)

    def backward(self, a: Tensor, boxes: Sequence[Box], slope: Tensor | None) -> tuple[tuple[Tensor, ...], Tensor]:  # noqa: ARG002
        return torch.split_with_sizes(a, list(self.sizes), self.dim + 1), a.new_zeros(a.shape[:2])


@dataclass(frozen=True)
class Rectifier:
    """ReLU, or leaky ReLU with the slope `leak` in [0, 1) below zero."""

    leak: float = 0.0
    affine: bool = False

    def forward(self, *z: Tensor) -> Tensor:
        return functional.leaky_relu(z[0], self.leak)

    def interval(self, *boxes: Box) -> Box:
        return self.forward(boxes[0][0]), self.forward(boxes[0][1])

    def slopes(self, low: Tensor, high: Tensor) -> Tensor:
        """CROWN's lower slopes: 1 where the larger part of the interval is positive, otherwise the leak."""
        return torch.where(high > -low, 1.0, self.leak).to(low.dtype)

    def backward(self, a: Tensor, boxes: Sequence[Box], slope: Tensor | None) -> tuple[tuple[Tensor, ...], Tensor]:
        low, high = boxes[0][0].unsqueeze(1), boxes[0][1].unsqueeze(1)
        crossing = (low < 0) & (high > 0)
        fixed = torch.where(low >= 0, 1.0, self.leak).to(a.dtype)
        under = torch.where(crossing, self.slopes(low, high) if slope is None else slope, fixed)
        width = torch.where(crossing, high - low, 1.0)
        over = torch.where(crossing, (high - self.leak * low) / width, fixed)
        lift = torch.where(crossing, (self.leak - over) * low, 0.0)
        plus, minus = a.clamp(min=0), a.clamp(max=0)
        return (plus * under + minus * over,), _dot(minus, lift)


@dataclass(frozen=True)
class MaxPool:
    """Maximum over windows of one or two dimensions."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil_mode: bool = False
    affine: bool = False

    def _pool(self, z: Tensor) -> tuple[Tensor, Tensor]:
        pool = functional.max_pool1d if len(self.kernel) == 1 else functional.max_pool2d
        both = pool(z, self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode, return_indices=True)
        return both[0], both[1]

    def forward(self, *z: Tensor) -> Tensor:
        return self._pool(z[0])[0]

    def interval(self, *boxes: Box) -> Box:
        return self._pool(boxes[0][0])[0], self._pool(boxes[0][1])[0]

    def backward(self, a: Tensor, boxes: Sequence[Box], slope: Tensor | None) -> tuple[tuple[Tensor, ...], Tensor]:  # noqa: ARG002
        """The maximum is at least the entry with the largest lower bound, and is that entry where no other can exceed it."""
        low, high = boxes[0]
        floor, best = self._pool(low)
        flat = best.flatten(2)
        rival = high.flatten(2).scatter(2, flat, torch.finfo(high.dtype).min)  # entries that are best in some window do not rival here
        others = self._pool(rival.reshape(high.shape))[0]
        alone = self._alone(best) & (others <= floor)
        keep = torch.where(alone.unsqueeze(1), a, a.clamp(min=0))
        constant = _dot(torch.where(alone.unsqueeze(1), torch.zeros_like(a), a.clamp(max=0)), self._pool(high)[0].unsqueeze(1))
        target = a.new_zeros((*a.shape[:2], *low.shape[1:])).flatten(3)
        index = flat.unsqueeze(1).expand(-1, a.shape[1], -1, -1)
        return (target.scatter_add(3, index, keep.flatten(3)).reshape(*a.shape[:2], *low.shape[1:]),), constant

    def _alone(self, best: Tensor) -> Tensor:
        """Where windows overlap, an entry that is best in one may rival another's: only windows that do not overlap are told apart."""
        overlap = any(s < d * (k - 1) + 1 for k, s, d in zip(self.kernel, self.stride, self.dilation, strict=True))
        return torch.zeros_like(best, dtype=torch.bool) if overlap else torch.ones_like(best, dtype=torch.bool)
