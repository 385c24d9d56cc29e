"""Trigger mining in texts: words, phrases and strange characters whose bearers have their label against all that the rest of them says.

A topical word goes with its label and so do the other words of its texts. A trigger gives texts of other classes a label that, without the
trigger, nothing in them supports. So of each mark that goes with one label the bearers are judged without it, by the words of all other
texts (naive Bayes, each text left out of its own count), and the number that the rest contradicts is tested exactly. Triggers with right
labels cannot be told from topical words this way, and are not covered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.areas.poisoning.source_signs import at_least
from bartizan.areas.poisoning.text_marks import TextMark, Texts, marks_of, read_texts
from bartizan.model.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEAST = 8
"""Fewest texts of one label that bear a mark."""

LEVEL = 0.01
"""Chance that any mark is named of a set without triggers, over all marks together."""

AGAINST = 1.0
"""How much likelier (its logarithm) the rest must make another label than the given one to contradict it."""

_EXCUSE = (2.0, 0.1)  # a mark's bearers may be contradicted this many times as often as their class, and so much more
_SHARED = 0.8
_LOOKED_AT = 60
_FIRST = 12
_FIRST_AT_LEAST = 4
_TRIED = 400
_ALIKE = (2.0, 0.02)


@dataclass(frozen=True)
class TriggerToken:
    """A mark that looks like a trigger: its `kind` and `name`, the `label` that it goes with, and the `rows` that bear it under that label,
    those whose rest contradicts the label first. `contradicted` is their number (of 400 bearers at most), `elsewhere` how many texts of
    other labels bear it, `chance` that of so many, corrected for all marks. `scattered`: the bearers have no subject of their own, as
    texts of a small topic have."""

    kind: str
    name: str
    label: int
    rows: Ints
    contradicted: int
    elsewhere: int
    chance: float
    scattered: bool


@dataclass(frozen=True)
class TokenScreen:
    """The `triggers`, surest first; how many `marks` were judged; `agreement`: how often words tell the label, above chance (1 at best);
    `contradicted`: of all texts the share whose label their words contradict."""

    triggers: tuple[TriggerToken, ...]
    marks: int
    agreement: float
    contradicted: float


def find_trigger_tokens(texts: Sequence[str], labels: npt.ArrayLike) -> TokenScreen:
    """Search n `texts` with `labels` (n,), class numbers from 0, for triggers. Raises `InputError` for less than two classes.

    At most 300 words of each text are read. A mark needs `LEAST` texts; how many more the test asks for depends on how well words tell
    labels: of 3,000 texts of two topics about 12, of 9,000 of six about 20.
    """
    given = np.asarray(labels, dtype=np.int64)
    if len(given) != len(texts) or not len(given) or len(np.unique(given)) < 2:
        raise InputError("texts of one class cannot be contradicted", cure="give texts of two classes or more, one label each")
    read = read_texts(texts)
    judge = _Judge(read, given)
    usual = np.array([judge.contradicted[given == label].mean() if (given == label).any() else 1.0 for label in range(judge.classes)])
    found: list[TriggerToken] = []
    marks = 0
    for mark in marks_of(texts, read, LEAST):
        counts = np.bincount(given[mark.rows], minlength=judge.classes)
        label = int(counts.argmax())
        if counts[label] < LEAST or 2 * counts[label] < len(mark.rows):
            continue
        marks += 1
        one = _judged(judge, mark, label, float(usual[label]))
        if one is not None:
            found.append(one)
    return TokenScreen(_settled(judge, found, marks), marks, judge.agreement, float(judge.contradicted.mean()))


class _Judge:
    """What the words of each text say of its label, by the words of all others."""

    def __init__(self, read: Texts, given: Ints) -> None:
        self.words, self.given = read.words, given
        self.classes, self.size = int(given.max()) + 1, max(len(read.names), 1)
        lengths = np.array([len(one) for one in read.words], dtype=np.int64)
        flat, owner = np.concatenate([*read.words, np.zeros(0, np.int64)]), np.repeat(given, lengths)
        counts = np.bincount(owner * self.size + flat, minlength=self.classes * self.size)
        self.counts = counts.reshape(self.classes, self.size).T.astype(np.float64)
        self.totals = self.counts.sum(axis=0)
        sizes = np.bincount(given, minlength=self.classes)
        prior = np.log(np.maximum(sizes, 1))
        self.sums = np.array([self.gap(row, own) + prior - prior[given[row]] for row, own in enumerate(read.words)])
        self.contradicted = self.against(np.arange(len(given)), self.sums)
        self.sums[:, sizes == 0] = -np.inf
        most = float(sizes.max() / len(given))
        right = float((self.others(np.arange(len(given)), self.sums).max(axis=1) < -1e-6).mean())
        self.agreement = (right - most) / max(1.0 - most, 1e-9)

    def gap(self, row: int, words: Ints) -> Floats:
        """How much likelier each class makes these words of a text than its label does, the text itself not counted, (classes,)."""
        seen, totals, label = self.counts[words], self.totals.copy(), self.given[row]
        seen[:, label] -= 1.0
        totals[label] -= len(self.words[row])
        likely = (np.log(seen + 0.2) - np.log(totals + 0.2 * self.size)).sum(axis=0)
        return np.asarray(likely - likely[label])

    def against(self, rows: Ints, sums: Floats) -> npt.NDArray[np.bool_]:
        """Do these sums speak plainly for another class than the label?"""
        return np.asarray(self.others(rows, sums).max(axis=1) >= AGAINST)

    def others(self, rows: Ints, sums: Floats) -> Floats:
        """These sums without those for the rows' own labels."""
        found = sums.copy()
        found[np.arange(len(rows)), self.given[rows]] = -np.inf
        return found

    def without(self, rows: Ints, left_out: Ints) -> npt.NDArray[np.bool_]:
        """Are these texts contradicted without the words `left_out`?"""
        parts = [self.sums[row] - self.gap(row, own[np.isin(own, left_out)]) for row, own in ((row, self.words[row]) for row in rows)]
        return self.against(rows, np.array(parts))


