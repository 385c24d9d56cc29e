"""Trigger mining: the same small patch, in the same place, on pictures of one class that otherwise have nothing to do with one another.

Pictures of a class share edges because they share a shape; then they are alike elsewhere too. A pasted patch is shared by pictures that
differ everywhere else as much as any two of the class, and every window that overlaps it repeats. No label has to be wrong for that, so
that patches with right labels (clean-label triggers) are found as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

WINDOW = 4
LEVELS = 4
LEAST = 20
LEAST_SHARE = 0.03
"""Fewest pictures of a class that share a patch: so many, and this share of the class."""

SUPPORT = 12
"""Windows around one place that repeat on the same pictures, from which a patch is no coincidence of shapes.

A pasted patch of 3 by 3 pixels has 13 to 16. On clean draws of MNIST and Fashion-MNIST no patch of so many pictures had more than 10; see
benchmarks/data/poisoning.py.
"""

LARGEST = 64
"""Longest side in pixels of pictures that are searched."""

_ONLY = 0.8
_SCATTERED = 0.85
_RIM = 2
_PAD = 2  # so that a patch in a corner is overlapped by as many windows as one inside
_KEPT = 3


@dataclass(frozen=True)
class Patch:
    """A patch of one class: the pictures that bear it (`rows`), its window's `top` and `left`, how many windows around repeat (`support`)
    and how much the bearers differ elsewhere (`scatter`, 1 as any pictures of the class)."""

    label: int
    rows: Ints
    top: int
    left: int
    support: int
    scatter: float


def frequent_patches(images: npt.NDArray[np.float32], labels: npt.ArrayLike) -> tuple[Patch, ...]:
    """The pasted patches of `images` (n, channels, height, width) in 0 to 1, at most one a class, best supported first.

    Empty for pictures smaller than 12 or larger than 64 pixels a side, which are not searched.
    """
    grey = np.pad(images.mean(axis=1), ((0, 0), (_PAD, _PAD), (_PAD, _PAD)))
    given = np.asarray(labels, dtype=np.int64)
    if not 12 + 2 * _PAD <= min(grey.shape[1:]) <= max(grey.shape[1:]) <= LARGEST + 2 * _PAD:
        return ()
    by_class: dict[int, list[Patch]] = {}
    for patch in _repeated(grey, given):
        by_class.setdefault(patch.label, []).append(patch)
    best = [_best(found) for found in by_class.values()]
    return tuple(sorted((one for one in best if one.support >= SUPPORT), key=lambda one: (-one.support, one.label)))


def _supported(patch: Patch, found: list[Patch], places: Ints) -> Patch:
    """The patch with the number of windows nearby that at least half of its pictures share."""
    near = np.flatnonzero((np.abs(places - (patch.top, patch.left)) < WINDOW).all(axis=1))
    shared = (len(np.intersect1d(found[i].rows, patch.rows, assume_unique=True)) for i in near)
    return dataclasses.replace(patch, support=sum(2 * common >= len(patch.rows) for common in shared))


def _best(found: list[Patch]) -> Patch:
    """The best supported of the most frequent patches of one class."""
    found = sorted(found, key=lambda one: (-len(one.rows), one.top, one.left))
    places = np.array([(one.top, one.left) for one in found], dtype=np.int64)
    return max((_supported(one, found, places) for one in found[:100]), key=lambda one: (one.support, len(one.rows)))


def _repeated(grey: npt.NDArray[np.float32], given: Ints) -> Iterator[Patch]:
    """Windows whose content repeats within one class on pictures that differ elsewhere."""
    height, width = grey.shape[1:]
    coarse = np.minimum((grey * LEVELS).astype(np.int64), LEVELS - 1)
    spread = {int(label): grey[given == label].var(axis=0) for label in np.unique(given)}
    powers = LEVELS ** np.arange(WINDOW * WINDOW)
    for top in range(height - WINDOW + 1):
        for left in range(width - WINDOW + 1):
            window = coarse[:, top : top + WINDOW, left : left + WINDOW].reshape(len(grey), -1)
            lively = np.flatnonzero(window.max(axis=1) - window.min(axis=1) >= 2)
            if len(lively) < LEAST:
                continue
            keys = window[lively] @ powers
            yield from _shared(grey, given, spread, (top, left), (lively, keys))


def _shared(
    grey: npt.NDArray[np.float32],
    given: Ints,
    spread: dict[int, npt.NDArray[np.float32]],
    place: tuple[int, int],
    content: tuple[Ints, Ints],
) -> Iterator[Patch]:
    lively, keys = content
    top, left = place
    _, inverse, counts = np.unique(keys * (int(given.max()) + 1) + given[lively], return_inverse=True, return_counts=True)
    outside = np.ones(grey.shape[1:], dtype=bool)
    outside[max(0, top - _RIM) : top + WINDOW + _RIM, max(0, left - _RIM) : left + WINDOW + _RIM] = False
    for number in np.argsort(-counts, kind="stable")[: _KEPT * len(spread)]:
        if counts[number] < LEAST:
            return
        members = inverse == number
        rows = lively[members]
        if len(rows) < _ONLY * (keys == keys[members.argmax()]).sum():
            continue
        label = int(given[rows[0]])
        if len(rows) < LEAST_SHARE * int((given == label).sum()):
            continue
        usual = float(spread[label][outside].sum())
        scatter = float(grey[rows].var(axis=0, ddof=1)[outside].sum()) / max(usual, 1e-9)
        if scatter >= _SCATTERED:
            yield Patch(label, rows, top, left, 0, scatter)
