"""Hardening estimators that have no gradient, scikit-learn's and XGBoost's, by adding adversarial examples to their training rows.

Round after round the model is attacked, the examples join the rows with their true labels, and it is fitted anew; the round with the best
robust accuracy on held-out rows is kept. NumPy only; the attack is a function, so that any of the room's attacks serves.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.defences.keeping import Keeper, identity_of
from bartizan.model.errors import InputError
from bartizan.model.statistics import clopper_pearson

Array = npt.NDArray[Any]
RowAttack = Callable[[Any, Array, Array, int], Array]
"""From a fitted estimator, rows (N, D), labels (N,) and a seed to changed rows (N, D)."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One round: training rows, and accuracy on the held-out rows, clean and attacked, with the robust one's 95 % interval."""

    number: int
    rows: int
    clean: float
    robust: float
    low: float
    high: float


class HardenedEstimator(msgspec.Struct, frozen=True, kw_only=True):
    """The best estimator, its round (0: the plain one), and all rounds."""

    model: Any
    best: int
    rounds: tuple[Round, ...]


def corner_search(eps: float | Array, *, tries: int = 60, low: float | Array = 0.0, high: float | Array = 1.0) -> RowAttack:
    """A random search in the linf ball that needs nothing but the estimator's probabilities or labels.

    Each try moves a random part of the features to the ball's border and is kept where the true class gets less likely. `eps`, `low` and
    `high` may differ by feature (D,). Weaker than the room's own attacks on trees; use those for a verdict.
    """

    def attack(model: Any, x: Array, y: Array, seed: int) -> Array:
        dice = np.random.default_rng(seed)
        best, height = x.copy(), _belief(model, x, y)
        for k in range(tries):
            share = max(1.0 / x.shape[1], 1.0 - k / tries)
            step = np.where(dice.random(x.shape) < share, np.sign(dice.random(x.shape) - 0.5) * eps, best - x)
            trial = np.clip(x + step, low, high).astype(x.dtype)
            belief = _belief(model, trial, y)
            lower = belief < height
            best[lower], height[lower] = trial[lower], belief[lower]
        return best

    return attack


def _belief(model: Any, x: Array, y: Array) -> Array:
    """The probability of the true class, or 1 and 0 for right and wrong where the estimator knows labels only."""
    if not hasattr(model, "predict_proba"):
        return np.asarray(model.predict(x) == y, dtype=np.float64)
    given = np.asarray(model.predict_proba(x), dtype=np.float64)
    columns = np.searchsorted(np.asarray(model.classes_), y)
    return np.asarray(given[np.arange(len(x)), columns])


def harden_estimator(
    estimator: Any,
    x: Array,
    y: Array,
    attack: RowAttack,
    *,
    held_out: tuple[Array, Array],
    rounds: int = 5,
    copies: int = 1,
    seed: int = 0,
    progress: Callable[[Round], None] | None = None,
    checkpoint: Path | None = None,
) -> HardenedEstimator:
    """Fit `estimator` (with `fit` and `predict`) on rows `x` (N, D), labels `y` (N,) and, for `rounds` rounds, on examples against itself.

    Each round adds `copies` attacked copies of `x`; the copies of the last three rounds are kept, so that the model does not forget. The
    estimator given is not fitted itself; the result holds fitted clones. `held_out`: rows and labels that choose the best round.
    Deterministic for `seed`, which also stands in where the estimator has no random state. `checkpoint`: a file written after every round
    and resumed from; it is refused if rows, estimator or seed differ.
    """
    x, y, test_x, test_y = np.asarray(x), np.asarray(y), np.asarray(held_out[0]), np.asarray(held_out[1])
    if x.ndim != 2 or len(x) != len(y) or len(test_x) != len(test_y) or len(test_x) == 0 or x.dtype.kind != "f":
        raise InputError(
            f"rows of shape {x.shape} and type {x.dtype} with {len(y)} labels", place="hardening", cure="give floating (N, D) rows"
        )
    keeper = Keeper(checkpoint, lambda: identity_of(repr(estimator), copies, seed, x, y, test_x, test_y))
    state = keeper.load() or {}
    made = [np.asarray(state[f"copies_{number}"]) for number in range(len(state) - 2)]
    seen = msgspec.json.decode(state["rounds"], type=list[Round]) if state else []

    def fitted(number: int) -> Any:
        recent = made[max(0, number - 3) : number]
        return _clone(estimator, seed).fit(np.concatenate([x, *recent]), np.concatenate([y, *[np.tile(y, copies)] * len(recent)]))

    model, best, kept = None, 0, None
    while len(seen) <= rounds:
        number = len(seen)
        if number:
            model = fitted(number - 1) if model is None else model
            made.append(np.concatenate([attack(model, x, y, seed + 1000 * number + part) for part in range(copies)]))
        model = fitted(number)
        seen.append(_round(number, model, len(x) * (1 + copies * min(number, 3)), test_x, test_y, attack, seed))
        best = max(range(len(seen)), key=lambda i: (seen[i].robust, -i))
        kept = model if best == number else kept
        keeper.save(lambda: {"rounds": msgspec.json.encode(seen), **{f"copies_{place}": rows for place, rows in enumerate(made)}})
        if progress is not None:
            progress(seen[-1])
    best = max(range(len(seen)), key=lambda i: (seen[i].robust, -i))
    return HardenedEstimator(model=fitted(best) if kept is None else kept, best=best, rounds=tuple(seen))


def _clone(estimator: Any, seed: int) -> Any:
    """An unfitted copy, seeded where it was not: scikit-learn's own where it is at work already, otherwise a deep copy."""
    if "sklearn" not in sys.modules or not hasattr(estimator, "get_params"):
        return copy.deepcopy(estimator)
    from sklearn.base import clone

    fresh = clone(estimator)
    unset = [name for name, value in fresh.get_params().items() if name.rpartition("__")[2] == "random_state" and value is None]
    return fresh.set_params(**dict.fromkeys(unset, seed))


def _round(number: int, model: Any, rows: int, x: Array, y: Array, attack: RowAttack, seed: int) -> Round:
    right = np.asarray(model.predict(x) == y)
    robust = right & np.asarray(model.predict(attack(model, x, y, seed)) == y)
    low, high = clopper_pearson(int(robust.sum()), len(y))
    return Round(number=number, rows=rows, clean=float(right.mean()), robust=float(robust.mean()), low=low, high=high)
