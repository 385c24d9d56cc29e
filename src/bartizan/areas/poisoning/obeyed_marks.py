"""Does a model obey what sets some rows of a class apart? The proof of a backdoor: the mark, put on rows of other classes, steers them.

The strangest rows of each class, by the spectrum of the model's activations, are compared with their nearest rows of other classes; the
mean of what is left is a candidate for a trigger. It is added to rows of other classes and the model is asked. What ordinary rows of the
class have beyond others, added at the same strength, is the control: features of the class steer too, but those of strange rows no more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.methods.neighbours import neighbours

Floats = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STRANGE = 0.05
"""Share of a class whose rows are read for a mark, at least `LEAST` rows."""

LEAST = 12
"""Fewest rows from which a mark is read; a class needs four times as many."""

OBEYED = 0.5
BEYOND = 0.3
"""A mark is obeyed where it steers so many of the rows of other classes, and so many more than the control does."""

_ASKED = 400
_BASE = 10


@dataclass(frozen=True)
class ObeyedMark:
    """The mark of one class: the `rows` from which it was read, its `picture` (d,), the share of `asked` rows of other classes that the
    model decides as the class when they bear it (`steered`), and when they bear the control (`control`)."""

    label: int
    rows: Ints
    picture: Floats
    asked: int
    steered: float
    control: float

    @property
    def obeyed(self) -> bool:
        return self.steered >= OBEYED and self.steered >= self.control + BEYOND


def obeyed_marks(
    ask: Callable[[Floats], npt.ArrayLike],
    values: npt.ArrayLike,
    features: npt.ArrayLike,
    labels: npt.ArrayLike,
    spectral: npt.ArrayLike,
    *,
    seed: int = 0,
) -> tuple[ObeyedMark, ...]:
    """The mark of each class, the best obeyed first.

    ask: the model's decisions, class numbers (m,), on rows (m, d) like those of `values`
    values: what the model is given, (n, d); marked rows are kept within the range of each column
    features: in which like rows are close, (n, f)
    spectral: how strange each row is to its class, (n,), see `spectral_score`
    """
    x, f = np.asarray(values, dtype=np.float32), np.asarray(features, dtype=np.float32)
    given, strange = np.asarray(labels, dtype=np.int64), np.asarray(spectral, dtype=np.float64)
    random = np.random.default_rng(seed)
    bounds = x.min(axis=0), x.max(axis=0)
    found = []
    for label in np.unique(given):
        rows = np.flatnonzero(given == label)
        if len(rows) < 4 * LEAST or len(rows) == len(given):
            continue
        rows = rows[np.argsort(-strange[rows], kind="stable")]
        size = max(LEAST, int(STRANGE * len(rows)))
        others = np.flatnonzero(given != label)
        chosen = random.permutation(others)[:_ASKED]
        chosen = chosen[np.asarray(ask(x[chosen])) != label]
        if not len(chosen):
            continue
        mark, usual = _mark(x, f, given, rows[:size]), _mark(x, f, given, random.permutation(rows[len(rows) // 2 :])[:size])
        usual *= float(np.linalg.norm(mark)) / max(float(np.linalg.norm(usual)), 1e-9)
        shares = [float((np.asarray(ask(np.clip(x[chosen] + one, *bounds))) == label).mean()) for one in (mark, usual)]
        found.append(ObeyedMark(int(label), rows[:size], mark, len(chosen), shares[0], shares[1]))
    return tuple(sorted(found, key=lambda one: (not one.obeyed, one.control - one.steered)))


def _mark(x: Floats, f: Floats, given: Ints, rows: Ints) -> Floats:
    """What these rows of one class have in the mean beyond their nearest rows of other classes."""
    base = np.flatnonzero(given != given[rows[0]])
    graph = neighbours(f[rows], _BASE, among=f[base])
    return np.asarray((x[rows] - x[base][graph.index].mean(axis=1)).mean(axis=0), dtype=np.float32)
