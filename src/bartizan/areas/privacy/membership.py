"""Membership inference: can an attacker tell whether a record was in the training data of a classifier?

The attack is the loss threshold (Yeom et al., 2018), made fair to hard records in two ways and the stronger one chosen: by the confidence
of reference models that were not trained on the record (difficulty calibration, Watson et al., 2022), and by the likelihood ratio between
reference models that were and were not (LiRA, Carlini et al., 2022, with variances of each record or shared by all). Attack
and threshold are chosen on one half of the records and measured on the other half.

Two controls tell whether the number can be trusted. With membership labels shuffled the attack must be at chance. And reference models,
which saw random halves of everything, must not tell members from others either: if they do, the two groups differ by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FINEST, COARSEST = 1e-4, 0.02
"""Probabilities are kept at least this far from 0 and 1, and at most that far, so that a certain model's confidence stays finite."""

SHUFFLES = 40
"""How often the membership labels are shuffled for the control."""

MIN_RECORDS = 40
"""Fewest members, and fewest others, with which anything can be said."""


@dataclass(frozen=True)
class Rate:
    """`k` of `n`."""

    k: int
    n: int

    @property
    def value(self) -> float:
        return self.k / self.n if self.n else 0.0


@dataclass(frozen=True)
class AtRate:
    """An attack at a false-positive rate: members recognised, and others taken for members, among the records it was not tuned on.

    `resolved` says whether there were enough others to set the threshold at this rate (at least one in `1 / fpr`).
    """

    fpr: float
    true_positives: Rate
    false_positives: Rate
    resolved: bool


@dataclass(frozen=True)
class Membership:
    """What the attack achieved. `auc` with its standard error; `best` is the threshold of the greatest advantage; `null_auc` and
    `null_true_positives` are means over shuffled labels; `drift_auc` is what reference models show, `drift_error` its standard error;
    `references` is how many of those there were."""

    attack: str
    at: tuple[AtRate, ...]
    best: AtRate
    auc: float
    auc_error: float
    null_auc: float
    null_error: float
    null_true_positives: float
    drift_auc: float | None
    drift_error: float
    references: int


def resolution(probabilities: Floats) -> float:
    """How far from 0 and 1 a probability is to be kept: half the least distance from them that this model shows.

    A forest of 60 trees knows steps of 1/60 only; when all agree, that is hardly more than 59 of them, not infinitely more.
    """
    inner = probabilities[(probabilities > 1e-12) & (probabilities < 1 - 1e-12)]
    least = float(np.minimum(inner, 1 - inner).min()) if len(inner) else 1.0
    return min(max(least / 2, FINEST), COARSEST)


def log_odds(probabilities: Floats, true_class: npt.NDArray[np.int64], epsilon: float = FINEST) -> Floats:
    """Confidence in the true class as log odds, shape (rows,); `true_class` is -1 where the model does not know the class."""
    rows = np.arange(len(true_class))
    chosen = np.where(true_class >= 0, probabilities[rows, np.maximum(true_class, 0)], 0.0)
    chosen = np.clip(np.nan_to_num(chosen), epsilon, 1 - epsilon)
    odds: Floats = np.log(chosen) - np.log1p(-chosen)
    return odds


def auc_of(scores: Floats, members: Mask) -> tuple[float, float]:
    """Area under the ROC curve (ties count half) and its standard error (Hanley and McNeil, 1982)."""
    order, counts = np.unique(scores, return_inverse=True)[1], np.unique(scores, return_counts=True)[1]
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[order]
    n, m = int(members.sum()), int((~members).sum())
    area = float((ranks[members].sum() - n * (n + 1) / 2) / (n * m))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)) / (n * m)
    return area, float(np.sqrt(max(variance, 0.0)))


def _threshold(scores: Floats, members: Mask, fpr: float) -> float:
    """The lowest score above which at most the share `fpr` of others lies."""
    others = np.sort(scores[~members])[::-1]
    return float(others[min(int(fpr * len(others)), len(others) - 1)])


def _best_threshold(scores: Floats, members: Mask) -> float:
    """The score above which the share of members exceeds that of others the most."""
    order = np.argsort(-scores, kind="stable")
    ranked, hit = scores[order], members[order]
    gain = np.cumsum(hit) / max(hit.sum(), 1) - np.cumsum(~hit) / max((~hit).sum(), 1)
    last = np.append(ranked[1:] != ranked[:-1], True)
    at = int(np.argmax(np.where(last, gain, -1.0)))
    return float(ranked[at + 1]) if at + 1 < len(ranked) else float(ranked[-1]) - 1.0


def _measured(scores: Floats, members: Mask, threshold: float, fpr: float, tuned_on: int) -> AtRate:
    above = scores > threshold
    hits = Rate(int(above[members].sum()), int(members.sum()))
    alarms = Rate(int(above[~members].sum()), int((~members).sum()))
    return AtRate(fpr, hits, alarms, resolved=fpr * tuned_on >= 1)


