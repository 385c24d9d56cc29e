"""A rate with its exact interval: what every figure of a defence is told as."""

from __future__ import annotations

import msgspec

from bartizan.model.statistics import clopper_pearson


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """`k` of `n` inputs, with the two-sided exact 95 % interval `low` to `high`."""

    k: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share; NaN of nothing."""
        return self.k / self.n if self.n else float("nan")

    def __str__(self) -> str:
        return f"{self.value:.1%} ({self.low:.1%} to {self.high:.1%}, {self.k} of {self.n})"


def rate_of(k: int, n: int) -> Rate:
    """`k` of `n` as a rate."""
    low, high = clopper_pearson(k, n)
    return Rate(k=k, n=n, low=low, high=high)
