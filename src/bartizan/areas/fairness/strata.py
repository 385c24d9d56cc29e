"""Two groups compared within strata: the common odds ratio and the test of Cochran, Mantel and Haenszel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.model.beta import normal_quantile


@dataclass(frozen=True)
class MantelHaenszel:
    """The common odds ratio of a favourable label (group against the others) with its interval, the weighted mean `difference` of the rates
    within the strata (-1 to 1), and `p`, the chance of so much or more if no stratum treated them unlike. `strata` have both groups."""

    odds_ratio: tuple[float, float, float]
    difference: float
    statistic: float
    p: float
    strata: int


def mantel_haenszel(
    favourable: npt.ArrayLike, group: npt.ArrayLike, strata: npt.ArrayLike, *, confidence: float = 0.95
) -> MantelHaenszel | None:
    """Compare the rows in `group` (n, truth values) with the others on `favourable` (n, truth values), within `strata` (n, any values).

    Odds ratio of Mantel and Haenszel (1959) with the interval of Robins, Breslow and Greenland (Biometrics 42, 1986), test with continuity
    correction, difference with the weights of Mantel and Haenszel. None where no stratum holds both groups and both labels.
    """
    good, mine = np.asarray(favourable, dtype=bool), np.asarray(group, dtype=bool)
    codes = np.unique(np.asarray(strata), return_inverse=True)[1].ravel()
    count = int(codes.max()) + 1 if len(codes) else 0
    a, b, c, d = (np.bincount(codes[rows], minlength=count).astype(float)
                  for rows in (mine & good, mine & ~good, ~mine & good, ~mine & ~good))  # fmt: skip
    n = a + b + c + d
    both = (a + b > 0) & (c + d > 0) & (n > 1)
    a, b, c, d, n = (part[both] for part in (a, b, c, d, n))
    variance = float(np.sum((a + b) * (c + d) * (a + c) * (b + d) / (n * n * (n - 1.0)))) if len(n) else 0.0
    if variance <= 0.0:
        return None
    away = float(np.sum(a - (a + b) * (a + c) / n))
    statistic = max(0.0, abs(away) - 0.5) ** 2 / variance
    weights = (a + b) * (c + d) / n
    difference = float(np.sum(weights * (a / (a + b) - c / (c + d))) / np.sum(weights))
    p = math.erfc(math.sqrt(statistic / 2.0))
    return MantelHaenszel(_odds(a, b, c, d, n, confidence), difference, statistic, p, len(n))


def _odds(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], c: npt.NDArray[np.float64], d: npt.NDArray[np.float64],
    n: npt.NDArray[np.float64], confidence: float,
) -> tuple[float, float, float]:  # fmt: skip
    r, s = a * d / n, b * c / n
    above, below = float(r.sum()), float(s.sum())
    if above == 0.0 or below == 0.0:
        return (0.0 if above == 0.0 else math.inf), 0.0, math.inf
    p, q = (a + d) / n, (b + c) / n
    spread = (
        float(np.sum(p * r)) / (2 * above**2) + float(np.sum(p * s + q * r)) / (2 * above * below) + float(np.sum(q * s)) / (2 * below**2)
    )
    width = normal_quantile(0.5 + confidence / 2.0) * math.sqrt(spread)
    ratio = above / below
    return ratio, ratio * math.exp(-width), ratio * math.exp(width)
