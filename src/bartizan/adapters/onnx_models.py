"""An ONNX file as a differentiable torch module: the graph is read as data, nothing of it is executed but torch's own operators.

Shapes are worked out on torch's meta device for a marked batch size before anything is allocated, so that a file cannot ask for more
memory than is allowed; a graph must list its steps in an order in which each reads what is there, so no cycle can be written. The net
that is read is the exporter's: same layers, float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bartizan.adapters.onnx_operators import BATCH, Step, Value
from bartizan.adapters.onnx_table import MAX_CONSTANT, OPERATORS, SHAPED
from bartizan.adapters.onnx_values import MAX_BYTES, File, attributes_of, located, onnx, parsed, tensor_of
from bartizan.model.errors import BartizanError, InputError, Refused, one_line

MAX_STEPS = 20_000
"""Most operators of a graph."""

MAX_ENTRIES = 2**28
"""Most numbers that all steps together may hold for one image: 1 GiB in float32."""

OPSETS = (7, 25)
"""Versions of the operator list that are read, first and last."""

_FAULTS = (RuntimeError, ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError, NotImplementedError)
"""What torch raises where shapes, types or numbers do not fit."""


class OnnxNet(nn.Module):
    """The steps of a graph, run in order; `input_shape` is that of one image, as far as it is known."""

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.input_shape = input_shape
        self.steps = nn.ModuleList()
        self._wiring: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        self._fixed: dict[int, str] = {}
        self._last: dict[int, int] = {}
        self._answer = 0

    def forward(self, x: Tensor) -> Any:
        """The scores (B, classes) of a batch (B, *input_shape)."""
        values: dict[int, Any] = {0: x}
        for number, (step, (takes, gives)) in enumerate(zip(self.steps, self._wiring, strict=True)):
            results = step(*(getattr(self, self._fixed[slot]) if slot in self._fixed else values[slot] for slot in takes))
            for place, slot in enumerate(gives):
                values[slot] = results if len(gives) == 1 else results[place]
            for slot in {*takes, *gives}:
                if self._last.get(slot, -1) <= number and slot in values and slot != self._answer:
                    del values[slot]
        return values[self._answer]

    def keep(self, slot: int, constant: Tensor) -> None:
        """Hold a constant that a step takes."""
        if slot not in self._fixed:
            self._fixed[slot] = f"constant{slot}"
            self.register_buffer(self._fixed[slot], constant)

    def add(self, module: nn.Module, takes: tuple[int, ...], gives: tuple[int, ...]) -> None:
        """Append a step."""
        self.steps.append(module)
        self._wiring.append((takes, gives))

    def finish(self, answer: int) -> None:
        """The slot that the net returns; steps that do not lead to it are dropped, values are let go after their last use."""
        needed, kept = {answer}, []
        for number in reversed(range(len(self._wiring))):
            takes, gives = self._wiring[number]
            if needed & set(gives):
                needed.update(takes)
                kept.append(number)
        kept.reverse()
        self.steps = nn.ModuleList(self.steps[number] for number in kept)
        self._wiring = [self._wiring[number] for number in kept]
        self._answer = answer
        self._last = {slot: number for number, (takes, _) in enumerate(self._wiring) for slot in takes}


def load_onnx(root: str | Path, path: Path, *, shape: Sequence[int] | None = None) -> OnnxNet:
    """The classifier in the file at `path` (or in the only .onnx file of the folder `path`), in evaluation mode.

    `shape`: that of one image, for what the file leaves open. Raises `MissingExtra` without onnx, `InputError` with the name of an operator
    that is not known or of what does not fit, `Refused` for a file whose sizes, types or places are not sound.
    """
    file = located(root, path)
    model = parsed(file)
    reader = _Reader(file, model, None if shape is None else tuple(shape))
    try:
        return reader.net()
    except BartizanError as error:
        error.place = error.place or file.name
        raise
    except (AttributeError, *_FAULTS) as error:  # texts that are no text, numbers where names belong: the parser lets them pass
        raise InputError(f"is no sound ONNX file: {type(error).__name__}", place=file.name, cure="export the model again") from None


class _Reader:
    """Walks the graph once, step by step."""

    def __init__(self, file: File, model: Any, shape: tuple[int, ...] | None) -> None:
        self.file, self.graph = file, model.graph
        self.opset = _opset(model)
        if len(self.graph.node) > MAX_STEPS or model.functions or self.graph.sparse_initializer:
            raise Refused(f"has {len(self.graph.node)} steps, {len(model.functions)} functions or sparse weights")
        self.names: dict[str, Value] = {}
        self.spent = 0
        self.held = 0
        self.slots = 1
        self.net_ = OnnxNet(self._input(shape))

    def net(self) -> OnnxNet:
        for proto in self.graph.initializer:
            self.held += math.prod(proto.dims) * 4
            if self.held > MAX_BYTES:
                raise Refused("holds more weights than are read here")
            self._name(proto.name, self._constant(tensor_of(proto, self.file), batchy=False))
        for node in self.graph.node:
            self._step(node)
        self.net_.finish(self._answer())
        net = self.net_.eval().requires_grad_(False)
        _separate(net)
        return net

    def _input(self, shape: tuple[int, ...] | None) -> tuple[int, ...]:
        """The shape of one image, by the file and by `shape` where the file leaves it open."""
        weights = {proto.name for proto in self.graph.initializer}
        inputs = [one for one in self.graph.input if one.name not in weights]
        if len(inputs) != 1:
            raise InputError(f"the model takes {len(inputs)} inputs", cure="export a classifier of one input")
        said = inputs[0].type.tensor_type
        if said.elem_type not in (1, 10, 11, 16):
            raise InputError("the model does not take floating-point numbers", cure="export it with an input of float32")
        sizes = [one.dim_value if one.HasField("dim_value") else None for one in said.shape.dim][1:] or list(shape or ())
        if shape is not None and (len(shape) != len(sizes) or any(a not in (None, b) for a, b in zip(sizes, shape, strict=True))):
            raise InputError(
                f"the model takes images of shape {sizes}, the data has {list(shape)}", cure="declare data that fits the model"
            )
        found = tuple(shape if shape is not None else (size or 0 for size in sizes))
        if not found or len(found) > 4 or any(size < 1 for size in found) or math.prod(found) > MAX_ENTRIES:
            raise InputError(f"the model leaves its input open: {sizes[:6]}", cure="declare data that says the shape")
        self._name(inputs[0].name, Value(0, (BATCH, *found)))
        return found

    def _step(self, node: Any) -> None:
        name = one_line(node.op_type, 60)
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
            name = f"{one_line(node.domain, 60)}.{name}" if node.domain not in ("", "ai.onnx") else name
            raise InputError(f"operator {name} is not read here", cure="export the model for inference, with plain layers")
        inputs = tuple(self._read(one, name) for one in node.input)
        step = Step(node.op_type, self.opset, attributes_of(node, self.file), inputs, len([one for one in node.output if one]))
        try:
            made = OPERATORS[node.op_type](step)
            values = self._made(step, made)
        except _FAULTS as error:
            raise InputError(
                f"operator {name} does not fit its inputs: {one_line(str(error), 200)}", cure="export the model again"
            ) from None
        for one, value in zip([one for one in node.output if one], values, strict=False):
            self._name(one, value)

    def _read(self, name: str, step: str) -> Value | None:
        if not name:
            return None
        if name not in self.names:
            raise InputError(f"operator {step} reads '{one_line(name, 60)}' before it is there", cure="export the model again")
        return self.names[name]

    def _name(self, name: str, value: Value) -> None:
        if name in self.names:
            raise InputError(f"'{one_line(name, 60)}' is written twice", cure="export the model again")
        self.names[name] = value

    def _made(self, step: Step, made: tuple[nn.Module, tuple[Value, ...]] | Tensor) -> list[Value]:
        """The results of a step: constants where all that it takes is constant."""
        tainted = any(one is not None and (one.batchy or (step.kind == "Shape")) for one in step.inputs)
        if isinstance(made, Tensor):
            return [self._constant(made, batchy=tainted and _marked(made))]
        module, takes = made
        results = self._shapes(module, takes)
        if all(one.constant is not None for one in takes):
            if sum(one.numel() for one in results) > MAX_CONSTANT:
                raise Refused(f"operator {step.kind} makes a constant of {[list(one.shape) for one in results][:3]}")
            with torch.no_grad():
                worked = module(*(one.constant for one in takes))
            parts = worked if isinstance(worked, tuple | list) else (worked,)
            return [self._constant(part.clone(), batchy=tainted and (step.kind not in SHAPED or _marked(part))) for part in parts]
        if any(one.batchy for one in takes):
            raise step.fault("computes with the number of images")
        for one in takes:
            if one.constant is not None:
                self.net_.keep(one.slot, one.constant)
        values = [Value(self._slot(), tuple(one.shape), dtype=one.dtype) for one in results]
        for one in values:
            self.spent += math.prod(one.shape) // BATCH + 1
        if any(BATCH not in one.shape and math.prod(one.shape) % BATCH for one in values):
            raise step.fault("mixes the images of a batch")
        if self.spent > MAX_ENTRIES:
            raise Refused(f"operator {step.kind} brings the net to {self.spent} numbers for one image; the most is {MAX_ENTRIES}")
        self.net_.add(module, tuple(one.slot for one in takes), tuple(one.slot for one in values))
        return values

    def _shapes(self, module: nn.Module, takes: tuple[Value, ...]) -> tuple[Tensor, ...]:
        """What the step gives, worked out without its numbers."""
        given = [
            torch.empty(one.shape, dtype=one.dtype, device="meta") if one.constant is None else one.constant.to("meta") for one in takes
        ]
        weights = {name: part.to("meta") for name, part in (*module.named_parameters(), *module.named_buffers())}
        with torch.no_grad(), torch.device("meta"):
            found = functional_call(module, weights, tuple(given))
        return tuple(found) if isinstance(found, tuple | list) else (found,)

    def _constant(self, content: Tensor, *, batchy: bool) -> Value:
        return Value(self._slot(), tuple(content.shape), content, batchy)

    def _slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def _answer(self) -> int:
        """The slot of the scores: the first output that has a row of them for each image."""
        found = [self.names[one.name] for one in self.graph.output if one.name in self.names]
        for value in found:
            if value.constant is None and value.shape[0] == BATCH and len(value.shape) in (1, 2):
                return value.slot
        shapes = [["batch" if size == BATCH else size for size in value.shape] for value in found]
        raise InputError(f"the model gives {shapes[:3]}, not one row of scores for each image", cure="export a classifier")


def _marked(values: Tensor) -> bool:
    return bool(((values != 0) & (values % BATCH == 0)).any()) if not values.is_floating_point() else True


def _opset(model: Any) -> int:
    versions = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
    if len(versions) != 1 or not OPSETS[0] <= versions[0] <= OPSETS[1]:
        raise InputError(f"uses operator versions {versions[:3]}", cure=f"export the model with an opset from {OPSETS[0]} to {OPSETS[1]}")
    return int(versions[0])


def _separate(net: OnnxNet) -> None:
    """Each image must be decided by itself: the answer to two images together is the answer to each alone."""
    dice = torch.Generator().manual_seed(0)
    pair = torch.rand((2, *net.input_shape), generator=dice)
    try:
        with torch.no_grad():
            both, alone = net(pair), torch.cat([net(pair[:1]), net(pair[1:])])
    except _FAULTS as error:
        raise InputError(f"the model does not run: {one_line(str(error), 200)}", cure="export the model again") from None
    if both.shape != alone.shape or not torch.allclose(both, alone, rtol=1e-3, atol=1e-4, equal_nan=True):
        raise InputError("the model mixes the images of a batch", cure="export it for inference (evaluation mode)")


__all__ = ["MAX_ENTRIES", "OnnxNet", "load_onnx", "onnx"]
