"""What the checks of tabular classifiers work on: the model, what it was trained on, and test rows with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.adapters.estimators import class_probabilities
from bartizan.adapters.files import local_path
from bartizan.adapters.model_files import load_classifier
from bartizan.adapters.tables import declared_table
from bartizan.areas.evasion.tabular_rules import TableRules, spelt
from bartizan.areas.evasion.tabular_rules import is_number as is_number
from bartizan.model.errors import InputError
from bartizan.model.findings import Job
from bartizan.model.system import Asset

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
    header; `labels` and `train_labels` are positions in `estimator.classes_`, -1 for a label that the model does not know. `rules` are the
    constraints that the manifest declares for inputs of the model.
    """

    estimator: Any
    train: pd.DataFrame
    test: pd.DataFrame
    labels: Ints
    numbers: Ints
    train_labels: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    rules: TableRules | None = None

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

    def possible(self, places: Ints) -> tuple[Ints, dict[int, str]]:
        """Those of `places` whose test rows keep the declared constraints, and the others by their line with the rule they break.

        Raises `InputError` where too few are left.
        """
        if self.rules is None:
            return places, {}
        broken = self.rules.screen(self.test.iloc[places])
        kept = np.delete(places, list(broken))
        if len(kept) < MIN_ROWS:
            rule = next(iter(broken.values()), "none")
            what = f"only {len(kept)} of {len(places)} test rows keep the declared constraints; the first that is broken: {rule}"
            raise InputError(what, place=self.rules.told.at, cure="correct the constraints or the data")
        return kept, {int(self.numbers[places[row]]): rule for row, rule in broken.items()}

    def _as_trained(self, frame: pd.DataFrame) -> Any:
        return frame if hasattr(self.estimator, "feature_names_in_") else frame.to_numpy()


def prepared(job: Job, target: Asset) -> Prepared:
    """The declared model with its declared training and test data.

    Raises `InputError` with place and cure where something is not declared or does not fit, `Refused` where it is not safe to load.
    """
    if target.uri is None:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare where the model file lies")
    train, label = declared_table(
        job, target.trained_on, target, "trained_on", wanted="with the training data, which says what is plausible"
    )
    test, other = declared_table(job, target.tested_on, target, "tested_on", wanted="with data that the model has not seen")
    label = other or label
    if label is None or label not in test:
        raise InputError(f"the label column of '{target.id}' is not known", place=target.at, cure="declare label: on its data sets")
    estimator = load_classifier(job.root, local_path(job.root, target.uri, target.at), target.format, target.at)
    if not hasattr(estimator, "classes_"):
        raise InputError(f"{type(estimator).__name__} is no classifier", place=target.at, cure="this can be measured on classifiers only")
    names = [str(name) for name in getattr(estimator, "feature_names_in_", [c for c in train.columns if c != label])]
    missing = [name for name in names if name not in train or name not in test]
    if missing:
        raise InputError(f"the model wants columns that the data does not have: {', '.join(missing[:5])}", place=target.at)
    labels = class_numbers(estimator.classes_, test[label])
    if (labels < 0).mean() > 0.5:
        raise InputError(f"the labels in '{label}' are not the classes of the model", cure="declare the label column of the data sets")
    known = class_numbers(estimator.classes_, train[label]) if label in train else np.full(len(train), -1, dtype=np.int64)
    rules = None if target.constraints is None else TableRules(target.constraints, train[names])
    return Prepared(estimator, train[names], test[names], labels, np.arange(1, len(test) + 1), known, rules)


def sample(places: Ints, most: int, seed: int) -> Ints:
    """At most `most` of `places`, drawn by `seed`, in their order."""
    chosen = np.random.default_rng(seed).permutation(len(places))[:most]
    return np.sort(places[chosen])


def class_numbers(classes: Sequence[Any], labels: pd.Series) -> Ints:
    """The position of each label in `classes`, -1 where it is none; 1, 1.0 and "1" are one label."""
    known = {spelt(name): place for place, name in enumerate(classes)}
    return np.array([known.get(spelt(label), -1) for label in labels], dtype=np.int64)


def is_whole(column: pd.Series) -> bool:
    """Does a numeric column hold whole numbers alone?"""
    values = column.dropna().to_numpy(dtype=np.float64)
    return bool((values == np.rint(values)).all())
