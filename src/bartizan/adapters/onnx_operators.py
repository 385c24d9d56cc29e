"""The operators of an ONNX classifier as torch modules: one short function for each, named as in the ONNX operator list.

Layers that torch has become torch's own layers, so that certificates read them too. A function gets one step of the graph and returns the
module with the values that it takes, or a constant tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from bartizan.model.errors import InputError

BATCH = 1_000_003
"""The batch size under which shapes are worked out: a prime that no layer has, so that a multiple of it shows where the batch went."""


@dataclass(frozen=True)
class Value:
    """What an edge of the graph carries: its shape for `BATCH` images, its content if constant, and whether that depends on the batch."""

    slot: int
    shape: tuple[int, ...]
    constant: Tensor | None = None
    batchy: bool = False
    dtype: torch.dtype = torch.float32


Made: TypeAlias = "tuple[nn.Module, tuple[Value, ...]] | Tensor"


class Call(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        self.run = run

    def forward(self, *values: Tensor) -> Any:
        """Whatever the function gives for its tensors."""
        return self.run(*values)


@dataclass(frozen=True)
class Step:
    """One operator with its attributes and inputs; `opset` is the version of the operator list, `outputs` how many results are used."""

    kind: str
    opset: int
    attributes: dict[str, Any]
    inputs: tuple[Value | None, ...]
    outputs: int = 1

    def fault(self, what: str) -> InputError:
        """An error that names the operator."""
        return InputError(f"operator {self.kind} {what}", cure="export the model for inference, with plain layers")

    def value(self, place: int = 0) -> Value:
        """The input at `place`, which must be there."""
        if place >= len(self.inputs) or self.inputs[place] is None:
            raise self.fault(f"lacks its input {place + 1}")
        found = self.inputs[place]
        assert found is not None
        return found

    def has(self, place: int) -> bool:
        return place < len(self.inputs) and self.inputs[place] is not None

    def constant(self, place: int, *, batchy: bool = False) -> Tensor:
        """The content of the input at `place`, which must not depend on the images, nor on their number unless `batchy`."""
        found = self.value(place)
        if found.constant is None or (found.batchy and not batchy):
            raise self.fault(f"has an input {place + 1} that is computed from the images")
        return found.constant

    def whole(self, name: str, default: int) -> int:
        """A whole number among the attributes."""
        found = self.attributes.get(name, default)
        if not isinstance(found, int):
            raise self.fault(f"has no whole number as {name}")
        return found

    def number(self, name: str, default: float) -> float:
        """A number among the attributes."""
        found = self.attributes.get(name, default)
        if not isinstance(found, int | float):
            raise self.fault(f"has no number as {name}")
        return float(found)

    def list(self, name: str, place: int | None = None, *, batchy: bool = False) -> list[int] | None:
        """Whole numbers from an attribute or, in later versions, from the input at `place`; None where neither is there."""
        if name in self.attributes:
            found = self.attributes[name]
            if not isinstance(found, list) or not all(isinstance(one, int) for one in found):
                raise self.fault(f"has no list of whole numbers as {name}")
            return found
        if place is not None and self.has(place):
            return [int(one) for one in self.constant(place, batchy=batchy).flatten().tolist()]
        return None

    def axis(self, given: int, rank: int | None = None) -> int:
        """An axis counted from the front."""
        rank = len(self.value().shape) if rank is None else rank
        if not -rank <= given < max(rank, 1):
            raise self.fault(f"has axis {given} of {rank}")
        return given % max(rank, 1)


def plain(run: Callable[..., Any]) -> Callable[[Step], Made]:
    """An operator that is one function of all its inputs."""
    return lambda step: (Call(run), tuple(step.value(i) for i in range(len(step.inputs))))


def layer(make: Callable[[Step], nn.Module]) -> Callable[[Step], Made]:
    """An operator that is one torch layer on its first input."""
    return lambda step: (make(step), (step.value(),))


def _tuple(step: Step, name: str, count: int, default: int) -> tuple[int, ...]:
    found = step.list(name) or [default] * count
    if len(found) != count or any(one < 1 for one in found):
        raise step.fault(f"has {name}={found[:6]}")
    return tuple(found)


def _padding(step: Step, kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]) -> list[tuple[int, int]]:
    """Padding before and after each spatial axis, `auto_pad` worked out."""
    mode, count = step.attributes.get("auto_pad", "NOTSET"), len(kernel)
    if mode == "VALID":
        return [(0, 0)] * count
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        pads = []
        for size, k, s, d in zip(step.value().shape[2:], kernel, strides, dilations, strict=True):
            total = max(0, (math.ceil(size / s) - 1) * s + d * (k - 1) + 1 - size)
            small, large = total // 2, total - total // 2
            pads.append((small, large) if mode == "SAME_UPPER" else (large, small))
        return pads
    flat = step.list("pads") or [0] * (2 * count)
    if len(flat) != 2 * count or any(one < 0 for one in flat):
        raise step.fault(f"has pads={flat[:8]}")
    return list(zip(flat[:count], flat[count:], strict=True))


def _flat(pads: list[tuple[int, int]]) -> list[int]:
    """Padding in torch's order: the last axis first."""
    return [side for pair in reversed(pads) for side in pair]


