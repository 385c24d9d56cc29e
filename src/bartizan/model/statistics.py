"""The statistics of a verdict: exact bounds on rates, clustered counts, judge error, and how many more trials are needed.

Standard library only. Rates are probabilities in [0, 1]; `k` successes in `n` trials may be fractional where an effective count stands for
a clustered one. Confidence is that of the statement made: a one-sided bound at 0.95 is wrong for at most 5 % of samples on its side.
Bounds that hold however often one looks are in `sequential`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from bartizan.model.beta import normal_quantile, quantile
from bartizan.model.findings import Verdict

UNSEEN_ICC = 0.5
"""Intra-class correlation assumed where the counts cannot show it, for instance with no success in any cluster."""

MOST_TRIALS = 10**12
"""More trials than this are reported as never."""


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict on a rate with what it rests on.

    `low` and `high` are one-sided bounds at the confidence asked for; `needed` is how many more trials, all in the defender's favour, an
    inconclusive verdict asks for, None where it is decided or where no number of trials would do.
    """

    verdict: Verdict
    rate: float
    low: float
    high: float
    needed: int | None = None


class Corrected(msgspec.Struct, frozen=True, kw_only=True):
    """A rate corrected for the errors of the judge that counted it, with its interval, all within [0, 1]."""

    rate: float
    low: float
    high: float


def _checked(k: float, n: float, confidence: float) -> None:
    if not (0 <= k <= n and math.isfinite(n)):
        raise ValueError(f"k successes in n trials need 0 <= k <= n, not k={k}, n={n}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence lies strictly between 0 and 1, not {confidence}")


def upper_bound(k: float, n: float, confidence: float = 0.95) -> float:
    """One-sided exact upper bound on a rate (Clopper and Pearson, Biometrika 26, 1934); 1 where nothing was tried."""
    _checked(k, n, confidence)
    if k == n:
        return 1.0
    if k == 0:
        return -math.expm1(math.log1p(-confidence) / n)
    return quantile(1.0 - confidence, k + 1.0, n - k, upper=True)


def lower_bound(k: float, n: float, confidence: float = 0.95) -> float:
    """One-sided exact lower bound on a rate (Clopper and Pearson, 1934); 0 where nothing was tried."""
    _checked(k, n, confidence)
    if k == 0:
        return 0.0
    if k == n:
        return math.exp(math.log1p(-confidence) / n)
    return quantile(1.0 - confidence, k, n - k + 1.0)


