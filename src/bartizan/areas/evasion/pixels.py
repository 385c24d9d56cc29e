"""Images that are declared as tables, one column a pixel: as arrays with one range, and the model as its callers see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.adapters.numpy_models import NumpyModel
from bartizan.areas.evasion.blackbox.oracle import Hunt
from bartizan.areas.evasion.constraints import Constraints
from bartizan.areas.evasion.tabular_inputs import Floats, Ints, Prepared, is_number
from bartizan.model.errors import InputError


def pixels_of(subject: Prepared, places: Ints) -> tuple[Floats, float, float]:
    """The test rows `places` (n, d) and the range that all pixels share. Raises `InputError` where a cell is no number."""
    for name in subject.test.columns:
        if not (is_number(subject.train[name]) and is_number(subject.test[name])):
            raise InputError(f"the column '{name}' holds no numbers", cure="declare the task that the model has")
    train, test = np.asarray(subject.train, dtype=np.float64), np.asarray(subject.test, dtype=np.float64)[places]
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise InputError("values are missing or infinite", cure="declare data as the model gets it")
    return test, float(min(train.min(), test.min())), float(max(train.max(), test.max()))


def asked_model(subject: Prepared, *, labels_only: bool) -> NumpyModel:
    """The model as a target that gives probabilities or labels; its decisions are those of its own predict."""

    def frame(rows: Any) -> pd.DataFrame:
        return pd.DataFrame(np.asarray(rows).reshape(len(rows), -1), columns=subject.test.columns)

    def decide(rows: Any) -> Ints:
        return subject.decisions(frame(rows))

    shape = (subject.test.shape[1],)
    if labels_only:
        return NumpyModel(decide, shape, gives="labels", classes=subject.classes)
    target = NumpyModel(lambda rows: subject.probabilities(frame(rows)), shape, gives="probabilities", classes=subject.classes)
    target.predict = decide
    return target


def ranged(subject: Prepared) -> Constraints | None:
    """The declared constraints for arrays of all columns."""
    return None if subject.rules is None else subject.rules.as_constraints()


def noise_flips(subject: Prepared, places: Ints, radius: float, draws: int, seed: int) -> float:
    """The share of rows that random noise of the whole radius flips, over `draws` draws for each: the null control."""
    x, low, high = pixels_of(subject, places)
    random = np.random.default_rng(seed)
    rules, hits = None if subject.rules is None else subject.rules.array(), 0
    for _ in range(draws):
        moved = np.clip(x + radius * random.choice([-1.0, 1.0], size=x.shape), low, high)
        moved = moved if rules is None else rules.repair(x, moved)
        hits += int((subject.decisions(pd.DataFrame(moved, columns=subject.test.columns)) != subject.labels[places]).sum())
    return hits / (draws * len(x))


def within(subject: Prepared, x: Floats, radius: float, bounds: tuple[float, float]) -> Callable[[Floats, Ints], npt.NDArray[np.bool_]]:
    """Which changed rows (m, d) of rows (m,) of `x` keep the radius, the range and the declared constraints, (m,)."""
    rules = None if subject.rules is None else subject.rules.array()

    def allowed(rows: Floats, at: Ints) -> npt.NDArray[np.bool_]:
        near = np.abs(rows - x[at]).max(axis=1) <= radius * (1 + 1e-6)
        inside = ((rows >= bounds[0]) & (rows <= bounds[1])).all(axis=1)
        return np.asarray(near & inside & (True if rules is None else rules.obeys(x[at], rows)))

    return allowed


def with_known(found: Hunt, broken: npt.NDArray[np.bool_], changed: Floats) -> Hunt:
    """`found` with the rows that known examples (n, d) break, confirmed before, where the attack found nothing; no question is counted."""
    more = broken & ~found.found
    rows = np.where(more[:, None], changed, found.adversarial)
    distance = np.where(more, np.abs(changed - np.where(more[:, None], found.adversarial, changed)).max(axis=1), found.distance)
    return msgspec.structs.replace(found, found=found.found | more, adversarial=rows, distance=distance)