def _halves(members: Mask, random: np.random.Generator) -> Mask:
    """A random half of the members and a random half of the others: those that the attack is tuned on."""
    tuning = np.zeros(len(members), dtype=bool)
    for group in (np.flatnonzero(members), np.flatnonzero(~members)):
        tuning[random.permutation(group)[: len(group) // 2]] = True
    return tuning


def _chosen(scores: Mapping[str, Floats], members: Mask, tuning: Mask, fpr: float) -> str:
    """The attack with the most true positives at `fpr` on the tuning half; the greater area decides between equals."""

    def merit(name: str) -> tuple[float, float]:
        part, own = scores[name][tuning], members[tuning]
        return float((part[own] > _threshold(part, own, fpr)).mean()), auc_of(part, own)[0]

    return max(sorted(scores), key=merit)


def scores_of(target: Floats, references: Floats, inside: Mask, classes: npt.NDArray[np.int64]) -> dict[str, Floats]:
    """Attack scores by name; higher means more likely a member.

    `target` are the log odds of the model under attack, shape (rows,); `references` those of the reference models, (models, rows);
    `inside` says which rows each was trained on; `classes` is the true class of each row. Without reference models the log odds are
    compared within the true class alone.
    """
    centred = target.copy()
    for value in np.unique(classes):
        own = classes == value
        spread = target[own].std()
        centred[own] = (target[own] - target[own].mean()) / (spread if spread > 0 else 1.0)
    if not len(references):
        return {"loss threshold per class": centred}
    out_mean = _mean(references, ~inside)
    in_mean = _mean(references, inside)
    out_spread, in_spread = _spread(references, ~inside, out_mean), _spread(references, inside, in_mean)
    shared = _likelihood_ratio(target, (out_mean, np.sqrt(np.mean(out_spread**2))), (in_mean, np.sqrt(np.mean(in_spread**2))))
    own = _likelihood_ratio(target, (out_mean, out_spread), (in_mean, in_spread))
    return {
        "loss threshold per class": centred,
        "loss against difficulty": target - out_mean,
        "likelihood ratio": shared,
        "likelihood ratio with own variances": own,
    }


def _likelihood_ratio(target: Floats, out: tuple[Floats, Any], inside: tuple[Floats, Any]) -> Floats:
    """Log density of the target's confidence among models trained on the record, less that among models that were not (normal)."""
    (out_mean, out_sd), (in_mean, in_sd) = ((mean, np.maximum(sd, 0.1)) for mean, sd in (out, inside))
    ratio: Floats = ((target - out_mean) / out_sd) ** 2 / 2 - ((target - in_mean) / in_sd) ** 2 / 2 + np.log(out_sd / in_sd)
    return ratio


def _spread(values: Floats, where: Mask, mean: Floats) -> Floats:
    counts = np.maximum(where.sum(axis=0), 1)
    spread: Floats = np.sqrt((((values - mean) ** 2) * where).sum(axis=0) / counts)
    return spread


def _mean(values: Floats, where: Mask) -> Floats:
    counts = where.sum(axis=0)
    mean: Floats = np.where(counts > 0, (values * where).sum(axis=0) / np.maximum(counts, 1), values.mean(axis=0))
    return mean


def attack(
    scores: Mapping[str, Floats], members: Mask, references: Floats, *, fpr: float, finer: tuple[float, ...] = (), seed: int = 0
) -> Membership:
    """Tune on one half, measure on the other, and run both controls. `fpr` decides which attack is chosen; `finer` are reported too."""
    random = np.random.default_rng(seed)
    tuning = _halves(members, random)
    name = _chosen(scores, members, tuning, fpr)
    tune, test = (scores[name][tuning], members[tuning]), (scores[name][~tuning], members[~tuning])
    tuned_on = int((~tune[1]).sum())
    at = tuple(_measured(*test, _threshold(*tune, rate), rate, tuned_on) for rate in (fpr, *finer))
    best = _measured(*test, _best_threshold(*tune), 1.0, tuned_on)
    auc, auc_error = auc_of(*test)
    null_auc, null_hits = _shuffled(scores, members, fpr, random)
    drift, drift_error = _drift(references, members)
    return Membership(
        attack=name,
        at=at,
        best=best,
        auc=auc,
        auc_error=auc_error,
        null_auc=float(np.mean(null_auc)),
        null_error=float(np.std(null_auc) / np.sqrt(len(null_auc)) + 1e-3),
        null_true_positives=float(np.mean(null_hits)),
        drift_auc=drift,
        drift_error=drift_error,
        references=len(references),
    )


def _shuffled(scores: Mapping[str, Floats], members: Mask, fpr: float, random: np.random.Generator) -> tuple[list[float], list[float]]:
    """The whole procedure on shuffled membership: areas and true-positive rates, which must be at chance."""
    areas, hits = [], []
    for _ in range(SHUFFLES):
        fake = random.permutation(members)
        tuning = _halves(fake, random)
        name = _chosen(scores, fake, tuning, fpr)
        threshold = _threshold(scores[name][tuning], fake[tuning], fpr)
        areas.append(auc_of(scores[name][~tuning], fake[~tuning])[0])
        hits.append(float((scores[name][~tuning][fake[~tuning]] > threshold).mean()))
    return areas, hits


def _drift(references: Floats, members: Mask) -> tuple[float | None, float]:
    """How well the average reference model tells members from others: 0.5 where both come from one source."""
    if not len(references):
        return None, 0.0
    return auc_of(references.mean(axis=0), members)


def z_of(confidence: float) -> float:
    """The two-sided normal quantile, 1.96 at 0.95."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)
