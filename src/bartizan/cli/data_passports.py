"""`bartizan data record|verify|diff|hand-over|export`: the passport of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bartizan.cli.data_shown import (
    FILE,
    SHOWN,
    is_passport,
    named,
    passport_of,
    passport_option,
    private_key,
    progress,
    read_passport,
    refused,
    shown,
    told,
    trusted_key_option,
)
from bartizan.cli.options import NewFile, format_option, write
from bartizan.cli.show import json_text
from bartizan.cli.sign import key_options
from bartizan.model.errors import EvidenceError, InputError, one_line

if TYPE_CHECKING:
    from bartizan.areas.provenance.passport.statement import Held


@click.command("record", epilog="Example: bartizan data record loans.parquet --key data.pem --from raw.passport.jsonl --by clean.py")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--output", "-o", type=NewFile(), help="The passport. Default: PATH.passport.jsonl.")
@click.option("--from", "sources", type=FILE, multiple=True, help="The passport of what this was made from; repeatable.")
@click.option("--by", type=FILE, help="The program that made it: its digest goes into the lineage.")
@click.option("--type", "types", multiple=True, metavar="COLUMN=TYPE", help="Arrow type of a csv column, such as when=timestamp[s].")
@click.option("--ignore", multiple=True, metavar="NAME", help="Leave this file or folder out; repeatable.")
@click.option("--scan", is_flag=True, help="Also record what every check says of the data.")
@click.option("--label", metavar="COLUMN", help="With --scan: the column with the labels.")
@click.option("--schema", type=FILE, help="With --scan: judge it by this schema.")
@click.option("--croissant", type=NewFile(), help="Also write Croissant JSON-LD.")
@click.option("--fresh", is_flag=True, help="Forget what a run that was stopped had read.")
@key_options
@format_option("table", "json")
def record_command(path: Path, output: Path | None, croissant: Path | None, who: dict[str, Any], form: str, **what: Any) -> int:
    """Hash every file, row and column of PATH in one pass and sign what was found. The statement stays below 4 KB whatever the size;
    the details lie beside it. Tables (csv, tsv, jsonl, parquet, arrow) and lines of text are read into rows, other files are one row."""
    from bartizan.areas.provenance.passport import statement
    from bartizan.workflows import dataset_passport

    place = output or statement.passport_path(path)
    key = private_key(who)
    parents = tuple(dataset_passport.parent(source, what["by"]) for source in what["sources"])
    types = dict(named(one) for one in what["types"])
    own = (croissant,) if croissant else ()
    look = dataset_passport.Look(label=what["label"], schema=what["schema"], told=told) if what["scan"] else None
    with progress() as listener:
        made = dataset_passport.record(
            path,
            place,
            key,
            own=own,
            ignore=what["ignore"],
            parents=parents,
            types=types,
            look=look,
            fresh=what["fresh"],
            listener=listener,
        )
    if croissant is not None:
        export_to(statement.read(place, key.public), croissant, ())
    if form == "json":
        click.echo(json_text({"passport": str(place), "signer": key.public.id, "content": made.content, "files": made.files}))
    else:
        said = f"{made.files.count} files, {made.content.rows} rows, content {made.content.root[:16]}…"
        click.echo(f"wrote {shown(place)}: {said}, key {key.public.id[:16]}…")
    return 0


@click.command("verify", epilog="Example: bartizan data verify loans.parquet --key data.pem.pub")
@click.argument("path", type=click.Path(path_type=Path, exists=True), required=False)
@passport_option
@click.option("--content", is_flag=True, help="The rows count, not the bytes: files may be encoded anew.")
@click.option("--from", "sources", type=FILE, multiple=True, help="A passport that the lineage must name; repeatable.")
@click.option("--proof", type=FILE, help="Check this proof, list of proofs or certificate of deletion: alone without data, else with it.")
@click.option("--opening", type=FILE, help="With a certificate: what it keeps secret; shows the rule, if it is about that.")
@trusted_key_option
@format_option("table", "json")
def verify_command(
    path: Path | None,
    passport: Path | None,
    content: bool,
    sources: tuple[Path, ...],
    proof: Path | None,
    opening: Path | None,
    key: Path,
    form: str,
) -> int:
    """Is the data at PATH what its passport says? Ends with 1 where anything differs: a bit, a name, a row, a column, the key; with 2
    where nothing could be compared, since the passport is none or a file cannot be read."""
    from bartizan.areas.provenance.signing.keys import PublicKey
    from bartizan.cli.data_proofs import check_proof
    from bartizan.workflows.dataset_passport import passport_room

    trusted = PublicKey.read(key)
    if proof is not None and path is None:
        return check_proof(proof, trusted, form, passport=passport, opening=opening)
    if path is None:
        raise InputError("nothing to verify", cure="give the data, or a proof with --proof")
    place = passport_of(path, passport)
    for one in (place, *sources):
        is_passport(one)
    with progress() as listener:
        try:
            found = passport_room("verifying").verify(path, place, trusted, content=content, parents=sources, listener=listener)
        except EvidenceError as error:
            return refused(str(error), form)
    if proof is not None and found.ok:
        return check_proof(proof, trusted, form, passport=place, opening=opening)
    lines = [*(f"differs: {one_line(problem)}" for problem in found.problems[:SHOWN]), *(f"note: {one_line(note)}" for note in found.notes)]
    if len(found.problems) > SHOWN:
        lines.append(f"and {len(found.problems) - SHOWN} differences more: --format json")
    passed = found.held.passport
    lines.append(
        f"ok: {passed.files.count} files, {passed.content.rows} rows are what key {trusted.id[:16]}… signed on {passed.recorded}"
        if found.ok
        else f"refused: this is not what key {trusted.id[:16]}… signed on {passed.recorded}"
    )
    click.echo(json_text({"ok": found.ok, "problems": found.problems, "notes": found.notes}) if form == "json" else "\n".join(lines))
    return 0 if found.ok else 1


@click.command("diff", epilog="Example: bartizan data diff audited.passport.jsonl loans.parquet.passport.jsonl")
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@click.option("--key", type=FILE, help="The public key that must have signed both.")
@format_option("table", "json")
def diff_command(before: Path, after: Path, key: Path | None, form: str) -> int:
    """Say in words what changed from one passport to another. Ends with 1 where something did, or where a signature does not hold; with 2
    where one of them is no passport."""
    from bartizan.areas.provenance.passport.difference import differences
    from bartizan.areas.provenance.signing.keys import PublicKey

    trusted = PublicKey.read(key) if key is not None else None
    try:
        old, new = read_passport(before, trusted), read_passport(after, trusted)
    except EvidenceError as error:
        return refused(str(error), form)
    found = differences(old.details, new.details)
    if form == "json":
        click.echo(json_text(found))
        return 1 if found else 0
    rows = new.passport.content.rows - old.passport.content.rows
    click.echo(f"from {old.passport.recorded} to {new.passport.recorded}: {len(found)} changes, {rows:+d} rows")
    if trusted is None:
        click.echo("note: whose signatures these are was not checked; give --key")
    for change in found[:SHOWN]:
        click.echo(f"  {change.kind:10}  {one_line(change.text)}")
    if len(found) > SHOWN:
        click.echo(f"  and {len(found) - SHOWN} more: --format json")
    return 1 if found else 0


@click.command("hand-over", epilog="Example: bartizan data hand-over loans.passport.jsonl --key mine.pem --to theirs.pem.pub --name team-b")
@click.argument("passport", type=FILE)
@click.option("--to", type=FILE, required=True, help="The public key of who gets the data.")
@click.option("--name", required=True, help="Who gets the data.")
@click.option("--why", default="", help="What for.")
@key_options
def hand_over_command(passport: Path, to: Path, name: str, why: str, who: dict[str, Any]) -> int:
    """Append to a passport, signed by who holds the data, that it is handed on."""
    from bartizan.areas.provenance.passport import statement
    from bartizan.areas.provenance.signing.keys import PublicKey
    from bartizan.evidence.times import now, stamp

    made = statement.hand_over(passport, private_key(who), PublicKey.read(to), name, stamp(now()), why)
    click.echo(f"hand-over {made.number}: to {one_line(name, 80)}")
    return 0


@click.command("export", epilog="Example: bartizan data export loans.passport.jsonl --set license=CC-BY-4.0 -o croissant.json")
@click.argument("passport", type=FILE)
@click.option("--key", type=FILE, help="The public key that must have signed.")
@click.option("--set", "facts", multiple=True, metavar="NAME=TEXT", help="A fact such as license, or dataBiases; repeatable.")
@click.option("-o", "--output", type=NewFile(), help="Write to a file.")
def export_command(passport: Path, key: Path | None, facts: tuple[str, ...], output: Path | None) -> None:
    """Write a passport as Croissant JSON-LD with the fields for responsible AI that are given."""
    from bartizan.areas.provenance.passport.statement import read
    from bartizan.areas.provenance.signing.keys import PublicKey

    export_to(read(passport, PublicKey.read(key) if key is not None else None), output, facts)


def export_to(held: Held, output: Path | None, facts: tuple[str, ...]) -> None:
    from bartizan.areas.provenance.passport.croissant import croissant

    write(json_text(croissant(held, dict(named(fact) for fact in facts))), output)
