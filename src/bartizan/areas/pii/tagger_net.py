"""Makes the net of the tagger of names faster: its 4-bit weights become 8-bit ones, which processors multiply directly.

Every product of matrices with weights packed in blocks of 4 bits (`MatMulNBits` of ONNX Runtime) becomes one of whole numbers: weights of
7 bits with one scale a column, inputs of 8 bits with a fixed scale. The range of each input is measured once, on a few sentences. A fixed
scale gives a text the same result whatever is read beside it; products of 8 and 7 bits do not overflow on processors that add pairs in 16
bits, so that all give the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from bartizan.model.errors import InputError, MissingExtra

EXAMPLES = (
    "My name is Maria Delgado and I live at 12 Main Street, Springfield, IL 62704.",
    "Please send the invoice to Jürgen Müller, Hauptstraße 5, 50667 Köln, tel. +49 221 901820.",
    "the price rises by 3.5 % every year, said the report.",
    "Dear Mr. O'Neill, your card 4111 1111 1111 1111 expires on 05/27. Regards, Anna",
    "john smith called about his passport X1234567 and email john@example.org",
    "RE: ACCOUNT 12345678 OF MS. YOKO TANAKA",
    "We met in Paris, Texas; Guðgeir Bergsveinsson and Olga Krylova were there.",
    "SSN 536-22-1234, routing number 021000021, licence D123-4567",
    "It was a good day. What are my options?",
    "https://www.example.org/a?b=c user: admin 192.168.0.1",
)
"""What the ranges of the inputs are measured on: what the tagger looks for, in several languages, and what it does not."""
_STATE = "onnxruntime_pybind11_state"
_LEVELS = 64  # 255 * 64 * 2 < 2**15
_LARGEST = 256 << 20  # bytes of a model that is read


def session(path: Path, examples: Sequence[Sequence[int]], threads: int) -> Any:
    """The net at `path` (.onnx), ready to run with `threads` (0: as many as the machine has); `examples` are the ids of `EXAMPLES`.

    Raises `MissingExtra` without onnxruntime or onnx, `InputError` for a file that is no such net.
    """
    try:
        runtime, onnx = import_module("onnxruntime"), import_module("onnx")
        broken = (import_module("google.protobuf.message").DecodeError, *_failures(import_module(f"{runtime.__name__}.capi.{_STATE}")))
    except ImportError as error:
        raise MissingExtra("names", str(error.name)) from None
    if path.stat().st_size > _LARGEST:
        raise InputError("is too large for a tagger", place=str(path))
    try:
        model = onnx.load_from_string(path.read_bytes())
        return _started(runtime, _whole(onnx, model, _ranges(runtime, onnx, model, examples)), threads)
    except (ValueError, RuntimeError, KeyError, AttributeError, IndexError, TypeError, *broken) as error:
        raise InputError(f"is no net that can be run: {str(error)[:200]}", place=str(path)) from None


def _failures(state: Any) -> tuple[type[Exception], ...]:
    """What the runtime raises: its exceptions have no common class of their own."""
    return tuple(held for held in vars(state).values() if isinstance(held, type) and issubclass(held, Exception))


def feed(pieces: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The inputs of the net for `pieces`, token ids with their first and last: shape (pieces, longest), filled up with 0."""
    lengths = np.array([[len(piece)] for piece in pieces])
    ids = np.zeros((len(pieces), int(lengths.max())), np.int64)
    for row, piece in zip(ids, pieces, strict=True):
        row[: len(piece)] = piece
    mask = (np.arange(ids.shape[1]) < lengths).astype(np.int64)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def _started(runtime: Any, model: Any, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _ranges(runtime: Any, onnx: Any, model: Any, examples: Sequence[Sequence[int]]) -> dict[str, tuple[float, float]]:
    """The least and the largest value of each input of a packed product, over all examples; zero lies between them."""
    watched = type(model)()
    watched.CopyFrom(model)
    inputs = sorted({node.input[0] for node in model.graph.node if node.op_type == "MatMulNBits"})
    names = [(f"{side}.{name}", side, name) for name in inputs for side in ("ReduceMin", "ReduceMax")]
    watched.graph.node.extend(onnx.helper.make_node(side, [name], [output], keepdims=0) for output, side, name in names)
    watched.graph.output.extend(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None) for output, _, _ in names)
    net = _started(runtime, watched, 1)
    seen = np.array([net.run([output for output, _, _ in names], feed([ids])) for ids in examples]).reshape(len(examples), -1, 2)
    return {
        name: (min(0.0, low), max(1e-6, high))
        for name, low, high in zip(inputs, seen[..., 0].min(0).tolist(), seen[..., 1].max(0).tolist(), strict=True)
    }


