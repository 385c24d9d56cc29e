"""Marks that contradicted rows share: what a trigger adds to every row that bears it, and a careless label does not.

For each row whose neighbours contradict its label, what remains after the neighbours of the class that it looks like are taken away. Wrong
labels leave remainders that cancel out; a trigger leaves itself. The strength of the mean remainder, in units of what chance leaves of it,
decides; the mean itself is a picture of the trigger. The other rows of the class are then searched for the same mark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.areas.poisoning.votes import Votes
from bartizan.methods.neighbours import neighbours

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

LEAST = 10
"""Fewest contradicted rows of one class from which a mark is read."""

STRONG = 8.0
"""Strength from which a mark is no coincidence.

Calibrated on clean sets: over draws of MNIST, Fashion-MNIST and the digits of scikit-learn the strongest mark of any class was 6.9, with a
tenth of the labels wrong 4.2; triggers had 10 to 105. See benchmarks/data/poisoning.py.
"""

_BEARS = 0.6
_BASE = 10


@dataclass(frozen=True)
class Mark:
    """The mark of one class: its `strength` (about 1 by chance), how many contradicted `rows` it was read from, the mean remainder
    `picture` (d,), and which rows of the set bear it (`bearers`, row numbers),
    contradicted ones first."""

    label: int
    strength: float
    rows: int
    picture: Floats
    bearers: Ints


def shared_marks(values: npt.ArrayLike, features: npt.ArrayLike, labels: npt.ArrayLike, votes: Votes) -> tuple[Mark, ...]:
    """The mark of each class with enough contradicted rows, strongest first.

    values: what a trigger changes, pixels or columns in comparable units, (n, d)
    features: in which like things are close, (n, f)
    """
    x = np.asarray(values, dtype=np.float32).reshape(len(votes.own), -1)
    f, given = np.asarray(features, dtype=np.float32), np.asarray(labels, dtype=np.int64)
    found = []
    for label in np.unique(given[votes.contradicted]):
        rows = np.flatnonzero(votes.contradicted & (given == label))
        if len(rows) < LEAST:
            continue
        rest = _remainders(x, f, given, votes, rows)
        mean = rest.mean(axis=0)
        chance = float(np.square(rest - mean).sum() / (len(rest) - 1)) / len(rest)
        strength = float(np.square(mean).sum()) / max(chance, 1e-12)
        bearers = _bearers(x, f, given, mean, int(label), rows) if strength >= STRONG else np.zeros(0, np.int64)
        found.append(Mark(int(label), strength, len(rows), mean, bearers))
    return tuple(sorted(found, key=lambda mark: -mark.strength))


def _remainders(x: Floats, f: Floats, given: Ints, votes: Votes, rows: Ints) -> Floats:
    """Each row less the mean of its neighbours among the uncontradicted rows of the class that it looks like."""
    rest = np.zeros((len(rows), x.shape[1]), np.float32)
    for other in np.unique(votes.suggested[rows]):
        mine = votes.suggested[rows] == other
        base = np.flatnonzero((given == other) & ~votes.contradicted)
        if len(base):
            graph = neighbours(f[rows[mine]], _BASE, among=f[base])
            rest[mine] = x[rows[mine]] - x[base][graph.index].mean(axis=1)
    return rest


def _bearers(x: Floats, f: Floats, given: Ints, mark: Floats, label: int, known: Ints) -> Ints:
    """The rows of the class that bear the mark: those from which it was read, and others whose remainder points along it as far.

    The remainder is taken against rows of other classes, since poisoned neighbours of the own class bear the mark too.
    """
    rows = np.flatnonzero(given == label)
    base = np.flatnonzero(given != label)
    graph = neighbours(f[rows], _BASE, among=f[base])
    along = (x[rows] - x[base][graph.index].mean(axis=1)) @ mark / max(float(np.square(mark).sum()), 1e-12)
    certain = np.isin(rows, known)
    usual = float(np.median(along[certain]))
    ordinary = float(np.median(along[~certain])) if (~certain).any() else 0.0
    clear = along >= ordinary + _BEARS * max(usual - ordinary, 0.0)
    order = np.lexsort((-along, ~certain))
    return np.asarray(rows[order][clear[order]], dtype=np.int64)
