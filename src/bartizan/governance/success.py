"""How likely one campaign succeeds: what findings say about it, and the arithmetic that keeps every inequality exact.

One attempt succeeds with chance p ~ Beta(a + K, b + M): prior (a, b), K attacker trials that succeeded, M that were repelled. A campaign
of B attempts succeeds with s = E[1 - (1-p)^B] = 1 - exp(-sum over i < B of log(1 + (a + K) / (b + M + i))). Each operation of that sum is
monotone in floating point too, so that one more failing trial never lowers s and one more passing trial never raises it, to the last bit.

Which counts move p. A finding moves it by counts through the one measure with `role="attack-success"`, or, where no measure has a role,
through its only measure with `k` if the finding names an `attacker`. Successes are `k` of `n` (`n - k` where lower is worse), less what
the same attack reaches on the null control, and trials in clusters count as their effective number. No threat is known here by name.

Which findings may improve. Passing findings are pooled over checks. A failing or inconclusive one may only raise: s is the largest over
the pool joined with any selection of those, and over each of them with successes by itself, so that trials of a weak attack never dilute
a strong one. An `unknown` finding counts for nothing. A finding without counts is that of a configuration check: while it passes s is at
most its `probability_cap` (`details`), as long as nothing fails; when it fails every cap is off and its severity sets the least s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import msgspec

from bartizan.governance import assumptions
from bartizan.model.findings import Finding, Measure, Verdict
from bartizan.model.statistics import effective_counts
from bartizan.model.threats import Maturity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ATTACK_SUCCESS = "attack-success"
PROBABILITY_CAP = "probability_cap"
_MOST_SELECTED = 6

Counts = tuple[float, float]
"""Attacker trials that succeeded, and that were repelled."""


class Success(msgspec.Struct, frozen=True, kw_only=True):
    """What evidence says about the success of one campaign: the counts of which the worst holds, a cap and a floor on s."""

    counts: tuple[Counts, ...] = ((0.0, 0.0),)
    cap: float = 1.0
    floor: float = 0.0


def attack_measure(finding: Finding) -> Measure | None:
    """The measure whose counts are attacker trials, or None."""
    marked = [m for m in finding.measures if m.role == ATTACK_SUCCESS and m.k is not None]
    if not marked and finding.attacker is not None and not any(m.role for m in finding.measures):
        marked = [m for m in finding.measures if m.k is not None]
    if not marked or (len(marked) > 1 and not marked[0].role):
        return None
    return marked[0] if marked[0].n > 0 else None


def counts_of(measure: Measure) -> Counts:
    """Effective attacker trials (succeeded, repelled) of a measure with `k`; those that the null control explains are repelled."""
    k = measure.k or 0
    succeeded = float(k if measure.higher_is_worse else measure.n - k)
    if measure.null is not None and measure.higher_is_worse:
        succeeded = max(0.0, succeeded - min(1.0, max(0.0, measure.null)) * measure.n)
    clusters = measure.clusters
    if clusters is None or not 0 < clusters < measure.n:
        return succeeded, measure.n - succeeded
    worth, trials = effective_counts(succeeded, measure.n, clusters)
    return worth, trials - worth


def success_of(findings: Iterable[Finding]) -> Success:
    """What the findings of one risk say together."""
    passing, against, caps, floors, failing = [], [], [1.0], [0.0], False
    for finding in findings:
        measure, verdict = attack_measure(finding), finding.verdict
        failing = failing or verdict is Verdict.FAIL
        if verdict is Verdict.UNKNOWN:
            continue
        if measure is not None:
            counts = counts_of(measure)
            if verdict is Verdict.PASS:
                passing.append((finding.check, counts))
            elif counts[0] > 0.0:
                against.append((finding.check, counts))
        elif verdict is Verdict.PASS:
            caps.append(_cap(finding))
        elif verdict is Verdict.FAIL:
            floors.append(assumptions.FAIL_FLOOR[finding.severity])
    return Success(counts=_worst(passing, against), cap=1.0 if failing else min(caps), floor=max(floors))


def _cap(finding: Finding) -> float:
    declared = finding.details.get(PROBABILITY_CAP)
    if isinstance(declared, bool) or not isinstance(declared, int | float) or not 0.0 <= declared <= 1.0:
        return assumptions.PASS_CAP
    return float(declared)


def _pooled(found: Iterable[tuple[str, Counts]]) -> Counts:
    """The sum over checks; runs of one check on the same data are not independent, so they count as the most either way of any of them."""
    by_check: dict[str, Counts] = {}
    for check, (succeeded, repelled) in found:
        k, m = by_check.get(check, (0.0, 0.0))
        by_check[check] = (max(k, succeeded), max(m, repelled))
    ordered = [by_check[check] for check in sorted(by_check)]
    return sum((k for k, _ in ordered), 0.0), sum((m for _, m in ordered), 0.0)


def _worst(passing: Sequence[tuple[str, Counts]], against: Sequence[tuple[str, Counts]]) -> tuple[Counts, ...]:
    """The counts over which s is the largest: the passing with every selection of `against`, and each of those alone."""
    pool = _pooled(passing)
    candidates = {pool, *(counts for _, counts in against)}
    ordered = sorted(against)
    if len(ordered) > _MOST_SELECTED:  # at least as bad as any selection: all successes, and nothing repelled but in the pool
        candidates.add((pool[0] + sum(k for _, (k, _) in ordered), pool[1]))
        ordered = []
    for size in range(1, len(ordered) + 1):
        candidates.update(_pooled((*passing, *selected)) for selected in combinations(ordered, size))
    return tuple(sorted(candidates))


def prior_of(maturity: Maturity) -> Counts:
    """(a, b) of the prior Beta of one attempt's success."""
    mean = assumptions.PRIOR_SUCCESS[maturity]
    return mean * assumptions.PRIOR_TRIALS, (1.0 - mean) * assumptions.PRIOR_TRIALS


def mean_chance(success: Success, prior: Counts, attempts: int) -> float:
    """s = E[1 - (1-p)^B] under the worst counts, within floor and cap."""
    import numpy as np

    later = np.arange(attempts, dtype=np.float64)
    log_escape = min(-float(np.log1p((prior[0] + k) / (prior[1] + m + later)).sum()) for k, m in success.counts)
    return max(success.floor, min(success.cap, float(-np.expm1(log_escape))))


def chance_at(success: Success, prior: Counts, attempts: int, uniforms: NDArray[np.float64]) -> NDArray[Any]:
    """1 - (1-p)^B at the `uniforms` quantiles of p, under the worst counts, within floor and cap; same shape as `uniforms`."""
    import numpy as np

    p_log, q_log, width = _grid()
    found = np.full(uniforms.shape, success.floor)
    for k, m in success.counts:
        log_weight = (prior[0] + k) * p_log + (prior[1] + m) * q_log
        total = np.cumsum(np.exp(log_weight - log_weight.max()) * width)
        at = np.minimum(np.searchsorted(total, uniforms * total[-1]), len(total) - 1)
        found = np.maximum(found, np.minimum(success.cap, -np.expm1(attempts * q_log[at])))
    return found


_GRID: list[Any] = []


def _grid() -> Any:
    """log p, log(1 - p) and cell widths on a fixed grid over the logit of p: wide steps where only the prior has mass."""
    if not _GRID:
        import numpy as np

        logit = np.concatenate([np.linspace(-150.0, -16.0, 268, endpoint=False), np.linspace(-16.0, 12.0, 1121)])
        _GRID.append((-np.logaddexp(0.0, -logit), -np.logaddexp(0.0, logit), np.gradient(logit)))
    return _GRID[0]
