"""`bartizan report`: write the report."""

from __future__ import annotations

from pathlib import Path

import click

from bartizan.cli.options import NewFile, project_argument, write


@click.command("report", epilog="Example: bartizan report examples/credit-scoring -o report.html")
@project_argument
@click.option("--format", "form", metavar="FORMAT", help="html, markdown, json, csv, sarif or junit; the suffix of --output by default.")
@click.option("--output", "-o", type=NewFile(), help="Write to this file; otherwise print.")
def command(path: Path, form: str | None, output: Path | None) -> None:
    """Write the report from the evidence at hand. The same store gives the same bytes when SOURCE_DATE_EPOCH is set."""
    from bartizan.cli.formats import format_of, render
    from bartizan.cli.state import opened
    from bartizan.model.errors import UnknownName
    from bartizan.renderers.formats import FORMATS
    from bartizan.workflows import register
    from bartizan.workflows.assess import plan

    chosen = form or (format_of(output) if output else "markdown")
    if chosen not in FORMATS:
        raise UnknownName("format", chosen, list(FORMATS), place="--format")
    with opened(path) as (project, store):
        made = register.report(project, store, plan(project))
    write(render(made, chosen), output)
