"""`bartizan data`: a data set recorded, verified, compared, proved, judged, read and purged. One file for each group of commands."""

from __future__ import annotations

import importlib

import click

from bartizan.cli.data_shown import progress, told
from bartizan.model.errors import nearest

COMMANDS: dict[str, str] = {
    "record": "data_passports",
    "verify": "data_passports",
    "diff": "data_passports",
    "prove": "data_proofs",
    "hand-over": "data_passports",
    "export": "data_passports",
    "gate": "data_gate",
    "read": "data_read",
    "purge": "data_purge",
    "minimise": "data_minimise",
}
"""The commands and the module of each, where `<command>_command` is the one."""


class _Table(click.Group):
    """A group whose commands are the rows of `COMMANDS`, imported when one is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"bartizan.cli.{COMMANDS[cmd_name]}")
        found = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        assert isinstance(found, click.Command)
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            close = nearest(args[0], COMMANDS)
            ctx.fail(f"no command '{args[0]}'" + (f"; did you mean '{close}'?" if close else ""))
        return super().resolve_command(ctx, args)


@click.group("data", cls=_Table, epilog="Example: bartizan data record loans/ --key data.pem --new-key ed25519")
def command() -> None:
    """A data set: its passport, signed to the row, verified, compared and proved without a network; read by policy; judged; purged."""


__all__ = ["COMMANDS", "command", "progress", "told"]
