"""Checks of what a caller hands to an attack: a wrong shape, label, range or scale is an error that names it, never a wrong number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bartizan.areas.evasion.arrays import is_torch, to_numpy
from bartizan.model.errors import InputError


def checked_images(x: Any) -> Any:
    """`x` as it came, if it is a batch of floating-point inputs (n, ...) without NaN or infinity."""
    if not is_torch(x):
        x = np.asarray(x)
        if x.dtype.kind not in "f":
            raise InputError(f"x holds {x.dtype}, not floating-point numbers", cure="x.astype('float32') in the model's own range")
    elif not x.is_floating_point():
        raise InputError(
            f"x holds {x.dtype}, not floating-point numbers", cure="x.float() in the model's own range, / 255 where it is [0, 1]"
        )
    if x.ndim < 2 or len(x) == 0:
        raise InputError(
            f"x has shape {tuple(x.shape)}", cure="give (samples, features) or (images, channels, height, width), at least one"
        )
    values = to_numpy(x)
    if not np.isfinite(values).all():
        raise InputError("x holds NaN or infinite values")
    return x


def checked_bounds(x: Any, bounds: tuple[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The valid range as flat 64-bit arrays (d,) or (1,); InputError where it is no range or `x` leaves it."""
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise InputError("bounds are a pair: (lowest, highest) valid input value")
    shape = tuple(x.shape[1:])
    low, high = (_flat(to_numpy(b) if is_torch(b) else b, shape) for b in bounds)
    if not (low < high).all():
        raise InputError("bounds must rise: lowest < highest")
    values = to_numpy(x).reshape(len(x), -1).astype(np.float64)
    slack = 1e-6 * np.maximum(1.0, high - low)
    if (values < low - slack).any() or (values > high + slack).any():
        raise InputError(
            f"x reaches from {values.min():.4g} to {values.max():.4g}, outside bounds {_shown(bounds)}",
            cure="give inputs before normalisation with mean= and std=, or the range that x has: bounds=(lowest, highest)",
        )
    return low, high


def _flat(bound: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    array = np.asarray(bound, dtype=np.float64)
    if not np.isfinite(array).all():
        raise InputError("bounds must be finite", cure="give the widest range that an input can have")
    if array.ndim == 0:
        return array.reshape(1)
    try:
        return np.broadcast_to(array, shape).reshape(-1).copy()
    except ValueError as error:
        raise InputError(f"bounds of shape {array.shape} do not fit inputs of shape {shape}") from error


def _shown(bounds: tuple[Any, Any]) -> str:
    return ", ".join(f"{float(np.min(to_numpy(b))):g}..{float(np.max(to_numpy(b))):g}" if np.ndim(b) else f"{b:g}" for b in bounds)


def checked_labels(y: Any, n: int, classes: int) -> np.ndarray[Any, Any]:
    """Labels as (n,) 64-bit integers in [0, classes); one-hot rows are understood."""
    labels = to_numpy(y) if is_torch(y) else np.asarray(y)
    if labels.ndim == 2 and labels.shape == (n, classes) and classes > 1:
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all()):
            raise InputError("y has a column per class but is not one-hot", cure="give the class numbers, shape (n,)")
        labels = labels.argmax(1)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (n,):
        raise InputError(f"y has shape {labels.shape} for {n} inputs", cure=f"give one class number per input, shape ({n},)")
    if labels.dtype.kind not in "iufb" or (labels.dtype.kind == "f" and not (labels == np.round(labels)).all()):
        raise InputError(f"y holds {labels.dtype}, not class numbers", cure=f"encode the classes as 0..{classes - 1}")
    if labels.min() < 0 or labels.max() >= classes:
        found = f"{int(labels.min())} to {int(labels.max())}"
        raise InputError(
            f"y holds classes {found}, the model has {classes}", cure=f"number the classes 0..{classes - 1}, as the model does"
        )
    return labels.astype(np.int64)


def checked_radii(eps: float | Sequence[float]) -> tuple[float, ...]:
    """The radii, ascending and without repeats; InputError for none, negative or non-finite ones."""
    values = to_numpy(eps) if is_torch(eps) else np.asarray(eps, dtype=np.float64)
    radii = tuple(sorted({float(v) for v in np.atleast_1d(values).ravel()}))
    if not radii or not all(math.isfinite(r) and r >= 0 for r in radii):
        raise InputError(f"eps must be one or more finite radii >= 0, not {eps}")
    return radii
