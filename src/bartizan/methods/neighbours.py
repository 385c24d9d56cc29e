"""The exact graph of nearest neighbours of a data set: one graph serves label errors, outliers, near duplicates and votes on poison.

Distances are Euclidean. The search runs in faiss where it is installed (extra `data`) and in numpy else; both give the same neighbours
but for ties, and a row is never its own neighbour.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import numpy.typing as npt

from bartizan.model.errors import InputError

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_BLOCK = 32_000_000
"""Distances that the search in numpy holds at once."""


@dataclass(frozen=True)
class Graph:
    """For each of n rows its k nearest others, nearest first: `index` (n, k), and `distance` (n, k), at least 0."""

    index: Ints
    distance: Floats

    def first(self, k: int) -> Graph:
        """The graph of the `k` nearest alone."""
        return Graph(self.index[:, :k], self.distance[:, :k])


def neighbours(x: npt.ArrayLike, k: int, *, among: npt.ArrayLike | None = None, engine: str | None = None) -> Graph:
    """The `k` nearest rows to each row of `x` (n, d): among the other rows of `x`, or among those of `among` (m, d).

    k: lowered to the number of rows there are to choose from
    engine: `faiss` or `numpy`; None takes faiss where it is installed
    Raises `InputError` for values that are no numbers, for too few rows and for tables of different width.
    """
    probe = _rows(x)
    base = probe if among is None else _rows(among)
    own = among is None
    k = min(k, len(base) - own)
    if k < 1:
        raise InputError(f"{len(base)} rows have no neighbours", cure="declare more data")
    if probe.shape[1] != base.shape[1]:
        raise InputError(f"rows of {probe.shape[1]} and of {base.shape[1]} numbers cannot be compared")
    centre = base.mean(axis=0, dtype=np.float64).astype(np.float32)
    probe, base = probe - centre, (probe if own else base) - centre  # small numbers keep the precision of float32
    faiss = _faiss() if engine in (None, "faiss") else None
    if engine == "faiss" and faiss is None:
        raise InputError("faiss is not installed", cure="pip install 'bartizan[data]'")
    squared, index = _by_faiss(faiss, probe, base, k + own) if faiss else _by_numpy(probe, base, k + own)
    if own:
        squared, index = _without_itself(squared, index)
    return Graph(index, np.sqrt(np.maximum(squared, 0.0)))


def _rows(x: npt.ArrayLike) -> Floats:
    rows = np.asarray(x, dtype=np.float32)
    rows = np.ascontiguousarray(rows.reshape(len(rows), -1))
    if not np.isfinite(rows).all():
        raise InputError("rows hold values that are missing or infinite", cure="fill them before neighbours are looked for")
    return rows


def _faiss() -> ModuleType | None:
    try:
        return importlib.import_module("faiss")
    except ImportError:
        return None


def _by_faiss(faiss: ModuleType, probe: Floats, base: Floats, k: int) -> tuple[Floats, Ints]:
    index = faiss.IndexFlatL2(base.shape[1])
    index.add(base)
    squared, found = index.search(probe, k)
    return squared, found


def _by_numpy(probe: Floats, base: Floats, k: int) -> tuple[Floats, Ints]:
    """All distances in blocks: |a|^2 - 2ab + |b|^2, of which the part that a row shares is added at the end."""
    lengths = np.einsum("ij,ij->i", base, base)
    squared, index = np.empty((len(probe), k), np.float32), np.empty((len(probe), k), np.int64)
    step = max(1, _BLOCK // len(base))
    for start in range(0, len(probe), step):
        part = probe[start : start + step]
        table = lengths - 2.0 * (part @ base.T)
        near = np.argpartition(table, k - 1, axis=1)[:, :k] if k < len(base) else np.tile(np.arange(k), (len(part), 1))
        values = np.take_along_axis(table, near, axis=1)
        order = np.argsort(values, axis=1, kind="stable")
        index[start : start + step] = np.take_along_axis(near, order, axis=1)
        squared[start : start + step] = np.take_along_axis(values, order, axis=1) + np.einsum("ij,ij->i", part, part)[:, None]
    return squared, index


def _without_itself(squared: Floats, index: Ints) -> tuple[Floats, Ints]:
    """One neighbour less for each row: the row itself, or the farthest where more equal rows than k stand before it."""
    drop = index == np.arange(len(index))[:, None]
    drop[~drop.any(axis=1), -1] = True
    shape = (len(index), index.shape[1] - 1)
    return squared[~drop].reshape(shape), index[~drop].reshape(shape)
