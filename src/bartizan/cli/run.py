"""`bartizan run`: a Python program behind the walls that judge every pickle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click


@click.command(
    "run",
    context_settings={"ignore_unknown_options": True},
    epilog="Example: bartizan run --guard-loads -- python -m pytest",
)
@click.option("--guard-loads", is_flag=True, help="Refuse every pickle that is not safe under the policy.")
@click.option(
    "--policy", "policies", type=click.Path(path_type=Path, exists=True, dir_okay=False), multiple=True, help="Names allowed, too."
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True, metavar="COMMAND...")
def command(guard_loads: bool, policies: tuple[Path, ...], command: tuple[str, ...]) -> None:
    """Run a Python program, a script or a tool such as pytest in which every pickle is judged before it is loaded.

    A refused load raises `pickle.UnpicklingError` in the program. The exit code is the program's own. Processes that the program starts by
    itself are not guarded.
    """
    from bartizan.areas.artefacts.guarding import guarded_command
    from bartizan.model.errors import InputError

    if not guard_loads:
        raise InputError("nothing to guard was named", cure="bartizan run --guard-loads -- COMMAND")
    if policies:
        from bartizan.areas.artefacts.policy_compiler.signed import installed, with_policies
        from bartizan.cli.policy import known_keys

        for note in with_policies(policies, keys=known_keys(), environment=installed())[1]:
            click.echo(f"bartizan: {note}", err=True)
    line = guarded_command(command, policies)
    if line[0] != sys.executable and subprocess.run([line[0], "-c", "import bartizan"], capture_output=True, check=False).returncode:  # noqa: S603
        raise InputError(f"bartizan is not installed for {Path(line[0]).name}", cure="install it in the environment of the program")
    sys.stdout.flush()
    os.execv(line[0], line)  # noqa: S606  (the user's own command)