def _zeros(pads: list[tuple[int, int]]) -> nn.Module:
    if len(pads) == 2:
        return nn.ZeroPad2d(tuple(_flat(pads)))  # type: ignore[arg-type]
    return Call(partial(functional.pad, pad=_flat(pads)))


def _spatial(step: Step, kernel: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """The shape of the window, whose length must fit the input (1 to 3 axes)."""
    count = len(step.value().shape) - 2
    if not 1 <= count <= 3:
        raise step.fault(f"has an input of {count + 2} axes")
    return _tuple(step, "kernel_shape", count, 1) if kernel is None else kernel


def weighted(layer: Any, weight: Tensor, bias: Tensor | None) -> nn.Module:
    """`layer` with these weights."""
    layer.weight = nn.Parameter(weight.float().clone(), requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias.float().clone(), requires_grad=False)
    made: nn.Module = layer
    return made


def convolution(step: Step) -> Made:
    weight = step.constant(1)
    kernel = _spatial(step, tuple(weight.shape[2:]))
    if len(kernel) != len(step.value().shape) - 2 or step.list("kernel_shape") not in (None, list(kernel)):
        raise step.fault("has weights that do not fit its input")
    strides, dilations = _tuple(step, "strides", len(kernel), 1), _tuple(step, "dilations", len(kernel), 1)
    pads, groups = _padding(step, kernel, strides, dilations), step.whole("group", 1)
    if groups < 1 or weight.shape[0] % groups or weight.shape[1] * groups != step.value().shape[1]:
        raise step.fault(f"has {groups} groups for weights {tuple(weight.shape)}")
    even = all(a == b for a, b in pads)
    make: Any = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(kernel) - 1]
    with torch.device("meta"):
        layer = make(
            weight.shape[1] * groups, weight.shape[0], kernel, strides, tuple(a for a, _ in pads) if even else 0, dilations, groups
        )
    module = weighted(layer, weight, step.constant(2) if step.has(2) else None)
    return module if even else nn.Sequential(_zeros(pads), module), (step.value(),)


def _dense(weight: Tensor, bias: Tensor | None) -> nn.Module:
    """A linear layer with `weight` (out, in)."""
    with torch.device("meta"):
        layer = nn.Linear(weight.shape[1], weight.shape[0])
    return weighted(layer, weight, bias)


def gemm(step: Step) -> Made:
    weight = step.constant(1).float() * step.number("alpha", 1.0)
    weight = weight if step.whole("transB", 0) else weight.T
    if step.whole("transA", 0) or weight.ndim != 2:
        raise step.fault("multiplies other than images by weights")
    bias = None
    if step.has(2):
        bias = step.constant(2).float() * step.number("beta", 1.0)
        if bias.numel() not in (1, len(weight)):
            raise step.fault("adds more than a bias")
        bias = bias.reshape(-1).expand(len(weight))
    return _dense(weight.contiguous(), bias), (step.value(),)


def matmul(step: Step) -> Made:
    second = step.value(1)
    if second.constant is not None and not second.batchy and second.constant.ndim == 2 and len(step.value().shape) > 1:
        return _dense(second.constant.float().T.contiguous(), None), (step.value(),)
    return Call(torch.matmul), (step.value(), second)


