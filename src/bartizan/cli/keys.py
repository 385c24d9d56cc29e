"""`bartizan keys`: the key that signs the evidence."""

from __future__ import annotations

from pathlib import Path

import click

from bartizan.cli.options import format_option, project_argument
from bartizan.cli.show import json_text, table
from bartizan.workflows.project import find


@click.group("keys", epilog="Example: bartizan keys export release-key.pem examples/credit-scoring")
def command() -> None:
    """Show, rotate or export the Ed25519 key that signs the evidence. It is made on first use, readable by you alone."""


@command.command("show", epilog="Example: bartizan keys show")
@project_argument
@format_option("table", "json")
def show(path: Path, form: str) -> None:
    """Show the public keys of a project, the present one first."""
    from bartizan.evidence import Keyring

    keys = Keyring(find(path).state / "keys").public()
    if form == "json":
        click.echo(json_text(keys))
    else:
        click.echo(table(("key", "created", "state"), [(k.id, k.created, "present" if k.current else "retired") for k in keys]))


@command.command("rotate", epilog="Example: bartizan keys rotate")
@project_argument
def rotate(path: Path) -> None:
    """Make a new key. The old one signs the hand-over into the chain, so that whoever trusts it can follow."""
    from bartizan.cli.state import opened

    with opened(path, sign=True) as (_, store):
        made = store.rotate()
    click.echo(f"the present key is now {made.id}")


@command.command("export", epilog="Example: bartizan keys export release-key.pem")
@click.argument("target", type=click.Path(path_type=Path))
@project_argument
def export(target: Path, path: Path) -> None:
    """Write the public key to TARGET as PEM."""
    from bartizan.evidence import Keyring

    Keyring(find(path).state / "keys").export(target)
    click.echo(f"wrote {target}")
