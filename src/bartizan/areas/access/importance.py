"""What a model loses when a column is permuted: alone, together with the columns that tell the same, and among rows that are alike.

Permuting one of two columns that tell the same shows little for either, because the model reads the other (Strobl et al., BMC
Bioinformatics 9, 2008). So three figures are given for each column: permuted alone; its whole cluster permuted with one order; and
permuted within rows that the other columns hold for alike (the leaves of a tree that tells the column from them; Molnar et al., Data
Mining and Knowledge Discovery 38, 2024), which is what the column says that the others do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.areas.access.column_needs import Importance
from bartizan.areas.access.retraining import OutOfTime, Predict, Question, Rows, Watch
from bartizan.methods.quick_learner import FEW_VALUES, Matrix, Sort
from bartizan.methods.scores import Loss, Score, loss

_LEAVES = 40
_LEARNT = 4000


@dataclass(frozen=True)
class Asked:
    """A model, the rows it is asked about (it has not seen them), and the rows that trees may learn from."""

    predict: Predict
    rows: Rows
    learnt: Rows


def importances(
    question: Question, models: Sequence[Asked], places: list[int], cluster: npt.NDArray[np.int64], *, repeats: int, seed: int, watch: Watch
) -> dict[int, Importance]:
    """The importance of each column at `places`, from models that together are asked about each row once; of fewer where the time ends."""
    rows = np.concatenate([model.rows for model in models])
    folds = np.concatenate([np.full(len(model.rows), number) for number, model in enumerate(models)])
    random = np.random.default_rng(seed)
    full = question.score(rows, np.concatenate([model.predict(model.rows, {}) for model in models]), folds)

    def lost(columns: list[int], leaves: Sequence[npt.NDArray[np.int64]] | None) -> Loss:
        watch.look()
        told = []  # all repeats in one question to each model
        for number, model in enumerate(models):
            orders = [_order(model.rows, leaves[number] if leaves else None, random) for _ in range(repeats)]
            answered = model.predict(np.tile(model.rows, repeats), dict.fromkeys(columns, np.concatenate(orders)))
            told.append(answered.reshape(repeats, len(model.rows)))
        scores = [question.score(rows, np.concatenate([part[repeat] for part in told]), folds) for repeat in range(repeats)]
        value, parts = sum(score.value for score in scores) / repeats, sum(score.parts for score in scores) / repeats
        return loss(full, Score(value, np.asarray(parts)))

    found: dict[int, Importance] = {}
    whole: dict[int, Loss] = {}
    try:
        for place in places:
            mates = [other for other in places if cluster[other] == cluster[place]]
            alone = lost([place], None)
            if len(mates) > 1 and int(cluster[place]) not in whole:
                whole[int(cluster[place])] = lost(mates, None)
            others = [other for other in places if other != place]
            leaves = [_leaves(question.matrix, place, others, model, seed) for model in models] if others else None
            found[place] = Importance(alone, whole.get(int(cluster[place]), alone), lost([place], leaves) if leaves else alone)
    except OutOfTime:
        return found
    return found


def _order(rows: Rows, leaves: npt.NDArray[np.int64] | None, random: np.random.Generator) -> Rows:
    """`rows` in another order; within each leaf where there are leaves."""
    if leaves is None:
        return random.permutation(rows)
    shuffled = random.permutation(len(rows))
    order = np.empty(len(rows), dtype=np.int64)
    order[np.argsort(leaves, kind="stable")] = shuffled[np.argsort(leaves[shuffled], kind="stable")]
    return rows[order]


def _leaves(matrix: Matrix, place: int, others: list[int], model: Asked, seed: int) -> npt.NDArray[np.int64]:
    """The leaf of each asked row in a tree that tells the column from the other columns."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    learnt = np.random.default_rng(seed).permutation(model.learnt)[:_LEARNT]
    features, target = matrix.levels[:, others], matrix.levels[:, place]
    kind = DecisionTreeClassifier if matrix.sorts[place] is Sort.CATEGORY else DecisionTreeRegressor
    tree = kind(max_leaf_nodes=_LEAVES, min_samples_leaf=max(10, len(learnt) // 200), random_state=seed)
    told = np.round(target[learnt] * FEW_VALUES) if matrix.sorts[place] is Sort.CATEGORY else target[learnt]
    tree.fit(features[learnt], told)
    return np.asarray(tree.apply(features[model.rows]), dtype=np.int64)
