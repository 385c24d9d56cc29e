"""A model behind an endpoint as the tabular attacks see it: frames go out as JSON, no row is asked twice, everything asked is counted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.adapters.http_models import Endpoint, HttpModel
from bartizan.adapters.tables import declared_table
from bartizan.areas.evasion.tabular_inputs import Floats, Ints, Prepared, class_numbers
from bartizan.areas.evasion.tabular_rules import TableRules, spelt
from bartizan.areas.evasion.tabular_search import plain
from bartizan.model.errors import InputError
from bartizan.model.findings import Job
from bartizan.model.inputs import Inference
from bartizan.model.system import Asset

_GIVES = {"label": "labels", "score": "probabilities", "probabilities": "probabilities", "logits": "logits"}


@dataclass(frozen=True)
class Served(Prepared):
    """`Prepared` whose answers come from `asked`; the estimator knows its classes alone."""

    asked: HttpModel | None = None
    named: bool = True
    known: dict[str, Floats] = field(default_factory=dict)

    def probabilities(self, frame: pd.DataFrame) -> Floats:
        """The endpoint's score of each class, (rows, classes): probabilities, or 0 and 1 where it shows labels alone."""
        scores = self._answers(frame)
        return np.exp(scores) if self.model.gives == "probabilities" else scores

    def decisions(self, frame: pd.DataFrame) -> Ints:
        """The class that the endpoint decides on, as a position in the classes, (rows,)."""
        return np.asarray(self._answers(frame).argmax(axis=1), dtype=np.int64)

    @property
    def model(self) -> HttpModel:
        if self.asked is None:
            raise InputError("there is no endpoint to ask")
        return self.asked

    def row(self, place: int) -> Any:
        """A test row as the endpoint gets it."""
        return self._rows(self.test.iloc[[place]])[0]

    def _rows(self, frame: pd.DataFrame) -> list[Any]:
        names = [str(name) for name in frame.columns]
        columns = [[None if pd.isna(value) else plain(value) for value in frame[name].to_numpy()] for name in names]
        rows = zip(*columns, strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows] if self.named else [list(row) for row in rows]

    def _answers(self, frame: pd.DataFrame) -> Floats:
        rows = self._rows(frame)
        keys = [json.dumps(row) for row in rows]
        fresh = {key: row for key, row in zip(keys, rows, strict=True) if key not in self.known}
        if fresh:
            self.known.update(zip(fresh, self.model.ask(list(fresh.values())), strict=True))
        return np.array([self.known[key] for key in keys]).reshape(len(rows), self.classes)


def served(job: Job, endpoint: Asset, model: Asset, per_second: float) -> Served:
    """`model` behind `endpoint` with its declared data. Raises `InputError` for what is missing, `Refused` for a host without consent."""
    told = endpoint.inference or Inference()
    train, label = declared_table(job, model.trained_on, model, "trained_on", wanted="with the training data, which says what is plausible")
    test, other = declared_table(job, model.tested_on, model, "tested_on", wanted="with data to start from")
    label = other or label
    if label is None or label not in test or label not in train:
        raise InputError(f"the label column of '{model.id}' is not known", place=model.at, cure="declare label: on its data sets")
    classes = sorted({spelt(value) for value in (*train[label].dropna(), *test[label].dropna())})
    names = [str(name) for name in train.columns if name != label]
    missing = [name for name in names if name not in test]
    if missing:
        raise InputError(f"the test data lacks columns of the training data: {', '.join(missing[:5])}", place=model.at)
    rules = None if model.constraints is None else TableRules(model.constraints, train[names])
    words, classes = _words(told, classes, label)
    asked = HttpModel(
        Endpoint(
            url=str(endpoint.url),
            gives=_GIVES[told.gives],
            classes=len(classes),
            labels=words,
            rows_at=told.rows_at or "",
            single=told.single,
            constant=dict(told.constant),
            answers_at=told.answers_at,
            answer_at=told.answer_at,
            per_second=per_second,
        ),
        (len(names),),
    )
    labels, known = (class_numbers(classes, table[label]) for table in (test, train))
    estimator = SimpleNamespace(classes_=np.asarray(classes, dtype=object))
    return Served(estimator, train[names], test[names], labels, np.arange(1, len(test) + 1), known, rules, asked, told.named)


def _words(told: Inference, classes: list[str], label: str) -> tuple[tuple[str, ...] | None, list[str]]:
    """The endpoint's words for the classes in their order (None: whole numbers), and the classes in that order."""
    if not told.labels:
        numbers = all(name.isdecimal() for name in classes) and [int(name) for name in classes] == list(range(len(classes)))
        return (None if numbers else tuple(classes)), classes
    unknown = sorted(set(told.labels.values()) - set(classes))
    if unknown or len(told.labels) < len(classes):
        what = f"'labels' maps to '{unknown[0]}'" if unknown else f"'labels' maps {len(told.labels)} of {len(classes)} classes"
        raise InputError(what, place=told.at, cure=f"the column '{label}' holds: {', '.join(classes[:10])}")
    return tuple(told.labels), list(told.labels.values())


def numbers_of(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    """The cells of a frame of numbers, (rows, columns)."""
    return np.asarray(frame, dtype=np.float64)
