"""The table of ONNX operators that become torch, with those that move shapes and constants about."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bartizan.adapters import onnx_operators as layers
from bartizan.adapters.onnx_operators import BATCH, Call, Made, Step

MAX_CONSTANT = 2**26
"""Most entries of a constant that is worked out while reading."""

SHAPED = frozenset(
    {"Shape", "Size", "Gather", "Slice", "Squeeze", "Unsqueeze", "Concat", "Cast", "Identity", "Reshape", "Mul", "Div", "Where"}
)
"""Operators after which a number that is a multiple of the batch size can still be told from one that is not."""


def _binary(run: Callable[..., Tensor]) -> Callable[[Step], Made]:
    def build(step: Step) -> Made:
        if len(step.inputs) != 2:
            raise step.fault(f"has {len(step.inputs)} inputs")
        return Call(run), (step.value(0), step.value(1))

    return build


def _quotient(a: Any, b: Any) -> Any:
    """Division; of whole numbers it is cut towards zero."""
    if isinstance(a, Tensor) and isinstance(b, Tensor) and not (a.is_floating_point() or b.is_floating_point()):
        return torch.div(a, b, rounding_mode="trunc")
    return a / b


def _modulo(step: Step) -> Made:
    run = torch.fmod if step.whole("fmod", 0) else torch.remainder
    return Call(run), (step.value(0), step.value(1))


def _many(run: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Step], Made]:
    """An operator that folds one or more inputs."""

    def fold(first: Tensor, *rest: Tensor) -> Tensor:
        for one in rest:
            first = run(first, one)
        return first

    return lambda step: (Call(fold), tuple(step.value(i) for i in range(len(step.inputs))))


def _shape(step: Step) -> Made:
    shape = step.value().shape
    return torch.tensor(shape[slice(step.whole("start", 0), step.attributes.get("end"))], dtype=torch.int64)


def _gather(step: Step) -> Made:
    indices, axis = step.constant(1), step.axis(step.whole("axis", 0))
    size = step.value().shape[axis] if step.value().shape else 0
    if indices.is_floating_point() or indices.numel() == 0 or not bool(((indices >= -size) & (indices < size)).all()):
        raise step.fault("reads outside its input")
    wanted = indices.long() % size
    if wanted.ndim == 0:
        place = int(wanted)
        return Call(lambda x: x.select(axis, place)), (step.value(),)
    target = (*step.value().shape[:axis], *wanted.shape, *step.value().shape[axis + 1 :])
    if wanted.ndim == 1 or step.value().constant is not None:
        free = [-1 if size and size % BATCH == 0 else size for size in target]
        return Call(lambda x: x.index_select(axis, wanted.flatten().to(x.device)).reshape(free)), (step.value(),)
    raise step.fault("gathers by a matrix")


def _slice(step: Step) -> Made:
    starts, ends = step.list("starts", 1) or [], step.list("ends", 2) or []
    axes = step.list("axes", 3) or list(range(len(starts)))
    strides = step.list("steps", 4) or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(strides) or 0 in strides:
        raise step.fault("has starts, ends, axes and steps that do not fit")
    rank, shape = len(step.value().shape), step.value().shape
    cuts: list[tuple[int, list[int]]] = []
    for start, end, axis, stride in zip(starts, ends, axes, strides, strict=True):
        place = step.axis(axis)
        chosen = range(*slice(start, end, stride).indices(shape[place]))
        if shape[place] % BATCH == 0 and rank and step.value().constant is None:
            if len(chosen) != shape[place] or stride < 0:
                raise step.fault("cuts the batch")
            continue
        if len(chosen) > MAX_CONSTANT:
            raise step.fault("takes more entries than are read here")
        cuts.append((place, [chosen.start, len(chosen), chosen.step]))

    def cut(x: Tensor) -> Tensor:
        for place, (start, count, stride) in cuts:
            if stride == 1:
                x = x.narrow(place, start, count)
            else:
                x = x.index_select(place, torch.arange(count, device=x.device) * stride + start)
        return x

    return Call(cut), (step.value(),)


def _split(step: Step) -> Made:
    axis = step.axis(step.whole("axis", 0))
    size, sizes = step.value().shape[axis], step.list("split", 1)
    if sizes is None:
        count = step.whole("num_outputs", step.outputs)
        part = math.ceil(size / max(1, count))
        sizes = [part] * (count - 1) + [size - part * (count - 1)]
    if size % BATCH == 0 or sum(sizes) != size or any(one < 0 for one in sizes) or len(sizes) != step.outputs:
        raise step.fault(f"splits {size} into {sizes[:8]}")
    return Call(lambda x: torch.split(x, sizes, axis)), (step.value(),)


_FLOAT_TYPES, _BOOL_TYPE = frozenset({1, 10, 11, 16}), 9


def _cast(step: Step) -> Made:
    kind = step.whole("to", 1)
    if kind in _FLOAT_TYPES:
        return Call(lambda x: x if x.is_floating_point() else x.float()), (step.value(),)
    if kind == _BOOL_TYPE:
        return Call(lambda x: x != 0), (step.value(),)
    if kind not in (2, 3, 4, 5, 6, 7, 12, 13):
        raise step.fault("casts to a type that is not read here")
    return Call(lambda x: x.long()), (step.value(),)


def _constant(step: Step) -> Made:
    for name, value in step.attributes.items():
        if name == "value" and isinstance(value, Tensor):
            return value
        if name in ("value_float", "value_floats"):
            return torch.tensor(value, dtype=torch.float32)
        if name in ("value_int", "value_ints"):
            return torch.tensor(value, dtype=torch.int64)
    raise step.fault("holds no number")


def _filled(step: Step) -> Made:
    sizes = step.list("shape", 0) or []
    if math.prod(sizes) > MAX_CONSTANT or any(size < 0 for size in sizes):
        raise step.fault(f"has the dimensions {sizes[:8]}")
    value = step.attributes.get("value", torch.zeros(1))
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise step.fault("has no single value")
    return value.reshape(()).expand(sizes).clone()


def _expand(step: Step) -> Made:
    shape, wanted = step.value().shape, step.list("shape", 1, batchy=True) or []
    rank = max(len(shape), len(wanted))
    padded, asked = [1] * (rank - len(shape)) + list(shape), [1] * (rank - len(wanted)) + wanted
    target = [b if a == 1 else a for a, b in zip(padded, asked, strict=True)]
    if any(b not in (1, t) for b, t in zip(asked, target, strict=True)) or any(t < 0 for t in target):
        raise step.fault(f"spreads {list(shape)[:8]} to {wanted[:8]}")
    if step.value().constant is not None and any(t and t % BATCH == 0 for t in target):
        raise step.fault("makes a constant for each image")
    given = [-1 if a == t else t for a, t in zip(padded, target, strict=True)]
    lead = rank - len(shape)
    return Call(lambda x: x[(None,) * lead].expand(given)), (step.value(),)


def _layer_norm(step: Step) -> Made:
    axis = step.axis(step.whole("axis", -1))
    sizes, scale = step.value().shape[axis:], step.constant(1).float()
    bias = step.constant(2).float() if step.has(2) else torch.zeros(sizes)
    if any(size % BATCH == 0 for size in sizes) or scale.shape != sizes or bias.shape != sizes:
        raise step.fault("has weights that do not fit its input")
    layer = nn.LayerNorm(sizes, eps=step.number("epsilon", 1e-5))
    return layers.weighted(layer, scale, bias), (step.value(),)


def _instance_norm(step: Step) -> Made:
    scale, bias, eps = step.constant(1).float(), step.constant(2).float(), step.number("epsilon", 1e-5)
    layer = nn.GroupNorm(len(scale), len(scale), eps=eps)
    return layers.weighted(layer, scale, bias), (step.value(),)


def _local_norm(step: Step) -> nn.Module:
    size = step.whole("size", 1)
    return nn.LocalResponseNorm(size, step.number("alpha", 1e-4), step.number("beta", 0.75), step.number("bias", 1.0))


def _along(step: Step, values: Tensor) -> Tensor:
    """A scale for the whole tensor or for one axis, shaped to fit the first input."""
    if values.numel() == 1:
        return values.reshape(())
    axis = step.axis(step.whole("axis", 1))
    if step.whole("block_size", 0) or values.ndim != 1 or len(values) != step.value().shape[axis]:
        raise step.fault("has scales that do not fit its input")
    return values.reshape([-1 if i == axis else 1 for i in range(len(step.value().shape))])


def _quantised(step: Step) -> Made:
    scale = _along(step, step.constant(1).float())
    zero = _along(step, step.constant(2).float()) if step.has(2) else torch.zeros(())
    low, high = (-128.0, 127.0) if step.has(2) and step.constant(2).dtype == torch.int8 else (0.0, 255.0)
    return Call(lambda x: torch.clamp(torch.round(x / scale) + zero, low, high)), (step.value(),)


def _restored(step: Step) -> Made:
    scale = _along(step, step.constant(1).float())
    zero = _along(step, step.constant(2).float()) if step.has(2) else torch.zeros(())
    return Call(lambda x: (x.float() - zero) * scale), (step.value(),)


def _gelu(step: Step) -> nn.Module:
    return nn.GELU("tanh" if step.attributes.get("approximate", "none") == "tanh" else "none")


def _hard_sigmoid(step: Step) -> nn.Module:
    alpha, beta = step.number("alpha", 0.2), step.number("beta", 0.5)
    return Call(lambda x: torch.clamp(alpha * x + beta, 0.0, 1.0))


def _global_maximum(step: Step) -> nn.Module:
    return Call(partial(torch.amax, dim=list(range(2, len(step.value().shape))), keepdim=True))


_UNARY: dict[str, Callable[..., Any]] = {
    "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Exp": torch.exp, "Log": torch.log, "Sqrt": torch.sqrt, "Neg": operator.neg,
    "Abs": torch.abs, "Reciprocal": torch.reciprocal, "Erf": torch.erf, "Floor": torch.floor, "Ceil": torch.ceil, "Round": torch.round,
    "Sign": torch.sign, "Softsign": functional.softsign, "Not": torch.logical_not, "Sin": torch.sin, "Cos": torch.cos,
}  # fmt: skip

_BINARY: dict[str, Callable[..., Any]] = {
    "Add": operator.add, "Sub": operator.sub, "Mul": operator.mul, "Div": _quotient, "Pow": torch.pow, "Equal": torch.eq,
    "Greater": torch.gt, "GreaterOrEqual": torch.ge, "Less": torch.lt, "LessOrEqual": torch.le, "And": torch.logical_and,
    "Or": torch.logical_or, "PRelu": lambda x, slope: torch.where(x >= 0, x, x * slope),
}  # fmt: skip

_LAYERS: dict[str, Callable[[Step], nn.Module]] = {
    "Relu": lambda _: nn.ReLU(), "LeakyRelu": lambda s: nn.LeakyReLU(s.number("alpha", 0.01)), "Identity": lambda _: nn.Identity(),
    "Elu": lambda s: nn.ELU(s.number("alpha", 1.0)), "Selu": lambda _: nn.SELU(), "Celu": lambda s: nn.CELU(s.number("alpha", 1.0)),
    "Softplus": lambda _: nn.Softplus(threshold=80.0), "HardSwish": lambda _: nn.Hardswish(), "HardSigmoid": _hard_sigmoid, "Gelu": _gelu,
    "Mish": lambda _: nn.Mish(), "GlobalAveragePool": layers.global_average, "GlobalMaxPool": _global_maximum, "LRN": _local_norm,
    "ThresholdedRelu": lambda s: nn.Threshold(s.number("alpha", 1.0), 0.0),
}  # fmt: skip

OPERATORS: Mapping[str, Callable[[Step], Made]] = MappingProxyType({
    **{name: layers.plain(run) for name, run in _UNARY.items()},
    **{name: _binary(run) for name, run in _BINARY.items()},
    **{name: layers.layer(make) for name, make in _LAYERS.items()},
    "Conv": layers.convolution, "Gemm": layers.gemm, "MatMul": layers.matmul, "BatchNormalization": layers.batch_norm,
    "MaxPool": layers.max_pool, "AveragePool": layers.average_pool, "Flatten": layers.flatten, "Reshape": layers.reshape,
    "Transpose": layers.transpose, "Concat": layers.concat, "Squeeze": layers.squeeze, "Unsqueeze": layers.unsqueeze,
    "Pad": layers.padded, "Clip": layers.clip, "Dropout": layers.dropout,
    "Softmax": layers.softmax(nn.Softmax, torch.softmax), "LogSoftmax": layers.softmax(nn.LogSoftmax, torch.log_softmax),
    "ReduceMean": layers.reduction(torch.mean), "ReduceSum": layers.reduction(torch.sum), "ReduceMax": layers.reduction(torch.amax),
    "ReduceMin": layers.reduction(torch.amin),
    "ReduceL2": layers.reduction(lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep)),
    "Mod": _modulo, "Sum": _many(operator.add), "Max": _many(torch.maximum), "Min": _many(torch.minimum),
    "Where": layers.plain(torch.where),
    "Shape": _shape, "Gather": _gather, "Slice": _slice, "Split": _split, "Cast": _cast, "Constant": _constant,
    "ConstantOfShape": _filled, "Expand": _expand, "LayerNormalization": _layer_norm, "InstanceNormalization": _instance_norm,
    "QuantizeLinear": _quantised, "DequantizeLinear": _restored,
})  # fmt: skip
"""Name of the operator -> how it becomes torch."""
