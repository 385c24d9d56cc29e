"""Trains models like a given one on random halves of the data: what the attacker compares the model under attack with."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.adapters.estimators import class_probabilities
from bartizan.areas.privacy.membership import FINEST, log_odds
from bartizan.model.errors import InputError


def how_many(rows: int) -> int:
    """Reference models for a table of `rows`: as many as take seconds, fixed by the size so that every machine trains the same."""
    return next((count for limit, count in ((3_000, 32), (10_000, 12)) if rows <= limit), 6)


def class_numbers(estimator: Any, labels: pd.Series) -> npt.NDArray[np.int64]:
    """For each label the index of its class in the model, -1 where the model does not know it. Types may differ (1, 1.0, "1")."""
    known = {_plain(value): index for index, value in enumerate(estimator.classes_)}
    return np.array([known.get(_plain(value), -1) for value in labels], dtype=np.int64)


def _plain(value: Any) -> str:
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


def train(estimator: Any, features: pd.DataFrame, classes: npt.NDArray[np.int64], seed: int, epsilon: float = FINEST) -> tuple[Any, Any]:
    """Log odds and training rows of reference models: arrays of shape (models, rows), empty where the model cannot be trained anew.

    Models come in pairs that share out the rows, so that each row is inside half of them (Carlini et al., 2022).
    """
    from sklearn.base import clone

    count, rows = how_many(len(features)), len(features)
    odds, inside = np.zeros((count, rows)), np.zeros((count, rows), dtype=bool)
    random = np.random.default_rng(seed)
    for pair in range(count // 2):
        half = np.zeros(rows, dtype=bool)
        half[random.permutation(rows)[: rows // 2]] = True
        inside[2 * pair], inside[2 * pair + 1] = half, ~half
    labels = np.asarray(estimator.classes_)[np.maximum(classes, 0)]
    try:
        for number in range(count):
            model = clone(estimator)
            model.set_params(**{name: seed + number for name in model.get_params() if name.endswith("random_state")})
            own = inside[number] & (classes >= 0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(features[own], labels[own])
            place = {value: index for index, value in enumerate(model.classes_)}
            renumbered = np.array([place.get(value, -1) for value in labels])
            odds[number] = log_odds(class_probabilities(model, features), np.where(classes >= 0, renumbered, -1), epsilon)
    except (ValueError, TypeError, AttributeError, InputError):
        return np.zeros((0, rows)), np.zeros((0, rows), dtype=bool)
    return odds, inside
