"""What differs between two sets of weights, and which neurons stand out: information for whoever asks where a model came from.

A difference from the reference proves that the weights are not the published ones; that there is none proves that they are. Neurons that
stand out prove nothing: many honest models have them, and a backdoor need not show. Whoever wants assurance signs the weights and pins
their digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bartizan.areas.artefacts.converting import STATES
from bartizan.areas.artefacts.loading import load
from bartizan.areas.artefacts.pickles import Policy
from bartizan.model.errors import InputError

OUTLYING = 8.0
"""Robust standard deviations (1.4826 times the median absolute deviation) beyond which the norm of a neuron's weights stands out."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One tensor: `state` is added, removed, reshaped, changed; for a change the share of numbers that differ, the largest difference, and
    the norm of the difference over that of the reference."""

    tensor: str
    state: str
    share: float = 0.0
    largest: float = 0.0
    relative: float = 0.0
    rank: int | None = None
    """Rank of the difference of two matrices, where it is small: an adapter merged into the weights has a small one."""


class Outlier(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a weight matrix (a neuron, a channel) whose norm is `deviations` robust standard deviations from the median of its layer."""

    tensor: str
    row: int
    norm: float
    deviations: float


def tensors_of(path: Path, policy: Policy | None = None) -> dict[str, np.ndarray[Any, Any]]:
    """The tensors in the file at `path` by name, as arrays of float64 or integers; loaded only where a scan finds the file safe.

    Raises `Refused` and `InputError` as `load` does, and `InputError` where there are none.
    """
    content = load(path, policy=policy)
    if hasattr(content, "state_dict"):
        content = content.state_dict()
    if isinstance(content, Mapping):
        content = next((content[key] for key in STATES if isinstance(content.get(key), Mapping)), content)
        found = {str(key): _array(value) for key, value in content.items() if hasattr(value, "shape") and hasattr(value, "dtype")}
        if found:
            return found
    raise InputError("holds no tensors by name", place=path.name, cure="pass safetensors, a torch checkpoint or a NumPy archive")


def _array(value: Any) -> np.ndarray[Any, Any]:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    array = np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def differences(path: Path, reference: Path, policy: Policy | None = None) -> tuple[Difference, ...]:
    """What is not the same in the weights at `path` as in those at `reference`, by tensor; empty where all numbers are equal."""
    new, old = tensors_of(path, policy), tensors_of(reference, policy)
    found = [Difference(tensor=name, state="removed") for name in sorted(old.keys() - new.keys())]
    found += [Difference(tensor=name, state="added") for name in sorted(new.keys() - old.keys())]
    for name in sorted(old.keys() & new.keys()):
        if old[name].shape != new[name].shape:
            found.append(Difference(tensor=name, state="reshaped"))
        elif not np.array_equal(old[name], new[name], equal_nan=old[name].dtype.kind == "f"):
            found.append(_changed(name, old[name], new[name]))
    return tuple(found)


def _changed(name: str, old: np.ndarray[Any, Any], new: np.ndarray[Any, Any]) -> Difference:
    if old.dtype.kind not in "fiu" or new.dtype.kind not in "fiu":
        return Difference(tensor=name, state="changed", share=float((old != new).mean()))
    gap = new.astype(np.float64) - old.astype(np.float64)
    norm = float(np.linalg.norm(old.astype(np.float64)))
    return Difference(
        tensor=name,
        state="changed",
        share=float((gap != 0).mean()),
        largest=float(np.abs(gap).max()),
        relative=float(np.linalg.norm(gap)) / norm if norm else float("inf"),
        rank=_small_rank(gap),
    )


def _small_rank(gap: np.ndarray[Any, Any]) -> int | None:
    """The rank of a matrix where it is at most a quarter of the full one; None for what is no matrix, too large or of higher rank."""
    if gap.ndim != 2 or min(gap.shape) < 8 or min(gap.shape) > 2048 or not np.isfinite(gap).all():
        return None
    values = np.linalg.svd(gap, compute_uv=False)
    rank = int((values > values[0] * 1e-5).sum())
    return rank if rank <= min(gap.shape) // 4 else None


def outliers(path: Path, policy: Policy | None = None, *, beyond: float = OUTLYING) -> tuple[Outlier, ...]:
    """The neurons whose weights stand out in their layer, furthest first. Layers of fewer than 16 rows are passed over."""
    found = []
    for name, tensor in tensors_of(path, policy).items():
        if tensor.ndim < 2 or len(tensor) < 16 or tensor.dtype.kind != "f":
            continue
        norms = np.linalg.norm(tensor.reshape(len(tensor), -1), axis=1)
        middle = float(np.median(norms))
        spread = 1.4826 * float(np.median(np.abs(norms - middle)))
        if spread > 0 and np.isfinite(spread):
            deviations = (norms - middle) / spread
            rows = np.flatnonzero(np.abs(deviations) > beyond)
            found += [Outlier(tensor=name, row=int(r), norm=float(norms[r]), deviations=float(deviations[r])) for r in rows]
    return tuple(sorted(found, key=lambda o: -abs(o.deviations)))
