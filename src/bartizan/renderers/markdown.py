"""The report as Markdown, short enough for a pull request or an issue: the answer, the risks, what failed, what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bartizan.model.findings import Finding, Verdict
from bartizan.model.report import Report
from bartizan.model.risks import Risk
from bartizan.renderers import escape
from bartizan.renderers.summary import (
    VERIFY_COMMAND,
    actions_of,
    counts_line,
    decision_line,
    headline,
    levels_of,
    pressing,
    ranked,
    scope_line,
    threat_title,
    titles_of,
)
from bartizan.renderers.wording import (
    STATUS_WORDS,
    SUPPORT_WORDS,
    VERDICT_WORDS,
    between,
    counted,
    interval,
    percent,
    printable,
    quantity,
)

SUFFIX = ".md"
MEDIA_TYPE = "text/markdown"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,%=/]*")
MARKS = {Verdict.FAIL: "✗", Verdict.INCONCLUSIVE: "◐", Verdict.UNKNOWN: "?", Verdict.PASS: "✓"}


def render(report: Report) -> str:
    """The report as GitHub-flavoured Markdown, ending in a newline."""
    parts = [
        *_head(report),
        *_actions(report),
        *_risks(report),
        *_findings(report),
        *_checklist(report),
        *_coverage(report),
        *_gaps(report),
        *_chain(report),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _text(value: object, limit: int = 400) -> str:
    return escape.markdown(escape.cut(" ".join(printable(str(value)).split()), limit))


def _prose(text: str) -> str:
    """A sentence of ours or a check's, in which backticks mark code."""
    parts = escape.cut(" ".join(printable(text).split()), 600).split("`")
    if len(parts) % 2 == 0:
        return _text(text)
    return "".join(_code(part) if i % 2 else _fragment(part) for i, part in enumerate(parts))


def _fragment(part: str) -> str:
    inner = part.strip()
    if not inner:
        return " " * bool(part)
    return " " * (part[0] == " ") + escape.markdown(inner) + " " * (part[-1] == " ")


def _figure(text: str) -> str:
    """A number with its unit: nothing to escape where only letters, digits and plain marks stand."""
    return text if _PLAIN.fullmatch(text) else _text(text, 80)


def _code(text: str) -> str:
    """A code span that its content cannot leave, also inside a table."""
    line = escape.cut(" ".join(printable(text).split()), 400).replace("|", "\\|")
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in line).split()), default=0)
    fence = "`" * (longest + 1)
    pad = " " if "`" in line else ""
    return f"{fence}{pad}{line or ' '}{pad}{fence}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *lines, ""] if lines else []


def _head(report: Report) -> list[str]:
    levels = levels_of(report)
    system = report.system
    about = [
        ("Purpose", system.purpose),
        ("Owner", system.owner),
        ("Role", system.role),
        ("Impact", system.impact),
        ("Manifest", report.manifest),
        ("Generated", report.generated),
        ("bartizan", report.version),
    ]
    return [
        f"# {_text(report.title)}",
        "",
        f"**{_text(headline(report))}** {_text(counts_line(report))} {_text(scope_line(report))}",
        "",
        *_table([str(level) for level in levels], [[str(n) for n in levels.values()]]),
        " · ".join(f"{name}: {_text(value)}" for name, value in about if value is not None),
        "",
    ]


def _actions(report: Report) -> list[str]:
    actions = actions_of(report)
    if not actions:
        return []
    lines = [f"{i}. {_prose(a.text)} ({a.level}; {_some(a.risks)}) {_code(a.command)}" for i, a in enumerate(actions, 1)]
    return ["## What to do next", "", *lines, ""]


def _some(names: Sequence[str], limit: int = 4) -> str:
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(_text(n) for n in names[:limit]) + rest


def _risks(report: Report) -> list[str]:
    names = titles_of(report)
    head = ["Risk", "Threat", "Asset", "Inherent", "Residual a year", "Level", "Status", "Owner", "Due"]
    rows = _table(head, (_risk_row(report, risk, names.get(risk.asset, risk.asset)) for risk in ranked(report.risks)))
    return ["## Residual risks", "", *(rows or ["None.", ""])]


