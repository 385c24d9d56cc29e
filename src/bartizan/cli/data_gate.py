"""`bartizan data gate`: the door before a training."""

from __future__ import annotations

from pathlib import Path

import click

from bartizan.cli.data_shown import FILE
from bartizan.cli.options import NewFile, format_option, write
from bartizan.cli.show import json_text
from bartizan.model.errors import InputError, one_line


@click.command("gate", epilog="Example: bartizan data gate loans.parquet --schema loans.schema.yaml")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--schema", type=FILE, help="The schema: ours, a suite of Great Expectations, or one that pandera wrote.")
@click.option("--infer", "target", type=NewFile(), help="Write a first schema here, for review.")
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
            click.echo(f"broken: {one_line(v.column or 'table', 80)}: {one_line(v.text)}{count}")
            for row, value in zip(v.rows, v.values or [""] * len(v.rows), strict=True):
                click.echo(f"          row {row}" + (f": {one_line(str(value))}" if value else ""))
        for note in found.notes:
            click.echo(f"note: {one_line(note)}")
        judged = f"{found.rows} rows by {found.rules} rules of {one_line(found.schema, 60)} version {found.version}"
        if found.ok and unreviewed:
            click.echo(
                f"refused: {judged} hold, and nobody reviewed them: write who and when under 'reviewed' in {one_line(schema.name, 120)}"
            )
        else:
            click.echo(f"ok: {judged}" if found.ok else f"refused: {judged}: {len(found.violations)} broken")
    return 0 if found.ok and not unreviewed else 1
