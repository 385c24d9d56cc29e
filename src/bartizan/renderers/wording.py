"""How numbers and outcomes are written for people, the same in every format."""

from __future__ import annotations

import math
from typing import Any

from bartizan.model.findings import Measure, Verdict
from bartizan.model.report import Support
from bartizan.model.risks import Status
from bartizan.model.system import Level
from bartizan.renderers.escape import visible

LEVELS = tuple(reversed(Level))
"""Levels, worst first: the order in which people read them."""

VERDICTS = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.UNKNOWN, Verdict.PASS)
"""Verdicts, most pressing first."""

VERDICT_WORDS = {
    Verdict.FAIL: "failed",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.UNKNOWN: "unknown",
    Verdict.PASS: "passed",
}

STATUS_WORDS = {
    Status.OPEN: "open",
    Status.WITHIN: "within tolerance",
    Status.ACCEPTED: "accepted",
    Status.TRANSFERRED: "transferred",
    Status.AVOIDED: "avoided",
}

SUPPORT_WORDS = {
    Support.VERIFIED: "verified",
    Support.FAILING: "failing",
    Support.OPEN: "open",
    Support.DECLARED: "only declared",
    Support.NONE: "nothing",
    Support.NOT_APPLICABLE: "not applicable",
}

_RATES = frozenset({"", "rate", "probability", "fraction", "share", "proportion"})


def printable(text: str) -> str:
    """`text` with everything that hides, reorders or breaks text replaced by U+FFFD; tabs and line ends stay, carriage returns go."""
    return visible(text.replace("\r", ""), keep="\t\n")


def encodable(value: Any) -> Any:
    """A value of JSON types without lone surrogates, which no UTF-8 file can hold. Other characters stay: JSON escapes them itself."""
    if isinstance(value, str):
        return printable(value) if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value) else value
    if isinstance(value, dict):
        return {encodable(k): encodable(v) for k, v in value.items()}
    return [encodable(v) for v in value] if isinstance(value, list | tuple) else value


def percent(p: float) -> str:
    """A probability in [0, 1] as a percentage with the precision it deserves: `<0.1 %`, `3.2 %`, `47 %`."""
    return f"{_percentage(p)} %"


def between(low: float, high: float) -> str:
    """An interval of probabilities: `1.1 to 6.3 %`."""
    return f"{_percentage(low)} to {_percentage(high)} %"


def _percentage(p: float) -> str:
    if math.isnan(p):
        return "?"
    if p <= 0 or p >= 1:
        return "0" if p <= 0 else "100"
    if p < 0.001:
        return "<0.1"
    if p > 0.999:
        return ">99.9"
    return f"{p * 100:.1f}" if p < 0.0995 or p >= 0.99 else f"{p * 100:.0f}"


def number(value: float) -> str:
    """A plain number with four significant digits at most and no needless zeros."""
    if not math.isfinite(value):
        return {True: "?", False: "∞" if value > 0 else "-∞"}[math.isnan(value)]
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace(",", "\u202f") if abs(value) >= 10_000 else str(int(value))
    return f"{value:.4g}"


def is_rate(measure: Measure) -> bool:
    """Whether a measure is a counted proportion, to be written as a percentage."""
    return (
        (measure.unit in _RATES or measure.unit.startswith("share of "))
        and measure.k is not None
        and measure.low >= 0
        and measure.high <= 1
    )


def quantity(measure: Measure, value: float | None) -> str:
    """One number of a measure in the measure's own unit; empty for None."""
    if value is None:
        return ""
    if is_rate(measure):
        return percent(value).replace(".0 %", " %") if value == measure.limit else percent(value)
    return f"{number(value)} {measure.unit}".rstrip()


def interval(measure: Measure) -> str:
    """The interval of a measure in the measure's own unit: `0 to 4.5 %`."""
    if is_rate(measure):
        return between(measure.low, measure.high)
    return f"{number(measure.low)} to {number(measure.high)} {measure.unit}".rstrip()


def counted(measure: Measure) -> str:
    """What a measure was counted from: `3 of 80 in 8 clusters`, or `n = 80`."""
    text = f"n = {measure.n}" if measure.k is None else f"{measure.k} of {measure.n}"
    return f"{text} in {measure.clusters} clusters" if measure.clusters is not None else text


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 risk`, `2 risks`."""
    return f"{count} {one if count == 1 else many or one + 's'}"
