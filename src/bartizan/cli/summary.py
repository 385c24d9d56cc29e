"""What `assess` and `risks` say to people: what failed, what is not known, the risks, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from bartizan.cli.show import table
from bartizan.model.errors import one_line
from bartizan.model.findings import Finding, Measure
from bartizan.model.report import Report
from bartizan.model.risks import Risk
from bartizan.renderers.summary import actions_of, counts_line, headline, pressing, ranked
from bartizan.renderers.wording import between, counted, interval, percent, quantity

RISK_HEADS = ("id", "threat", "asset", "inherent", "residual", "level", "status", "next")
FINDING_HEADS = ("verdict", "check", "asset", "finding")
SHOWN = 15
"""Risks that the summary shows before it points to `bartizan risks`."""


def risk_rows(risks: Iterable[Risk]) -> list[tuple[str, ...]]:
    """One row for each risk, in the order given: `RISK_HEADS`. `open?` marks a risk whose threat hangs on an open question."""
    return [
        (
            r.id,
            r.threat,
            r.asset,
            percent(r.inherent.mean),
            f"{percent(r.residual.mean)} ({between(r.residual.low, r.residual.high)})",
            r.residual.level,
            r.status if r.certain else f"{r.status}?",
            r.next_step,
        )
        for r in risks
    ]


def measure_text(measure: Measure) -> str:
    """A number with its interval, count, limit and control, in words."""
    parts = [f"{measure.name} {quantity(measure, measure.value)} ({interval(measure)}; {counted(measure)}"]
    if measure.limit is not None:
        parts.append(f"; tolerance {quantity(measure, measure.limit)}")
    if measure.null is not None:
        parts.append(f"; control {quantity(measure, measure.null)}")
    return "".join(parts) + ")"


def finding_rows(findings: Iterable[Finding]) -> list[tuple[str, ...]]:
    """One row for each finding: `FINDING_HEADS`."""
    return [(f.verdict, f.check, f.asset, f"{f.title}" + (f": {measure_text(f.measures[0])}" if f.measures else "")) for f in findings]


def whole(report: Report, path: Path) -> str:
    """The summary of an assessment: the answer first."""
    risks = ranked(report.risks)
    sections = [
        click.style(one_line(report.title), bold=True) + f"\n{headline(report)} {counts_line(report)}",
        table(FINDING_HEADS, finding_rows(pressing(report.findings))),
        table(RISK_HEADS, risk_rows(risks[:SHOWN])),
    ]
    if len(risks) > SHOWN:
        sections.append(f"… and {len(risks) - SHOWN} more risks: bartizan risks {path}")
    steps = [
        f"  {i}. {one_line(action.text)}\n     {click.style(one_line(_at(action.command, path)), dim=True)}"
        for i, action in enumerate(actions_of(report), 1)
    ]
    if steps:
        sections.append("What to do next\n" + "\n".join(steps))
    sections.append(
        f"{len(report.model.certain)} threats, {len(report.gaps)} of them not measured; {len(report.model.questions)} open questions "
        f"(bartizan threats {path} --questions).\nFull report: bartizan report {path} -o report.html"
    )
    return "\n\n".join(sections)


def _at(command: str, path: Path) -> str:
    """`command` as it runs from the present folder, where it is one that works on the project at `path`."""
    words = command.split()
    needs_place = words[:1] == ["bartizan"] and words[1:2] in (["assess"], ["explain"], ["threats"])
    return f"{command} {shlex.quote(str(path))}" if needs_place and path != Path() else command


def violations_text(violations: Sequence[str], unknown: int = 0) -> str:
    """What breaks the policy, or that nothing does; then how many findings were `unknown` is said, since they prove nothing."""
    if not violations:
        return f"Nothing measured is beyond tolerance; {unknown} unknown." if unknown else "Nothing is beyond tolerance."
    lines = [f"  {one_line(line)}" for line in violations[:10]]
    if len(violations) > 10:
        lines.append(f"  … and {len(violations) - 10} more")
    return f"{len(violations)} beyond tolerance:\n" + "\n".join(lines)
