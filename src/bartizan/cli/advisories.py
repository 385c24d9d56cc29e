"""`bartizan advisories`: published weaknesses of packages, fetched and dated."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from bartizan.cli.options import format_option
from bartizan.cli.show import json_text, table


@click.group("advisories", invoke_without_command=True, epilog="Example: bartizan advisories update")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Published weaknesses of packages (OSV): what is at hand, and how old it is."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(show, form="table")


@command.command("show")
@format_option("table", "json")
def show(form: str) -> None:
    """Show which advisories are at hand, and the day of the newest. Ends with 2 where there are none."""
    from bartizan.areas.dependencies.advisories.database import Database, NoAdvisories, folder

    ecosystems = [path.stem for path in sorted(folder().glob("*.db"))]
    if not ecosystems:
        raise NoAdvisories("there are no advisories", cure="fetch them: bartizan advisories update")
    found = []
    for name in ecosystems:
        with Database(name) as database:
            found.append(database.about)
    if form == "json":
        click.echo(json_text(found))
        return
    now = datetime.now(UTC)
    rows = [(a.ecosystem, a.count, a.withdrawn, a.newest[:10], f"{a.age(now).days} days", a.fetched[:10], a.source) for a in found]
    click.echo(table(("ecosystem", "advisories", "withdrawn", "newest", "age", "fetched", "from"), rows))


@command.command("update", epilog="Example: bartizan advisories update --from PyPI-all.zip")
@click.option("--from", "source", metavar="FILE|URL|DIR", help="An archive, a folder or an https address of OSV records. [default: OSV]")
@click.option("--ecosystem", default="PyPI", show_default=True, help="Whose advisories: PyPI, Debian, Alpine, npm, ...")
def update(source: str | None, ecosystem: str) -> None:
    """Fetch all advisories of an ecosystem and replace those at hand, whole or not at all."""
    from bartizan.areas.dependencies.advisories import database, fetching

    def counted(what: str, count: int) -> None:
        if sys.stderr.isatty():
            shown = f"{count / 1e6:.1f} MB" if what == "bytes" else f"{count} advisories"
            click.echo(f"\r{shown}", nl=False, err=True)

    target = database.path_of(ecosystem)
    found = fetching.advisories_from(source, ecosystem, counted)
    about = database.write(target, found, ecosystem, source or fetching.ARCHIVE.format(ecosystem=ecosystem))
    click.echo(f"{about.count} advisories for {about.ecosystem} ({about.withdrawn} withdrawn), the newest of {about.newest[:10]}")
