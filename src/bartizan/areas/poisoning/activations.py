"""Screens on the activations of a given model: what a backdoor has taught it sets the poisoned rows of a class apart.

The spectral score (after Tran, Li and Madry 2018, whitened as in Hayase and others 2021: directions in which every class varies do not
count) and activation clustering (Chen and others 2018). Both need activations of a model that was trained on the screened set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ROUNDS = 25
_DIRECTIONS = 10


def spectral_score(activations: npt.ArrayLike, labels: npt.ArrayLike) -> Floats:
    """How far each row stands out along the strangest direction of its class, (n,), in units of what the other classes vary there.

    The classes' medians are taken off, the variation that all classes share is whitened, and of each class the direction of greatest
    variance is used.
    """
    x, given = np.asarray(activations, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    x = x.reshape(len(x), -1)
    classes = [np.flatnonzero(given == label) for label in np.unique(given)]
    rest = np.empty_like(x)
    for rows in classes:
        rest[rows] = x[rows] - np.median(x[rows], axis=0)
    score = np.zeros(len(x))
    total = rest.T @ rest
    for rows in classes:
        if len(rows) < 3:
            continue
        own = rest[rows].T @ rest[rows]
        others = (total - own) / max(len(x) - len(rows), 1) if len(classes) > 1 else own / len(rows)
        values, vectors = np.linalg.eigh(others)
        kept = values > 1e-3 * values.max()
        white = rest[rows] @ (vectors[:, kept] / np.sqrt(values[kept]))
        white -= np.median(white, axis=0)
        _, _, directions = np.linalg.svd(white, full_matrices=False)
        score[rows] = np.abs(white @ directions[0])
    return score


@dataclass(frozen=True)
class ActivationClusters:
    """For each row whether it is in the smaller of its class's two clusters (`smaller`), and for each class number its `share` and how well
    the two are apart (`silhouette`, -1 to 1; a split of one cloud has about 0.1 to 0.25)."""

    smaller: npt.NDArray[np.bool_]
    share: dict[int, float]
    silhouette: dict[int, float]


def activation_clusters(activations: npt.ArrayLike, labels: npt.ArrayLike, *, seed: int = 0) -> ActivationClusters:
    """Each class's activations split in two (2-means on ten principal directions)."""
    x, given = np.asarray(activations, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    x = x.reshape(len(x), -1)
    smaller = np.zeros(len(x), dtype=bool)
    share: dict[int, float] = {}
    silhouette: dict[int, float] = {}
    for label in np.unique(given):
        rows = np.flatnonzero(given == label)
        if len(rows) < 10:
            continue
        centred = x[rows] - x[rows].mean(axis=0)
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        low = centred @ directions[:_DIRECTIONS].T
        group = _two_means(low, np.random.default_rng(seed))
        part = group if group.sum() * 2 <= len(group) else ~group
        smaller[rows] = part
        share[int(label)] = float(part.mean())
        silhouette[int(label)] = _apart(low, part)
    return ActivationClusters(smaller, share, silhouette)


def _two_means(x: Floats, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """The better of three runs of 2-means, as membership of the second cluster."""
    best, least = np.zeros(len(x), dtype=bool), np.inf
    for _ in range(3):
        first = x[random.integers(len(x))]
        far = np.square(x - first).sum(axis=1)
        centres = np.stack([first, x[random.choice(len(x), p=far / far.sum())] if far.sum() > 0 else first])
        group = best
        for _ in range(_ROUNDS):
            group = np.square(x - centres[1]).sum(axis=1) < np.square(x - centres[0]).sum(axis=1)
            if not group.any() or group.all():
                break
            moved = np.stack([x[~group].mean(axis=0), x[group].mean(axis=0)])
            if np.allclose(moved, centres):
                break
            centres = moved
        spread = float(sum(np.square(x[side] - x[side].mean(axis=0)).sum() for side in (group, ~group) if side.any()))
        if spread < least:
            best, least = group, spread
    return best


def _apart(x: Floats, part: npt.NDArray[np.bool_]) -> float:
    """The silhouette by distances to the two centres."""
    if not part.any() or part.all():
        return 0.0
    near = np.sqrt(np.square(x - x[part].mean(axis=0)).sum(axis=1))
    far = np.sqrt(np.square(x - x[~part].mean(axis=0)).sum(axis=1))
    own, other = np.where(part, near, far), np.where(part, far, near)
    return float(((other - own) / np.maximum(np.maximum(own, other), 1e-12)).mean())
