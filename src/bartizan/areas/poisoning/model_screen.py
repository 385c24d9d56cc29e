"""The screen of training rows by the model that learnt from them: spectrum, marks that it obeys, and the rows that taught it so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.adapters.last_layers import LastLayer
from bartizan.areas.poisoning.activations import activation_clusters, spectral_score
from bartizan.areas.poisoning.declared_models import Trained
from bartizan.areas.poisoning.obeyed_marks import ObeyedMark, obeyed_marks
from bartizan.areas.poisoning.row_influence import culprits, self_influence
from bartizan.methods.descriptors import of_images, reduced

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_NEARER = 0.6


@dataclass(frozen=True)
class ModelScreen:
    """What the model says of its n training rows: the share that it has `learnt` (decides as labelled), the `spectral` score (n,), the mark
    of each class and whether it is obeyed, the rows that taught an obeyed mark by class (`culprits`), the rows that had most to teach
    themselves (`memorised`, the 50 of greatest self-influence), and by class how far two clusters of activations are apart."""

    learnt: float
    spectral: Floats
    marks: tuple[ObeyedMark, ...]
    culprits: Mapping[int, Ints]
    memorised: Ints
    silhouette: Mapping[int, float]


def model_screen(trained: Trained, *, seed: int = 0) -> ModelScreen:
    """Screen the training rows of `trained` by its last layer. Nothing is trained; the model is asked two times 400 rows a class."""
    layer = trained.last(trained.x)
    labels, flat = trained.y, trained.x.reshape(len(trained.x), -1)
    learnt = float((layer.probabilities.argmax(axis=1) == labels).mean())
    spectral = spectral_score(layer.activations, labels)
    marks = obeyed_marks(trained.decisions, flat, _features(trained), labels, spectral, seed=seed)
    taught = {mark.label: _taught(trained, layer, mark, seed) for mark in marks if mark.obeyed}
    memorised = np.argsort(-self_influence(layer, labels), kind="stable")[:50]
    clusters = activation_clusters(layer.activations, labels, seed=seed)
    return ModelScreen(learnt, spectral, marks, taught, np.asarray(memorised, dtype=np.int64), clusters.silhouette)


def _features(trained: Trained) -> npt.NDArray[np.float32]:
    """In which like rows are close: gradients of pictures, columns in units of their spread."""
    pictures = trained.pictures
    if pictures is not None:
        return reduced(of_images(pictures))
    rows = trained.x.reshape(len(trained.x), -1)
    return reduced(np.asarray((rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-9), dtype=np.float32))


def _taught(trained: Trained, layer: LastLayer, mark: ObeyedMark, seed: int) -> Ints:
    """The rows whose influence on decisions steered by the mark is nearer to that of the rows from which it was read than to the usual."""
    flat = trained.x.reshape(len(trained.x), -1)
    others = np.random.default_rng(seed).permutation(np.flatnonzero(trained.y != mark.label))[:400]
    marked = np.clip(flat[others] + mark.picture, flat.min(axis=0), flat.max(axis=0))
    asked = trained.last(marked)
    steered = asked.probabilities.argmax(axis=1) == mark.label
    suspicious = LastLayer(asked.activations[steered], asked.probabilities[steered])
    score = culprits(layer, trained.y, suspicious, mark.label).score
    rows = np.flatnonzero(trained.y == mark.label)
    usual, known = float(np.median(score[rows])), float(np.median(score[mark.rows]))
    rows = rows[np.argsort(-score[rows], kind="stable")]
    return np.asarray(rows[score[rows] >= usual + _NEARER * (known - usual)] if known > usual else mark.rows, dtype=np.int64)
