"""Which columns a model does not need: measured by permuting, proved by training without them (data minimisation, GDPR Art. 5(1)(c)).

The rows are parted in two. On the first part a path is searched: which columns may go, those about persons first, each judged beside what
has gone already, so that of two that tell the same one stays. On the second part that path is tested: models without the columns are
compared with models with all of them on the same rows. A set may go if what is lost is surely less than the margin. First the whole path is
tested; where it does not hold, the path from its start until a test fails. Both have half of the error allowed, and a path that was fixed
before needs no more correction (Maurer, Hothorn and Lehmacher 1995). The loss is always that against all columns, so that small losses do
not add up unseen, and also against the best set that the search met, so that what a learner gains by being rid of noise pays for no column
that matters. What no test settles is called unsettled, never "not needed".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bartizan.areas.access.column_needs import ColumnNeed, Importance, Minimised, Status
from bartizan.areas.access.importance import Asked, importances
from bartizan.areas.access.retraining import (
    REFUSED,
    Floats,
    GivenTrainer,
    OutOfTime,
    OwnTrainer,
    Predict,
    Question,
    Rows,
    Trainer,
    Watch,
    asked_of,
    cross_validated,
)
from bartizan.methods.quick_learner import Goal, Matrix, folds_of, matrix_of
from bartizan.methods.scores import Loss, Score, loss
from bartizan.methods.single_columns import clusters, likeness, told_by
from bartizan.methods.threads import one_thread
from bartizan.model.errors import InputError

LEAST_ROWS, LEAST_OF_CLASS = 200, 20
"""Fewest rows, and rows of a class, from which anything is said."""

MOST_ROWS, MOST_COLUMNS, MOST_CLASSES = 30_000, 300, 20
"""Most rows that are used (drawn by the seed), columns that are taken, and values of a label that are classes."""

SEARCHED = 0.4
"""Share of the rows on which the path is searched; the others test it."""

FOLDS = 5
INFLATION = 1.25
"""By how much the error of a loss is widened because the models of different folds share rows (measured, see the tests)."""

LEAK = 0.99
"""A column that alone surely scores above this is taken for the answer itself under another name."""


METRICS = {Goal.BINARY: "area under the ROC curve", Goal.CLASSES: "accuracy", Goal.NUMBER: "explained variance"}


def minimise(
    frame: pd.DataFrame,
    label: str,
    *,
    model: Any = None,
    test: pd.DataFrame | None = None,
    personal: Sequence[str] = (),
    margin: float = 0.005,
    confidence: float = 0.95,
    seed: int = 0,
    watch: Watch | None = None,
) -> Minimised:
    """Which columns of `frame` (n rows) a model that tells `label` does not need.

    model: a fitted scikit-learn estimator that takes the columns of `frame`; they are permuted on `test` (rows that it has not seen), and
        it is trained anew without columns. None takes a forest of random trees.
    personal: columns about persons; they are tried first
    margin: the most that the score may lose, above 0: area under the ROC curve, accuracy, or share of explained variance
    watch: how many seconds it may take (600), and who is told what is tried; what is not reached then is unsettled

    Raises `InputError` where the label is unknown, has too few rows or too many values, or a column of `personal` is not there.
    """
    if not 0.0 < margin < 1.0:
        raise InputError(f"the margin is {margin}", cure="give one between 0 and 1, such as 0.005")
    question, count, notes = _question(frame, label, test, seed)
    unknown = [name for name in personal if name not in question.matrix.names]
    if unknown:
        raise InputError(f"has no column '{unknown[0]}'", cure=f"known: {', '.join(question.matrix.names[:10])}")
    own = OwnTrainer(question, seed)
    trainer: Trainer = own if model is None else GivenTrainer(question, model)
    work = _Work(question, trainer, count, tuple(personal), margin, confidence, seed, watch or Watch(), notes)
    if model is not None and not work.trainable():
        notes.append(f"{type(model).__name__} cannot be trained without some of its columns; a forest of random trees stands in for it")
        work.trainer = own
    with one_thread():
        return _worked(work, label, model)


def _question(frame: pd.DataFrame, label: str, test: pd.DataFrame | None, seed: int) -> tuple[Question, int, list[str]]:
    """The rows with a label, those of `test` after them; how many come first; and notes."""
    notes: list[str] = []
    if label not in frame:
        raise InputError(f"has no column '{label}'", cure=f"name the label; known: {', '.join(map(str, frame.columns[:10]))}")
    if not frame.columns.is_unique:
        raise InputError("two columns have the same name", cure="give each its own")
    frame = frame[frame[label].notna()]
    if frame.shape[1] < 2:
        raise InputError("has no column beside the label", cure="give the columns that the model learns from")
    if len(frame) < LEAST_ROWS:
        raise InputError(f"{len(frame)} labelled rows are too few to say what is needed", cure=f"give at least {LEAST_ROWS}")
    if frame.shape[1] - 1 > MOST_COLUMNS:
        raise InputError(f"has {frame.shape[1] - 1} columns", cure=f"give at most {MOST_COLUMNS}")
    if len(frame) > MOST_ROWS:
        notes.append(f"{MOST_ROWS} of {len(frame)} rows were drawn")
        frame = frame.iloc[np.sort(np.random.default_rng(seed).permutation(len(frame))[:MOST_ROWS])]
    count = len(frame)
    if test is not None:
        lacking = [str(name) for name in frame.columns if name not in test]
        if lacking:
            raise InputError(f"the test data has no column '{lacking[0]}'", cure="give both the same columns")
        frame = pd.concat([frame, test[frame.columns][test[label].notna()].head(MOST_ROWS)], ignore_index=True)
    target, goal, classes = _target(frame[label].reset_index(drop=True), label)
    features = frame.drop(columns=label).reset_index(drop=True)
    features.columns = pd.Index([str(name) for name in features.columns])
    return Question(features, matrix_of(features), target, goal, classes), count, notes


def _target(labels: pd.Series, label: str) -> tuple[Floats, Goal, tuple[str, ...]]:
    labels = labels.map(str) if labels.dtype == object else labels  # lists and the like cannot be counted
    distinct = labels.nunique()
    number = pd.api.types.is_numeric_dtype(labels) and not pd.api.types.is_bool_dtype(labels)
    if number and distinct > MOST_CLASSES:
        values = labels.to_numpy(dtype=np.float64)
        if not np.isfinite(values).all():
            raise InputError(f"'{label}' holds numbers without end", cure="take those rows out")
        return values, Goal.NUMBER, ()
    if not 2 <= distinct <= MOST_CLASSES:
        raise InputError(f"'{label}' has {distinct} values", cure=f"name a label with 2 to {MOST_CLASSES} classes, or a number")
    codes, classes = pd.factorize(labels, sort=True)
    if int(np.bincount(codes).min()) < LEAST_OF_CLASS:
        raise InputError(f"a class of '{label}' has fewer than {LEAST_OF_CLASS} rows", cure="give more rows, or put rare classes together")
    return codes.astype(np.float64), Goal.BINARY if distinct == 2 else Goal.CLASSES, tuple(str(name) for name in classes)


class _Work:
    """One run: what is asked, by whom, and the two parts of the rows."""

    def __init__(
        self, question: Question, trainer: Trainer, count: int, personal: tuple[str, ...], margin: float, confidence: float, seed: int,
        watch: Watch, notes: list[str],
    ) -> None:  # fmt: skip
        self.question, self.trainer, self.personal, self.margin = question, trainer, personal, margin
        self.confidence, self.seed, self.watch, self.notes = confidence, seed, watch, notes
        self.count = count
        parts = folds_of(question.target[:count], 10, seed, stratify=question.goal is not Goal.NUMBER)
        self.first = np.flatnonzero(parts < round(10 * SEARCHED))
        self.second = np.flatnonzero(parts >= round(10 * SEARCHED))
        stratify = question.goal is not Goal.NUMBER
        self.first_folds = folds_of(question.target[self.first], FOLDS - 1, seed + 1, stratify=stratify)
        self.second_folds = folds_of(question.target[self.second], FOLDS, seed + 2, stratify=stratify)
        self.every = list(range(len(question.matrix.names)))
        self.best = self.every
        self.found: dict[int, Importance] = {}
        self.paired: set[int] = set()
        self.claim = Loss(0.0, 0.0)
        self._scores: dict[tuple[bool, tuple[int, ...]], Score] = {}

    def trainable(self) -> bool:
        """Can the given model be made again on all of the columns, and on all but one?"""
        rows = self.first[:: max(1, len(self.first) // 300)]
        try:
            for places in (self.every, self.every[1:], self.every[:-1]):
                if places:
                    self.trainer.train(rows, places)(rows[:5], {})
        except REFUSED:
            return False
        return True

    def score(self, places: list[int], watch: Watch, *, search: bool, keep: list[Predict] | None = None) -> Score:
        """The score with the columns at `places`, on the first part (`search`) or on the second."""
        key = (search, tuple(places))
        if key not in self._scores or keep is not None:
            rows, folds = (self.first, self.first_folds) if search else (self.second, self.second_folds)
            always = np.zeros(0, dtype=np.int64) if search else self.first
            told = cross_validated(self.trainer, places, rows, folds, always, watch, keep)
            self._scores[key] = self.question.score(rows, told, folds)
        return self._scores[key]

    def hopeful(self, gone: list[int]) -> list[int]:
        """Those of `gone` that are worth a second look: permuted, they or their like may cost more than the margin."""

        def most(held: Importance) -> float:
            return max(lost.above(0.9) for lost in (held.alone, held.together, held.alike))

        return [place for place in gone if place not in self.found or most(self.found[place]) > self.margin]

    def order(self) -> tuple[list[int], list[int]]:
        """Personal columns and the others, each with the least needed first; those that others tell too come last, as without them a model
        changes more, so that a test of them fails sooner and would end the path."""

        def worth(place: int) -> tuple[bool, float, float]:
            held = self.found.get(place)
            return (place in self.paired, *((held.alike.value, held.alone.value) if held is not None else (0.0, 0.0)))

        mine = [place for place in self.every if self.question.matrix.names[place] in self.personal]
        return sorted(mine, key=worth), sorted([place for place in self.every if place not in mine], key=worth)

    def search(self, watch: Watch) -> list[int]:
        """The path: columns in the order in which they may go, by the rows of the first part."""
        gone: list[int] = []

        def settle(some: list[int]) -> None:
            left = [place for place in self.every if place not in gone and place not in some]
            self.watch.tell(f"trying without {', '.join(self.question.matrix.names[place] for place in some)[:60]}")
            best = self.score(self.best, watch, search=True).value
            now = self.score(left, watch, search=True).value if left else -1.0
            if best - now <= self.margin / 2.0:
                gone.extend(some)
                self.best = left if now > best else self.best
            elif len(some) > 1:
                settle(some[: len(some) // 2])
                settle(some[len(some) // 2 :])

        try:
            for some in self.order():
                if some:
                    settle(some)
            self._take_back(gone, watch)
        except OutOfTime:
            self.notes.append("the time ended before every column had been tried")
        return gone

    def _take_back(self, gone: list[int], watch: Watch) -> None:
        """Columns that went with others, and that the smaller set is better with after all, come back, the most useful first."""
        while hopeful := self.hopeful(gone):
            left = [place for place in self.every if place not in gone]
            now = self.score(left, watch, search=True).value
            gains = {}
            for place in hopeful:
                self.watch.tell(f"trying {self.question.matrix.names[place]} once more")
                gains[place] = self.score(sorted([*left, place]), watch, search=True).value - now
            best = max(gains, key=lambda place: gains[place])
            if gains[best] <= self.margin / 2.0:
                return
            gone.remove(best)
            self.best = max((self.best, sorted([*left, best])), key=lambda places: self.score(places, watch, search=True).value)

    def confirm(self, path: list[int], watch: Watch) -> list[int]:
        """How much of the path the rows of the second part confirm."""

        def holds(gone: list[int]) -> bool:
            self.watch.tell(f"proving that {len(gone)} columns may go")
            lost = self.lost(gone, watch)
            held = lost.above(self.allowed) < self.margin
            self.claim = lost if held else self.claim
            return held

        sure: list[int] = []
        try:
            if not path or holds(path):
                return self._doubted(path, watch)
            for end in range(1, len(path)):
                if not holds(path[:end]):
                    break
                sure = path[:end]
            return self._doubted(sure, watch)
        except OutOfTime:
            self.notes.append("the time ended before the whole path was tested")
        return sure

    def _doubted(self, gone: list[int], watch: Watch) -> list[int]:
        """`gone` without the columns that the rows of the second part speak for after all: the smaller set gains more than the margin when
        one of them comes back. That can only take claims away, so it needs no correction."""
        left = [place for place in self.every if place not in gone]
        now = self.score(left, watch, search=False).value if gone else 0.0
        doubted = []
        for place in self.hopeful(gone):
            self.watch.tell(f"trying {self.question.matrix.names[place]} once more")
            if self.score(sorted([*left, place]), watch, search=False).value - now > self.margin:
                doubted.append(place)
        sure = [place for place in gone if place not in doubted]
        if not doubted or not sure:
            return sure
        left = [place for place in self.every if place not in sure]
        lost = loss(self.score(self.every, watch, search=False), self.score(left, watch, search=False), INFLATION)
        if lost.above(self.allowed) >= self.margin:
            return []
        self.claim = lost
        return sure

    @property
    def allowed(self) -> float:
        """The confidence of each of the two ways by which a set may be confirmed."""
        return 1.0 - (1.0 - self.confidence) / 2.0

    def lost(self, gone: list[int], watch: Watch) -> Loss:
        """What is lost without `gone` on the second part: against all columns or the best set of the search, whichever was more."""
        left = self.score([place for place in self.every if place not in gone], watch, search=False)
        against = [self.score(places, watch, search=False) for places in (self.every, self.best)]
        return max((loss(score, left, INFLATION) for score in against), key=lambda lost: lost.above(self.allowed))

    def needs(self, kept: list[int], watch: Watch) -> dict[int, Loss]:
        """What is lost without each of `kept`, the others of them staying; personal columns first."""
        losses: dict[int, Loss] = {}
        if len(kept) < 2:
            return losses
        mine, others = self.order()
        base = self.score(kept, watch, search=False)
        try:
            for place in [place for place in (*mine, *reversed(others)) if place in kept]:
                self.watch.tell(f"trying without {self.question.matrix.names[place]}")
                left = [other for other in kept if other != place]
                losses[place] = loss(base, self.score(left, watch, search=False), INFLATION)
        except OutOfTime:
            self.notes.append("the time ended before each column that stays had been left out once")
        return losses


def _worked(work: _Work, label: str, model: Any) -> Minimised:
    question, watch = work.question, work.watch
    groups = clusters(likeness(question.matrix, work.seed))
    work.paired = {place for place in work.every if int((groups == groups[place]).sum()) > 1}
    sure: list[int] = []
    losses: dict[int, Loss] = {}
    full = reached = None
    try:
        models: list[Predict] = []
        work.watch.tell("training on all columns")
        work.score(work.every, watch, search=True, keep=models)
        full = work.score(work.every, watch, search=False)
        skilled = full.value - 3.0 * full.error > question.chance + work.margin
        if not skilled:
            work.notes.append(f"with all columns the {METRICS[question.goal]} is not surely above chance, so nothing can be said of any")
        work.found = importances(
            question, _asked(work, models, model), work.every, groups, repeats=3, seed=work.seed, watch=watch.part(0.3)
        )
        if len(work.found) < len(work.every):
            work.notes.append("the time ended before every column had been permuted")
        if skilled:
            sure = work.confirm(work.search(watch.part(0.6)), watch)
            kept = [place for place in work.every if place not in sure]
            reached = work.score(kept, Watch(60.0), search=False)
            losses = work.needs(kept, watch)
    except OutOfTime:
        work.notes.append("the time ended before all columns had been looked at")
    return _answer(work, label, groups, (sure, losses), (full, reached))


def _asked(work: _Work, models: list[Predict], model: Any) -> list[Asked]:
    """Whom the permuted rows are shown: the given model, else those that were trained on the other folds."""
    question = work.question
    if model is None:
        rows = work.first
        folds = work.first_folds
        return [Asked(predict, rows[folds == number], rows[folds != number]) for number, predict in enumerate(models)]
    seen = np.arange(work.count)
    held = np.arange(work.count, len(question.frame))
    if not len(held):
        work.notes.append("the given model may have learnt from the rows that it is asked about: give test data that it has not seen")
        held = seen
    return [Asked(asked_of(question, model, work.every), held, seen)]


def _answer(
    work: _Work, label: str, groups: Rows, results: tuple[list[int], dict[int, Loss]],
    scores: tuple[Score | None, Score | None],
) -> Minimised:  # fmt: skip
    sure, losses = results
    full, reached = scores
    question, names = work.question, work.question.matrix.names
    each = 1.0 - (1.0 - work.confidence) / max(1, len(losses))
    columns = []
    for place, name in enumerate(names):
        lost = losses.get(place)
        needed = lost is not None and lost.below(each) > work.margin
        alone = _alone(work, place)
        columns.append(
            ColumnNeed(
                name=name,
                personal=name in work.personal,
                status=Status.NOT_NEEDED if place in sure else Status.NEEDED if needed else Status.UNSETTLED,
                alike=tuple(names[other] for other in work.every if other != place and groups[other] == groups[place]),
                alone=alone,
                permuted=work.found.get(place),
                lost=lost,
                leak=alone[1] > LEAK,
            )
        )
    lost_all = work.claim if sure else Loss(0.0, 0.0)
    unknown = (question.chance, 0.0, 1.0)
    return Minimised(
        label=label, metric=METRICS[question.goal], rows=work.count, learner=work.trainer.name, columns=tuple(columns),
        full=full.interval(work.confidence) if full else unknown, reached=reached.interval(work.confidence) if reached else unknown,
        lost=lost_all.value, lost_at_most=lost_all.above(work.allowed), margin=work.margin,
        confidence=work.confidence, notes=tuple(work.notes),
    )  # fmt: skip


def _alone(work: _Work, place: int) -> tuple[float, float, float]:
    question = work.question
    rows = np.arange(work.count)
    folds = folds_of(question.target[rows], FOLDS, work.seed, stratify=question.goal is not Goal.NUMBER)
    told = told_by(_first(question.matrix, work.count), place, question.target[rows], question.goal, folds)
    return question.score(rows, told, folds).interval(work.confidence)


def _first(matrix: Matrix, count: int) -> Matrix:
    return Matrix(matrix.values[:count], matrix.levels[:count], matrix.names, matrix.sorts)
