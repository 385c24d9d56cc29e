"""What the checks of tabular classifiers work on: the model, what it was trained on, and test rows with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.adapters.estimators import class_probabilities, load_estimator
from bartizan.adapters.files import local_path
from bartizan.adapters.tables import declared_table
from bartizan.model.errors import InputError
from bartizan.model.findings import Job
from bartizan.model.system import Asset, Format

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MIN_ROWS = 20
"""Fewest test rows that the model decides correctly; below, no rate is worth its interval."""

_BROKEN = (ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What scikit-learn raises on features that a model does not take."""


@dataclass(frozen=True)
class Prepared:
    """A classifier with its data.

    `train` and `test` hold the model's features alone, in its order; `numbers` are the lines of the test tables, counted from 1 below the
    header; `labels` are positions in `estimator.classes_`, -1 for a label that the model does not know.
    """

    estimator: Any
    train: pd.DataFrame
    test: pd.DataFrame
    labels: Ints
    numbers: Ints

    @property
    def classes(self) -> int:
        return len(self.estimator.classes_)

    def probabilities(self, frame: pd.DataFrame) -> Floats:
        """The model's probability of each class, (rows, classes)."""
        return class_probabilities(self.estimator, self._as_trained(frame))

    def decisions(self, frame: pd.DataFrame) -> Ints:
        """What the model's own predict decides, as positions in `classes_`, (rows,)."""
        try:
            predicted = self.estimator.predict(self._as_trained(frame))
        except _BROKEN as error:
            raise InputError(
                f"the model does not take the declared features: {error}", cure="check label and columns of the data set"
            ) from None
        return np.asarray(pd.Index(self.estimator.classes_).get_indexer(predicted), dtype=np.int64)

    def correct(self) -> Ints:
        """The places of the test rows that the model decides correctly. Raises `InputError` where they are too few."""
        places = np.flatnonzero(self.decisions(self.test) == self.labels)
        if len(places) < MIN_ROWS:
            raise InputError(
                f"only {len(places)} of {len(self.test)} test rows are decided correctly", cure=f"declare data with at least {MIN_ROWS}"
            )
        return places

    def _as_trained(self, frame: pd.DataFrame) -> Any:
        return frame if hasattr(self.estimator, "feature_names_in_") else frame.to_numpy()


def prepared(job: Job, target: Asset) -> Prepared:
    """The declared model with its declared training and test data.

    Raises `InputError` with place and cure where something is not declared or does not fit, `Refused` where it is not safe to load.
    """
    if target.uri is None:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare where the model file lies")
    if target.format not in (None, Format.SKOPS, Format.OTHER):
        cure = "declare the skops file of a scikit-learn classifier; for torch and others call bartizan.evasion.attack"
        raise InputError(f"'{target.id}' is stored as {target.format}; this check reads skops", place=target.at, cure=cure)
    train, label = declared_table(
        job, target.trained_on, target, "trained_on", wanted="with the training data, which says what is plausible"
    )
    test, other = declared_table(job, target.tested_on, target, "tested_on", wanted="with data that the model has not seen")
    label = other or label
    if label is None or label not in test:
        raise InputError(f"the label column of '{target.id}' is not known", place=target.at, cure="declare label: on its data sets")
    estimator = load_estimator(job.root, local_path(job.root, target.uri, target.at))
    if not hasattr(estimator, "classes_"):
        raise InputError(f"{type(estimator).__name__} is no classifier", place=target.at, cure="this can be measured on classifiers only")
    names = [str(name) for name in getattr(estimator, "feature_names_in_", [c for c in train.columns if c != label])]
    missing = [name for name in names if name not in train or name not in test]
    if missing:
        raise InputError(f"the model wants columns that the data does not have: {', '.join(missing[:5])}", place=target.at)
    labels = class_numbers(estimator.classes_, test[label])
    if (labels < 0).mean() > 0.5:
        raise InputError(f"the labels in '{label}' are not the classes of the model", cure="declare the label column of the data sets")
    return Prepared(estimator, train[names], test[names], labels, np.arange(1, len(test) + 1))


def sample(places: Ints, most: int, seed: int) -> Ints:
    """At most `most` of `places`, drawn by `seed`, in their order."""
    chosen = np.random.default_rng(seed).permutation(len(places))[:most]
    return np.sort(places[chosen])


def class_numbers(classes: Sequence[Any], labels: pd.Series) -> Ints:
    """The position of each label in `classes`, -1 where it is none; 1, 1.0 and "1" are one label."""
    known = {_spelt(name): place for place, name in enumerate(classes)}
    return np.array([known.get(_spelt(label), -1) for label in labels], dtype=np.int64)


def _spelt(label: Any) -> str:
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(label)


def is_number(column: pd.Series) -> bool:
    """Does the column hold quantities? Truth values are categories."""
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def is_whole(column: pd.Series) -> bool:
    """Does a numeric column hold whole numbers alone?"""
    values = column.dropna().to_numpy(dtype=np.float64)
    return bool((values == np.rint(values)).all())
