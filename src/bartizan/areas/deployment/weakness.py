"""One weakness of a container, where it stands and what to do, and the finding that a list of them makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bartizan.model.errors import Place, one_line
from bartizan.model.findings import Finding, Job, Severity, Verdict

SHOWN = 50
"""Most weaknesses that a finding points at."""


@dataclass(frozen=True)
class Weakness:
    """`rule` is a short stable name, `what` one sentence without a full stop, `remedy` the next step."""

    rule: str
    what: str
    severity: Severity
    place: Place
    remedy: str

    @property
    def fails(self) -> bool:
        """Weaknesses of medium severity and above make a check fail; lower ones are remarks."""
        return self.severity.rank >= Severity.MEDIUM.rank


def worst_first(weaknesses: Sequence[Weakness]) -> list[Weakness]:
    """`weaknesses` without repetitions, the most severe first, then in the order of their lines."""
    return sorted(dict.fromkeys(weaknesses), key=lambda w: (-w.severity.rank, w.place, w.rule, w.what))


def finding(
    job: Job,
    asset: str,
    threat: str,
    weaknesses: Sequence[Weakness],
    *,
    subject: str,
    passing: str,
    cap: float,
    unread: Sequence[str] = (),
    cure: str = "",
) -> Finding:
    """The verdict on `subject` for `threat`: fail where a weakness counts, unknown where a part could not be read, else pass.

    `passing` says what a pass means and what it does not; `cap` is its `probability_cap`, 0 to 1. `unread` names the parts that were not
    judged, each with the reason; `cure` is what makes them readable.
    """
    ordered = worst_first(weaknesses)
    failing = [w for w in ordered if w.fails]
    verdict = Verdict.FAIL if failing else (Verdict.UNKNOWN if unread else Verdict.PASS)
    titles = {
        Verdict.FAIL: f"{len(failing)} weaknesses in {subject}",
        Verdict.UNKNOWN: f"Not all of {subject} could be judged",
        Verdict.PASS: f"No weakness found in {subject}",
    }
    details: dict[str, object] = {
        "weaknesses": [{"rule": w.rule, "what": w.what, "severity": str(w.severity), "at": str(w.place)} for w in ordered[:SHOWN]]
    }
    if unread:
        details["unread"] = [one_line(part, 300) for part in unread[:SHOWN]]
    if verdict is Verdict.PASS:
        details["probability_cap"] = cap
    return Finding(
        check=job.check,
        asset=asset,
        threat=threat,
        verdict=verdict,
        severity=failing[0].severity if failing else Severity.INFO,
        title=one_line(titles[verdict], 200),
        why=_why(ordered, failing, unread, passing if verdict is Verdict.PASS else ""),
        remedy=_remedy(failing, cure if unread else ""),
        places=tuple(dict.fromkeys(w.place for w in (failing or ordered)))[:SHOWN],
        details=details,
    )


def _why(ordered: Sequence[Weakness], failing: Sequence[Weakness], unread: Sequence[str], passing: str) -> str:
    listed = "; ".join(f"{w.what} ({w.place})" for w in failing[:8])
    more = f"; and {len(failing) - 8} more" if len(failing) > 8 else ""
    parts = [f"{listed}{more}."] if failing else []
    parts += [passing] if passing else []
    remarks = [w for w in ordered if not w.fails]
    if remarks:
        parts.append("Minor: " + "; ".join(f"{w.what} ({w.place})" for w in remarks[:4]) + ".")
    if unread:
        parts.append(f"Not judged: {'; '.join(one_line(part, 300) for part in unread[:4])}.")
    return " ".join(parts)


def _remedy(failing: Sequence[Weakness], cure: str) -> str:
    steps = list(dict.fromkeys(w.remedy for w in failing))[:6]
    return " ".join([*steps, *([cure] if cure else [])])
