"""One spelling for NumPy arrays and torch tensors: attacks are written once and load no torch for a NumPy target.

Both libraries share most names (`where`, `clip`, `sign`, `maximum`, `sum(axis=...)`); here is what differs. Shapes: engines work on flat
rows, (n, d). Random numbers always come from a NumPy generator, so that a seed gives the same attack on either library.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

Array = Any
"""A NumPy array or a torch tensor; one call uses one kind throughout."""


def is_torch(x: Array) -> bool:
    """Whether `x` is a torch tensor, asked without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def namespace(x: Array) -> Any:
    """The module whose functions take `x`: torch for a tensor, numpy for everything else."""
    return sys.modules["torch"] if is_torch(x) else np


def copy(x: Array) -> Array:
    """A copy that shares no memory with `x`."""
    return x.clone() if is_torch(x) else x.copy()


def to_numpy(x: Array) -> np.ndarray[Any, Any]:
    """`x` as a NumPy array on the host."""
    return x.detach().cpu().numpy() if is_torch(x) else np.asarray(x)


def like(values: Any, x: Array) -> Array:
    """`values` (host numbers) as an array of the kind, device and floating type of `x`."""
    if is_torch(x):
        return namespace(x).as_tensor(np.array(values), dtype=x.dtype, device=x.device)
    return np.array(values, dtype=x.dtype)


def integers(values: Any, x: Array) -> Array:
    """`values` as 64-bit integers of the kind and device of `x`: labels and row numbers."""
    if is_torch(x):
        return namespace(x).as_tensor(np.array(values, dtype=np.int64), device=x.device)
    return np.asarray(values, dtype=np.int64)


def full(x: Array, shape: int | tuple[int, ...], value: float) -> Array:
    """An array of `value` of the kind, device and type of `x`."""
    shape = (shape,) if isinstance(shape, int) else shape
    if is_torch(x):
        return namespace(x).full(shape, value, dtype=x.dtype, device=x.device)
    return np.full(shape, value, dtype=x.dtype)


def column(values: Array) -> Array:
    """(n,) as (n, 1), to multiply rows."""
    return values[:, None]


def rows(mask: Array) -> np.ndarray[Any, Any]:
    """The row numbers where a boolean (n,) holds, on the host."""
    return np.flatnonzero(to_numpy(mask))


def norm1(x: Array) -> Array:
    """L1 norm of each row, (n,)."""
    return namespace(x).abs(x).sum(1)


def norm2(x: Array) -> Array:
    """L2 norm of each row, (n,)."""
    return (x * x).sum(1) ** 0.5


def norm_inf(x: Array) -> Array:
    """Largest absolute entry of each row, (n,)."""
    return namespace(x).amax(namespace(x).abs(x), 1) if is_torch(x) else np.abs(x).max(1)


def sorted_rows(x: Array) -> Array:
    """Each row in ascending order."""
    return namespace(x).sort(x, 1).values if is_torch(x) else np.sort(x, 1)


def order_rows(x: Array) -> Array:
    """Column numbers that put each row in ascending order, ties by position."""
    return namespace(x).argsort(x, dim=1, stable=True) if is_torch(x) else np.argsort(x, 1, kind="stable")


def one_hot(labels: Array, classes: int, x: Array) -> Array:
    """(n, classes) with 1 at `labels`, of the type of `x`."""
    out = full(x, (len(labels), classes), 0.0)
    out[namespace(x).arange(len(labels)), labels] = 1.0
    return out


def pick(x: Array, columns: Array) -> Array:
    """x[i, columns[i]] for each row, (n,)."""
    return x[namespace(x).arange(len(columns)), columns]


def masked(mask: Array, yes: Array, no: Array) -> Array:
    """Rows of `yes` where (n,) `mask` holds, else rows of `no`."""
    return namespace(yes).where(mask if yes.ndim == 1 else column(mask), yes, no)
