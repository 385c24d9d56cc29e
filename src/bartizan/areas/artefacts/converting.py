"""Rewrites a model file in a format that holds numbers only: tensors as safetensors, scikit-learn estimators as skops."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bartizan.areas.artefacts.loading import load
from bartizan.areas.artefacts.pickles import Policy
from bartizan.model.errors import InputError, MissingExtra, Refused, one_line

STATES = ("state_dict", "model_state_dict", "model", "net", "module", "weights")
"""Keys under which checkpoints keep their tensors."""


def convert(source: Path, target: Path, *, policy: Policy | None = None, force: bool = False) -> list[str]:
    """Write what `source` holds to `target`, whose suffix names the format: `.safetensors` or `.skops`. Returns what was left out.

    The source is loaded only where a scan finds it safe. The target appears whole or not at all, and an existing one is kept unless
    `force`. Raises `Refused` and `InputError` as `load` does, and where the content does not fit the format.
    """
    if target.suffix not in (".safetensors", ".skops"):
        raise InputError("cannot tell the format to write from its name", place=target.name, cure="end it with .safetensors or .skops")
    if target.exists() and not force:
        raise InputError("is there already", place=target.name, cure="name another file, or pass --force")
    content = load(source, policy=policy)
    left: list[str] = []
    if target.suffix == ".skops":
        write = _skops(content, source.name)
    else:
        tensors, left = _tensors(content, source.name)
        write = _safetensors(tensors)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    try:
        write(name)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)
    return left


def _skops(content: Any, name: str) -> Callable[[str], None]:
    if isinstance(content, dict | list | tuple | set | str | bytes | int | float) or _is_tensor(content):
        raise _no_estimator(content, name)  # before scikit-learn is loaded, which takes seconds
    try:
        base, persistence = importlib.import_module("sklearn.base"), importlib.import_module("skops.io")
    except ImportError:
        raise MissingExtra("sklearn", "skops") from None
    if not isinstance(content, base.BaseEstimator):
        raise _no_estimator(content, name)

    def write(target: str) -> None:
        try:
            persistence.dump(content, target)
        except (TypeError, ValueError, NotImplementedError) as error:
            raise Refused(f"cannot be written as skops: {one_line(str(error), 200)}", place=name) from None

    return write


def _no_estimator(content: Any, name: str) -> InputError:
    what = f"holds a {type(content).__name__}, no estimator of scikit-learn"
    return InputError(what, place=name, cure="write tensors as .safetensors")


def _tensors(content: Any, name: str) -> tuple[dict[str, Any], list[str]]:
    """The tensors of a state dict, a checkpoint around one, or a module; and the keys that hold none."""
    if hasattr(content, "state_dict"):
        content = content.state_dict()
    if isinstance(content, dict):
        inner = next((content[key] for key in STATES if isinstance(content.get(key), dict) and not _is_tensor(content[key])), None)
        outside = [key for key in content if not (inner is not None and content[key] is inner)] if inner is not None else []
        found = inner if inner is not None else content
        tensors = {str(key): value for key, value in found.items() if _is_tensor(value)}
        left = [str(key) for key in (*outside, *(k for k, v in found.items() if not _is_tensor(v)))]
        if tensors:
            return tensors, left
    raise InputError(f"holds a {type(content).__name__}, no tensors by name", place=name, cure="write estimators as .skops")


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _safetensors(tensors: dict[str, Any]) -> Callable[[str], None]:
    torch_like = any(hasattr(value, "data_ptr") for value in tensors.values())
    try:
        library = importlib.import_module("safetensors.torch" if torch_like else "safetensors.numpy")
    except ImportError:
        raise MissingExtra("torch", "safetensors") from None
    if torch_like:  # tensors that share memory are written each with its own
        tensors = {key: value.detach().clone().contiguous() for key, value in tensors.items()}

    def write(target: str) -> None:
        library.save_file(tensors, target)

    return write
