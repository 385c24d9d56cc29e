"""`bartizan completion`: the shell completion script."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion", epilog='Example: eval "$(bartizan completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that completes bartizan's commands and options in SHELL."""
    from bartizan.cli.app import bartizan

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(bartizan, {}, "bartizan", "_BARTIZAN_COMPLETE").source())
