"""Training on some columns of a table and asking the result: by our own quick learner, or by a model of the user that is made again.

Both kinds answer in one form: for two classes the share of the greater one, for several the number of the class, else the number itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.methods.quick_learner import Goal, Matrix, QuickLearner
from bartizan.methods.scores import Score, accuracy, auroc, explained
from bartizan.model.errors import InputError

Rows: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

Predict: TypeAlias = Callable[[Rows, Mapping[int, Rows]], Floats]
"""Asks a model about rows; columns (by place) may be taken from other rows, which is how they are permuted."""

REFUSED = (ValueError, KeyError, TypeError, AttributeError, IndexError, InputError)
"""What an estimator raises that cannot be trained without some of its columns."""


class OutOfTime(Exception):
    """The time that a job may spend is over."""


class Watch:
    """How long a work may take, in wall `seconds` from now, and who is `told` what is being tried."""

    def __init__(self, seconds: float = 600.0, told: Callable[[str], None] | None = None) -> None:
        self.seconds, self._told = seconds, told
        self._begun = monotonic()

    def look(self) -> None:
        """Raises `OutOfTime` after the end."""
        if monotonic() > self._begun + self.seconds:
            raise OutOfTime

    def tell(self, what: str) -> None:
        """Say what is being tried."""
        if self._told is not None:
            self._told(what)

    def part(self, share: float) -> Watch:
        """A watch that ends after a share of the seconds, counted from the same beginning."""
        made = Watch(self.seconds * share, self._told)
        made._begun = self._begun
        return made


@dataclass(frozen=True)
class Question:
    """A table of n rows whose `target` (n,) is to be told: class numbers or numbers, by `goal`; `classes` are the names of the classes."""

    frame: pd.DataFrame
    matrix: Matrix
    target: Floats
    goal: Goal
    classes: tuple[str, ...] = ()

    def score(self, rows: Rows, predicted: Floats, folds: Rows | None = None) -> Score:
        """How well `predicted` fits the rows `rows`: area under the ROC curve, share of right classes, share of explained variance."""
        if self.goal is Goal.BINARY:
            return auroc(predicted, self.target[rows] == 1.0, folds)
        return accuracy(predicted == self.target[rows]) if self.goal is Goal.CLASSES else explained(self.target[rows], predicted)

    @property
    def chance(self) -> float:
        """The score of one who does not look at the columns."""
        if self.goal is Goal.CLASSES:
            return float(np.bincount(self.target.astype(np.int64)).max() / len(self.target))
        return 0.5 if self.goal is Goal.BINARY else 0.0

    @property
    def nothing(self) -> float:
        """What one expects who does not look at the columns."""
        if self.goal is Goal.CLASSES:
            return float(np.bincount(self.target.astype(np.int64)).argmax())
        return 0.5 if self.goal is Goal.BINARY else float(self.target.mean())


class Trainer(Protocol):
    """Trains on the rows and columns (by place) that it is told."""

    name: str

    def train(self, rows: Rows, places: list[int]) -> Predict: ...


class OwnTrainer:
    """Trains the quick learner."""

    name = "a forest of extremely randomised trees"

    def __init__(self, question: Question, seed: int) -> None:
        self._question, self._seed = question, seed

    def train(self, rows: Rows, places: list[int]) -> Predict:
        question = self._question
        if not places:
            return lambda asked, _: np.full(len(asked), question.nothing)
        learner = QuickLearner(question.goal, seed=self._seed).fit(question.matrix, rows, places, question.target)

        def predict(asked: Rows, moved: Mapping[int, Rows]) -> Floats:
            levels = question.matrix.levels[asked]
            for place, source in moved.items():
                levels[:, place] = question.matrix.levels[source, place]
            return learner.predict(levels)

        return predict


class GivenTrainer:
    """Trains the user's model anew, with the settings that it has, on fewer columns."""

    def __init__(self, question: Question, model: Any) -> None:
        self._question, self._model = question, model
        self.name = f"the given {type(model).__name__}, trained anew"

    def train(self, rows: Rows, places: list[int]) -> Predict:
        from sklearn.base import clone

        question = self._question
        if not places:
            return lambda asked, _: np.full(len(asked), question.nothing)
        names = [question.matrix.names[place] for place in places]
        fresh = without_others(clone(self._model), names)
        given = np.array(question.classes, dtype=object)[question.target.astype(np.int64)] if question.classes else question.target
        fresh.fit(question.frame.iloc[rows][names], given[rows])
        return asked_of(question, fresh, places)


def asked_of(question: Question, model: Any, places: list[int]) -> Predict:
    """A fitted estimator that takes the columns at `places` of the frame, in the common form."""
    names = [question.matrix.names[place] for place in places]

    def predict(asked: Rows, moved: Mapping[int, Rows]) -> Floats:
        frame = question.frame.iloc[asked][names].reset_index(drop=True)
        for place, source in moved.items():
            if place in places:
                name = question.matrix.names[place]
                frame[name] = question.frame[name].iloc[source].to_numpy()
        return answers(question, model, frame)

    return predict


def answers(question: Question, model: Any, frame: pd.DataFrame) -> Floats:
    """What a fitted estimator says of `frame`, in the common form. Raises `InputError` where it does not take it."""
    from bartizan.adapters.estimators import class_probabilities

    if question.goal is Goal.NUMBER:
        try:
            return np.asarray(model.predict(frame), dtype=np.float64).ravel()
        except REFUSED as error:
            raise InputError(f"the model does not take these columns: {error}") from None
    shares = class_probabilities(model, frame)
    known = [str(name) for name in model.classes_]
    if set(known) != set(question.classes):
        if len(known) != len(question.classes):
            raise InputError(
                f"the model knows {len(known)} classes, the label {len(question.classes)}", cure="give the label it was made for"
            )
        known = list(question.classes)  # trained on numbers of the classes in their order
    ordered = shares[:, [known.index(name) for name in question.classes]]
    return ordered[:, 1] if question.goal is Goal.BINARY else ordered.argmax(axis=1).astype(np.float64)


def without_others(estimator: Any, names: list[str]) -> Any:
    """An estimator whose column transformers ask for none but the columns `names`. Raises ValueError where they ask by number."""
    from sklearn.compose import ColumnTransformer

    parts = [estimator, *estimator.get_params(deep=True).values()]
    for part in [part for part in parts if isinstance(part, ColumnTransformer)]:
        kept = []
        for title, step, columns in part.transformers:
            if callable(columns):
                kept.append((title, step, columns))
                continue
            listed = [columns] if isinstance(columns, str) else list(columns)
            if not all(isinstance(column, str) for column in listed):
                raise ValueError("asks for its columns by number")
            left = [column for column in listed if column in names]
            if left:
                kept.append((title, step, columns if isinstance(columns, str) else left))
        part.transformers = kept
    return estimator


def cross_validated(
    trainer: Trainer, places: list[int], rows: Rows, folds: Rows, always: Rows, watch: Watch, keep: list[Predict] | None = None
) -> Floats:
    """What models say of `rows`, each trained on `always` and the rows of the other `folds`; shape (len(rows),). The models, by their fold,
    are put into `keep`. Raises `OutOfTime`."""
    found = np.empty(len(rows))
    for fold in np.unique(folds):
        watch.look()
        held = folds == fold
        model = trainer.train(np.concatenate([always, rows[~held]]), places)
        found[held] = model(rows[held], {})
        if keep is not None:
            keep.append(model)
    return found
