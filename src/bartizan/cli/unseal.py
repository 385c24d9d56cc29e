"""`bartizan unseal`: decrypt what was sealed, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import click

from bartizan.cli.options import NewFile
from bartizan.cli.seal import KEY_HELP
from bartizan.model.errors import InputError


@click.command("unseal", epilog="Example: bartizan unseal model.pt.sealed -o model.pt --key weights.key")
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--output", "-o", type=NewFile(dir_okay=True), help="Where it goes. Default: PATH without its suffix .sealed.")
@click.option("--key", required=True, metavar="KEY", help=KEY_HELP)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def command(path: Path, output: Path | None, key: str, force: bool, quiet: bool) -> int:
    """Decrypt what `bartizan seal` wrote. The file or folder appears, for you alone to read, when its last byte has proved right; where
    one byte was altered, moved or cut off, nothing appears."""
    from bartizan.adapters.wrapping_keys import wrapping_key
    from bartizan.areas.provenance import sealing
    from bartizan.cli.hashing import bytes_bar

    if output is None and path.suffix != ".sealed":
        raise InputError("where to?", place=str(path), cure="name it: -o FILE")
    target = output or path.with_suffix("")
    chosen = wrapping_key(key)
    with bytes_bar("unsealing", path, quiet=quiet) as listener:
        header = sealing.unseal(path, target, chosen, replace=force, listener=listener)
    click.echo(f"wrote the {header.kind} {target}")
    return 0
