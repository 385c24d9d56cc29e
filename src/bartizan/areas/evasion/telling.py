"""Sentences and numbers that the findings of several evasion checks share."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bartizan.model.findings import Finding, Severity, Verdict
from bartizan.model.statistics import Ruling

SHOWN = 20
"""Discarded rows that a finding lists."""


def with_discarded(finding: Finding, discarded: Mapping[int, str], constrained: bool) -> Finding:
    """`finding`, saying whether declared constraints were kept and which rows (line -> rule) broke them before any change."""
    if not constrained:
        return finding
    why = f"{finding.why} All changes keep the declared constraints."
    if discarded:
        which = (
            "1 test row breaks them as it is and was"
            if len(discarded) == 1
            else f"{len(discarded)} test rows break them as they are and were"
        )
        why += f" {which} discarded, the first because: {next(iter(discarded.values()))}."
    listed = [{"row": row, "rule": rule} for row, rule in list(discarded.items())[:SHOWN]]
    details = finding.details | {"constraints": True, "discarded": len(discarded), "discarded_rows": listed}
    return msgspec.structs.replace(finding, why=why, details=details)


def bound(ruling: Ruling, tolerance: float, *, how: str = "") -> str:
    """The interval beside the tolerance, in one sentence."""
    if ruling.verdict is Verdict.FAIL:
        return f"At least {ruling.low:.1%} flip, beyond the tolerance of {tolerance:.1%}."
    if ruling.verdict is Verdict.PASS:
        return f"At most {ruling.high:.1%} flip{how}, within the tolerance of {tolerance:.1%}."
    return f"Between {ruling.low:.1%} and {ruling.high:.1%} flip; the tolerance is {tolerance:.1%}."


def severity(verdict: Verdict, ruling: Ruling) -> Severity:
    """How bad a share of flipped decisions is."""
    if verdict is not Verdict.FAIL:
        return Severity.INFO
    return Severity.HIGH if ruling.rate >= 0.5 else Severity.MEDIUM
