"""`bartizan seal`: encrypt weights or data at rest."""

from __future__ import annotations

from pathlib import Path

import click

from bartizan.cli.options import NewFile
from bartizan.model.errors import InputError

KEY_HELP = "A file with 32 bytes, env:NAME, or vault+https://HOST/MOUNT/KEY."


@click.command("seal", epilog="Example: bartizan seal model.pt -o model.pt.sealed --key weights.key --new-key")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--output", "-o", type=NewFile(), help="The sealed file. Default: PATH.sealed.")
@click.option("--key", required=True, metavar="KEY", help=KEY_HELP)
@click.option("--new-key", is_flag=True, help="Make the file KEY if it is not there.")
@click.option("--rewrap", metavar="KEY", help="PATH is sealed with --key: let this key open it instead. The content stays as it is.")
@click.option("--force", is_flag=True, help="Replace the sealed file if it is there.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def command(path: Path, output: Path | None, key: str, new_key: bool, rewrap: str | None, force: bool, quiet: bool) -> int:
    """Encrypt a file or a folder with AES-256-GCM under a random key, which KEY wraps. What was sealed stays where it is: delete it
    yourself once the sealed file is safe. Memory does not grow with the size."""
    from bartizan.adapters.wrapping_keys import wrapping_key
    from bartizan.areas.provenance import sealing
    from bartizan.cli.hashing import bytes_bar

    chosen = wrapping_key(key, create=new_key and rewrap is None)
    if rewrap is not None:
        if output is not None:
            raise InputError("--rewrap changes the file in place", cure="leave --output out")
        new = wrapping_key(rewrap, create=new_key)
        sealing.rewrap(path, chosen, new)
        click.echo(f"{path}: {new.id} opens it now, {chosen.id} no longer does")
        return 0
    target = output or path.resolve().with_name(f"{path.resolve().name}.sealed")
    with bytes_bar("sealing", path, quiet=quiet) as listener:
        sealing.seal(path, target, chosen, replace=force, listener=listener)
    click.echo(f"wrote {target}, which {chosen.id} opens")
    return 0
