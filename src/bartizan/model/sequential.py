"""Bounds on a rate that hold at every look: stop when you like, and the error stays below what was promised.

A one-sided beta mixture of likelihood ratios is a non-negative supermartingale for every rate at or beyond the hypothesis (Robbins, Annals
of Mathematical Statistics 41, 1970; Ramdas et al., Statistical Science 38, 2023); by Ville's inequality it ever reaches 1/alpha with
probability at most alpha. The mixture here is uniform on the rates better than the hypothesis, which makes the evidence increase with the
hypothesis, so that the bound is one number and not a set.
"""

from __future__ import annotations

import math

from bartizan.model.beta import log_tails, logistic

_FURTHEST = 60.0
"""Logits beyond this are rates within 1e-26 of 0 or 1, which no number of trials distinguishes from it."""


def log_evidence_below(k: float, n: float, rate: float) -> float:
    """log of the evidence that the true rate is below `rate`, 0 < rate < 1, after `k` successes in `n` independent trials.

    The mean over q uniform in (0, rate) of the likelihood ratio of q to `rate`. While the true rate is `rate` or more, this exceeds
    log(1/alpha) at any time with probability at most alpha, whatever the rule by which the trials stop.
    """
    if not 0 <= k <= n or not 0.0 < rate < 1.0:
        raise ValueError(f"need 0 <= k <= n and 0 < rate < 1, not k={k}, n={n}, rate={rate}")
    return _log_evidence(k, n, rate, 1.0 - rate)


def _log_evidence(k: float, n: float, x: float, y: float) -> float:
    lower, _, kernel = log_tails(k + 1.0, n - k + 1.0, x, y)
    return lower + math.log(y) - kernel


def anytime_upper(k: float, n: float, confidence: float = 0.95) -> float:
    """An upper bound on the rate that is valid at every `n` at once with probability at least `confidence`."""
    if not 0 <= k <= n or not 0.0 < confidence < 1.0:
        raise ValueError(f"need 0 <= k <= n and 0 < confidence < 1, not k={k}, n={n}, confidence={confidence}")
    goal = -math.log1p(-confidence)
    low, high = -_FURTHEST, _FURTHEST
    if n == k:  # nothing but successes: no rate below 1 can be excluded
        return 1.0
    while high - low > 1e-13 * max(1.0, abs(low)):
        middle = (low + high) / 2.0
        low, high = (low, middle) if _log_evidence(k, n, *logistic(middle)) >= goal else (middle, high)
    return logistic(high)[0]


def anytime_lower(k: float, n: float, confidence: float = 0.95) -> float:
    """A lower bound on the rate that is valid at every `n` at once with probability at least `confidence`."""
    return 1.0 - anytime_upper(n - k, n, confidence)
