"""The screen of a set for poison: votes, shared marks, pasted patches, trigger words and, with activations, their spectrum, in one result.

Each part says what it can see; what none of them sees is listed as not covered. A set in which nothing is found is not called clean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bartizan.areas.poisoning.activations import ActivationClusters, activation_clusters, spectral_score
from bartizan.areas.poisoning.marks import LEAST, STRONG, Mark, shared_marks
from bartizan.areas.poisoning.patches import LARGEST, Patch, frequent_patches
from bartizan.areas.poisoning.trigger_tokens import TokenScreen, find_trigger_tokens
from bartizan.areas.poisoning.votes import Votes, label_votes
from bartizan.methods.descriptors import pooled

Floats = npt.NDArray[np.float64]
Outcome = Literal["poisoned", "suspicious", "nothing found", "cannot tell"]

LOPSIDED = 0.08
"""Share of a class's rows that look like one other class, beyond twice the traffic the other way, from which it is suspicious.

Calibrated on clean sets: at most 0.048 over five draws each of MNIST, Fashion-MNIST and digits.
"""

DRAWN = 0.07
"""Share of a class's rows that look like other classes, whichever, beyond twice the traffic the other way, from which it is suspicious.

Triggers that differ from row to row leave no mark, but their labels. At most 0.057 over three clean draws each of MNIST, Fashion-MNIST and
digits, below zero with careless labels; 0.076 and more with triggers on 1.5 % of the rows.
"""

FALSE_ALARMS = "none in 210 classes of clean or carelessly labelled sets (MNIST, Fashion-MNIST, digits): at most 1.5 % of classes, at 95 %"
"""What the thresholds were calibrated on: 21 draws of ten classes each, no mark and no patch; printed by benchmarks/data/poisoning.py."""

_MOVED = 0.4

UNTELLING = 0.6
"""Least share of rows whose neighbours carry their label, above the most frequent class, for votes to say anything."""

WORDS_TELL = 0.75
"""The same for words and the labels of texts: below, triggers that work were missed (topics as alike as those of numpy and scipy, 0.7)."""

_LARGE = 4096


@dataclass(frozen=True)
class Screen:
    """What a screen found.

    outcome: `poisoned` where a mark or a patch is beyond coincidence, `suspicious` where labels of a class are lopsided, `cannot tell`
    where the neighbourhood says too little about labels, else `nothing found`, which is not `clean`
    score: for each row how suspect it is, the greater the more, (n,)
    suspects: rows that bear a found mark or patch, the clearest first
    lopsided: (given label, looks like, share of the given class's rows)
    drawn: (given label, share of its rows that look like any other class), beyond what other classes have
    agreement: share of rows whose neighbours carry their label, above chance
    spectral, clusters: of the activations, where they were given
    tokens: triggers in the texts, where they were given
    """

    outcome: Outcome
    score: Floats
    suspects: npt.NDArray[np.int64]
    votes: Votes
    marks: tuple[Mark, ...]
    patches: tuple[Patch, ...]
    lopsided: tuple[tuple[int, int, float], ...]
    drawn: tuple[tuple[int, float], ...]
    agreement: float
    spectral: Floats | None
    clusters: ActivationClusters | None
    tokens: TokenScreen | None
    covered: tuple[str, ...]
    not_covered: tuple[str, ...]


def screen(
    features: npt.NDArray[np.float32],
    labels: npt.ArrayLike,
    *,
    images: npt.NDArray[np.float32] | None = None,
    texts: Sequence[str] | None = None,
    activations: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Screen:
    """Screen a set of `features` (n, d), in which like things are close (`methods.descriptors.of_set`), with `labels` (n,), from 0.

    images: (n, channels, height, width) in 0 to 1, where the rows are pictures
    texts: of the rows, n, where they have any
    activations: of the last hidden layer of a model trained on this set, (n, h)
    """
    given = np.asarray(labels, dtype=np.int64)
    votes = label_votes(features, given)
    values = features if images is None else _values(images)
    marks = shared_marks(values, features, given, votes)
    patches = () if images is None else frequent_patches(images, given)
    (lopsided, drawn), agreement = _moved(votes, given), _agreement(votes, given)
    spectral = None if activations is None else spectral_score(activations, given)
    clusters = None if activations is None else activation_clusters(activations, given, seed=seed)
    tokens = None if texts is None else find_trigger_tokens(texts, given)
    strong = tuple(mark for mark in marks if mark.strength >= STRONG)
    triggers = () if tokens is None else tuple(one for one in tokens.triggers if one.scattered)
    suspects = np.concatenate(
        [np.zeros(0, np.int64), *(t.rows for t in triggers), *(p.rows for p in patches), *(m.bearers for m in strong)]
    )
    suspects = suspects[np.sort(np.unique(suspects, return_index=True)[1])]
    doubtful = bool(lopsided or drawn) or (tokens is not None and bool(tokens.triggers))
    covered, not_covered = _coverage(images, tokens, agreement, activations is not None)
    return Screen(
        _outcome(bool(len(suspects)), doubtful, max(agreement, 1.0 if tokens is not None and tokens.agreement >= WORDS_TELL else 0.0)),
        _score(votes, suspects, spectral), suspects, votes, marks, patches,
        lopsided, drawn, agreement, spectral, clusters, tokens, covered, not_covered,
    )  # fmt: skip


def _outcome(found: bool, doubtful: bool, agreement: float) -> Outcome:
    if found:
        return "poisoned"
    if agreement < UNTELLING:
        return "cannot tell"
    return "suspicious" if doubtful else "nothing found"


def _values(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What a trigger changes: the pixels, of large pictures their means over 32 by 32 fields."""
    if images[0].size <= _LARGE:
        return images.reshape(len(images), -1)
    return np.concatenate([pooled(channel, 32) for channel in images.transpose(1, 0, 2, 3)], axis=1)


def _agreement(votes: Votes, given: npt.NDArray[np.int64]) -> float:
    most = float(np.bincount(given).max() / len(given))
    return (float((votes.own > votes.other).mean()) - most) / (1.0 - most)


def _moved(votes: Votes, given: npt.NDArray[np.int64]) -> tuple[tuple[tuple[int, int, float], ...], tuple[tuple[int, float], ...]]:
    """Classes that get rows of one other class, or of all others together, without giving as many: what labels set on purpose look like."""
    classes = int(given.max()) + 1
    traffic = np.zeros((classes, classes))
    moved = (votes.score >= _MOVED) & (votes.suggested != given)
    np.add.at(traffic, (votes.suggested[moved], given[moved]), 1.0)
    sizes = np.maximum(np.bincount(given, minlength=classes), 1)
    share = _excess(traffic, traffic.T) / sizes
    pairs = np.argwhere(share >= LOPSIDED)
    pairs = pairs[np.argsort(-share[pairs[:, 0], pairs[:, 1]], kind="stable")]
    pooled = _excess(traffic.sum(axis=0), traffic.sum(axis=1)) / sizes
    drawn = np.flatnonzero(pooled >= DRAWN) if classes > 2 else np.zeros(0, np.int64)
    return tuple((int(t), int(s), float(share[s, t])) for s, t in pairs), tuple((int(c), float(pooled[c])) for c in drawn)


def _excess(got: Floats, gave: Floats) -> Floats:
    return np.asarray(got - 2.0 * gave - 3.0 * np.sqrt(gave + 1.0))


def _score(votes: Votes, suspects: npt.NDArray[np.int64], spectral: Floats | None) -> Floats:
    """Votes first; what bears a mark stands above all; the spectrum breaks ties where there is one."""
    score = votes.score.copy()
    score[suspects] = 2.0 + votes.score[suspects]
    if spectral is not None and len(spectral):
        score += 0.5 * np.argsort(np.argsort(spectral)) / len(spectral)
    return score


def _coverage(
    images: npt.NDArray[np.float32] | None, tokens: TokenScreen | None, agreement: float, activations: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the screens that ran can see, and what they cannot."""
    votes = [f"triggers with wrong labels, borne by {LEAST} rows of a class or more", "labels of one class flipped to another on purpose"]
    seen, unseen = (votes, []) if agreement >= UNTELLING else ([], votes)
    unseen = [*unseen, "triggers with right labels that are faint or cover the whole picture (clean-label attacks)",
              "triggers hidden among rows that bear them with right labels, or with many different marks (adaptive attacks)",
              f"poison of fewer than {LEAST} rows in a class, or of rows that lie nearer to one another than to anything else",
              "poison that stays within the ordinary and shifts a decision little by little"]  # fmt: skip
    if images is not None and 12 <= min(images.shape[2:]) <= max(images.shape[2:]) <= LARGEST:
        seen.append("small patches at one place of the picture, with right labels too")
    else:
        unseen.append("triggers with right labels of any kind" if images is None else "small patches on pictures of this size")
    if tokens is not None and tokens.agreement >= WORDS_TELL:
        seen.append("words, phrases and strange characters that give texts of other classes their label")
        unseen.append("triggers in the style or the order of sentences")
    elif tokens is not None:
        unseen.append("trigger words, since the words of these texts tell their labels too badly")
    if activations:
        seen.append("rows that the given model holds apart within their class")
    else:
        unseen.append("what only the activations of a trained model show")
    return tuple(seen), tuple(unseen)
