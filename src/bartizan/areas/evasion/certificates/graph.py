"""A torch module read as a short list of layers that bounds can be carried through; residual and branching nets included.

The module is copied in evaluation mode and traced with torch.fx; batch norm and constants become scalings, softmax at the end is dropped
because it keeps the order of the logits. The reading is checked against the module itself before anybody relies on it.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from bartizan.areas.evasion.certificates.layers import (
    Affine,
    Concatenation,
    Layer,
    MaxPool,
    Rectifier,
    Sum,
    averaging,
    convolution,
    dense,
    scaling,
)
from bartizan.model.errors import InputError

_RESHAPES = {"view", "reshape", "flatten", "squeeze", "unsqueeze", torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze}
_LINEAR_CALLS = {"permute", "transpose", "mean", torch.permute, torch.transpose, torch.mean, torch.avg_pool1d, functional.avg_pool2d,
                 functional.avg_pool1d, functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d}  # fmt: skip
_LINEAR_MODULES = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.ZeroPad2d)
_IDENTITIES = {"contiguous", "clone", "float", "double", functional.dropout, functional.dropout2d}
_IDENTITY_MODULES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)
_SUMS = {operator.add: 1.0, operator.iadd: 1.0, torch.add: 1.0, "add": 1.0, "add_": 1.0,
         operator.sub: -1.0, operator.isub: -1.0, torch.sub: -1.0, "sub": -1.0, "sub_": -1.0}  # fmt: skip
_PRODUCTS = {operator.mul, operator.imul, torch.mul, "mul", "mul_"}
_QUOTIENTS = {operator.truediv, operator.itruediv, torch.div, torch.true_divide, "div", "div_"}
_RELUS = {torch.relu, torch.relu_, functional.relu, functional.relu_, "relu", "relu_"}
_LEAKY = {functional.leaky_relu, functional.leaky_relu_}
_POOLS = {functional.max_pool1d, functional.max_pool2d, torch.max_pool1d, torch.max_pool2d}
_SOFTMAX = {torch.softmax, torch.log_softmax, functional.softmax, functional.log_softmax, "softmax", "log_softmax"}


@dataclass(frozen=True)
class Node:
    """One layer, the earlier nodes it reads, and the shape of its output without the batch. Node 0 is the input and has no layer."""

    layer: Layer | None
    inputs: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """The layers in the order of evaluation; the last one gives the logits (B, K)."""

    nodes: tuple[Node, ...]

    @property
    def classes(self) -> int:
        """How many logits the net has; 1 stands for a two-class net with one output, positive for class 1."""
        return self.nodes[-1].shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """The logits of a batch, through the layers as read."""
        values = [x]
        for node in self.nodes[1:]:
            assert node.layer is not None
            values.append(node.layer.forward(*(values[i] for i in node.inputs)))
        return values[-1]


def read(model: nn.Module, example: Tensor, *, dtype: torch.dtype = torch.float64) -> Graph:
    """The layers of `model` for inputs like `example` (B, *shape) in precision `dtype`; the model stays as it is.

    Raises InputError where the module cannot be traced (its control flow depends on the data) or has a layer with no known bound.
    """
    private = copy.deepcopy(model).to(dtype).eval().requires_grad_(False)
    try:
        traced = fx.symbolic_trace(private)
    except (fx.proxy.TraceError, TypeError, RuntimeError, ValueError) as error:
        cause = f"the model's steps cannot be listed ({type(error).__name__}: {error})"
        raise InputError(
            cause, place="certificate", cure="give the net as modules whose control flow does not depend on the data"
        ) from None
    sample = torch.cat([example[:1], example[:1].roll(1, -1)]).to(dtype)
    graph = _Reader(traced, sample).graph()
    _verify(graph, private, sample)
    return graph


def _verify(graph: Graph, model: nn.Module, sample: Tensor) -> None:
    """The layers as read must agree with the module, up to a final softmax: compared by differences of logits."""
    with torch.no_grad():
        ours, theirs = graph.forward(sample), model(sample)
        if ours.shape != theirs.shape or ours.dim() != 2:
            raise InputError(
                f"the model's output has shape {tuple(theirs.shape)}", place="certificate", cure="it must be logits (batch, classes)"
            )
        if ours.shape[1] == 1:
            gap = (ours - theirs).abs().max()
        else:
            plain, log = _differences(ours), _differences(theirs)
            soft = _differences(theirs.clamp_min(1e-300).log()) if bool((theirs >= 0).all()) else log
            gap = torch.minimum((plain - log).abs().max(), (plain - soft).abs().max())
        if not bool(gap <= 1e-4 * (1.0 + ours.abs().max())):
            raise InputError(
                "the model's layers do not add up to its output", place="certificate", cure="give the net as plain torch.nn layers"
            )


def _differences(logits: Tensor) -> Tensor:
    return logits[:, 1:] - logits[:, :1]


class _Reader:
    """Walks the traced module once with an example, and notes a layer for every step that depends on the input."""

    def __init__(self, traced: fx.GraphModule, sample: Tensor) -> None:
        self.modules: Mapping[str, nn.Module] = dict(traced.named_modules())
        self.traced, self.sample = traced, sample
        self.values: dict[fx.Node, Any] = {}
        self.where: dict[fx.Node, int] = {}
        self.nodes: list[Node] = [Node(None, (), tuple(sample.shape[1:]))]

    def graph(self) -> Graph:
        with torch.no_grad():
            for node in self.traced.graph.nodes:
                if node.op == "output":
                    return self._finish(node.args[0])
                self._step(node)
        raise InputError("the model returns nothing", place="certificate")

    def _finish(self, last: object) -> Graph:
        if not isinstance(last, fx.Node) or last not in self.where:
            raise InputError("the model does not return one tensor that depends on its input", place="certificate")
        self.nodes = self.nodes[: self.where[last] + 1]  # later steps are not used by the output
        return Graph(tuple(self.nodes))

    def _step(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            if self.where:
                raise InputError("the model takes more than one input", place="certificate")
            self.values[node], self.where[node] = self.sample, 0
            return
        self.values[node] = self._value(node)
        if isinstance(self.values[node], Tensor) and any(n in self.where for n in node.all_input_nodes):
            self._note(node)

    def _value(self, node: fx.Node) -> Any:
        args, kwargs = fx.node.map_arg((node.args, dict(node.kwargs)), lambda n: self.values[n])
        if node.op == "get_attr":
            value: Any = self.traced
            for part in str(node.target).split("."):
                value = getattr(value, part)
            return value
        if node.op == "call_module":
            return self.modules[str(node.target)](*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        assert callable(node.target)
        return node.target(*args, **kwargs)

    def _note(self, node: fx.Node) -> None:
        """Append the layer of this step, or let it stand for its input where it changes nothing."""
        inputs = self._inputs(node)
        made = self._of_module(node) if node.op == "call_module" else self._of_call(node)
        if made is None:
            self.where[node] = inputs[0]
            return
        self.nodes.append(Node(made, inputs, tuple(self.values[node].shape[1:])))
        self.where[node] = len(self.nodes) - 1

    def _inputs(self, node: fx.Node) -> tuple[int, ...]:
        first = node.args[0] if node.args else None
        listed = list(first) if isinstance(first, (list, tuple)) else list(node.args)
        found = tuple(self.where[n] for n in listed if isinstance(n, fx.Node) and n in self.where and isinstance(self.values[n], Tensor))
        return found or tuple(self.where[n] for n in node.all_input_nodes if n in self.where)

    def _source(self, node: fx.Node) -> Tensor:
        """The value that the step reads from the input's side."""
        source: Tensor = next(self.values[n] for n in node.all_input_nodes if n in self.where and isinstance(self.values[n], Tensor))
        return source

    def _of_module(self, node: fx.Node) -> Layer | None:
        module, shape = self.modules[str(node.target)], tuple(self._source(node).shape[1:])
        if isinstance(module, nn.Linear):
            return dense(module.weight, module.bias)
        if isinstance(module, (nn.Conv1d, nn.Conv2d)):
            return _convolution(module, shape)
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            return _norm(module, shape)
        if isinstance(module, nn.ReLU):
            return Rectifier()
        if isinstance(module, nn.LeakyReLU):
            return _leaky(module.negative_slope)
        if isinstance(module, (nn.MaxPool1d, nn.MaxPool2d)):
            return _pool(len(shape) - 1, module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode)
        if isinstance(module, (nn.Flatten, nn.Unflatten)):
            return self._reshape(node)
        if isinstance(module, _LINEAR_MODULES):
            return averaging(module, shape, self.sample)
        if isinstance(module, (nn.Softmax, nn.LogSoftmax)):
            self._softmax(node)
            return None
        if isinstance(module, _IDENTITY_MODULES):
            return None
        raise _no_bound(type(module).__name__)

    def _of_call(self, node: fx.Node) -> Layer | None:
        target: Any = node.target
        if target in _RELUS:
            return Rectifier()
        if target in _LEAKY:
            return _leaky(node.kwargs.get("negative_slope", node.args[1] if len(node.args) > 1 else 0.01))
        if target in _SUMS:
            return self._sum(node, _SUMS[target])
        if target in _PRODUCTS or target in _QUOTIENTS or target in (operator.neg, torch.neg):
            return self._scaling(node)
        if target in _RESHAPES:
            return self._reshape(node)
        if target in _IDENTITIES:
            return None
        if target in _SOFTMAX:
            self._softmax(node)
            return None
        if target in (torch.cat, torch.concat):
            return self._concatenation(node)
        if target in _POOLS:
            names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
            said = {**dict(zip(names, node.args[1:], strict=False)), **node.kwargs}
            kernel = said["kernel_size"]
            return _pool(self._source(node).dim() - 2, kernel, said.get("stride") or kernel, said.get("padding", 0),
                         said.get("dilation", 1), bool(said.get("ceil_mode", False)))  # fmt: skip
        if target in _LINEAR_CALLS:
            return averaging(self._call(node), tuple(self._source(node).shape[1:]), self.sample)
        raise _no_bound(target if isinstance(target, str) else getattr(target, "__name__", str(target)))

    def _call(self, node: fx.Node) -> Callable[[Tensor], Tensor]:
        rest, kwargs = fx.node.map_arg((node.args[1:], dict(node.kwargs)), lambda n: self.values[n])
        if node.op == "call_method":
            return lambda z: getattr(z, str(node.target))(*rest, **kwargs)
        target: Any = node.target
        return lambda z: target(z, *rest, **kwargs)

    def _reshape(self, node: fx.Node) -> Affine:
        before, after = tuple(self._source(node).shape), tuple(self.values[node].shape)
        if before[0] != after[0]:
            raise InputError("the model mixes the images of a batch in a reshape", place="certificate", cure="keep the first dimension")
        bias = self.sample.new_zeros(after[1:])
        ahead: Callable[[Tensor], Tensor] = lambda z: z.reshape(-1, *after[1:])  # noqa: E731
        return Affine(ahead, ahead, lambda a: a.reshape(-1, *before[1:]), bias)

    def _operands(self, node: fx.Node) -> tuple[list[fx.Node], Any]:
        """The operands that depend on the input, and the constant one, None where there is none."""
        moving = [n for n in node.args if isinstance(n, fx.Node) and n in self.where]
        fixed = [self.values[n] if isinstance(n, fx.Node) else n for n in node.args if not (isinstance(n, fx.Node) and n in self.where)]
        return moving, fixed[0] if fixed else None

    def _sum(self, node: fx.Node, sign: float) -> Layer:
        if any(name not in ("inplace",) for name in node.kwargs):
            raise _no_bound(f"{node.target} with {', '.join(node.kwargs)}")
        moving, constant = self._operands(node)
        if len(moving) == 2:
            if self.values[moving[0]].shape != self.values[moving[1]].shape:
                raise _no_bound("a sum of different shapes")
            return Sum((1.0, sign))
        first = node.args[0] is moving[0]
        shift = self._like(node, constant)
        return scaling(torch.ones_like(shift), sign * shift) if first else scaling(torch.full_like(shift, sign), shift)

    def _scaling(self, node: fx.Node) -> Layer:
        moving, constant = self._operands(node)
        if len(moving) != 1 or (node.args[0] is not moving[0] and node.target in _QUOTIENTS):
            raise _no_bound("a product or quotient of two tensors that both depend on the input")
        factor = self._like(node, -1.0 if constant is None else constant)
        return scaling(1.0 / factor if node.target in _QUOTIENTS else factor, torch.zeros_like(factor))

    def _like(self, node: fx.Node, constant: object) -> Tensor:
        """A constant spread to the shape of one image of the step's output."""
        value = torch.as_tensor(constant, dtype=self.sample.dtype, device=self.sample.device)
        if self._source(node).shape != self.values[node].shape:
            raise _no_bound("a constant that widens its operand")
        return torch.broadcast_to(value, self.values[node].shape)[0].clone()

    def _concatenation(self, node: fx.Node) -> Layer:
        first = node.args[0]
        parts: Sequence[Any] = list(first) if isinstance(first, (list, tuple)) else []
        if not parts or any(part not in self.where for part in parts):
            raise _no_bound("a concatenation with a constant")
        given: Any = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
        dim = int(given) % self.values[node].dim()
        if dim == 0:
            raise InputError("the model concatenates along the batch", place="certificate")
        return Concatenation(dim, tuple(self.values[part].shape[dim] for part in parts))

    def _softmax(self, node: fx.Node) -> None:
        if any(user.op != "output" for user in node.users):
            raise _no_bound("softmax inside the net")


