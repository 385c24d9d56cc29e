"""Cheap built-in descriptors: pictures, texts and tables as rows of numbers in which like things lie close together.

They need no trained model and no download. Whoever has embeddings of an own model uses those instead.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float32]

_WORD = re.compile(r"\w+", re.UNICODE)
_ORIENTATIONS = 8
_BINS = 1 << 14


def of_images(x: npt.NDArray[np.float32], *, cells: int = 7) -> Floats:
    """Gradient descriptors of images (n, channels, height, width): what is drawn, not how bright it is; unit length, (n, features).

    In each of `cells` by `cells` fields the strength of edges in eight directions (after Dalal and Triggs 2005, without blocks), and the
    mean of each channel where there is colour. Works in parts, so that memory stays below a few hundred megabytes.
    """
    step = max(1, 40_000_000 // max(1, x[0].size * _ORIENTATIONS))
    return np.concatenate([_gradients(x[start : start + step], cells) for start in range(0, len(x), step)])


def _gradients(x: npt.NDArray[np.float32], cells: int) -> Floats:
    grey = x.mean(axis=1) if x.shape[1] > 1 else x[:, 0]
    down, across = np.zeros_like(grey), np.zeros_like(grey)
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    across[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    angles = 2.0 * np.pi * np.arange(_ORIENTATIONS, dtype=np.float32) / _ORIENTATIONS
    parts = [pooled(np.maximum(across * np.float32(np.cos(a)) + down * np.float32(np.sin(a)), 0.0), cells) for a in angles]
    edges = np.concatenate(parts, axis=1)
    edges /= np.sqrt(np.square(edges).sum(axis=1, keepdims=True)) + 1e-6
    if x.shape[1] == 1:
        return edges
    colour = np.concatenate([pooled(channel, 4) for channel in x.transpose(1, 0, 2, 3)], axis=1)
    colour /= np.sqrt(np.square(colour).sum(axis=1, keepdims=True)) + 1e-6
    return np.concatenate([edges, colour], axis=1)


def pooled(field: Floats, cells: int) -> Floats:
    """Means of `field` (n, height, width) over `cells` by `cells` fields, (n, cells * cells)."""
    for axis in (1, 2):
        size = field.shape[axis]
        edges = np.linspace(0, size, min(cells, size) + 1).astype(int)
        counts = np.diff(edges).astype(np.float32).reshape((-1, 1) if axis == 1 else (-1,))
        field = np.asarray(np.add.reduceat(field, edges[:-1], axis=axis) / counts, dtype=np.float32)
    return field.reshape(len(field), -1)


def of_texts(texts: Sequence[str], *, dimensions: int = 128, seed: int = 0) -> Floats:
    """Words and pairs of words, hashed, weighted by how rare they are, and projected to `dimensions`; unit length, (n, dimensions)."""
    signs = np.random.default_rng(seed).normal(size=(_BINS, dimensions)).astype(np.float32)
    bags = [np.unique(_grams(text), return_counts=True) for text in texts]
    present = np.bincount(np.concatenate([grams for grams, _ in bags]), minlength=_BINS) if bags else np.zeros(_BINS)
    rarity = np.sqrt(np.log((1.0 + len(texts)) / (1.0 + present))).astype(np.float32)  # its root, lest one rare word outweigh a sentence
    projected = np.zeros((len(texts), dimensions), np.float32)
    for row, (grams, counts) in enumerate(bags):
        projected[row] = ((1.0 + np.log(counts)) * rarity[grams]).astype(np.float32) @ signs[grams]
    return np.asarray(projected / (np.sqrt(np.square(projected).sum(axis=1, keepdims=True)) + 1e-6), dtype=np.float32)


def _grams(text: str) -> npt.NDArray[np.int64]:
    """The hashed words and pairs of words of a text, at most the first 2,000 words."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())[:2000]
    grams = words + [f"{a} {b}" for a, b in itertools.pairwise(words)]
    return np.array([zlib.crc32(gram.encode()) % _BINS for gram in grams], dtype=np.int64)


