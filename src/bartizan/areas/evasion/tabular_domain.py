"""Inputs unlike any in training: noise, columns that do not belong together, values far out of range; and the proof that they are unlike.

An input counts as out of domain only when it lies further from its nearest training row than all but a hundredth of the test rows do, in
columns scaled to their spread with categories as indicators. So a model is not blamed for knowing what it was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.areas.evasion.tabular_inputs import Floats, Prepared, is_number, is_whole
from bartizan.model.errors import InputError

FAR = 0.99
"""An out-of-domain input is further away than this share of the test rows."""
MOST_TRAINING = 4_000
"""Most training rows that distances are measured to."""
FEWEST = 20
"""Fewest inputs of a kind that are worth a rate."""


@dataclass(frozen=True)
class Foreign:
    """Inputs of one kind that are out of domain, and how many were drawn to get them."""

    kind: str
    frame: pd.DataFrame
    drawn: int


def foreign_inputs(prepared: Prepared, count: int, seed: int, *, images: bool = False) -> tuple[Foreign, ...]:
    """At most `count` out-of-domain inputs of each kind; `images` stay in the range of pixels.

    Raises `InputError` where no kind has enough of them.
    """
    random = np.random.default_rng(seed)
    distance = _Distance(prepared, random)
    limit = float(np.quantile(distance(prepared.test), FAR))
    made = {
        "uniform noise within the ranges": _noise(prepared.train, 2 * count, random, 0.0),
        "columns shuffled apart": _shuffled(prepared.test, 2 * count, random),
        "numbers out of ten times the range": None if images else _noise(prepared.train, 2 * count, random, 4.5),
    }
    found = []
    for kind, frame in made.items():
        if frame is None:
            continue
        far = np.flatnonzero(distance(frame) > limit)
        if len(far) >= FEWEST:
            found.append(Foreign(kind, frame.iloc[far[:count]].reset_index(drop=True), len(frame)))
    if not found:
        raise InputError("nothing that was drawn is unlike the training data", cure="this model has too few features to tell")
    return tuple(found)


def _noise(train: pd.DataFrame, count: int, random: np.random.Generator, beyond: float) -> pd.DataFrame | None:
    """Independent uniform values, the range of numbers widened by `beyond` of itself on both sides; None where there are none to widen."""
    columns: dict[str, npt.NDArray[Any]] = {}
    widened = False
    for name in train.columns:
        seen = train[name].dropna()
        if not len(seen):
            columns[name] = train[name].to_numpy()[random.integers(0, len(train), count)]
        elif not is_number(seen):
            columns[name] = seen.drop_duplicates().to_numpy()[random.integers(0, seen.nunique(), count)]
        else:
            low, high = float(seen.min()), float(seen.max())
            values = random.uniform(low - beyond * (high - low), high + beyond * (high - low), count)
            columns[name] = np.rint(values).astype(seen.dtype) if is_whole(seen) and seen.dtype.kind in "iu" else values
            widened |= high > low
    return pd.DataFrame(columns) if widened or not beyond else None


def _shuffled(test: pd.DataFrame, count: int, random: np.random.Generator) -> pd.DataFrame:
    """Each column drawn from the test rows by itself: plausible cells that do not belong together."""
    return pd.DataFrame({name: test[name].to_numpy()[random.integers(0, len(test), count)] for name in test.columns})


class _Distance:
    """Distance to the nearest training row that is not the row itself, (rows,)."""

    def __init__(self, prepared: Prepared, random: np.random.Generator) -> None:
        train = prepared.train.iloc[np.sort(random.permutation(len(prepared.train))[:MOST_TRAINING])]
        self.numbers = [str(name) for name in train.columns if is_number(train[name])]
        self.named = {
            str(name): np.asarray(sorted(map(str, train[name].dropna().unique())))[:200]
            for name in train.columns
            if not is_number(train[name])
        }
        values = train[self.numbers].to_numpy(dtype=np.float64)
        filled = np.isfinite(values).any(axis=0) if len(self.numbers) else np.zeros(0, dtype=np.bool_)
        self.numbers = [name for name, kept in zip(self.numbers, filled, strict=True) if kept]
        values = values[:, filled]
        self.centre = np.nanmedian(values, axis=0) if len(self.numbers) else np.zeros(0)
        deviation = np.nanstd(values, axis=0) if len(self.numbers) else np.zeros(0)
        self.unit = np.where(deviation > 0, deviation, 1.0)
        self.known = self._points(train)

    def __call__(self, frame: pd.DataFrame) -> Floats:
        from sklearn.neighbors import NearestNeighbors

        nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(self.known)
        found = nearest.kneighbors(self._points(frame))[0]
        return np.asarray(found[:, 0], dtype=np.float64)

    def _points(self, frame: pd.DataFrame) -> Floats:
        values = frame[self.numbers].to_numpy(dtype=np.float64)
        values = (np.where(np.isfinite(values), values, self.centre) - self.centre) / self.unit
        indicators = [
            (frame[name].astype(str).to_numpy()[:, None] == known[None, :]).astype(np.float64) * np.sqrt(0.5)
            for name, known in self.named.items()
        ]
        return np.hstack([values, *indicators])
