"""Torch nets from files: weights as safetensors or as a state dict that holds tensors alone, in a net that the project's own code makes.

A pickle is never opened with more than tensors allowed, and the code that makes the net (`architecture: nets.py:make_net` on the asset) is
run only with the consent of whoever runs this (`adapters.consent`); a manifest cannot give that consent.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import struct
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bartizan.adapters.consent import require_code
from bartizan.adapters.files import local_path, shown
from bartizan.model.errors import InputError, MissingExtra, Place, Refused, one_line

MAX_BYTES = 8 * 1024**3
"""Most bytes of weights."""

MAX_PICKLE = 64 * 1024**2
"""Largest description of a state dict, in bytes."""

SAFE_TORCH = (2, 6)
"""The first version of torch whose reading of weights alone runs no code (CVE-2025-32434)."""

_BROKEN = (RuntimeError, ValueError, KeyError, TypeError, EOFError, OSError, AttributeError, IndexError, AssertionError, OverflowError)
_NESTED = ("state_dict", "model_state_dict", "model", "net", "weights")


def load_net(root: str | Path, uri: str, architecture: str | None, place: Place | None = None) -> nn.Module:
    """The net that `architecture` (`file.py:function`, below `root`) makes, with the weights in `uri`, in evaluation mode on the processor.

    Raises `NoTarget` without consent to run that code, `MissingExtra` without safetensors, `Refused` for a file that may hold more than
    tensors, `InputError` where code and weights do not fit.
    """
    if architecture is None:
        cure = "declare architecture: nets.py:make_net on the asset, or export the net as ONNX, which needs no code"
        raise InputError("weights alone are no net: the code that makes it is not declared", place=place, cure=cure)
    path = local_path(root, uri, place)
    weights = load_weights(root, path)
    net = made_net(root, architecture, place)
    try:
        net.load_state_dict(dict(weights), strict=True)
    except RuntimeError as error:
        raise InputError(
            f"the weights do not fit the net of '{architecture}': {one_line(str(error), 300)}", place=shown(root, path),
            cure="declare the code that made these weights",
        ) from None  # fmt: skip
    return net.eval().requires_grad_(False)


def load_weights(root: str | Path, path: Path) -> Mapping[str, Tensor]:
    """The named tensors of a safetensors file or of a saved state dict; a state dict inside a checkpoint is found by its usual names."""
    name = shown(root, path)
    if not path.is_file():
        raise InputError("is no file", place=name, cure="declare the file with the weights as uri")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES} bytes", place=name, cure="declare a smaller model")
    return _safetensors(path, name) if _is_safetensors(path) else _state_dict(path, name)


def _is_safetensors(path: Path) -> bool:
    """Does the file begin as safetensors do: the length of a JSON header, then the header?"""
    with path.open("rb") as stream:
        head = stream.read(9)
    return len(head) == 9 and head[8:] == b"{" and struct.unpack("<Q", head[:8])[0] <= path.stat().st_size - 8


def _safetensors(path: Path, name: str) -> dict[str, Tensor]:
    try:
        library = importlib.import_module("safetensors.torch")
        broken = importlib.import_module("safetensors").SafetensorError
    except ImportError:
        raise MissingExtra("torch", "safetensors") from None
    try:
        found: dict[str, Tensor] = library.load_file(str(path), device="cpu")
    except (broken, json.JSONDecodeError, *_BROKEN) as error:
        raise InputError(
            f"is no readable safetensors file: {one_line(str(error), 200)}", place=name, cure="save the weights again"
        ) from None
    return found


def _state_dict(path: Path, name: str) -> dict[str, Tensor]:
    """A state dict, opened so that nothing but tensors can come of it. Older formats than torch's archives are refused."""
    cure = "save the weights as safetensors, or with torch.save(net.state_dict(), path)"
    if tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2]) < SAFE_TORCH:
        raise Refused(f"torch {torch.__version__} may run code while it reads weights", place=name, cure="install torch 2.6 or later")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, *_BROKEN):
        raise Refused("is neither safetensors nor an archive of torch", place=name, cure=cure) from None
    described = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
    if len(described) != 1 or any("/code/" in entry.filename or entry.filename.endswith("constants.pkl") for entry in entries):
        raise Refused("is no plain state dict of torch (TorchScript and others hold code)", place=name, cure=cure)
    if sum(entry.file_size for entry in entries) > MAX_BYTES or described[0].file_size > MAX_PICKLE:
        raise Refused("unpacks to more than is read here", place=name, cure="declare a smaller model")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise Refused("is compressed, which torch's archives never are", place=name, cure=cure)
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (importlib.import_module("pickle").UnpicklingError, *_BROKEN) as error:
        raise Refused(f"holds more than weights: {one_line(str(error), 160)}", place=name, cure=cure) from None
    return _tensors(loaded, name, path.stat().st_size)


def _tensors(loaded: Any, name: str, size: int) -> dict[str, Tensor]:
    """The state dict in what was loaded; views that spread few bytes over many numbers are refused."""
    for key in _NESTED:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
            break
    if not isinstance(loaded, dict) or not loaded or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in loaded.items()):
        raise InputError("holds no state dict", place=name, cure="save net.state_dict()")
    total = sum(one.numel() * one.element_size() for one in loaded.values())
    if total > 4 * size + 2**20 or any(one.layout != torch.strided or one.device.type != "cpu" for one in loaded.values()):
        raise Refused(f"spreads {size} bytes over {total}", place=name, cure="save net.state_dict() of a plain net")
    return dict(loaded)


def made_net(root: str | Path, architecture: str, place: Place | None = None) -> nn.Module:
    """The net that `file.py:function` below `root` makes. Runs that code: raises `NoTarget` without consent."""
    uri, _, function = architecture.rpartition(":")
    if not uri or not function.isidentifier():
        raise InputError(f"architecture '{architecture}' names no code", place=place, cure="write file.py:function")
    path = local_path(root, uri, place)
    if path.suffix != ".py" or not path.is_file():
        raise InputError(f"architecture '{uri}' is no Python file", place=place, cure="write file.py:function")
    require_code(architecture, place)
    module = _imported(path, shown(root, path))
    make = getattr(module, function, None)
    if not callable(make):
        raise InputError(f"has no function '{function}'", place=shown(root, path), cure="correct architecture in the manifest")
    net = make()
    if not isinstance(net, nn.Module):
        raise InputError(f"{function}() makes {type(net).__name__}, no torch.nn.Module", place=shown(root, path))
    return net.to("cpu")


def _imported(path: Path, name: str) -> Any:
    """The module in the file, under a name of its own; files beside it can be imported by it."""
    spec = importlib.util.spec_from_file_location(f"_project_{re.sub(r'[^0-9A-Za-z]', '_', name)}", path)
    if spec is None or spec.loader is None:
        raise InputError("cannot be imported", place=name)
    module = importlib.util.module_from_spec(spec)
    with _beside(path.parent):
        sys.modules[spec.name] = module  # where pickles, dataclasses and torch look for it
        try:
            spec.loader.exec_module(module)
        finally:
            del sys.modules[spec.name]
    return module


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """The folder as the first place of imports, and no compiled files left in it."""
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = written
