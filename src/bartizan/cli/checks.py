"""`bartizan checks`: what this install can check."""

from __future__ import annotations

import click

from bartizan.cli.options import format_option
from bartizan.cli.show import json_text, table
from bartizan.engine import registry
from bartizan.model.checks import Check
from bartizan.model.errors import UnknownName


@click.command("checks", epilog="Example: bartizan checks privacy.membership_inference")
@click.argument("check", required=False)
@click.option("--threat", help="Only checks that speak to this threat.")
@click.option("--phase", help="Only checks of this phase: data, development, deployment, operation, governance.")
@format_option("table", "json")
def command(check: str | None, threat: str | None, phase: str | None, form: str) -> None:
    """List the checks of this install, ours and those of other distributions, or describe one: its threats, parameters, cost."""
    found, problems = registry.load_all()
    for problem in problems:
        click.echo(f"bartizan: {problem}", err=True)
    chosen = [c for c in found.values() if (not threat or threat in c.threats) and (not phase or phase in c.phases)]
    if check is not None:
        if check not in found:
            raise UnknownName("check", check, list(found))
        chosen = [found[check]]
    if form == "json":
        click.echo(json_text([plain(c) for c in chosen]))
    elif check is not None:
        click.echo(described(chosen[0]))
    else:
        rows = [(c.id, ", ".join(c.threats), ", ".join(sorted(c.kinds)), c.cost, c.extra or "-", c.distribution, c.title) for c in chosen]
        click.echo(table(("check", "threats", "on", "cost", "extra", "from", "finds"), rows))


def plain(check: Check) -> dict[str, object]:
    """What a program wants to know of a check."""
    hidden = {"run", "applies"}
    fields = {name: getattr(check, name) for name in check.__struct_fields__ if name not in hidden}
    return fields | {"kinds": sorted(check.kinds), "phases": sorted(check.phases)}


def described(check: Check) -> str:
    """A page about one check."""
    rows = [
        ("threats", ", ".join(check.threats)),
        ("verifies", ", ".join(check.controls) or "-"),
        ("runs on", ", ".join(sorted(check.kinds))),
        ("phases", ", ".join(sorted(check.phases))),
        ("cost", check.cost),
        ("needs", f"pip install 'bartizan[{check.extra}]'" if check.extra else "nothing more"),
        ("version", f"{check.version} of {check.distribution}"),
    ]
    parts = [click.style(check.id, bold=True), check.title, check.summary, table(("", ""), rows)]
    if check.parameters:
        parts.append(table(("parameter", "type", "default"), [(p.name, p.type, p.default) for p in check.parameters]))
    return "\n\n".join(part for part in parts if part)
