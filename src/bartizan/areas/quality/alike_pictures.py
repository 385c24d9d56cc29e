"""Near-duplicate pictures: the same picture saved again, made brighter or a little smaller, told from another one that looks alike.

Pictures are brought to one small size, freed of brightness and contrast, and compared with their nearest. How near is near is read off the
set itself: a copy is far closer to its original than the original is to the other pictures around it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.methods.neighbours import neighbours

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

SIDE = 16
"""Pictures are compared at this size."""

CLOSER = 0.5
"""A copy is closer to its original than this share of the distance from the original to its fifth other neighbour."""

FARTHEST = 0.35
"""A copy is no farther than this, as the distance of two rows of length one (a correlation of 0.94)."""

SAME = 0.02
"""Up to this distance two pictures are the same whatever lies around them."""


@dataclass(frozen=True)
class NearImages:
    """For each probe the nearest reference picture, its `distance` (0 to 2), and whether it is a copy of it (`near`)."""

    partner: Ints
    distance: Floats
    near: npt.NDArray[np.bool_]


def thumbnails(images: npt.NDArray[np.float32], side: int = SIDE) -> Floats:
    """Images (n, channels, height, width) as rows (n, channels * side * side) of mean zero and length one; flat ones are zero.

    Grey pictures are repeated in three channels, so that a grey copy of a grey picture in colour is found.
    """
    parts = [_small(images[start : start + 512], side) for start in range(0, len(images), 512)]
    rows = np.concatenate(parts)
    rows -= rows.mean(axis=1, keepdims=True)
    length = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    return np.where(length > 1e-3, rows / np.maximum(length, 1e-3), 0.0).astype(np.float32)


def _small(images: npt.NDArray[np.float32], side: int) -> Floats:
    """Means over equal areas, also where an edge falls inside a pixel."""
    down, across = _weights(images.shape[2], side), _weights(images.shape[3], side)
    small = np.einsum("sh,nchw,tw->ncst", down, images, across, optimize=True)
    if small.shape[1] != 3:
        small = np.repeat(small[:, :1], 3, axis=1)
    return np.asarray(small.reshape(len(images), -1), dtype=np.float32)


def _weights(size: int, side: int) -> npt.NDArray[np.float32]:
    """How much each of `size` pixels counts in each of `side` areas of equal width, (side, size)."""
    edges = np.linspace(0.0, size, side + 1)
    low, high = edges[:-1, None], edges[1:, None]
    pixels = np.arange(size)[None]
    covered = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0.0, None)
    return np.asarray(covered / covered.sum(axis=1, keepdims=True), dtype=np.float32)


def near_images(reference: npt.NDArray[np.float32], probe: npt.NDArray[np.float32] | None = None) -> NearImages:
    """Which pictures of `probe` are copies of one of `reference`; without `probe`, which of `reference` copy another of them.

    Both (n, channels, height, width) in 0 to 1; sizes may differ between the two.
    """
    base = thumbnails(reference)
    around = neighbours(base, 6)
    found = around.first(1) if probe is None else neighbours(thumbnails(probe), 1, among=base)
    partner, distance = found.index[:, 0], found.distance[:, 0]
    scale = around.distance[partner, -1]
    lively = np.square(base).sum(axis=1)[partner] > 0.5
    near = lively & (distance <= FARTHEST) & ((distance <= CLOSER * scale) | (distance <= SAME))
    return NearImages(partner, distance, near)