def _whole(onnx: Any, model: Any, ranges: dict[str, tuple[float, float]]) -> Any:
    """`model` with products of whole numbers in place of the packed ones."""
    graph, make = model.graph, onnx.helper.make_node
    held = {tensor.name: tensor for tensor in graph.initializer}
    users = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    constants: dict[str, Any] = {}
    nodes: list[Any] = []
    joined: set[str] = set()
    for node in graph.node:
        if node.op_type != "MatMulNBits":
            nodes += [node] if node.output[0] not in joined else []
            continue
        source, output = node.input[0], node.output[0]
        if f"{source}.zero" not in constants:
            low, high = ranges[source]
            constants[f"{source}.scale"] = np.float32((high - low) / 255)
            constants[f"{source}.zero"] = np.uint8(round(-low * 255 / (high - low)))
            nodes.append(make("QuantizeLinear", [source, f"{source}.scale", f"{source}.zero"], [f"{source}.whole"]))
        weights, scales = _requantised(onnx, held, node)
        constants |= {f"{output}.weights": weights, f"{output}.scales": scales, f"{output}.zeros": np.zeros(len(scales), np.int8)}
        bias, result = _bias(held, users[output], output)
        joined.add(result)
        inputs = [f"{source}.whole", f"{output}.weights", f"{source}.scale", f"{output}.scales", f"{source}.zero", f"{output}.zeros"]
        nodes.append(make("MatMulIntegerToFloat", [*inputs, *([bias] if bias else [])], [result], domain="com.microsoft"))
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*kept, *(onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items())])
    return model


def _bias(held: dict[str, Any], users: list[Any], output: str) -> tuple[str, str]:
    """The vector that the only user of `output` adds to it, and the name of the sum; "" and `output` where there is none."""
    if len(users) == 1 and users[0].op_type == "Add":
        other = next((name for name in users[0].input if name != output), "")
        if other in held and len(held[other].dims) == 1:
            return other, str(users[0].output[0])
    return "", output


def _requantised(onnx: Any, held: dict[str, Any], node: Any) -> tuple[Any, Any]:
    """Weights (inputs, outputs) of 8 bits and the scale of each output, from blocks of 4 bits (outputs, blocks, bytes)."""
    sizes = {attribute.name: attribute.i for attribute in node.attribute}
    inputs, outputs, block = sizes["K"], sizes["N"], sizes["block_size"]
    packed, scales, *zero = (onnx.numpy_helper.to_array(held[name]) for name in node.input[1:4] if name)
    scales = scales.reshape(outputs, -1)
    middle = _halves(zero[0].reshape(outputs, -1))[:, : scales.shape[1]].astype(np.float32) if zero else np.full_like(scales, 8)
    weights = _halves(packed.reshape(outputs, -1)).reshape(outputs, -1, block).astype(np.float32)
    weights = ((weights - middle[:, :, None]) * scales[:, :, None]).reshape(outputs, -1)[:, :inputs]
    scale = np.maximum(np.abs(weights).max(axis=1), 1e-9) / _LEVELS
    return np.rint(weights / scale[:, None]).astype(np.int8).T.copy(), scale.astype(np.float32)


def _halves(packed: Any) -> Any:
    """Two numbers of 4 bits from each byte along the last axis, the lower half first."""
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1)