def _no_bound(name: str) -> InputError:
    return InputError(f"no bound is known through '{name}'", place="certificate",
                      cure="certify nets of linear, convolution, batch norm, (leaky) ReLU, pooling, reshape and sum layers")  # fmt: skip


def _leaky(slope: object) -> Rectifier:
    value = float(str(slope))
    if not 0.0 <= value < 1.0:
        raise _no_bound(f"a leaky ReLU of slope {value}")
    return Rectifier(value)


def _many(value: object, count: int) -> tuple[int, ...]:
    return tuple(int(v) for v in value) if isinstance(value, (tuple, list)) else (int(str(value)),) * count


def _pool(space: int, kernel: object, stride: object, padding: object, dilation: object, ceil_mode: bool) -> MaxPool:
    return MaxPool(_many(kernel, space), _many(stride, space), _many(padding, space), _many(dilation, space), ceil_mode)


def _convolution(module: nn.Conv1d | nn.Conv2d, shape: tuple[int, ...]) -> Affine:
    if module.padding_mode != "zeros" or module.padding == "same":
        raise _no_bound(f"a convolution with padding '{module.padding_mode if module.padding != 'same' else 'same'}'")
    padding = (0,) * (len(shape) - 1) if module.padding == "valid" else _many(module.padding, len(shape) - 1)
    return convolution(module.weight, module.bias, shape, tuple(module.stride), padding, tuple(module.dilation), module.groups)


def _norm(module: nn.BatchNorm1d | nn.BatchNorm2d, shape: tuple[int, ...]) -> Affine:
    mean, variance = module.running_mean, module.running_var
    if mean is None or variance is None:
        raise InputError(
            "batch norm without running statistics", place="certificate", cure="its output depends on the other images of the batch"
        )
    scale = torch.rsqrt(variance + module.eps)
    if module.weight is not None:
        scale = scale * module.weight
    shift = -mean * scale if module.bias is None else module.bias - mean * scale
    spread = (-1, *[1] * (len(shape) - 1))
    return scaling(scale.reshape(spread).expand(shape).clone(), shift.reshape(spread).expand(shape).clone())
