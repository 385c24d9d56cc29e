"""`bartizan data prove`: a row is in a data set, or in it no longer; and the check of such a proof."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from bartizan.cli.data_shown import FILE, passport_of, passport_option, read_passport, refused
from bartizan.cli.options import NewFile, write
from bartizan.cli.show import json_text
from bartizan.model.errors import EvidenceError, InputError, one_line

if TYPE_CHECKING:
    from bartizan.areas.provenance.passport.deletion import Deletion
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


def check_proof(path: Path, key: PublicKey, form: str, *, passport: Path | None = None, opening: Path | None = None) -> int:
    """Print what the proof, the list of proofs or the certificate at `path` shows; the exit code.

    It must be about the data of `passport`, where that is given; a certificate is also compared with what `opening` says of it. Raises
    `InputError` where it is none of these.
    """
    from bartizan.areas.provenance.passport import deletion
    from bartizan.workflows.dataset_passport import passport_room

    with path.open("rb") as file:
        first = file.readline(passport_room("proving").MAX_BYTES)
    try:
        if deletion.is_certificate(first):
            return _check_certificate(path, key, form, passport, opening)
        return _check_rows(path, key, form, passport)
    except EvidenceError as error:
        return refused(str(error), form)


def _check_rows(path: Path, key: PublicKey, form: str, passport: Path | None) -> int:
    """One proof, or one a line."""
    from bartizan.workflows.dataset_passport import passport_room

    proving = passport_room("proving")
    wanted = read_passport(passport, key).passport.id if passport is not None else None
    proved: Any = None
    count = 0
    with path.open("rb") as file:
        while line := file.readline(proving.MAX_BYTES + 1):
            try:
                proof = proving.decode(line)
            except EvidenceError as error:
                raise InputError(error.what, place=f"{path}:{count + 1}", cure=error.cure) from None
            count += 1
            proved = proving.check(proof, key)
            if wanted not in (None, proved.passport):
                said = f"proof {count} is about '{proved.name}' as recorded {proved.recorded}, not about this data as it is now"
                raise EvidenceError(said, cure="give the passport that it was made from")
    if proved is None:
        raise InputError("holds no proof", place=str(path))
    said = one_line(proved.said) if count == 1 else f"{count} proofs hold; the last one: {one_line(proved.said)}"
    if form == "json":
        click.echo(json_text({"ok": True, "proofs": count, "said": said, "values": {k: str(v) for k, v in proved.values.items()}}))
        return 0
    click.echo(f"ok: {said}")
    for name, value in proved.values.items():
        click.echo(f"  {one_line(name, 60)}: {one_line(str(value), 200)}")
    return 0


def _opened(made: Deletion, opening: Path) -> dict[str, Any]:
    from bartizan.areas.provenance.passport import deletion

    with opening.open("rb") as file:
        return deletion.opened(made, file.read(deletion.MAX_OPENING)).rule


def _check_certificate(path: Path, key: PublicKey, form: str, passport: Path | None, opening: Path | None) -> int:
    from bartizan.areas.provenance.passport import deletion

    with path.open("rb") as file:
        made = deletion.check(file.read(deletion.MAX_BYTES + 1), key)
    if passport is not None:
        deletion.belongs(made, read_passport(passport, key))
    rule = _opened(made, opening) if opening is not None else None
    if form == "json":
        click.echo(json_text({"ok": True, "certificate": msgspec.to_builtins(made), "rule": rule}))
        return 0
    counts = f"{made.before.rows} rows before, {made.removed} removed, {made.after.rows} after"
    click.echo(f"ok: {one_line(made.name, 120)}: {counts}; signed {made.at} by key {key.id[:16]}…")
    click.echo(f"  content {made.before.content[:16]}… became {made.after.content[:16]}…, by {', '.join(made.kinds)}")
    if rule is not None:
        click.echo(f"  the rule: {one_line(json_text(rule), 300)}")
    if made.undated or made.undecided or made.unjudged:
        said = f"{made.undated} rows without a date, {made.undecided} undecided, {made.unjudged} files without such columns"
        click.echo(f"note: it left {said}")
    if made.elsewhere is not None:
        seen = made.elsewhere
        click.echo(f"note: elsewhere {seen.found} rows still stood in {seen.files} files; {seen.unread} could not be looked into")
    if passport is None:
        click.echo("note: what the data is now was not compared; give its passport with --passport")
    return 0