def batch_norm(step: Step) -> Made:
    if step.whole("training_mode", 0):
        raise step.fault("is exported for training")
    scale, bias, mean, var = (step.constant(i).float() for i in range(1, 5))
    rank = len(step.value().shape)
    if not 2 <= rank <= 5:
        raise step.fault(f"has an input of {rank} axes")
    make: Any = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[rank]
    layer = weighted(make(len(scale), eps=step.number("epsilon", 1e-5)), scale, bias)
    layer.running_mean, layer.running_var = mean.clone(), var.clone()
    return layer.eval(), (step.value(),)


def max_pool(step: Step) -> Made:
    if step.outputs > 1:
        raise step.fault("gives indices")
    kernel = _spatial(step)
    strides, dilations = _tuple(step, "strides", len(kernel), 1), _tuple(step, "dilations", len(kernel), 1)
    pads, ceil = _padding(step, kernel, strides, dilations), bool(step.whole("ceil_mode", 0))
    make: Any = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[len(kernel) - 1]
    if all(a == b and 2 * a <= k for (a, b), k in zip(pads, kernel, strict=True)):
        return make(kernel, strides, tuple(a for a, _ in pads), dilations, ceil_mode=ceil), (step.value(),)
    edge = Call(partial(functional.pad, pad=_flat(pads), value=-math.inf))
    return nn.Sequential(edge, make(kernel, strides, 0, dilations, ceil_mode=ceil)), (step.value(),)


def average_pool(step: Step) -> Made:
    kernel = _spatial(step)
    strides = _tuple(step, "strides", len(kernel), 1)
    if set(_tuple(step, "dilations", len(kernel), 1)) != {1}:
        raise step.fault("is dilated")
    pads, ceil = _padding(step, kernel, strides, (1,) * len(kernel)), bool(step.whole("ceil_mode", 0))
    counted = bool(step.whole("count_include_pad", 0))
    make: Any = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[len(kernel) - 1]
    if all(a == b and 2 * a <= k for (a, b), k in zip(pads, kernel, strict=True)):
        return make(kernel, strides, tuple(a for a, _ in pads), ceil, counted), (step.value(),)
    pool, edge = make(kernel, strides, 0, ceil), _flat(pads)
    if counted:
        return nn.Sequential(_zeros(pads), pool), (step.value(),)
    return Call(lambda x: pool(functional.pad(x, edge)) / pool(functional.pad(torch.ones_like(x), edge))), (step.value(),)


def global_average(step: Step) -> nn.Module:
    make: Any = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)[
        len(_spatial(step, (1,) * (len(step.value().shape) - 2))) - 1
    ]
    pool: nn.Module = make(1)
    return pool


def reshaped(step: Step, target: tuple[int, ...]) -> Made:
    """A reshape to `target`, in which a multiple of `BATCH` stands where the batch goes."""
    moving = [place for place, size in enumerate(target) if size and size % BATCH == 0]
    if step.value().constant is None and len(moving) != 1:
        raise step.fault("mixes the images of a batch")
    given = [-1 if place in moving else size for place, size in enumerate(target)]
    return Call(lambda x: x.reshape(given)), (step.value(),)