def _risk_row(report: Report, risk: Risk, asset: str) -> list[str]:
    note = decision_line(risk)
    return [
        _code(risk.id),
        f"{_text(threat_title(report, risk.threat), 120)} ({_text(risk.threat, 60)})",
        _text(asset, 80),
        percent(risk.inherent.mean),
        f"{percent(risk.residual.mean)} ({between(risk.residual.low, risk.residual.high)})",
        ("" if risk.inherent.level is risk.residual.level else f"{risk.inherent.level} → ") + f"**{risk.residual.level}**",
        STATUS_WORDS[risk.status] + ("" if risk.certain else ", may apply") + (f": {_text(note, 160)}" if note else ""),
        _text(risk.owner or "nobody", 80),
        _text(risk.due or "", 40),
    ]


def _findings(report: Report) -> list[str]:
    shown = [f for f in pressing(report.findings) if f.verdict is not Verdict.PASS]
    passed = len(report.findings) - len(shown)
    lines = [line for finding in shown for line in _finding(finding)]
    return ["## Findings", "", *(lines or ["Nothing failed and nothing is unknown."]), "", f"{passed} passed.", ""]


def _finding(finding: Finding) -> list[str]:
    verdict = f"- {MARKS[finding.verdict]} **{VERDICT_WORDS[finding.verdict]}**"
    head = f"{verdict} {_code(finding.check)} on {_text(finding.asset, 80)}: {_text(finding.title)}"
    more = f" {finding.needed} more trials needed." if finding.needed is not None else ""
    body = [
        f"  {_text(m.name, 80)}: {_figure(quantity(m, m.value))} ({_figure(interval(m))}, {_figure(counted(m))}"
        + (f", limit {_figure(quantity(m, m.limit))})" if m.limit is not None else ")")
        for m in finding.measures
    ]
    if finding.why:
        body.append(f"  {_prose(finding.why)}{more}")
    if finding.remedy:
        body.append(f"  Next: {_prose(finding.remedy)}")
    if finding.places:
        body.append("  At " + ", ".join(_code(str(p)) for p in finding.places[:5]))
    return ["  \n".join([head, *body])]


def _checklist(report: Report) -> list[str]:
    rows = ([_text(r.item.group, 60), _text(r.item.title, 120), SUPPORT_WORDS[r.support], _records(r.evidence)] for r in report.checklist)
    table = _table(["Group", "Item", "Backed", "Records"], rows)
    return ["## Checklist", "", *table] if table else []


def _records(evidence: Sequence[int]) -> str:
    return ", ".join(f"no. {n}" for n in evidence[:6]) + (" …" if len(evidence) > 6 else "")


def _coverage(report: Report) -> list[str]:
    rows = (
        [
            f"{_text(c.framework.title, 120)} {_text(c.framework.version, 40)}",
            f"evidence for {c.supported} of {c.total}",
            str(c.mapped),
            "all entries listed" if c.framework.complete else "a selection of its entries",
        ]
        for c in report.coverage
    )
    table = _table(["Framework", "Evidence", "Mapped", "Denominator"], rows)
    return ["## Framework coverage", "", "Evidence at hand, no statement of conformity.", "", *table] if table else []


def _gaps(report: Report) -> list[str]:
    names = titles_of(report)
    lines = [
        f"- {_text(threat_title(report, g.threat), 120)} on {_text(names.get(g.asset, g.asset), 80)}: {_prose(g.why)}"
        + (f" {_code(g.command)}" if g.command else "")
        for g in report.gaps
    ]
    return ["## Threats that no check has looked at", "", *lines, ""] if lines else []


def _chain(report: Report) -> list[str]:
    chain = report.chain
    state = "verified" if chain.verified else "NOT verified"
    return [
        "## Evidence chain",
        "",
        f"{chain.entries} records, {state}; head {_code(chain.head)}, root {_code(chain.root)}, key {_code(chain.key)}.",
        *(f"- Problem: {_text(p)}" for p in chain.problems),
        "",
        f"Check it yourself: {_code(VERIFY_COMMAND)}",
    ]
