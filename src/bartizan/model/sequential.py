"""Bounds on a rate that hold at every look: stop when you like, and the error stays below what was promised.

A one-sided beta mixture of likelihood ratios is a non-negative supermartingale for every rate at or beyond the hypothesis (Robbins, Annals
of Mathematical Statistics 41, 1970; Ramdas et al., Statistical Science 38, 2023); by Ville's inequality it ever reaches 1/alpha with
probability at most alpha. The mixture here is uniform on the rates better than the hypothesis, which makes the evidence increase with the
hypothesis, so that the bound is one number and not a set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bartizan.model.beta import log_tails, logistic

_FURTHEST = 60.0
"""Logits beyond this are rates within 1e-26 of 0 or 1, which no number of trials distinguishes from it."""

_NEAREST = 30.0
"""Logits beyond this are not told from 0 and 1 in floating point."""

NEAR_STEPS = tuple(0.05 * 120.0 ** (i / 23.0) for i in range(24))
"""Distances, in logits, of the rates of the near mixture from the hypothesis."""


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


def log_evidence_near(k: float, n: float, rate: float, *, scale: float = 0.8) -> float:
    """log of the evidence that the true rate is below `rate`, like `log_evidence_below`, sharper where the true rate is close to it.

    The mixture stands on `NEAR_STEPS` rates whose logits lie from 0.05 to 6 below that of `rate`, more of it the nearer: exponential in the
    distance with mean `scale` > 0. Measured against the uniform mixture at 95 %: a gap of 5 points is decided in about a tenth fewer trials
    (rate 0.67: 72 % is told in 614 trials by the uniform one, 537 here), a wide gap in as many. It increases with `rate`.
    """
    if not 0 <= k <= n or not 0.0 < rate < 1.0 or scale <= 0.0:
        raise ValueError(f"need 0 <= k <= n, 0 < rate < 1 and scale > 0, not k={k}, n={n}, rate={rate}, scale={scale}")
    return mixture_near([-k * d + n * gain for d, gain in zip(NEAR_STEPS, gains_near(rate), strict=True)], scale)


def gains_near(rate: float) -> list[float]:
    """For each rate q of the near mixture, log((1 - q) / (1 - rate)), what a failure adds to its likelihood ratio; a success adds that
    less the distance of the logits.
    """
    logit = math.log(rate) - math.log1p(-rate)
    return [_softplus(logit) - _softplus(logit - d) for d in NEAR_STEPS]


def mixture_near(ratios: Sequence[float], scale: float = 0.8) -> float:
    """log of the mixture of likelihood ratios, given as logs in the order of the near mixture's rates."""
    weights = [math.exp(-d / scale) * d for d in NEAR_STEPS]
    most = max(ratios)
    return most + math.log(math.fsum(w * math.exp(r - most) for w, r in zip(weights, ratios, strict=True)) / math.fsum(weights))


def _softplus(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def near_upper(k: float, n: float, confidence: float = 0.95) -> float:
    """An upper bound on the rate that is valid at every `n` at once, by `log_evidence_near`; 1 where nothing can be excluded."""
    if not 0 <= k <= n or not 0.0 < confidence < 1.0:
        raise ValueError(f"need 0 <= k <= n and 0 < confidence < 1, not k={k}, n={n}, confidence={confidence}")
    goal, low, high = -math.log1p(-confidence), -_NEAREST, _NEAREST
    if log_evidence_near(k, n, logistic(high)[0]) < goal:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (low, middle) if log_evidence_near(k, n, logistic(middle)[0]) >= goal else (middle, high)
    return logistic(high)[0]


def near_lower(k: float, n: float, confidence: float = 0.95) -> float:
    """A lower bound on the rate that is valid at every `n` at once, by `log_evidence_near`; 0 where nothing can be excluded."""
    return 1.0 - near_upper(n - k, n, confidence)


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
