"""Transfer on tables: a forest of one's own, trained on declared labels or the model's answers, is defeated; the finds are tried.

The stand-in is asked as often as it takes; the model under attack sees each row once, changed as the stand-in advised.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.tabular_changes import Changes
from bartizan.areas.evasion.tabular_inputs import Ints, Prepared, is_number
from bartizan.areas.evasion.tabular_search import Asked
from bartizan.model.errors import InputError

_TREES = 100
_WIDTH = 8
"""Combinations of one size that are built upon, for each row."""


@dataclass(frozen=True)
class Carried:
    """Which rows (n,) were flipped on the stand-in and on the model, by which changes (n, k); how often the two agree on unseen rows."""

    on_stand_in: npt.NDArray[np.bool_]
    flipped: npt.NDArray[np.bool_]
    changes: Ints
    agreement: float


def stand_in(subject: Prepared, *, answers: bool, seed: int) -> Prepared:
    """The same data with a forest in place of the model: trained on the declared labels, or with `answers` on what the model says.

    Raises `InputError` where there is one class alone.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    labels = subject.decisions(subject.train) if answers else subject.train_labels
    known = np.flatnonzero(labels >= 0)
    if len(known) < 20 or len(np.unique(labels[known])) < 2:
        raise InputError("the training data has too few labelled rows, or one class alone", cure="declare label: on the training data")
    named = [name for name in subject.train.columns if not is_number(subject.train[name])]
    numbers = [name for name in subject.train.columns if name not in named]
    encode = ColumnTransformer(
        [("named", OneHotEncoder(handle_unknown="ignore", sparse_output=False), named), ("numbers", SimpleImputer(), numbers)]
    )
    forest = RandomForestClassifier(_TREES, min_samples_leaf=2, random_state=seed % 2**31)
    fitted = make_pipeline(encode, forest).fit(subject.train.iloc[known], labels[known])
    return _standing(subject, fitted)


def _standing(subject: Prepared, fitted: object) -> Prepared:
    """`fitted` as a prepared model whose classes are those of `subject` that it has seen."""
    classes = np.asarray(getattr(fitted, "classes_", ()))
    places = {int(label): place for place, label in enumerate(classes)}
    labels = np.array([places.get(int(label), -1) for label in subject.labels], dtype=np.int64)
    return replace(subject, estimator=fitted, labels=labels)


def carry(subject: Prepared, other: Prepared, places: Ints, changes: Changes, k: int) -> Carried:
    """The changes of at most `k` features that leave the stand-in `other` least sure of its decision, tried once on `subject`.

    `places` are rows that `subject` decides correctly. Constraints are kept.
    """
    asked = Asked(other, places, changes, labels_only=False)
    best = _deepest(asked, k)
    frame = subject.test.iloc[places].reset_index(drop=True)
    rows = np.arange(len(places))
    changed = changes.applied(frame, rows, best)
    obeys = np.ones(len(rows), dtype=np.bool_) if subject.rules is None else subject.rules.obeys(frame, changed)
    flipped = obeys & (subject.decisions(changed) != subject.labels[places])
    agreement = float((np.asarray(other.estimator.classes_)[other.decisions(subject.test)] == subject.decisions(subject.test)).mean())
    return Carried(asked.flipped(rows, best), flipped, best, agreement)


def _deepest(asked: Asked, k: int) -> Ints:
    """For each row the changes (n, k) with the lowest margin on the stand-in, greedily with a small beam; -1 where fewer do better."""
    n, total = len(asked.frame), asked.changes.count
    useful = asked.changes.alters(asked.frame)
    best, lowest = np.full((n, k), -1, dtype=np.int64), np.full(n, np.inf)
    for row in range(n):
        beam: list[tuple[float, tuple[int, ...]]] = [(np.inf, ())]
        for _ in range(k):
            tried: dict[tuple[int, ...], None] = {}
            for _, parts in beam:
                used = asked.changes.feature[list(parts)]
                free = np.flatnonzero(useful[row] & ~np.isin(asked.changes.feature, used)) if total else np.zeros(0, dtype=np.int64)
                tried.update(dict.fromkeys(tuple(sorted((*parts, int(change)))) for change in free))
            if not tried:
                break
            combos = np.array(list(tried), dtype=np.int64)
            margins = asked.margins(np.full(len(combos), row), combos)
            order = np.argsort(margins, kind="stable")[:_WIDTH]
            beam = [(float(margins[i]), tuple(combos[i].tolist())) for i in order.tolist()]
            if beam[0][0] < lowest[row]:
                lowest[row] = beam[0][0]
                best[row] = -1
                best[row, : combos.shape[1]] = beam[0][1]
    return best
