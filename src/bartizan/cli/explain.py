"""`bartizan explain`: how a risk came to its number."""

from __future__ import annotations

from pathlib import Path

import click

from bartizan.cli.options import format_option, project_argument
from bartizan.cli.show import json_text, table
from bartizan.cli.summary import FINDING_HEADS, finding_rows
from bartizan.governance.register import find as find_risk
from bartizan.model.errors import one_line
from bartizan.model.risks import Risk
from bartizan.renderers.wording import percent


@click.command("explain", epilog="Example: bartizan explain R-1a2b3c4d5e examples/credit-scoring")
@click.argument("risk")
@project_argument
@format_option("table", "json")
def command(risk: str, path: Path, form: str) -> None:
    """Show the waterfall of RISK from inherent to residual: each step, the evidence that moved it, and what to do next. RISK is an id
    as `bartizan risks` prints it, or threat:asset."""
    from bartizan.cli.state import opened
    from bartizan.workflows import register
    from bartizan.workflows.assess import plan

    with opened(path) as (project, store):
        risks, told = register.risks(project, store, plan(project))
        found = choose(risk, risks)
        threat = project.catalog.threats[found.threat]
    if form == "json":
        click.echo(json_text(found))
        return
    click.echo(f"{click.style(found.id, bold=True)}  {one_line(threat.title)} against {found.asset}\n{one_line(found.why)}\n")
    bars = [
        (s.label, percent(s.mean), s.level, "#" * round(40 * s.mean), ", ".join(f"#{n}" for n in s.evidence) or "-", s.note)
        for s in found.steps
    ]
    click.echo(table(("step", "a year", "level", "", "evidence", "because"), bars))
    used = [f for e in told.current if e.seq in found.evidence for f in e.findings if f.threat == found.threat]
    if used:
        click.echo("\n" + table(FINDING_HEADS, finding_rows(used)))
    if found.decision:
        click.echo(f"\n{found.status} by {one_line(found.decision.by)} until {found.decision.until}: {one_line(found.decision.why)}")
    if found.void_decision:
        click.echo(
            f"\nThe decision of {one_line(found.void_decision.by)} is void: the risk is no longer what it was when that was decided."
        )
    click.echo(f"\nNext: {one_line(found.next_step)}")


def choose(name: str, risks: tuple[Risk, ...]) -> Risk:
    """The risk called `name`: its id, the start of its id, or threat:asset. Raises `InputError`."""
    named = {f"{r.threat}:{r.asset}": r for r in risks}
    return named[name] if name in named else find_risk(risks, name)
