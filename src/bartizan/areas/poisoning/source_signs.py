"""Who delivered what stands out: contradicted labels, triggers, far and repeated rows by source, against what the others deliver.

A source is compared with all others on rows of the same labels, so that whoever has the hard classes is not blamed for them. The test is
exact (the sum of binomials, one a label), asks for more than twice the rate of the others, since honest sources differ too, and is
corrected for all sources and signs together (Holm 1979).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.model.errors import InputError

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

LEVEL = 0.01
"""Chance that any source is named although none delivers more than twice the rate of the others."""

MARGIN = 2.0
LEAST_ROWS = 20
"""Fewest rows of a source that is judged."""

LEAST_SIGNS = 5
"""Fewest rows with a sign for which a source is named."""

UNNAMED = "(no source named)"

_NAMES = frozenset((
    "annotator", "annotators", "annotated_by", "coder", "collector", "contributor", "contributed_by", "crowdworker", "delivered_by",
    "labeled_by", "labeler", "labelled_by", "labeller", "partner", "provider", "rater", "reported_by", "reporter", "source", "source_id",
    "source_name", "submitted_by", "submitter", "supplier", "uploaded_by", "uploader", "vendor", "worker", "worker_id", "workerid",
))  # fmt: skip


@dataclass(frozen=True)
class Sign:
    """One source and one sign: of its `rows`, how many bear it (`count`), how many were `expected` by the rate of the others on the same
    labels, and the chance of so many at `MARGIN` times that rate (`chance`, not below 1e-10); `named` where that is none by Holm's rule."""

    source: str
    sign: str
    rows: int
    count: int
    expected: float
    chance: float
    named: bool

    @property
    def times(self) -> float:
        """How many times the rate of the others, at least; half a row counts where the others have none."""
        return self.count / max(self.expected, 0.5)


@dataclass(frozen=True)
class SourceSigns:
    """All `signs`, the least likely first; `judged` of `sources` sources have rows enough, which hold the `share` of all rows."""

    signs: tuple[Sign, ...]
    sources: int
    judged: int
    share: float

    @property
    def named(self) -> tuple[Sign, ...]:
        return tuple(sign for sign in self.signs if sign.named)


def source_column(columns: Sequence[str], asked: str = "") -> str | None:
    """The column that says who delivered a row: the one `asked` for, else one whose name says so; None where there is none.

    Raises `InputError` where the column that is asked for does not exist.
    """
    if asked:
        if asked not in columns:
            raise InputError(f"has no column '{asked[:60]}'", cure="name the column that says who delivered a row: source: COLUMN")
        return asked
    return next((name for name in columns if str(name).strip().lower().replace(" ", "_").replace("-", "_") in _NAMES), None)


def compare_sources(
    sources: Sequence[str], labels: npt.ArrayLike, signs: Mapping[str, npt.ArrayLike], *, level: float = LEVEL
) -> SourceSigns:
    """Which of the `sources` (one a row, n) bear a sign more than twice as often as the others do on the same labels.

    labels: class numbers (n,)
    signs: for each sign which rows bear it (n,), such as labels that neighbours contradict
    level: the chance that any honest source is named, over all sources and signs together
    """
    given = np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64)
    names, owner = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
    sizes = np.bincount(owner, minlength=len(names))
    judged = np.flatnonzero(sizes >= LEAST_ROWS)
    if len(names) < 2:
        raise InputError("all rows come from one source", cure="one source cannot be compared with others")
    found = [
        Sign(str(names[s]), sign, int(sizes[s]), *_tail(np.asarray(borne, dtype=bool), given, owner == s), named=False)
        for sign, borne in signs.items()
        for s in judged
    ]
    return SourceSigns(_holm(found, level), len(names), len(judged), float(sizes[judged].sum() / max(len(owner), 1)))


def _tail(borne: Flags, given: Ints, own: Flags) -> tuple[int, float, float]:
    """How many rows of a source bear the sign, how many are expected, and the chance of so many at `MARGIN` times the others' rate."""
    classes = int(given.max()) + 1
    mine, others = np.bincount(given[own], minlength=classes), np.bincount(given[~own], minlength=classes)
    theirs = np.bincount(given[~own & borne], minlength=classes)
    count, expected = int(borne[own].sum()), float((mine * theirs / np.maximum(others, 1)).sum())
    if count < LEAST_SIGNS:
        return count, expected, 1.0
    rate = np.minimum(MARGIN * (theirs + 1.0) / (others + 2.0), 1.0)
    return count, expected, at_least(count, mine, rate)


def at_least(count: int, trials: npt.ArrayLike, rates: npt.ArrayLike) -> float:
    """The chance of `count` successes or more in groups of `trials` (k,) with success `rates` (k,) in 0 to 1; 1e-10 where it is less.

    Exact but for rounding (1e-11): the distribution of the sum from its characteristic function at as many points as it has values.
    """
    n, p = np.asarray(trials, dtype=np.float64), np.asarray(rates, dtype=np.float64)
    points = int(n.sum()) + 1
    turn = np.exp(-2j * np.pi * np.arange(points) / points)
    spectrum = np.ones(points, dtype=np.complex128)
    for trial, rate in zip(n[n > 0], p[n > 0], strict=True):
        spectrum *= (1.0 - rate + rate * turn) ** trial
    chances = np.maximum(np.fft.ifft(spectrum).real, 0.0)
    return float(np.clip(chances[max(count, 0) :].sum(), 1e-10, 1.0))


def _holm(found: list[Sign], level: float) -> tuple[Sign, ...]:
    """Named are the least likely ones as long as each is below the level shared among those left."""
    ordered = sorted(found, key=lambda one: (one.chance, -one.count, one.source, one.sign))
    kept, out = True, []
    for place, one in enumerate(ordered):
        kept = kept and one.chance <= level / (len(ordered) - place)
        out.append(Sign(one.source, one.sign, one.rows, one.count, one.expected, one.chance, kept))
    return tuple(out)
