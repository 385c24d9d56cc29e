"""`bartizan data read`: data as its policy shows it to somebody, for a purpose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bartizan.cli.data_shown import FILE
from bartizan.cli.options import NewFile, format_option
from bartizan.cli.show import json_text, table
from bartizan.model.errors import InputError, one_line

if TYPE_CHECKING:
    from bartizan.areas.access.compiling import View
    from bartizan.areas.access.reading import Reader

SHOWN = 20
"""Rows that are printed."""


@click.command("read", epilog="Example: bartizan data read loans.parquet --as alice --purpose training --sql 'SELECT count(*) FROM loans'")
@click.argument("path", type=click.Path(path_type=Path, exists=True), metavar="DATA")
@click.option("--policy", type=FILE, help="The policy. Default: DATA.access.yaml beside DATA.")
@click.option("--as", "principal", required=True, metavar="NAME", help="Who reads, a principal of the policy.")
@click.option("--purpose", required=True, metavar="NAME", help="What for, a purpose of the policy.")
@click.option("--columns", metavar="NAMES", help="Only these columns, separated by commas.")
@click.option("--sql", "query", metavar="SELECT", help="One SELECT over the table, which has the policy's name.")
@click.option("--key", type=FILE, help="The file with the key of keyed hashes.")
@click.option("--log", type=click.Path(path_type=Path, file_okay=False), help="The .bartizan folder whose chain records who asked.")
@click.option("-o", "--output", type=NewFile(), help="Write a copy: .parquet, .csv or .jsonl, readable by you alone.")
@click.option("--explain", is_flag=True, help="Only say what is decided for each column and for rows; read nothing.")
@format_option("table", "json")
def read_command(*, path: Path, explain: bool, query: str | None, columns: str | None, output: Path | None, form: str, **who: Any) -> int:
    """Read the table DATA as its policy shows it: columns clear, masked or absent, and only the rows that are permitted. Everything given
    is recorded in the signed chain first. Who NAME is has to be known to whoever runs this; it asks for no password."""
    from bartizan.areas.access import policy as policies
    from bartizan.areas.access.compiling import view
    from bartizan.areas.access.reading import open as opened

    place, key = who["policy"] or policies.beside(path), _key(who["key"])
    if explain:
        click.echo(_explained(view(policies.load(place), path, who["principal"], who["purpose"], key=key), form))
        return 0
    if query is not None and columns is not None:
        raise InputError("give either --sql or --columns")
    names = [name.strip() for name in columns.split(",")] if columns is not None else None
    with opened(path, who["principal"], who["purpose"], policy=place, key=key, log=who["log"]) as reader:
        if output is not None:
            click.echo(_written(reader, query, names, path, output), err=True)
            return 0
        frame = reader.sql(query) if query is not None else reader.frame(names)
    click.echo(json_text(frame.to_dicts()) if form == "json" else _shown(frame))
    return 0


def _written(reader: Reader, query: str | None, names: list[str] | None, path: Path, output: Path) -> str:
    from bartizan.areas.access.handing import write

    if output.exists() and (output.samefile(path) or output.resolve().is_relative_to(path.resolve())):
        raise InputError("is the data itself", place=str(output), cure="write the copy elsewhere")
    rows = write([reader.sql(query)] if query is not None else reader.batches(names), output)
    return f"wrote {output}: {rows} rows"


def _shown(frame: Any) -> str:
    rows = [tuple("" if cell is None else cell for cell in row) for row in frame.head(SHOWN).rows()]
    text = table([one_line(name, 60) for name in frame.columns], rows)
    return text + (f"\nand {len(frame) - SHOWN} rows more: --output" if len(frame) > SHOWN else "")


def _explained(made: View, form: str) -> str:
    from bartizan.areas.access.rows import to_sql

    rows = to_sql(made.condition)
    if form == "json":
        return json_text({"columns": made.decisions, "rows": rows, "retention": made.policy.retention})
    lines = [
        (d.column, str(d.shown) + (f" ({d.mask})" if d.mask else ""), "yes" if d.aggregate else "", ", ".join(d.by) or d.why)
        for d in made.decisions
    ]
    text = table(("column", "shown", "in figures", "by"), lines)
    kept = made.policy.retention
    limit = f"\nand not expired by the column {one_line(kept.column, 60)}" if kept is not None else ""
    return f"{text}\n\nrows: {one_line(rows)}{limit}"


def _key(path: Path | None) -> bytes | None:
    from bartizan.areas.pii.pseudonyms import load_key

    return load_key(path, create=False) if path is not None else None
