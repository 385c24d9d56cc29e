"""The findings as JUnit XML, for the test view of a build server: a suite for each area, a case for each finding.

A failed check is a `failure`; one that could not run is an `error`, since a run without it proves nothing; an inconclusive one is
`skipped`, and so is a failed one whose risk is accepted by a decision that still holds. Messages say which.
"""

from __future__ import annotations

import re
import xml.sax.saxutils
from collections.abc import Sequence

from bartizan.model.findings import Finding, Verdict
from bartizan.model.report import Report
from bartizan.model.risks import Risk, Status
from bartizan.renderers.summary import decision_line
from bartizan.renderers.wording import counted, interval, printable, quantity

SUFFIX = ".xml"
MEDIA_TYPE = "application/xml"

_OUTSIDE_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {Verdict.FAIL: "failure", Verdict.UNKNOWN: "error", Verdict.INCONCLUSIVE: "skipped"}


def render(report: Report) -> str:
    """The findings as one `testsuites` element."""
    accepted = {(r.threat, r.asset): r for r in report.risks if r.status is Status.ACCEPTED}
    areas: dict[str, list[tuple[str, str | None]]] = {}
    for f in sorted(report.findings, key=lambda f: (f.check, f.asset, f.threat, f.title)):
        areas.setdefault(f.check.partition(".")[0], []).append(_case(f, accepted.get((f.threat, f.asset))))
    suites = [_suite(area, cases, report.generated) for area, cases in sorted(areas.items())]
    everything = [case for cases in areas.values() for case in cases]
    head = f"<testsuites name={_quoted(report.title)} {_counts(everything)}>"
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *suites, "</testsuites>"]) + "\n"


def _suite(area: str, cases: Sequence[tuple[str, str | None]], generated: str) -> str:
    stamp = generated.removesuffix("Z")
    head = f"  <testsuite name={_quoted(area)} timestamp={_quoted(stamp)} {_counts(cases)}>"
    return "\n".join([head, *(text for text, _ in cases), "  </testsuite>"])


def _counts(cases: Sequence[tuple[str, str | None]]) -> str:
    tags = [tag for _, tag in cases]
    failures, errors, skipped = (tags.count(tag) for tag in ("failure", "error", "skipped"))
    return f'tests="{len(tags)}" failures="{failures}" errors="{errors}" skipped="{skipped}" time="0"'


def _case(f: Finding, accepted: Risk | None) -> tuple[str, str | None]:
    """The element of a finding and the tag of its outcome; None for one that passed."""
    attributes = f"classname={_quoted(f.check)} name={_quoted(f'{f.asset}: {f.threat}')}"
    if f.places:
        attributes += f" file={_quoted(f.places[0].file)}" + (f' line="{f.places[0].line}"' if f.places[0].line else "")
    tag, message = _TAGS.get(f.verdict), f.title
    if f.verdict is Verdict.FAIL and accepted is not None:
        tag, message = "skipped", f"{f.title} ({decision_line(accepted)})"
    inner = f'<{tag} message={_quoted(message)} type="{f.verdict}">{_escaped(_text(f))}</{tag}>' if tag else ""
    if not tag:
        inner = f"<system-out>{_escaped(_text(f))}</system-out>"
    return f'    <testcase {attributes} time="0">{inner}</testcase>', tag


def _text(f: Finding) -> str:
    measures = [
        f"{m.name}: {quantity(m, m.value)} ({interval(m)}, {counted(m)}"
        + (f", limit {quantity(m, m.limit)})" if m.limit is not None else ")")
        for m in f.measures
    ]
    needed = [f"{f.needed} more trials needed"] if f.needed is not None else []
    places = ["at " + ", ".join(str(p) for p in f.places)] if f.places else []
    remedy = [f"next: {f.remedy}"] if f.remedy else []
    return "\n".join(line for line in (f.title, f.why, *measures, *needed, *remedy, *places) if line)


def _clean(text: str) -> str:
    """`text` without what XML 1.0 cannot hold, production 2 (Char)."""
    return _OUTSIDE_XML.sub("\ufffd", printable(text))


def _escaped(text: str) -> str:
    return xml.sax.saxutils.escape(_clean(text))


def _quoted(text: str) -> str:
    """An attribute value with its quotes; line ends and tabs as spaces, as a parser would read them anyway."""
    return '"' + xml.sax.saxutils.escape(_clean(text), {'"': "&quot;", "\n": " ", "\t": " "}) + '"'
