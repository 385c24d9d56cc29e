"""What a check yielded, made into the findings of its job: plain values, the right names, an answer to every planned threat.

A check may speak of its subject alone: where a threat was planned for a related node, the finding is carried there.
A finding for a threat that does not fire here is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

import msgspec

from bartizan.engine.unknowns import Reason, unknown
from bartizan.model.checks import Check
from bartizan.model.errors import BartizanError
from bartizan.model.findings import Finding, Job, Measure, Severity, Verdict, about_of


class BadFinding(BartizanError):
    """A finding that breaks the rules: an error of whoever wrote the check."""


def answers(job: Job, check: Check, yielded: Iterable[object]) -> tuple[Finding, ...]:
    """The findings of `job`, in the order of its (threat, asset) pairs; a pair without one gets `unknown`. Raises `BadFinding`."""
    pairs = about_of(job)
    found: dict[tuple[str, str], list[Finding]] = {pair: [] for pair in pairs}
    for item in yielded:
        finding = _plain(item)
        _named_right(finding, job, check)
        for pair in _carried(finding, job, pairs):
            found[pair].append(_filled(msgspec.structs.replace(finding, asset=pair[1])))
    silent = tuple(pair for pair in pairs if not found[pair])
    for missing in unknown(job, Reason.SILENT, "the check gave no finding", why="it ended without an answer", pairs=silent):
        found[missing.threat, missing.asset].append(missing)
    return tuple(finding for pair in pairs for finding in found[pair])


def _carried(finding: Finding, job: Job, pairs: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    pair = (finding.threat, finding.asset)
    if pair in pairs:
        return [pair]
    return [other for other in pairs if other[0] == finding.threat] if finding.asset == job.subject.id else []


def _named_right(finding: Finding, job: Job, check: Check) -> None:
    if finding.check != job.check:
        raise BadFinding(f"a finding of {job.check} bears the name of '{finding.check}'")
    if finding.threat not in check.threats:
        raise BadFinding(f"{job.check} gave a finding for the threat '{finding.threat}', which it does not declare")
    if finding.asset not in {job.subject.id, *(node.id for node in job.related), *(asset for _, asset in about_of(job))}:
        raise BadFinding(f"{job.check} gave a finding on '{finding.asset}', which it was not run on")
    if not finding.title:
        raise BadFinding(f"{job.check} gave a finding without a title")
    for measure in finding.measures:
        _measured_right(measure)
    if not _finite(finding.details):
        raise BadFinding(f"{job.check} gave details with a number that is not finite")


def _measured_right(measure: Measure) -> None:
    numbers = (measure.value, measure.low, measure.high, measure.confidence, measure.limit, measure.null)
    if not all(_finite(number) for number in numbers):
        raise BadFinding(f"the measure '{measure.name}' has a number that is not finite")
    if measure.low > measure.high or measure.n < 0 or not 0 <= (measure.k or 0) <= measure.n:
        raise BadFinding(f"the measure '{measure.name}' has an interval or a count that cannot be")


def _filled(finding: Finding) -> Finding:
    """A failure is never just information: without a severity of its own it counts as medium."""
    if finding.verdict is Verdict.FAIL and finding.severity is Severity.INFO:
        return msgspec.structs.replace(finding, severity=Severity.MEDIUM)
    return finding


def _plain(item: object) -> Finding:
    """The finding with plain Python values only, as it will be after any journey; numbers of numpy are understood."""
    if not isinstance(item, Finding):
        raise BadFinding(f"a check must yield findings, not {type(item).__name__}")
    try:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(item, enc_hook=_simplify, order="deterministic"), type=Finding)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadFinding(f"a finding that cannot be recorded: {error}") from error


def _simplify(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__name__}")


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_finite(inner) for inner in value.values())
    return all(_finite(inner) for inner in value) if isinstance(value, list | tuple) else True