def reshape(step: Step) -> Made:
    before, target = step.value().shape, step.list("shape", 1, batchy=True) or []
    if not step.whole("allowzero", 0):
        target = [before[i] if size == 0 and i < len(before) else size for i, size in enumerate(target)]
    total = math.prod(before)
    fixed = math.prod(size for size in target if size != -1)
    if target and target.count(-1) == 0 and fixed != total and before and before[0] == BATCH and fixed == target[0] * (total // BATCH):
        target[0] = BATCH  # exported for batches of one size
    elif target and target.count(-1) == 1 and fixed and total % fixed == 0:
        target[target.index(-1)] = total // fixed
        if step.value().constant is None and target[0] == 1 and before[0] == BATCH and sum(size % BATCH == 0 for size in target) == 1:
            place = next(i for i, size in enumerate(target) if size % BATCH == 0)
            target[0], target[place] = BATCH, target[place] // BATCH
    if math.prod(target) != total:
        cure = "export the model with a batch axis of any size"
        raise InputError(f"operator Reshape turns {_shown(before)} into {_shown(tuple(target))}", cure=cure)
    return reshaped(step, tuple(target))


def _shown(shape: tuple[int, ...]) -> str:
    return str([("batch" if size == BATCH else size) for size in shape][:8])


def flatten(step: Step) -> Made:
    axis = step.whole("axis", 1)
    shape = step.value().shape
    axis = axis % (len(shape) + 1) if axis < 0 else axis
    if axis == 1 and len(shape) > 1:
        return nn.Flatten(), (step.value(),)
    return reshaped(step, (math.prod(shape[:axis]), math.prod(shape[axis:])))


def transpose(step: Step) -> Made:
    rank = len(step.value().shape)
    order = step.list("perm") or list(range(rank))[::-1]
    if sorted(order) != list(range(rank)):
        raise step.fault(f"has perm={order[:8]}")
    return Call(lambda x: x.permute(order)), (step.value(),)


def concat(step: Step) -> Made:
    axis = step.axis(step.whole("axis", 0))
    return Call(lambda *parts: torch.cat(parts, axis)), tuple(step.value(i) for i in range(len(step.inputs)))


def squeeze(step: Step) -> Made:
    shape, axes = step.value().shape, step.list("axes", 1)
    gone = {step.axis(one) for one in axes} if axes is not None else {i for i, size in enumerate(shape) if size == 1}
    if any(shape[i] != 1 for i in gone):
        raise step.fault("drops an axis that is longer than 1")
    return _moved(step, tuple(size for i, size in enumerate(shape) if i not in gone))


def unsqueeze(step: Step) -> Made:
    shape, axes = list(step.value().shape), step.list("axes", 1) or []
    for one in sorted(step.axis(one, len(shape) + len(axes)) for one in axes):
        shape.insert(one, 1)
    return _moved(step, tuple(shape))


def _moved(step: Step, target: tuple[int, ...]) -> Made:
    return reshaped(step, target) if step.value().constant is None else (Call(lambda x: x.reshape(target)), (step.value(),))


def padded(step: Step) -> Made:
    rank, mode = len(step.value().shape), step.attributes.get("mode", "constant")
    pads, axes = step.list("pads", 1) or [], step.list("axes", 3)
    axes = [step.axis(one) for one in axes] if axes is not None else list(range(rank))
    if len(pads) != 2 * len(axes) or len(set(axes)) != len(axes) or mode not in ("constant", "reflect", "edge"):
        raise step.fault(f"has pads={pads[:8]} and mode {mode}")
    sides = dict(zip(axes, zip(pads[: len(axes)], pads[len(axes) :], strict=True), strict=True))
    pairs = [sides.get(i, (0, 0)) for i in range(rank)]
    first = next((i for i, pair in enumerate(pairs) if any(pair)), rank - 1)
    first = first if mode == "constant" else 2
    value = float(step.constant(2)) if step.has(2) and step.value(2).shape in ((), (1,)) else step.number("value", 0.0)
    kind = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}[mode]
    given: Any = {"value": value} if kind == "constant" else {}
    return Call(partial(functional.pad, pad=_flat(pairs[first:]), mode=kind, **given)), (step.value(),)


def clip(step: Step) -> Made:
    low = float(step.constant(1)) if step.has(1) else step.attributes.get("min")
    high = float(step.constant(2)) if step.has(2) else step.attributes.get("max")
    if low == 0.0 and (high is None or high >= 3e38):
        return nn.ReLU(), (step.value(),)
    if low is None and high is None:
        return nn.Identity(), (step.value(),)
    return Call(partial(torch.clamp, min=low, max=high)), (step.value(),)


def dropout(step: Step) -> Made:
    if step.has(2) and bool(step.constant(2)):
        raise step.fault("is exported for training")
    return nn.Identity(), (step.value(),)


def softmax(make: Callable[..., nn.Module], run: Callable[..., Tensor]) -> Callable[[Step], Made]:
    def build(step: Step) -> Made:
        rank = len(step.value().shape)
        axis = step.axis(step.whole("axis", -1 if step.opset >= 13 else 1))
        if step.opset >= 13 or axis == rank - 1:
            return make(dim=axis), (step.value(),)
        return Call(lambda x: run(x.flatten(axis), dim=-1).reshape(x.shape)), (step.value(),)

    return build


def reduction(run: Callable[..., Tensor]) -> Callable[[Step], Made]:
    def build(step: Step) -> Made:
        axes = step.list("axes", 1)
        if not axes and step.whole("noop_with_empty_axes", 0):
            return nn.Identity(), (step.value(),)
        chosen = sorted({step.axis(one) for one in axes}) if axes else list(range(len(step.value().shape)))
        keep = bool(step.whole("keepdims", 1))
        return Call(lambda x: run(x, chosen, keep)), (step.value(),)

    return build
