"""The check that personal data is kept for a declared time only."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.findings import Finding, Job, Severity, Verdict
from bartizan.model.system import Dataset, Kind, Phase, Sensitivity, Stage, Subject, System

PERSONAL = frozenset({Subject.PERSON, Subject.CHILD})

LONGEST = {Stage.TRAIN: 3650, Stage.VALIDATION: 3650, Stage.TEST: 3650, Stage.RAG: 3650, Stage.FEEDBACK: 1095, Stage.LOGS: 1095}
"""Retention, in days, beyond which a declaration limits nothing in practice: ten years, three for logs and feedback."""

_DATE = re.compile(r"(?<!\d)(20\d\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])(?!\d)")


def _is_personal(node: Dataset, system: System) -> bool:  # noqa: ARG001 - the planner calls every predicate with (node, system)
    return node.subjects is None or bool(PERSONAL & set(node.subjects))


@check(
    "access.retention",
    threats=["excess-retention"],
    controls=["retention-limit"],
    kinds={Kind.DATASET},
    phases={Phase.DATA, Phase.GOVERNANCE},
    cost=Cost.INSTANT,
    applies=_is_personal,
    valid_days=30,
)
def retention(job: Job, target: Dataset) -> Iterator[Finding]:
    """Personal data without a declared retention or purpose, or kept beyond it.

    Fails where personal data has no retention, one that limits nothing, or a date in its uri or revision (2024-01-31, 20240131) that lies
    longer ago than the retention. The age of the file itself is no proof and is not used. Rows that are too old are counted by
    `access.expired_rows`.
    """
    verdict, title, why, remedy = _judged(target, dt.datetime.now(dt.UTC).date())
    worst = Severity.HIGH if (target.sensitivity or Sensitivity.PUBLIC).rank >= 2 or _child(target) else Severity.MEDIUM
    for threat in job.threats:
        yield Finding(
            check=job.check,
            asset=target.id,
            threat=threat,
            verdict=verdict,
            severity=worst if verdict is Verdict.FAIL else Severity.INFO,
            title=title,
            why=why,
            remedy=remedy,
            places=(target.at,) if target.at is not None else (),
            details={"retention_days": target.retention} | ({"probability_cap": 0.2} if verdict is Verdict.PASS else {}),
        )


def _child(target: Dataset) -> bool:
    return Subject.CHILD in (target.subjects or ())


def _judged(target: Dataset, today: dt.date) -> tuple[Verdict, str, str, str]:
    """Verdict, title, why and remedy."""
    name, days = target.id, target.retention
    if target.subjects is None:
        why = "The manifest does not say whom the data is about, so nobody can tell whether it may be kept."
        return (
            Verdict.UNKNOWN,
            f"Whether {name} is about persons is not declared",
            why,
            f"Declare subjects: [person] or subjects: [none] on '{name}'.",
        )
    if days is None:
        why = "Personal data without a limit is kept for ever by default (GDPR Art. 5(1)(e), storage limitation)."
        return (
            Verdict.FAIL,
            f"{name} holds personal data and has no retention",
            why,
            f"Declare on '{name}' how many days it is kept: retention: 365",
        )
    if days > LONGEST[target.stage]:
        why = f"{days} days are longer than {LONGEST[target.stage]}, beyond which a limit limits nothing in practice."
        return Verdict.FAIL, f"{name} is kept for {days} days", why, f"Shorten the retention of '{name}', or anonymise it."
    made = _date_of(target)
    if made is not None and (today - made).days > days:
        why = f"Its name dates it to {made.isoformat()}, {(today - made).days} days ago; the declared retention is {days} days."
        return Verdict.FAIL, f"{name} is older than its retention", why, f"Delete or anonymise '{name}', or declare the new extract."
    if target.purpose is None:
        why = f"It is kept for {days} days, but for what is not said, so another use cannot be told from the first."
        return Verdict.INCONCLUSIVE, f"{name} has a retention and no purpose", why, f"Declare what it serves on '{name}': purpose: ..."
    aged = f" Its name dates it to {made.isoformat()}." if made else " How old it is cannot be known from the manifest."
    why = f"Declared: kept for {days} days for '{target.purpose[:100]}'.{aged} Whether it is really deleted was not tested."
    return Verdict.PASS, f"{name} has a retention of {days} days", why, ""


def _date_of(target: Dataset) -> dt.date | None:
    """The latest date that the uri or revision names; a file's own time is no proof, as any copy renews it."""
    found = []
    for text in (target.uri or "", target.revision or ""):
        for year, month, day in _DATE.findall(text[:2000]):
            try:
                found.append(dt.date(int(year), int(month), int(day)))
            except ValueError:
                continue
    return max(found, default=None)
