"""The beta distribution to full double precision: the numbers under every exact bound on a rate.

Densities by Loader's saddle-point expansion ("Fast and accurate computation of binomial probabilities", 2000), tails by the continued
fraction of DiDonato and Morris (ACM TOMS 18, 1992, algorithm 708), quantiles by Newton's method on the
logarithm of the tail over the logit of x. Over the logit every beta distribution has a log-concave density, so that the logarithm of each
tail is concave and Newton's method converges from any start. Parameters are positive reals and need not be whole.
"""

from __future__ import annotations

import math

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_LARGEST_STEP = 4.0
_FURTHEST = 700.0


def normal_quantile(p: float) -> float:
    """The z for which a standard normal variable is below z with probability p, 0 < p < 1."""
    if not 0.0 < p < 1.0:
        raise ValueError(f"a probability strictly between 0 and 1 is needed, not {p}")
    if p > 0.5:
        return -normal_quantile(1.0 - p)
    t = math.sqrt(-2.0 * math.log(p))
    z = (2.515517 + t * (0.802853 + t * 0.010328)) / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t
    for _ in range(
        4
    ):  # the start (Abramowitz and Stegun 26.2.23) is good to 4.5e-4; Newton on the logarithm of the tail doubles the digits
        tail = 0.5 * math.erfc(-z / math.sqrt(2.0))
        density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        z -= math.log(tail / p) * tail / density
    return z


def _stirling_error(z: float) -> float:
    """log Gamma(z + 1) minus Stirling's formula for it."""
    if z < 16.0:
        return math.lgamma(z + 1.0) - (z + 0.5) * math.log(z) + z - _HALF_LOG_TWO_PI
    w = 1.0 / (z * z)
    return (1 / 12 - w * (1 / 360 - w * (1 / 1260 - w * (1 / 1680 - w / 1188)))) / z


def _deviance(x: float, mean: float) -> float:
    """x log(x / mean) + mean - x without cancellation."""
    if abs(x - mean) >= 0.1 * (x + mean):
        return x * math.log(x / mean) + mean - x
    v = (x - mean) / (x + mean)
    total = (x - mean) * v
    term = 2.0 * x * v
    for j in range(1, 1000):
        term *= v * v
        grown = total + term / (2 * j + 1)
        if grown == total:
            break
        total = grown
    return total


def log_kernel(a: float, b: float, x: float, y: float) -> float:
    """log of x^a y^b / B(a, b), where y = 1 - x: the density of Beta(a, b) over the logit of x."""
    n = a + b
    log_pmf = _stirling_error(n) - _stirling_error(a) - _stirling_error(b) - _deviance(a, n * x) - _deviance(b, n * y)
    return log_pmf + 0.5 * (math.log(a) + math.log(b) - math.log(n)) - _HALF_LOG_TWO_PI


def _fraction(a: float, b: float, x: float, y: float) -> float:
    """I_x(a, b) divided by x^a y^b / B(a, b), for x at or below the mean a / (a + b): the continued fraction `bfrac` of algorithm 708."""
    ahead = a - (a + b) * x if x <= 0.5 else (a + b) * y - b  # no cancellation between numbers near 1
    c, p, s = 1.0 + max(0.0, ahead), 1.0, a + 1.0
    older, old, older_below, old_below = 0.0, 1.0, 1.0, c * a / (a + 1.0)
    value = 1.0 / old_below
    for n in range(1, 1000 + 20 * int(math.sqrt(a + b))):
        t, w, e = n / a, n * (b - n) * x, a / s
        alpha = p * (p + b / a) * e * e * w * x
        beta = n + w / s + (1.0 + t) / (1.0 + 1.0 / a + 2.0 * t) * (c + n * (1.0 + y))
        p, s = 1.0 + t, s + 2.0
        above, below = alpha * older + beta * old, alpha * older_below + beta * old_below
        previous, value = value, above / below
        if abs(value - previous) <= 1e-15 * value:
            break
        older, older_below, old, old_below = old / below, old_below / below, value, 1.0
    return value


def log_tails(a: float, b: float, x: float, y: float) -> tuple[float, float, float]:
    """log P(X <= x), log P(X > x) and `log_kernel`, for X ~ Beta(a, b), 0 < x < 1, y = 1 - x.

    The smaller tail is computed directly, to a relative error near 1e-13 for a + b up to 1e7.
    """
    kernel = log_kernel(a, b, x, y)
    if a * y >= b * x:
        lower = min(0.0, kernel + math.log(_fraction(a, b, x, y)))
        return lower, _log_complement(lower), kernel
    upper = min(0.0, kernel + math.log(_fraction(b, a, y, x)))
    return _log_complement(upper), upper, kernel


def _log_complement(log_p: float) -> float:
    """log(1 - exp(log_p)) for log_p <= 0."""
    q = -math.expm1(log_p)
    return math.log(q) if q > 0.0 else -math.inf


def cdf(x: float, a: float, b: float) -> float:
    """P(X <= x) for X ~ Beta(a, b): the regularised incomplete beta function I_x(a, b)."""
    if x <= 0.0:
        return 0.0
    return 1.0 if x >= 1.0 else math.exp(log_tails(a, b, x, 1.0 - x)[0])


def logistic(u: float) -> tuple[float, float]:
    """x = 1 / (1 + exp(-u)) and 1 - x, each to full relative precision."""
    e = math.exp(-abs(u))
    small, large = e / (1.0 + e), 1.0 / (1.0 + e)
    return (small, large) if u < 0 else (large, small)


def quantile(p: float, a: float, b: float, *, upper: bool = False) -> float:
    """The x with P(X <= x) = p, or with P(X > x) = p where `upper`, for X ~ Beta(a, b); 0 < p < 1, a and b > 0.

    Relative error near 1e-12. Where x would be too near 0 or 1 for a double (tiny a or b) the end is returned.
    """
    if not 0.0 < p < 1.0 or not (a > 0.0 and b > 0.0):
        raise ValueError(f"no beta quantile for p={p}, a={a}, b={b}")
    if a > b:  # solve for the smaller side, which a double resolves better
        return 1.0 - quantile(p, b, a, upper=not upper)
    log_p, sign, tail = math.log(p), (-1.0 if upper else 1.0), (1 if upper else 0)
    z = normal_quantile(p) * sign
    u = math.log(a / b) + z * math.sqrt(1.0 / a + 1.0 / b)
    for _ in range(200):
        u = max(-_FURTHEST, min(_FURTHEST, u))
        x, y = logistic(u)
        tails = log_tails(a, b, x, y)
        miss = tails[tail] - log_p
        slope = math.exp(min(_FURTHEST, tails[2] - tails[tail]))
        step = max(-_LARGEST_STEP, min(_LARGEST_STEP, miss / slope)) if slope > 0.0 else math.copysign(_LARGEST_STEP, miss)
        u -= sign * step
        if abs(step) <= 1e-13 * max(1.0, abs(u)) or abs(u) > _FURTHEST:
            break
    return logistic(u)[0]