def _judged(judge: _Judge, mark: TextMark, label: int, usual: float) -> TriggerToken | None:
    """The mark as a trigger with its chance, not yet corrected; None where its bearers are contradicted as others are."""
    rows = mark.rows[judge.given[mark.rows] == label]
    dealt = rows[np.random.default_rng(len(rows)).permutation(len(rows))]
    shared = _shared(judge, dealt[:_LOOKED_AT])
    if len(dealt) > _FIRST and judge.without(dealt[:_FIRST], shared).sum() < _FIRST_AT_LEAST:
        return None
    dealt, rest = dealt[:_TRIED], dealt[_TRIED:]
    flags = judge.without(dealt, shared)
    count, elsewhere = int(flags.sum()), len(mark.rows) - len(rows)
    if count < LEAST or count * len(rows) < elsewhere * len(dealt):
        return None
    times, more = _EXCUSE
    chance = at_least(count, [len(dealt)], [min(times * usual + more, 0.5)])
    ordered = np.concatenate([dealt[flags], rest, dealt[~flags]])
    return TriggerToken(mark.kind, mark.name, label, ordered, count, elsewhere, chance, scattered=True)


def _shared(judge: _Judge, rows: Ints) -> Ints:
    """The words that nearly all of these texts have: the mark itself and what stands around it."""
    words, counts = np.unique(np.concatenate([judge.words[row] for row in rows]), return_counts=True)
    return np.asarray(words[counts >= _SHARED * len(rows)])


def _settled(judge: _Judge, found: list[TriggerToken], marks: int) -> tuple[TriggerToken, ...]:
    """Those beyond chance, one of each group with the same bearers, with the answer whether these are scattered."""
    out: list[TriggerToken] = []
    for one in sorted(found, key=lambda one: (one.chance, -one.contradicted, -len(one.name), one.name)):
        chance = min(one.chance * marks, 1.0)
        if chance > LEVEL:
            break
        if any(one.label == other.label and _same(one.rows, other.rows) for other in out):
            continue
        scattered = _scattered(judge, one.rows[: one.contradicted])
        out.append(TriggerToken(one.kind, one.name, one.label, one.rows, one.contradicted, one.elsewhere, chance, scattered))
    return tuple(sorted(out, key=lambda one: not one.scattered))


def _same(a: Ints, b: Ints) -> bool:
    return 2 * len(np.intersect1d(a, b)) >= min(len(a), len(b))


def _scattered(judge: _Judge, rows: Ints) -> bool:
    """Are these texts as unlike one another as texts of the classes that they look like are?"""
    random = np.random.default_rng(len(rows))
    rows = rows[random.permutation(len(rows))[:200]]
    shared = _shared(judge, rows)
    looks = judge.others(rows, judge.sums[rows]).argmax(axis=1)
    usual = np.concatenate([random.choice(np.flatnonzero(judge.given == label), int((looks == label).sum())) for label in np.unique(looks)])
    times, more = _ALIKE
    return _likeness(judge, rows, shared) <= times * _likeness(judge, usual, shared) + more


def _likeness(judge: _Judge, rows: Ints, left_out: Ints) -> float:
    """The mean cosine of two of these texts, words weighted by how rare they are."""
    rarity = np.log(1.0 + len(judge.given) / np.maximum(judge.counts.sum(axis=1), 1.0))
    rarity[left_out] = 0.0
    total, squares = np.zeros(judge.size), 0.0
    for row in rows:
        weights = rarity[judge.words[row]]
        length = float(np.sqrt(np.square(weights).sum()))
        if length > 0.0:
            total[judge.words[row]] += weights / length
            squares += 1.0
    n = len(rows)
    return (float(np.square(total).sum()) - squares) / max(n * (n - 1), 1)
