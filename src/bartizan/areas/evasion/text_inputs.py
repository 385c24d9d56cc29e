"""What the check of text classifiers works on: a scikit-learn pipeline that takes texts, and declared texts with their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.adapters.estimators import class_probabilities, load_estimator
from bartizan.adapters.files import local_path
from bartizan.adapters.tables import declared_table
from bartizan.areas.evasion.tabular_inputs import MIN_ROWS, class_numbers, is_number
from bartizan.model.errors import InputError
from bartizan.model.findings import Job
from bartizan.model.system import Asset

_BROKEN = (ValueError, KeyError, TypeError, AttributeError, IndexError)


@dataclass(frozen=True)
class Texts:
    """A classifier of texts, `texts` (n) with `labels` (n,) as positions in its classes, and their `lines` in the table."""

    estimator: Any
    texts: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]

    def scores(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """The model's probability of each class, (n, k)."""
        return class_probabilities(self.estimator, texts)

    def decisions(self, texts: list[str]) -> npt.NDArray[np.int64]:
        """What the model's own predict decides, as positions in its classes, (n,)."""
        try:
            predicted = self.estimator.predict(texts)
        except _BROKEN as error:
            raise InputError(f"the model does not take texts: {error}", cure="declare a pipeline that begins with a vectoriser") from None
        return np.asarray(pd.Index(self.estimator.classes_).get_indexer(predicted), dtype=np.int64)

    def correct(self) -> npt.NDArray[np.int64]:
        """The places of the texts that are decided correctly. Raises `InputError` where they are too few."""
        places = np.flatnonzero(self.decisions(list(self.texts)) == self.labels)
        if len(places) < MIN_ROWS:
            cure = f"declare data with at least {MIN_ROWS}"
            raise InputError(f"only {len(places)} of {len(self.texts)} test texts are decided correctly", cure=cure)
        return places


def texts_of(job: Job, target: Asset) -> Texts:
    """The declared classifier with its declared test texts.

    Raises `InputError` with place and cure where something is not declared or does not fit, `Refused` where it is not safe to load.
    """
    if target.uri is None:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare where the model file lies")
    table, label = declared_table(job, target.tested_on, target, "tested_on", wanted="with texts that the model has not seen")
    if label is None or label not in table:
        raise InputError(f"the label column of '{target.id}' is not known", place=target.at, cure="declare label: on its data sets")
    columns = [str(name) for name in table.columns if name != label and not is_number(table[name]) and table[name].dtype != bool]
    if len(columns) != 1:
        found = ", ".join(columns) or "none"
        what = f"one column of texts is needed beside '{label}', not {len(columns)}: {found}"
        raise InputError(what, place=target.at, cure="declare a table with the text and its label alone")
    table = table.dropna(subset=[columns[0], label])
    estimator = load_estimator(job.root, local_path(job.root, target.uri, target.at))
    if not hasattr(estimator, "classes_"):
        raise InputError(f"{type(estimator).__name__} is no classifier", place=target.at, cure="this can be measured on classifiers only")
    texts = tuple(str(text) for text in table[columns[0]])
    return Texts(estimator, texts, class_numbers(estimator.classes_, table[label]), table.index.to_numpy() + 1)