def clopper_pearson(k: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided exact interval of a rate: each side may be wrong for at most half of 1 - `confidence`."""
    _checked(k, n, confidence)
    each = 1.0 - (1.0 - confidence) / 2.0
    return lower_bound(k, n, each), upper_bound(k, n, each)


def design_effect(cluster_size: float, icc: float) -> float:
    """How many clustered trials are worth one independent trial: 1 + (m - 1) ICC (Kish, Survey Sampling, 1965).

    `cluster_size` >= 1 is the trials of one cluster, `icc` in [0, 1] the intra-class correlation.
    """
    if cluster_size < 1.0 or not 0.0 <= icc <= 1.0:
        raise ValueError(f"need a cluster size of at least 1 and 0 <= icc <= 1, not {cluster_size} and {icc}")
    return 1.0 + (cluster_size - 1.0) * icc


def effective_counts(k: float, n: float, clusters: float, icc: float = UNSEEN_ICC) -> tuple[float, float]:
    """The (k, n) of independent trials that are worth `n` trials in `clusters` equal clusters, at the same rate."""
    _checked(k, n, 0.5)
    if n == 0:
        return 0.0, 0.0
    if not 0 < clusters <= n:
        raise ValueError(f"{n} trials cannot come from {clusters} clusters")
    effect = design_effect(n / clusters, icc)
    return k / effect, n / effect


def clustered_upper_bound(k: float, n: float, clusters: float, icc: float = UNSEEN_ICC, confidence: float = 0.95) -> float:
    """One-sided upper bound on a rate whose trials hang together in clusters: exact on the effective counts.

    8 prompts sampled 10 times each, no success, ICC 0.5: 14.5 effective trials, at most 18.6 %, not the 3.7 % of 80 independent ones.
    """
    return upper_bound(*effective_counts(k, n, clusters, icc), confidence)


def clustered_lower_bound(k: float, n: float, clusters: float, icc: float = UNSEEN_ICC, confidence: float = 0.95) -> float:
    """One-sided lower bound on a rate whose trials hang together in clusters: exact on the effective counts."""
    return lower_bound(*effective_counts(k, n, clusters, icc), confidence)


def intraclass_correlation(counts: Sequence[tuple[int, int]]) -> float | None:
    """ICC of (successes, trials) per cluster by the one-way analysis of variance, bounded to [0, 1].

    The estimator of Ridout, Demetrio and Firth (Biometrics 55, 1999, section 2.1.1). None where it cannot be estimated: fewer than two
    clusters, no cluster with two trials, or all outcomes alike.
    """
    used = [(k, m) for k, m in counts if m > 0]
    trials, successes, groups = sum(m for _, m in used), sum(k for k, _ in used), len(used)
    if groups < 2 or trials == groups or successes in (0, trials):
        return None
    within_sum = math.fsum(k - k * k / m for k, m in used)
    between = (math.fsum(k * k / m for k, m in used) - successes * successes / trials) / (groups - 1)
    within = within_sum / (trials - groups)
    size = (trials - math.fsum(m * m for _, m in used) / trials) / (groups - 1)
    return min(1.0, max(0.0, (between - within) / (between + (size - 1.0) * within)))


def effective_of_clusters(counts: Sequence[tuple[int, int]], icc: float | None = None) -> tuple[float, float]:
    """The (k, n) of independent trials that (successes, trials) per cluster are worth.

    `icc` None: estimated from the counts, `UNSEEN_ICC` where they cannot show it. Unequal clusters count with the size-weighted mean size
    (Kish, 1965), which is never smaller than the plain mean.
    """
    trials, successes = sum(m for _, m in counts), sum(k for k, _ in counts)
    if trials == 0:
        return 0.0, 0.0
    if icc is None:
        found = intraclass_correlation(counts)
        icc = UNSEEN_ICC if found is None else found
    effect = design_effect(math.fsum(m * m for _, m in counts) / trials, icc)
    return successes / effect, trials / effect


def needed_for_pass(k: float, n: float, limit: float, confidence: float = 0.95) -> int | None:
    """How many more trials, none of them a success, bring the upper bound down to `limit`; None where none would.

    Independent trials. 0 of 80 at 2 % and 95 %: 69, because 0 of 149 is the first count without a success that passes.
    """
    _checked(k, n, confidence)
    if upper_bound(k, n, confidence) <= limit:
        return 0
    if limit <= 0.0:
        return None
    if k == 0:  # in closed form: (1 - limit) ** n <= 1 - confidence
        start = max(1, math.floor(math.log1p(-confidence) / math.log1p(-limit) - n) - 1)
        return next(m for m in range(start, start + 5) if upper_bound(0, n + m, confidence) <= limit) if start <= MOST_TRIALS else None
    high = 1
    while upper_bound(k, n + high, confidence) > limit:
        high *= 2
        if high > MOST_TRIALS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if upper_bound(k, n + middle, confidence) <= limit else (middle, high)
    return high


def judge(k: float, n: float, limit: float, confidence: float = 0.95, *, higher_is_worse: bool = True, effect: float = 1.0) -> Ruling:
    """The verdict on `k` successes in `n` trials against the tolerated rate `limit`.

    Pass: the upper bound is at most `limit`. Fail: the lower bound is beyond it. Otherwise inconclusive, with the trials that are still
    needed. With `higher_is_worse` False the rate must stay at or above `limit` (an accuracy, a detection rate). `effect` >= 1 is the
    design effect of clustered trials: `needed` then counts clustered trials too.
    """
    if effect < 1.0:
        raise ValueError(f"a design effect is at least 1, not {effect}")
    if not higher_is_worse:
        mirrored = judge(n - k, n, 1.0 - limit, confidence, effect=effect)
        return msgspec.structs.replace(mirrored, rate=1.0 - mirrored.rate, low=1.0 - mirrored.high, high=1.0 - mirrored.low)
    k_worth, n_worth = k / effect, n / effect
    low, high = lower_bound(k_worth, n_worth, confidence), upper_bound(k_worth, n_worth, confidence)
    rate = k / n if n else 0.5
    if high <= limit:
        return Ruling(verdict=Verdict.PASS, rate=rate, low=low, high=high)
    if low > limit:
        return Ruling(verdict=Verdict.FAIL, rate=rate, low=low, high=high)
    more = needed_for_pass(k_worth, n_worth, limit, confidence)
    needed = None if more is None else math.ceil(more * effect)
    return Ruling(verdict=Verdict.INCONCLUSIVE, rate=rate, low=low, high=high, needed=needed)


def corrected_rate(k: int, n: int, sensitivity: tuple[int, int], specificity: tuple[int, int], confidence: float = 0.95) -> Corrected:
    """The true rate behind `k` of `n` positives counted by an imperfect judge, with a two-sided interval.

    `sensitivity` and `specificity` are (right, all) on known positives and known negatives. Point estimate by Rogan and Gladen (Am. J.
    Epidemiology 107, 1978); interval by Lang and Reiczigel (Preventive Veterinary Medicine 113, 2014), which carries the uncertainty of
    both. Raises ValueError where the judge is not better than chance, since then its counts say nothing.
    """
    _checked(k, n, confidence)
    if n == 0 or sensitivity[1] == 0 or specificity[1] == 0:
        raise ValueError("a correction needs trials and known cases of both kinds")
    right_positive, right_negative = sensitivity[0] / sensitivity[1], specificity[0] / specificity[1]
    if right_positive + right_negative <= 1.0:
        raise ValueError("the judge is not better than chance: sensitivity + specificity must exceed 1")
    rate = (k / n + right_negative - 1.0) / (right_positive + right_negative - 1.0)
    z = normal_quantile(0.5 + confidence / 2.0)
    size, positives, negatives = n + z * z, sensitivity[1] + 2.0, specificity[1] + 2.0
    seen = (k + z * z / 2.0) / size
    se, sp = (sensitivity[0] + 1.0) / positives, (specificity[0] + 1.0) / negatives
    youden = se + sp - 1.0
    if youden <= 0.0:
        return Corrected(rate=min(1.0, max(0.0, rate)), low=0.0, high=1.0)
    middle = (seen + sp - 1.0) / youden
    se_variance, sp_variance = se * (1.0 - se) / positives, sp * (1.0 - sp) / negatives
    shift = 2.0 * z * z * (middle * se_variance - (1.0 - middle) * sp_variance)
    spread = math.sqrt(seen * (1.0 - seen) / size + middle**2 * se_variance + (1.0 - middle) ** 2 * sp_variance) / youden
    low, high = middle + shift - z * spread, middle + shift + z * spread
    return Corrected(rate=min(1.0, max(0.0, rate)), low=min(1.0, max(0.0, low)), high=min(1.0, max(0.0, high)))


def wilson(k: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided score interval of a rate (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    _checked(k, n, confidence)
    if n == 0:
        return 0.0, 1.0
    z = normal_quantile(0.5 + confidence / 2.0)
    centre = (k + z * z / 2.0) / (n + z * z)
    half = z * math.sqrt(k * (n - k) / n + z * z / 4.0) / (n + z * z)
    return (0.0 if k == 0 else max(0.0, centre - half)), (1.0 if k == n else min(1.0, centre + half))


def rate_difference(k1: float, n1: float, k2: float, n2: float, confidence: float = 0.95) -> tuple[float, float, float]:
    """k1/n1 - k2/n2 of two independent samples with its two-sided interval (Newcombe, Statistics in Medicine 17, 1998, method 10).

    For null controls: an attack that works against the control as well as against the target has an interval around 0.
    """
    if n1 <= 0 or n2 <= 0:
        raise ValueError("both samples need trials")
    p1, p2 = k1 / n1, k2 / n2
    (low1, high1), (low2, high2) = wilson(k1, n1, confidence), wilson(k2, n2, confidence)
    below = math.hypot(p1 - low1, high2 - p2)
    above = math.hypot(high1 - p1, p2 - low2)
    return p1 - p2, max(-1.0, p1 - p2 - below), min(1.0, p1 - p2 + above)


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """The median of a sample with a two-sided interval that needs no distribution: its order statistics (Conover, 1999, section 3.2).

    Where the sample is too small for the confidence, the interval is its range. Raises ValueError for an empty sample.
    """
    if not values:
        raise ValueError("a median needs values")
    ordered, n = sorted(values), len(values)
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2.0
    allowed = int((1.0 - confidence) / 2.0 * 2**53) * 2**n  # all in units of 2 ** -(n + 53): exact for any n
    rank, term, tail = 0, 1, 1
    while tail * 2**53 <= allowed and rank < (n - 1) // 2:  # tail = P(at most `rank` of n values lie below the median)
        rank += 1
        term = term * (n - rank + 1) // rank
        tail += term
    return middle, ordered[max(rank - 1, 0)], ordered[n - 1 - max(rank - 1, 0)]
