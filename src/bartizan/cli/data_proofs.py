"""`bartizan data prove`: a row is in a data set, or in it no longer; and the check of such a proof."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bartizan.cli.data_shown import FILE, passport_of, passport_option, read_passport, refused
from bartizan.cli.options import NewFile, write
from bartizan.cli.show import json_text
from bartizan.model.errors import EvidenceError, InputError, one_line

if TYPE_CHECKING:
    from bartizan.areas.provenance.signing.keys import PublicKey


@click.command("prove", epilog="Example: bartizan data prove loans.parquet --row 17 -o row-17.proof.json")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@passport_option
@click.option("--row", type=click.IntRange(min=0), help="Prove that this row (from 0) is in.")
@click.option("--gone", type=FILE, help="Prove that the row of this earlier proof is in no longer.")
@click.option("--key", type=FILE, help="The public key of the earlier proof and of the passport; needed with --gone.")
@click.option("-o", "--output", type=NewFile(), help="Write the proof to a file.")
def prove_command(path: Path, passport: Path | None, row: int | None, gone: Path | None, key: Path | None, output: Path | None) -> None:
    """Prove that a row is in the data, or no longer in it. The proof holds the row and hashes of a few others: handle it as you handle
    the data. It is checked with `bartizan data verify --proof`, without the data."""
    from bartizan.areas.provenance.signing.keys import PublicKey
    from bartizan.workflows.dataset_passport import passport_room

    if (row is None) == (gone is None):
        raise InputError("give either --row or --gone")
    proving = passport_room("proving")
    trusted = PublicKey.read(key) if key is not None else None
    held = read_passport(passport_of(path, passport), trusted)
    if row is not None:
        write(proving.encode(proving.prove_row(path, held, row)).decode(), output)
        return
    if trusted is None or gone is None:
        raise InputError("--gone needs --key", cure="give the public key that signed the earlier passport")
    earlier = proving.check(proving.decode(gone.read_bytes()), trusted)
    write(proving.encode(proving.prove_gone(path, held, earlier)).decode(), output)


def check_proof(path: Path, key: PublicKey, form: str) -> int:
    """Print what the proof at `path` shows; the exit code. Raises `InputError` where it is no proof at all."""
    from bartizan.workflows.dataset_passport import passport_room

    proving = passport_room("proving")
    try:
        proof = proving.decode(path.read_bytes())
    except EvidenceError as error:
        raise InputError(error.what, place=str(path), cure=error.cure) from None
    try:
        proved = proving.check(proof, key)
    except EvidenceError as error:
        return refused(str(error), form)
    if form == "json":
        click.echo(json_text({"ok": True, "said": proved.said, "values": {k: str(v) for k, v in proved.values.items()}}))
    else:
        click.echo(f"ok: {proved.said}")
        for name, value in proved.values.items():
            click.echo(f"  {one_line(name, 60)}: {one_line(str(value), 200)}")
    return 0
