"""`bartizan accept`: decide about a risk."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from bartizan.cli.options import project_argument
from bartizan.model.errors import InputError, one_line


@click.command("accept", epilog='Example: bartizan accept R-1a2b3c4d5e --by "Ada King" --why "pilot with 20 users" --until 2027-03-31')
@click.argument("risk")
@project_argument
@click.option("--by", required=True, help="Who decides.")
@click.option("--why", required=True, help="Why this is right.")
@click.option("--until", required=True, metavar="YYYY-MM-DD", help="The day after which the decision counts for nothing.")
@click.option("--action", type=click.Choice(["accept", "transfer", "avoid"]), default="accept", show_default=True)
def command(risk: str, path: Path, by: str, why: str, until: str, action: str) -> None:
    """Record a signed decision about RISK. It is bound to the exact state of the risk: when evidence, files or the manifest change that
    state, the decision is void and the risk is open again."""
    from bartizan.cli.explain import choose
    from bartizan.cli.state import opened
    from bartizan.governance.register import decide
    from bartizan.model.system import Action
    from bartizan.workflows import register
    from bartizan.workflows.assess import plan

    try:
        end = dt.date.fromisoformat(until)
    except ValueError:
        raise InputError(f"'{until}' is no date", place="--until", cure="write YYYY-MM-DD") from None
    with opened(path, sign=True) as (project, store):
        risks, _ = register.risks(project, store, plan(project))
        found = choose(risk, risks)
        store.decide(decide(found, Action(action), by=by, why=why, until=end, today=register.now().date()))
        after, _ = register.risks(project, store, plan(project))
        store.note_risks(after, register.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
    click.echo(
        f"{found.id} ({found.threat} against {found.asset}): {action}, by {one_line(by)}, until {end}. Void as soon as the risk changes."
    )
