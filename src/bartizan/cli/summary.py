"""What `assess` and `risks` say to people: what failed, what is not known, the risks, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from bartizan.cli.show import percent, table
from bartizan.model.findings import Finding, Measure, Verdict
from bartizan.model.report import Report
from bartizan.model.risks import Risk

RISK_HEADS = ("id", "threat", "asset", "inherent", "residual", "level", "status", "next")


def risk_rows(risks: Iterable[Risk]) -> list[tuple[str, ...]]:
    """One row for each risk, in the order given: `RISK_HEADS`."""
    return [
        (
            r.id,
            r.threat,
            r.asset,
            percent(r.inherent.mean),
            f"{percent(r.residual.mean)} ({percent(r.residual.low)} to {percent(r.residual.high)})",
            r.residual.level,
            r.status,
            r.next_step,
        )
        for r in risks
    ]


def measure_text(measure: Measure) -> str:
    """A number with its interval, count, limit and control, in words."""
    as_share = measure.unit in ("", "fraction", "rate", "probability") and 0 <= measure.value <= 1
    say = percent if as_share else lambda v: f"{v:.4g}{' ' + measure.unit if measure.unit else ''}"
    parts = [f"{measure.name} {say(measure.value)} ({say(measure.low)} to {say(measure.high)}"]
    parts.append(f"; n = {measure.n}" if measure.k is None else f"; {measure.k} of {measure.n}")
    parts.append(f"; tolerance {say(measure.limit)}" if measure.limit is not None else "")
    parts.append(f"; control {say(measure.null)}" if measure.null is not None else "")
    return "".join(parts) + ")"


def finding_rows(findings: Iterable[Finding]) -> list[tuple[str, ...]]:
    """One row for each finding: verdict, check, asset, what it measured or says."""
    return [(f.verdict, f.check, f.asset, f"{f.title}" + (f": {measure_text(f.measures[0])}" if f.measures else "")) for f in findings]


def whole(report: Report, path: Path) -> str:
    """The summary of an assessment."""
    order = [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.UNKNOWN, Verdict.PASS]
    findings = sorted(report.findings, key=lambda f: (order.index(f.verdict), -f.severity.rank))
    counts = {verdict: sum(f.verdict is verdict for f in findings) for verdict in order}
    sections = [
        click.style(report.title, bold=True),
        table(("verdict", "check", "asset", "finding"), finding_rows(findings)),
        table(RISK_HEADS, risk_rows(report.risks[:15])),
    ]
    if len(report.risks) > 15:
        sections.append(f"… and {len(report.risks) - 15} more risks: bartizan risks {path}")
    remedies = list(dict.fromkeys(f.remedy for f in findings if f.verdict is not Verdict.PASS and f.remedy))[:6]
    if remedies:
        sections.append("What to do next\n" + "\n".join(f"  {i}. {remedy}" for i, remedy in enumerate(remedies, 1)))
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    sections.append(
        f"{len(report.model.certain)} threats, {len(findings)} findings ({said}), {len(report.gaps)} threats not measured, "
        f"{len(report.model.questions)} open questions.\nFull report: bartizan report {path} -o report.html"
    )
    return "\n\n".join(sections)


def violations_text(violations: Sequence[str]) -> str:
    """What breaks the policy, or that nothing does."""
    if not violations:
        return "Nothing is beyond tolerance."
    lines = [f"  {line}" for line in violations[:10]]
    if len(violations) > 10:
        lines.append(f"  … and {len(violations) - 10} more")
    return f"{len(violations)} beyond tolerance:\n" + "\n".join(lines)