def of_table(frame: pd.DataFrame, *, texts: int = 32) -> Floats:
    """Numbers in units of their spread, cut at ten; categories as one column a value; texts as of_texts; gaps as the middle, told apart.

    texts: numbers that stand for one text; more tell texts apart better
    """
    import pandas as pd

    parts: list[Floats] = []
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
            parts.append(_numbers(pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)))
            continue
        text = column.map(str).where(column.notna(), "")
        if text.nunique() > max(50, len(text) // 20):
            parts.append(of_texts(text.tolist(), dimensions=texts))
            continue
        codes, values = pd.factorize(text, sort=True)
        parts.append(np.eye(len(values), dtype=np.float32)[codes])
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(frame), 1), np.float32)


_WIDEST = 1e150
"""Numbers are taken as no larger than this, whose squares do not overflow."""


def _numbers(values: npt.NDArray[np.float64]) -> Floats:
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros((len(values), 1), np.float32)
    values = np.clip(values, -_WIDEST, _WIDEST)
    low, middle, high = np.quantile(values[finite], [0.25, 0.5, 0.75])
    spread = (high - low) / 1.349 or float(values[finite].std()) or 1.0
    scaled = np.clip((np.where(finite, values, middle) - middle) / spread, -10.0, 10.0)
    columns = [scaled] if finite.all() else [scaled, (~finite).astype(np.float64)]
    return np.stack(columns, axis=1).astype(np.float32)


def reduced(x: npt.NDArray[np.float32], dimensions: int = 60, *, sample: int = 20_000, seed: int = 0) -> Floats:
    """`x` (n, d) on its `dimensions` directions of greatest variance (fitted on at most `sample` rows); `x` itself where d is less."""
    flat = np.asarray(x, dtype=np.float32).reshape(len(x), -1)
    if flat.shape[1] <= dimensions:
        return flat
    chosen = flat if len(flat) <= sample else flat[np.random.default_rng(seed).choice(len(flat), sample, replace=False)]
    middle = chosen.mean(axis=0)
    centred = chosen - middle
    _, vectors = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    axes = vectors[:, ::-1][:, :dimensions].astype(np.float32)
    return np.ascontiguousarray((flat - middle) @ axes)


def of_set(images: npt.NDArray[np.float32] | None, frame: pd.DataFrame | None, *, dimensions: int = 60, fine: bool = False) -> Floats:
    """The descriptors of a set of `images` (n, channels, height, width) or, where there are none, of a table, reduced to `dimensions`.

    fine: pictures also by broader fields and by where they are dark, which tells classes apart that have one outline, such as clothes;
    texts by more numbers before they are reduced
    """
    if images is not None:
        return reduced(_finely(images) if fine else of_images(images), dimensions)
    if frame is None:
        raise ValueError("neither images nor a table")
    return reduced(of_table(frame, texts=_room(frame)) if fine else of_table(frame), dimensions)


def _room(frame: pd.DataFrame) -> int:
    """Numbers that a text may become, 32 to 512, so that neither time (letters) nor memory (cells) grows beyond bounds."""
    import pandas as pd

    columns = [frame[name] for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
    letters = sum(int(column.astype(str).str.len().sum()) for column in columns)
    return int(np.clip(min(12e9 / max(letters, 1), 64e6 / max(len(frame) * len(columns), 1)), 32, 512))


def _finely(images: npt.NDArray[np.float32]) -> Floats:
    """Gradients in two sizes of fields and mean shades in 14 by 14 of them; (n, features)."""
    shades = pooled(images.mean(axis=1), 14)
    shades /= np.sqrt(np.square(shades).sum(axis=1, keepdims=True)) + 1e-6
    return np.concatenate([of_images(images), np.float32(0.7) * of_images(images, cells=4), shades], axis=1)
