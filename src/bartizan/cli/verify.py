"""`bartizan verify`: check a store or a bundle offline for tampering."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from bartizan.cli.options import format_option
from bartizan.cli.show import json_text
from bartizan.model.errors import InputError


@click.command("verify", epilog="Example: bartizan verify audit.bartizan.zip --key release-key.pem --checkpoint kept.json")
@click.argument("what", type=click.Path(path_type=Path, exists=True), default=Path(), metavar="STORE|BUNDLE|[PATH]")
@click.option("--key", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The public key you trust, as PEM.")
@click.option("--checkpoint", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A checkpoint you kept elsewhere.")
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Compare subjects with the files here, too.")
@format_option("table", "json")
def command(what: Path, key: Path | None, checkpoint: Path | None, root: Path | None, form: str) -> int:
    """Verify the signatures, the hash chain, the Merkle tree and the artefacts of a project, a .bartizan folder or a bundle. Needs no
    network. Without --key it can only show that the store agrees with itself. Exit code 1: tampering found."""
    from bartizan.evidence import verify_bundle, verify_store

    if what.is_file() and what.suffix not in (".yaml", ".yml"):
        result = verify_bundle(what, key, checkpoint, root=root)
    else:
        result = verify_store(_store_folder(what), key, checkpoint, root=root)
    if form == "json":
        click.echo(json_text(msgspec.to_builtins(result) | {"ok": result.ok}))
    else:
        for warning in result.warnings:
            click.echo(f"{click.style('note', fg='yellow')}: {warning}")
        for problem in result.problems:
            click.echo(f"{click.style('problem', fg='red')}: {problem}")
        verdict = click.style("holds", fg="green") if result.ok else click.style("does not hold", fg="red")
        click.echo(f"{result.entries} entries, head {result.head[:16]}…, key {result.key[:16]}…: the record {verdict}.")
    return 0 if result.ok else 1


def _store_folder(what: Path) -> Path:
    for folder in (what, what / ".bartizan", what.parent / ".bartizan"):
        if (folder / "evidence.db").is_file():
            return folder
    raise InputError("no evidence store here", place=str(what), cure="name a project, a .bartizan folder or a bundle")
