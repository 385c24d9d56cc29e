"""`bartizan risks`: the register from the evidence at hand."""

from __future__ import annotations

from pathlib import Path

import click

from bartizan.cli.options import format_option, project_argument
from bartizan.cli.show import json_text, table
from bartizan.cli.summary import RISK_HEADS, risk_rows
from bartizan.renderers.summary import ranked
from bartizan.renderers.wording import percent


@click.command("risks", epilog="Example: bartizan risks examples/credit-scoring --format json")
@project_argument
@format_option("table", "json")
@click.option("--history", metavar="ID", help="Show how this risk moved over time.")
def command(path: Path, form: str, history: str | None) -> None:
    """Show every risk with its inherent and residual probability a year, from evidence that still matches the files as they are now.
    Runs no check."""
    from bartizan.cli.explain import choose
    from bartizan.cli.state import opened
    from bartizan.workflows import register
    from bartizan.workflows.assess import plan

    with opened(path) as (project, store):
        risks, told = register.risks(project, store, plan(project))
        moves = store.history(choose(history, risks).id) if history else ()
    if form == "json":
        click.echo(json_text(moves if history else risks))
    elif history:
        rows = [(m.at, m.risk.residual.level, percent(m.risk.residual.mean), m.risk.status, m.risk.why) for m in moves]
        click.echo(table(("at", "level", "residual", "status", "why"), rows))
    else:
        click.echo(table(RISK_HEADS, risk_rows(ranked(risks))))
        if told.stale:
            click.echo(f"\n{len(told.stale)} records are about things that changed since and count for nothing: bartizan assess {path}")
