"""`bartizan bom`: the bill of materials, and what changed between two."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bartizan.cli.options import NewFile, format_option, write
from bartizan.cli.show import json_text, table

FORMS = ("cyclonedx-1.6", "cyclonedx-1.7", "spdx-3", "table")


@click.group("bom", epilog="Example: bartizan bom write examples/credit-scoring -o bom.cdx.json")
def command() -> None:
    """The bill of materials of an AI system: models, data sets, packages, services, how they are made, and what was found."""


@command.command("write", epilog="Example: bartizan bom write . --format cyclonedx-1.7 -o bom.cdx.json")
@click.argument("path", type=click.Path(path_type=Path), default=Path(), metavar="[PATH]")
@click.option("--format", "form", type=click.Choice(FORMS), default="cyclonedx-1.6", show_default=True, help="How to write.")
@click.option("-o", "--output", type=NewFile(), help="Write to this file; otherwise print.")
@click.option("--without-evidence", is_flag=True, help="Leave out what checks found.")
def write_command(path: Path, form: str, output: Path | None, without_evidence: bool) -> None:
    """Write the bill of the project at PATH: what its manifest declares, with the hash of every local file.

    The same project gives the same bytes when SOURCE_DATE_EPOCH is set. Ends with 2 where a declared file cannot be read; the bill is
    written all the same and says nothing of it.
    """
    from bartizan.cli.state import opened
    from bartizan.workflows import project as projects
    from bartizan.workflows import register
    from bartizan.workflows.assess import plan
    from bartizan.workflows.bill import bill

    def progress(name: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r\033[Khashing {name}", nl=False, err=True)

    found = projects.find(path)
    if without_evidence or not (found.state / "evidence.db").is_file():
        made, missing = bill(found, progress=progress)
    else:
        with opened(path) as (project, store):
            _, told = register.risks(project, store, plan(project))
            made, missing = bill(project, told.current, progress)
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    write(_render(made, form), output)
    for line in missing:
        click.echo(f"bartizan: {line}", err=True)
    if missing:
        raise click.exceptions.Exit(2)


def _render(made: object, form: str) -> str:
    from bartizan.model.bill import Bill
    from bartizan.renderers import bill_cyclonedx, bill_spdx

    assert isinstance(made, Bill)
    if form == "table":
        rows = [(p.kind, p.ref, p.version or "-", p.licence or "-", len(p.files), ", ".join(p.needs[:4]) or "-") for p in made.parts]
        return table(("kind", "part", "version", "licence", "files", "needs"), rows)
    if form == "spdx-3":
        return bill_spdx.render(made)
    return bill_cyclonedx.render(made, form.removeprefix("cyclonedx-"))


@command.command("diff", epilog="Example: bartizan bom diff released.cdx.json now.cdx.json")
@click.argument("before", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("after", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@format_option("table", "json")
def diff(before: Path, after: Path, form: str) -> None:
    """Say in words what changed from one CycloneDX bill to another. Ends with 1 where something did."""
    from bartizan.adapters.cyclonedx import read_bill
    from bartizan.governance.bill_difference import differences

    found = differences(read_bill(before), read_bill(after))
    if form == "json":
        click.echo(json_text(found))
    else:
        click.echo("\n".join(change.text for change in found) or "nothing changed")
    if found:
        raise click.exceptions.Exit(1)
