"""When an earlier outcome stands in for running a job again."""

from __future__ import annotations

import datetime as dt

from bartizan.engine import extras, registry
from bartizan.engine.unknowns import Reason
from bartizan.model.findings import Finding, Outcome, Verdict
from bartizan.model.risks import Evidence


def reusable(outcome: Outcome, now: dt.datetime | None = None) -> bool:
    """Whether `outcome` still stands at `now` (default: this moment), given that its job is the same.

    An `unknown` does not, except for want of an extra that is still missing. The outcome of a check with `valid_days` expires that long
    after it finished; one from the future does not stand either.
    """
    check = registry.load_all()[0].get(outcome.job.check)
    if check is None or not outcome.findings:
        return False
    if not all(_stands(finding, check.distribution) for finding in outcome.findings if finding.verdict is Verdict.UNKNOWN):
        return False
    if check.valid_days is None:
        return True
    age = (now or dt.datetime.now(dt.UTC)) - dt.datetime.fromisoformat(outcome.finished)
    return dt.timedelta(0) <= age < dt.timedelta(days=check.valid_days)


def _stands(finding: Finding, distribution: str) -> bool:
    extra = finding.details.get("extra")
    if finding.details.get("reason") != Reason.MISSING_EXTRA or not isinstance(extra, str):
        return False
    return bool(extras.missing(distribution, extra))


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
