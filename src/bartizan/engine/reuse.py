"""When an earlier outcome stands in for running a job again."""

from __future__ import annotations

import datetime as dt

from bartizan.engine import extras, registry
from bartizan.engine.environment import environment
from bartizan.engine.unknowns import Reason
from bartizan.model.checks import Check
from bartizan.model.findings import Finding, Outcome, Verdict
from bartizan.model.risks import Evidence

_PASSING = frozenset({Reason.TIME, Reason.MEMORY, Reason.CRASH, Reason.ERROR, Reason.NO_TARGET})
"""Reasons that another run may not meet again."""


def reusable(outcome: Outcome, now: dt.datetime | None = None) -> bool:
    """Whether `outcome` still stands at `now` (default: this moment), given that its job is the same.

    An `unknown` does not where its reason may pass (a limit, a crash, an extra that is there by now, another environment); it does where
    the check said so of the same content, or refused it. The outcome of a check with `valid_days` expires that long after it finished;
    one from the future does not stand either.
    """
    check = registry.load_all()[0].get(outcome.job.check)
    if check is None or not outcome.findings:
        return False
    if not all(_stands(finding, outcome, check) for finding in outcome.findings if finding.verdict is Verdict.UNKNOWN):
        return False
    if check.valid_days is None:
        return True
    age = (now or dt.datetime.now(dt.UTC)) - dt.datetime.fromisoformat(outcome.finished)
    return dt.timedelta(0) <= age < dt.timedelta(days=check.valid_days)


def _stands(finding: Finding, outcome: Outcome, check: Check) -> bool:
    reason = finding.details.get("reason")
    if reason == Reason.MISSING_EXTRA:
        extra = finding.details.get("extra")
        return isinstance(extra, str) and bool(extras.missing(check.distribution, extra))
    if reason in _PASSING or check.valid_days is not None:
        return False
    return outcome.environment == environment(outcome.job)


def outcome_of(evidence: Evidence) -> Outcome:
    """The outcome that a record of the store keeps; when it began and what it cost are not kept."""
    return Outcome(
        job=evidence.job,
        findings=evidence.findings,
        started=evidence.collected,
        finished=evidence.collected,
        cpu_seconds=0.0,
        environment=evidence.environment,
        cached=True,
    )
