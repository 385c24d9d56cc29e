"""`bartizan data`: the passport of a data set - recorded, verified, compared, proved, handed on - and the gate before a training."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bartizan.cli.options import format_option, write
from bartizan.cli.show import fit, json_text
from bartizan.cli.sign import key_options, signing_key
from bartizan.model.errors import EvidenceError, InputError, one_line

if TYPE_CHECKING:
    from bartizan.areas.provenance.passport.statement import Held
    from bartizan.areas.provenance.signing.keys import PrivateKey, PublicKey
    from bartizan.workflows.dataset_passport import Listener

SHOWN = 40
"""Changes that the table shows."""

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_PASSPORT = click.option("--passport", type=_FILE, help="The passport. Default: PATH.passport.jsonl beside PATH.")
_KEY = click.option("--key", type=_FILE, required=True, help="The public key you trust, as PEM.")


@click.group("data", epilog="Example: bartizan data record loans/ --key data.pem --new-key ed25519")
def command() -> None:
    """The passport of a data set: what it holds to the row, signed; verified, compared and proved without a network."""


@command.command("record", epilog="Example: bartizan data record loans.parquet --key data.pem --from raw.passport.jsonl --by clean.py")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="The passport. Default: PATH.passport.jsonl.")
@click.option("--from", "sources", type=_FILE, multiple=True, help="The passport of what this was made from; repeatable.")
@click.option("--by", type=_FILE, help="The program that made it: its digest goes into the lineage.")
@click.option("--type", "types", multiple=True, metavar="COLUMN=TYPE", help="Arrow type of a csv column, such as when=timestamp[s].")
@click.option("--ignore", multiple=True, metavar="NAME", help="Leave this file or folder out; repeatable.")
@click.option("--scan", is_flag=True, help="Also record what every check says of the data.")
@click.option("--label", metavar="COLUMN", help="With --scan: the column with the labels.")
@click.option("--schema", type=_FILE, help="With --scan: judge it by this schema.")
@click.option("--croissant", type=click.Path(path_type=Path, dir_okay=False), help="Also write Croissant JSON-LD.")
@key_options
@format_option("table", "json")
def record_command(path: Path, output: Path | None, croissant: Path | None, who: dict[str, Any], form: str, **what: Any) -> int:
    """Hash every file, row and column of PATH in one pass and sign what was found. The statement stays below 4 KB whatever the size;
    the details lie beside it. Tables (csv, tsv, jsonl, parquet, arrow) and lines of text are read into rows, other files are one row."""
    from bartizan.areas.provenance.passport import statement
    from bartizan.workflows import dataset_passport

    place = output or statement.passport_path(path)
    key = _private(who)
    parents = tuple(dataset_passport.parent(source, what["by"]) for source in what["sources"])
    types = dict(_typed(one) for one in what["types"])
    own = (croissant,) if croissant else ()
    look = dataset_passport.Look(label=what["label"], schema=what["schema"], told=told) if what["scan"] else None
    with progress() as listener:
        made = dataset_passport.record(
            path, place, key, own=own, ignore=what["ignore"], parents=parents, types=types, look=look, listener=listener
        )
    if croissant is not None:
        _export(statement.read(place, key.public), croissant, ())
    if form == "json":
        click.echo(json_text({"passport": str(place), "signer": key.public.id, "content": made.content, "files": made.files}))
    else:
        said = f"{made.files.count} files, {made.content.rows} rows, content {made.content.root[:16]}…"
        click.echo(f"wrote {place}: {said}, key {key.public.id[:16]}…")
    return 0


@command.command("verify", epilog="Example: bartizan data verify loans.parquet --key data.pem.pub")
@click.argument("path", type=click.Path(path_type=Path, exists=True), required=False)
@_PASSPORT
@click.option("--content", is_flag=True, help="The rows count, not the bytes: files may be encoded anew.")
@click.option("--from", "sources", type=_FILE, multiple=True, help="A passport that the lineage must name; repeatable.")
@click.option("--proof", type=_FILE, help="Check this proof instead, which needs no data.")
@_KEY
@format_option("table", "json")
def verify_command(
    path: Path | None, passport: Path | None, content: bool, sources: tuple[Path, ...], proof: Path | None, key: Path, form: str
) -> int:
    """Is the data at PATH what its passport says? Ends with 1 where anything differs: a bit, a name, a row, a column, the key."""
    from bartizan.areas.provenance.signing.keys import PublicKey
    from bartizan.workflows.dataset_passport import passport_room

    trusted = PublicKey.read(key)
    if proof is not None:
        return _check_proof(proof, trusted, form)
    if path is None:
        raise InputError("nothing to verify", cure="give the data, or a proof with --proof")
    with progress() as listener:
        try:
            found = passport_room("verifying").verify(
                path, _passport(path, passport), trusted, content=content, parents=sources, listener=listener
            )
        except EvidenceError as error:
            return _refused(str(error), form)
    lines = [*(f"differs: {problem}" for problem in found.problems[:SHOWN]), *(f"note: {note}" for note in found.notes)]
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


@command.command("diff", epilog="Example: bartizan data diff audited.passport.jsonl loans.parquet.passport.jsonl")
@click.argument("before", type=_FILE)
@click.argument("after", type=_FILE)
@click.option("--key", type=_FILE, help="The public key that must have signed both.")
@format_option("table", "json")
def diff_command(before: Path, after: Path, key: Path | None, form: str) -> int:
    """Say in words what changed from one passport to another. Ends with 1 where something did."""
    from bartizan.areas.provenance.passport.difference import differences
    from bartizan.areas.provenance.passport.statement import read
    from bartizan.areas.provenance.signing.keys import PublicKey

    trusted = PublicKey.read(key) if key is not None else None
    old, new = read(before, trusted), read(after, trusted)
    found = differences(old.details, new.details)
    if form == "json":
        click.echo(json_text(found))
        return 1 if found else 0
    rows = new.passport.content.rows - old.passport.content.rows
    click.echo(f"from {old.passport.recorded} to {new.passport.recorded}: {len(found)} changes, {rows:+d} rows")
    if trusted is None:
        click.echo("note: whose signatures these are was not checked; give --key")
    for change in found[:SHOWN]:
        click.echo(f"  {change.kind:10}  {change.text}")
    if len(found) > SHOWN:
        click.echo(f"  and {len(found) - SHOWN} more: --format json")
    return 1 if found else 0


@command.command("prove", epilog="Example: bartizan data prove loans.parquet --row 17 -o row-17.proof.json")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@_PASSPORT
@click.option("--row", type=click.IntRange(min=0), help="Prove that this row (from 0) is in.")
@click.option("--gone", type=_FILE, help="Prove that the row of this earlier proof is in no longer.")
@click.option("--key", type=_FILE, help="The public key of the earlier proof and of the passport; needed with --gone.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the proof to a file.")
def prove_command(path: Path, passport: Path | None, row: int | None, gone: Path | None, key: Path | None, output: Path | None) -> None:
    """Prove that a row is in the data, or no longer in it. The proof holds the row and hashes of a few others: handle it as you handle
    the data. It is checked with `bartizan data verify --proof`, without the data."""
    from bartizan.areas.provenance.passport.statement import read
    from bartizan.areas.provenance.signing.keys import PublicKey
    from bartizan.workflows.dataset_passport import passport_room

    if (row is None) == (gone is None):
        raise InputError("give either --row or --gone")
    proving = passport_room("proving")
    trusted = PublicKey.read(key) if key is not None else None
    held = read(_passport(path, passport), trusted)
    if row is not None:
        write(proving.encode(proving.prove_row(path, held, row)).decode(), output)
        return
    if trusted is None or gone is None:
        raise InputError("--gone needs --key", cure="give the public key that signed the earlier passport")
    earlier = proving.check(proving.decode(gone.read_bytes()), trusted)
    write(proving.encode(proving.prove_gone(path, held, earlier)).decode(), output)


@command.command(
    "hand-over", epilog="Example: bartizan data hand-over loans.passport.jsonl --key mine.pem --to theirs.pem.pub --name team-b"
)
@click.argument("passport", type=_FILE)
@click.option("--to", type=_FILE, required=True, help="The public key of who gets the data.")
@click.option("--name", required=True, help="Who gets the data.")
@click.option("--why", default="", help="What for.")
@key_options
def hand_over_command(passport: Path, to: Path, name: str, why: str, who: dict[str, Any]) -> int:
    """Append to a passport, signed by who holds the data, that it is handed on."""
    from bartizan.areas.provenance.passport import statement
    from bartizan.areas.provenance.signing.keys import PublicKey
    from bartizan.evidence.times import now, stamp

    made = statement.hand_over(passport, _private(who), PublicKey.read(to), name, stamp(now()), why)
    click.echo(f"hand-over {made.number}: to {one_line(name, 80)}")
    return 0


@command.command("export", epilog="Example: bartizan data export loans.passport.jsonl --set license=CC-BY-4.0 -o croissant.json")
@click.argument("passport", type=_FILE)
@click.option("--key", type=_FILE, help="The public key that must have signed.")
@click.option("--set", "facts", multiple=True, metavar="NAME=TEXT", help="A fact such as license, or dataBiases; repeatable.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file.")
def export_command(passport: Path, key: Path | None, facts: tuple[str, ...], output: Path | None) -> None:
    """Write a passport as Croissant JSON-LD with the fields for responsible AI that are given."""
    from bartizan.areas.provenance.passport.statement import read
    from bartizan.areas.provenance.signing.keys import PublicKey

    _export(read(passport, PublicKey.read(key) if key is not None else None), output, facts)


@command.command("gate", epilog="Example: bartizan data gate loans.parquet --schema loans.schema.yaml")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--schema", type=_FILE, help="The schema: ours, a suite of Great Expectations, or one that pandera wrote.")
@click.option("--infer", "target", type=click.Path(path_type=Path, dir_okay=False), help="Write a first schema here, for review.")
@click.option("--rows", "shown", type=click.IntRange(min=0), default=5, show_default=True, help="Rows shown for each broken rule.")
@click.option("--no-values", is_flag=True, help="Show the numbers of rows, not what stands in them.")
@click.option("--reviewed-only", is_flag=True, help="A schema that nobody has reviewed does not pass.")
@format_option("table", "json")
def gate_command(path: Path, schema: Path | None, target: Path | None, shown: int, no_values: bool, reviewed_only: bool, form: str) -> int:
    """The door before a training: judge the table at PATH by its schema. Ends with 1 where a rule is broken, and shows the first rows."""
    from bartizan.areas.quality import schema as schemas
    from bartizan.areas.quality import schema_gate, schema_infer

    if (schema is None) == (target is None):
        raise InputError("give either --schema to judge, or --infer to write a first schema")
    if target is not None:
        write(schemas.dump(schema_infer.infer(path)), target)
        return 0
    assert schema is not None
    if any("\udc80" <= character <= "\udcff" for character in str(path)):
        raise InputError("has a name that is no UTF-8, which tables are not read by", place=one_line(repr(path.name), 80), cure="rename it")
    rules = schemas.load(schema)
    unreviewed = reviewed_only and rules.reviewed is None
    found = schema_gate.gate(path, rules, shown=shown, values=not no_values)
    if form == "json":
        click.echo(json_text(found))
    else:
        for v in found.violations:
            count = f" ({v.count} rows)" if v.count is not None else ""
            click.echo(f"broken: {v.column or 'table'}: {v.text}{count}")
            for row, value in zip(v.rows, v.values or [""] * len(v.rows), strict=True):
                click.echo(f"          row {row}" + (f": {value}" if value else ""))
        for note in found.notes:
            click.echo(f"note: {note}")
        judged = f"{found.rows} rows by {found.rules} rules of {one_line(found.schema, 60)} version {found.version}"
        if found.ok and unreviewed:
            click.echo(f"refused: {judged} hold, and nobody reviewed them: write who and when under 'reviewed' in {schema.name}")
        else:
            click.echo(f"ok: {judged}" if found.ok else f"refused: {judged}: {len(found.violations)} broken")
    return 0 if found.ok and not unreviewed else 1


def _export(held: Held, output: Path | None, facts: tuple[str, ...]) -> None:
    from bartizan.areas.provenance.passport.croissant import croissant

    write(json_text(croissant(held, dict(_typed(fact) for fact in facts))), output)


def _typed(text: str) -> tuple[str, str]:
    name, sign, kind = text.partition("=")
    if not sign or not name:
        raise InputError(f"'{one_line(text, 80)}' is not NAME=VALUE")
    return name, kind


def _private(who: dict[str, Any]) -> PrivateKey:
    key = signing_key(**who)
    if key is None:
        raise InputError("a passport is signed with a key", cure="give --key FILE, and --new-key ed25519 to make one")
    return key


def _passport(path: Path, passport: Path | None) -> Path:
    from bartizan.areas.provenance.passport.statement import passport_path

    return passport or passport_path(path)


def _check_proof(path: Path, key: PublicKey, form: str) -> int:
    from bartizan.workflows.dataset_passport import passport_room

    proving = passport_room("proving")
    try:
        proved = proving.check(proving.decode(path.read_bytes()), key)
    except EvidenceError as error:
        return _refused(str(error), form)
    if form == "json":
        click.echo(json_text({"ok": True, "said": proved.said, "values": {k: str(v) for k, v in proved.values.items()}}))
    else:
        click.echo(f"ok: {proved.said}")
        for name, value in proved.values.items():
            click.echo(f"  {one_line(name, 60)}: {one_line(str(value), 200)}")
    return 0


def _refused(why: str, form: str) -> int:
    click.echo(json_text({"ok": False, "problems": [why]}) if form == "json" else f"refused: {why}")
    return 1


def told(name: str) -> None:
    """Show on a terminal which check runs."""
    if sys.stderr.isatty():
        sys.stderr.write("\r" + fit(f"checking  {name}", 78).rstrip() + "\x1b[K")
        sys.stderr.flush()


@contextmanager
def progress() -> Iterator[Listener | None]:
    """A listener that keeps one line on a terminal's standard error true."""
    if not sys.stderr.isatty():
        yield None
        return

    def tell(name: str, rows: int, number: int) -> None:
        sys.stderr.write("\r" + fit(f"file {number + 1}  {one_line(name, 40)}  {rows:,} rows", 78).rstrip() + "\x1b[K")
        sys.stderr.flush()

    try:
        yield tell
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
