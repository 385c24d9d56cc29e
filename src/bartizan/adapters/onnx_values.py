"""What an ONNX file holds, as bounded plain values: tensors, attributes and where weights beside the file may lie.

The file may come from anyone. Sizes are compared with the bytes that are there before anything is allocated, types are those that a
classifier needs, and weights outside the file are read only below the declared folder.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bartizan.adapters.files import local_path, read_bytes, shown
from bartizan.model.errors import InputError, MissingExtra, Refused, one_line

MAX_BYTES = 4 * 1024**3
"""Most bytes of weights."""

MAX_FILE = 2 * 1024**3 - 1
"""Largest .onnx file, in bytes: more is no valid protobuf message."""

_FLOATS = {"FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE"}
_WHOLE = {"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "BOOL"}
_BROKEN = (ValueError, TypeError, KeyError, IndexError, OverflowError, RuntimeError, AttributeError)


def onnx() -> Any:
    """The module onnx. Raises `MissingExtra` where it is not installed."""
    try:
        return importlib.import_module("onnx")
    except ImportError:
        raise MissingExtra("onnx", "onnx") from None


@dataclass(frozen=True)
class File:
    """An .onnx file on disk: `name` is how it is shown, `beside` the folder in which weights outside it may lie, None for nowhere."""

    root: str
    path: Path
    name: str
    beside: Path | None


def located(root: str | Path, path: Path) -> File:
    """The .onnx file that `path` is, or the only one in the folder that `path` is.

    Weights beside the file count only where the folder is declared: its digest covers them, that of the file does not.
    """
    if not path.is_dir():
        return File(str(root), path, shown(root, path), None)
    found = sorted(entry for entry in path.iterdir() if entry.suffix.lower() == ".onnx")
    if len(found) != 1:
        raise InputError(f"holds {len(found)} .onnx files", place=shown(root, path), cure="declare the file, or a folder with one")
    inside = local_path(root, found[0].relative_to(Path(root).resolve()).as_posix())
    return File(str(root), inside, shown(root, inside), path)


def parsed(file: File) -> Any:
    """The message in the file (ModelProto), weights beside it not loaded. Raises `InputError` where it is none."""
    library = onnx()
    try:
        model = library.load_model_from_string(read_bytes(file.root, file.path, MAX_FILE))
    except (importlib.import_module("google.protobuf.message").DecodeError, *_BROKEN) as error:
        raise InputError(f"is no readable ONNX file: {type(error).__name__}", place=file.name, cure="export the model again") from None
    if not model.HasField("graph") or not model.graph.node:
        raise InputError("is no ONNX model: it has no graph", place=file.name, cure="export the model again")
    return model


def tensor_of(proto: Any, file: File) -> Tensor:
    """A tensor of the file: float32, int64, or the whole number of one byte that it is.

    Raises `Refused` where size, type or place is not sound.
    """
    library = onnx()
    label = f"tensor '{one_line(proto.name, 60)}'"
    kinds = {value: key for key, value in library.TensorProto.DataType.items()}
    kind = kinds.get(proto.data_type, "unknown")
    if kind not in _FLOATS | _WHOLE:
        raise Refused(f"{label} has the type {kind}", place=file.name, cure="export the model in float32")
    count = math.prod(proto.dims)
    if len(proto.dims) > 8 or any(size < 0 for size in proto.dims) or count * 4 > MAX_BYTES:
        raise Refused(f"{label} has the dimensions {list(proto.dims)[:9]}", place=file.name)
    dtype = library.helper.tensor_dtype_to_np_dtype(proto.data_type)
    if proto.data_location == library.TensorProto.EXTERNAL:
        raw = _outside(proto, file, count * dtype.itemsize, label)
        proto = library.TensorProto(data_type=proto.data_type, dims=proto.dims, raw_data=raw)
    held = len(proto.raw_data) // dtype.itemsize if proto.raw_data else max(len(field) for field in _typed(proto))
    if held != count:
        raise Refused(f"{label} declares {count} numbers and holds {held}", place=file.name, cure="export the model again")
    try:
        values = library.numpy_helper.to_array(proto)
        wide = values.astype("float32" if kind in _FLOATS else kind.lower() if kind in ("BOOL", "INT8", "UINT8") else "int64")
        return torch.from_numpy(wide.copy())
    except _BROKEN as error:
        raise Refused(f"{label} cannot be read: {type(error).__name__}", place=file.name) from None


def _typed(proto: Any) -> tuple[Any, ...]:
    return proto.float_data, proto.double_data, proto.int32_data, proto.int64_data, proto.uint64_data


def _outside(proto: Any, file: File, size: int, label: str) -> bytes:
    """The bytes of a tensor that lies beside the file."""
    entries = {entry.key: entry.value for entry in proto.external_data}
    if file.beside is None:
        cure = "declare the folder that holds both as uri, so that its digest covers the weights, or save the model in one file"
        raise Refused(f"{label} lies outside the file", place=file.name, cure=cure)
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", size))
        path = (file.beside / entries.get("location", "")).resolve()
        if not path.is_relative_to(file.beside.resolve()) or not path.is_file():
            raise Refused(f"{label} lies outside the declared folder", place=file.name, cure="keep all weights below that folder")
        if offset < 0 or length != size:
            raise Refused(f"{label} declares {size} bytes and points to {length}", place=file.name)
        with path.open("rb") as stream:
            stream.seek(offset)
            data: bytes = stream.read(length)
        return data
    except (ValueError, OSError) as error:
        raise Refused(f"{label} cannot be read from beside the file: {type(error).__name__}", place=file.name) from None


def attributes_of(node: Any, file: File) -> dict[str, Any]:
    """The attributes of an operator: numbers, texts, tensors and lists of them. Raises `Refused` for parts that are graphs or others."""
    library = onnx()
    kinds = library.AttributeProto
    found: dict[str, Any] = {}
    for one in node.attribute:
        if one.type == kinds.FLOAT:
            found[one.name] = one.f
        elif one.type == kinds.INT:
            found[one.name] = one.i
        elif one.type == kinds.STRING:
            found[one.name] = one.s.decode("utf-8", "replace")
        elif one.type == kinds.TENSOR:
            found[one.name] = tensor_of(one.t, file)
        elif one.type in (kinds.FLOATS, kinds.INTS):
            found[one.name] = list(one.floats if one.type == kinds.FLOATS else one.ints)
        else:
            what = one_line(f"{node.op_type}.{one.name}", 60)
            raise Refused(f"{what} is of a kind that is not read here", place=file.name, cure="export a net without branches and loops")
    return found
