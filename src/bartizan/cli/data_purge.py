"""`bartizan data purge`: rows leave a data set, with a certificate and a proof for each."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bartizan.cli.data_progress import progress
from bartizan.cli.data_shown import FILE, SHOWN, named, passport_option, private_key, shown
from bartizan.cli.options import NewFile, format_option
from bartizan.cli.show import json_text, table
from bartizan.cli.sign import key_options
from bartizan.model.errors import InputError, one_line

if TYPE_CHECKING:
    from bartizan.areas.access.purging import Wish
    from bartizan.workflows.data_purge import Purged

MOST = 100 * 1024 * 1024
"""Largest list of subjects, in bytes, that is read."""


@click.command("purge", epilog="Example: bartizan data purge loans.parquet --retention 365 --column created --key data.pem -o kept.parquet")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--before", metavar="DATE", help="Rows of before this date or moment (UTC), by --column.")
@click.option("--retention", type=click.IntRange(min=0), metavar="DAYS", help="Rows older than so many days, by --column.")
@click.option("--column", help="The column that says how old a row is.")
@click.option("--date-format", metavar="STRPTIME", help="How --column is written, such as %d/%m/%Y, where that is not ISO 8601.")
@click.option(
    "--undated", type=click.Choice(["report", "keep", "remove"]), default="report", show_default=True, help="Rows whose age nobody knows."
)
@click.option("--where", "clauses", multiple=True, metavar="'COLUMN == VALUE'", help="Rows of which this holds; repeatable, all must hold.")
@click.option("--subject", "subjects", multiple=True, metavar="COLUMN=VALUE", help="Rows of this person; repeatable, one must hold.")
@click.option("--subjects", "lists", multiple=True, metavar="COLUMN=FILE", help="Rows of the persons in this file, one a line; repeatable.")
@click.option("--rows-from", type=FILE, multiple=True, help="The row that this proof shows (bartizan data prove); repeatable.")
@click.option("--trust", type=FILE, help="The public key that signed the proofs. Default: that of --key.")
@click.option("--keep", multiple=True, metavar="NAME", help="A file of the folder that stays as it is; repeatable.")
@click.option("-o", "--output", type=NewFile(dir_okay=True), help="The new data set: a file for a file, a folder for a folder.")
@click.option("--in-place", is_flag=True, help="Put the new data in the place of the old, in one step, once all is done.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--also", multiple=True, type=click.Path(path_type=Path, exists=True), help="Look for the rows here, too; repeatable.")
@click.option("--proofs", metavar="N|all", default="1000", show_default=True, help="Rows that get a proof of their own.")
@click.option("--opening", type=NewFile(), help="Write what the certificate keeps secret (mode 0600): the rule and its salt.")
@click.option("--project", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Note it in the evidence of this project.")
@passport_option
@key_options
@format_option("table", "json")
def purge_command(path: Path, passport: Path | None, who: dict[str, Any], form: str, **how: Any) -> int:
    """Write a data set without some of its rows, and prove that they are gone: the rows that stay are kept as they were, a new passport
    names the old one, a signed certificate states what was done, and each row gets a proof that it is in no longer.

    Ends with 1 where something is left: copies found by --also, rows whose age nobody knows. Backups, disk blocks, and models that were
    trained on the rows are not looked at."""
    from bartizan.areas.provenance.signing.keys import PublicKey
    from bartizan.workflows.data_purge import Order, purge

    wish = _wish(how)
    if (wish is None) == (not how["rows_from"]):
        cure = "give --before or --retention with --column, --where, --subject, or --rows-from alone"
        raise InputError("say which rows, in one way", cure=cure)
    if sum((how["output"] is not None, how["in_place"], how["dry_run"])) != 1:
        raise InputError("say where the new data goes", cure="give one of -o NEW, --in-place and --dry-run")
    key = private_key(who)
    order = Order(
        wish=wish,
        rows_from=how["rows_from"],
        trusted=PublicKey.read(how["trust"]) if how["trust"] is not None else key.public,
        output=how["output"],
        passport=passport,
        keep=how["keep"],
        proofs=_limit(how["proofs"]),
        also=how["also"],
        opening=how["opening"],
        state=_state(path, how["project"]),
        dry=how["dry_run"],
    )
    with progress() as listener:
        done = purge(path, key, order, listener=listener)
    click.echo(_json(done) if form == "json" else "\n".join(_lines(done, how)))
    left = (done.seen.undated and how["undated"] == "report") or (done.copies is not None and done.copies.places)
    return 1 if left or done.linked or done.naming else 0


def _wish(how: dict[str, Any]) -> Wish | None:
    from bartizan.areas.access import purging, retention

    aged = how["before"] is not None or how["retention"] is not None
    if how["before"] is not None and how["retention"] is not None:
        raise InputError("give either --before or --retention")
    if aged != (how["column"] is not None):
        raise InputError("an age is read from a column", cure="give --column, with --before or --retention")
    subjects: dict[str, list[str]] = {}
    for text in how["subjects"]:
        column, value = named(text)
        subjects.setdefault(column, []).append(value)
    for text in how["lists"]:
        column, name = named(text)
        subjects.setdefault(column, []).extend(_listed(Path(name)))
    if not (aged or how["clauses"] or subjects):
        return None
    moment = retention.moment(how["before"]) if how["before"] is not None else dt.datetime.now(dt.UTC)
    expiry = retention.Expiry(column=how["column"], days=how["retention"], shape=how["date_format"]) if aged else None
    return purging.Wish(
        expiry=expiry,
        before=purging.now_text(moment) if aged else None,
        clauses=tuple(map(purging.clause, how["clauses"])),
        subjects={column: tuple(dict.fromkeys(values)) for column, values in subjects.items()},
        undated=purging.Undated(how["undated"]),
    )


def _listed(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", place=str(path)) from None
    found = [line.strip() for line in data.decode("utf-8-sig", errors="replace").splitlines() if line.strip()]
    if len(data) > MOST or not found:
        raise InputError("holds no list of at most 100 MB", place=str(path), cure="write one value a line")
    return found


def _limit(text: str) -> int:
    from bartizan.workflows.data_purge import MOST_PROOFS

    if text == "all":
        return MOST_PROOFS
    if not text.isdecimal() or int(text) > MOST_PROOFS:
        raise InputError(f"'{one_line(text, 20)}' is no number of proofs", cure=f"give 0 to {MOST_PROOFS}, or all")
    return int(text)


def _state(path: Path, project: Path | None) -> Path | None:
    """The folder with the evidence of the project, where there is one."""
    if project is not None:
        return project if project.name == ".bartizan" else project / ".bartizan"
    return next((one / ".bartizan" for one in path.resolve().parents if (one / ".bartizan" / "evidence.db").is_file()), None)


def _lines(done: Purged, how: dict[str, Any]) -> list[str]:
    kept = sum(stays for _, stays in done.files.values())
    lines = []
    touched = {name: counts for name, counts in done.files.items() if counts[0]}
    if len(done.files) > 1 and touched:
        rows = [(one_line(name, 60), gone, stays) for name, (gone, stays) in list(touched.items())[:SHOWN]]
        lines.append(table(("file", "rows that go", "rows that stay"), rows) + "\n")
    if done.deletion is None:
        said = f"{done.removed} of {done.removed + kept} rows would go" if how["dry_run"] else "no row meets it"
        lines.append(f"{said}; nothing was written")
    else:
        at = shown(done.written["data"])
        lines.append(f"{done.removed} of {done.removed + kept} rows are gone from {at}, certificate {done.deletion.id[:16]}…")
        lines += [f"  {what:11}  {shown(one)}" for what, one in done.written.items() if what != "data"]
        more = f"; {done.removed - done.proofs - done.unproved} rows more or their like: --proofs all" if how["proofs"] != "all" else ""
        lines.append(f"  {done.proofs} proofs that a row is gone{more if done.removed > done.proofs + done.unproved else ''}")
    lines += [f"note: {note}" for note in _notes(done, how)]
    return lines


def _notes(done: Purged, how: dict[str, Any]) -> list[str]:
    seen, notes = done.seen, []
    if seen.undated and how["undated"] != "remove":
        notes.append(f"{seen.undated} rows name no date in '{one_line(how['column'], 60)}' and stay; take them with --undated remove")
    if seen.undecided:
        notes.append(f"{seen.undecided} rows have an empty cell where they are compared, and stay")
    if seen.similar:
        notes.append(f"{seen.similar} rows name a subject with other capitals or spaces, and stay")
    if done.unjudged:
        notes.append(f"{len(done.unjudged)} files have no such columns or were kept: {one_line(', '.join(done.unjudged[:5]), 200)}")
    if done.unproved:
        notes.append(f"{done.unproved} rows stand with the same values in a table with other columns: no proof")
    if done.retyped:
        said = one_line(", ".join(done.retyped[:5]), 200)
        notes.append(f"the columns of {said} have other types now that some values are gone, and its rows other hashes")
    if done.linked:
        notes.append(f"still there under another name of the same file (a hard link): {one_line(', '.join(done.linked[:5]), 200)}")
    if done.naming:
        notes.append(f"a subject is named in the metadata, which is kept: {one_line(', '.join(done.naming[:5]), 200)}")
    if done.left_out:
        notes.append(f"not covered by the passport and not copied: {one_line(', '.join(done.left_out), 200)}")
    if how["rows_from"]:
        notes.append("the proofs given with --rows-from hold the rows: delete them, too")
    if done.copies is not None:
        for place in done.copies.places[:SHOWN]:
            what = "a subject is named" if place.mentions else f"{place.rows} rows, compared by {one_line(', '.join(place.shared), 120)}"
            notes.append(f"still there: {shown(place.file)}: {what}")
        if done.copies.unclear:
            notes.append(f"{done.copies.unclear} rows elsewhere share their columns with rows that stay: nobody can tell whose they are")
        notes += [f"not looked into: {one_line(one, 160)}" for one in done.copies.unread[:SHOWN]]
    if done.deletion is not None:
        where = "" if how["output"] is not None else " the disk blocks of the old file,"
        still = f" the old data still stands at its place, with its passport;{where}" if how["output"] is not None else where
        notes.append(f"not deleted by this:{still} backups and snapshots, caches, models trained on the rows")
    return notes


def _json(done: Purged) -> str:
    import msgspec

    return json_text(
        {
            "removed": done.removed,
            "files": {name: {"gone": gone, "kept": kept} for name, (gone, kept) in done.files.items()},
            "seen": msgspec.to_builtins(done.seen),
            "certificate": msgspec.to_builtins(done.deletion) if done.deletion is not None else None,
            "written": {what: str(one) for what, one in done.written.items()},
            "proofs": done.proofs,
            "unproved": done.unproved,
            "unjudged": done.unjudged,
            "retyped": done.retyped,
            "left_out": done.left_out,
            "linked": done.linked,
            "naming": done.naming,
            "copies": msgspec.to_builtins(done.copies, enc_hook=str) if done.copies is not None else None,
        }
    )
