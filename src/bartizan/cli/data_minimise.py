"""`bartizan data minimise`: which columns of a table a model does not need, and the table without them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bartizan.cli.data_shown import FILE
from bartizan.cli.options import NewFile, format_option
from bartizan.cli.show import fit, json_text, table
from bartizan.model.errors import one_line

if TYPE_CHECKING:
    from bartizan.areas.access.column_needs import ColumnNeed, Minimised


@click.command("minimise", epilog="Example: bartizan data minimise loans.csv --label default --margin 0.005 -o smaller.csv")
@click.argument("path", type=FILE)
@click.option("--label", required=True, metavar="COLUMN", help="The column that the model tells.")
@click.option("--model", type=FILE, help="A skops file; it is trained anew without columns. Default: a forest of random trees.")
@click.option("--test", type=FILE, help="Rows that the model has not seen: its columns are permuted there.")
@click.option("--personal", multiple=True, metavar="COLUMN", help="A column about persons that neither name nor content shows; repeatable.")
@click.option(
    "--margin", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.005, show_default=True, help="What may be lost."
)
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="How rows are drawn.")
@click.option("--seconds", type=click.FloatRange(1), default=600.0, show_default=True, help="What is not reached then is not settled.")
@click.option("--svg", type=NewFile(), help="Also draw it.")
@click.option("-o", "--output", type=NewFile(), help="Write the data without the columns that may go, every other cell as it is.")
@format_option("table", "json")
def minimise_command(path: Path, svg: Path | None, output: Path | None, form: str, **what: Any) -> int:
    """Say which columns of the table at PATH a model does not need to tell --label: columns about persons first, each claim proved by
    training without it. Ends with 1 where personal columns may go."""
    from bartizan.workflows import data_minimisation as work

    asking = work.Asking(**what)
    try:
        found = work.minimise(path, asking, told=_told)
    finally:
        _told("")
    if svg is not None:
        svg.write_bytes(work.picture(found))
    gone = [column.name for column in found.columns if column.status == "not needed"]
    if form == "json":
        click.echo(json_text(_plain(found, work.columns_of(found))))
    else:
        _shown(found)
    if output is not None and gone:
        rows = work.write_without(path, output, gone)
        click.echo(f"wrote {one_line(str(output))}: {rows} rows without {len(gone)} columns", err=form == "json")
    elif output is not None:
        click.echo("nothing may go for certain, so nothing was written", err=form == "json")
    return 1 if any(column.personal and column.name in gone for column in found.columns) else 0


def _plain(found: Minimised, columns: list[dict[str, object]]) -> dict[str, object]:
    return {
        "label": found.label, "metric": found.metric, "rows": found.rows, "learner": found.learner, "full": found.full,
        "reached": found.reached, "lost": found.lost, "lost_at_most": found.lost_at_most, "margin": found.margin,
        "confidence": found.confidence, "kept": found.kept, "notes": found.notes, "columns": columns,
    }  # fmt: skip


def _shown(found: Minimised) -> None:
    heads = ("column", "", "answer", "permuted", "with its like", "among alike", "lost without", "alone", "like")
    order = {"not needed": 0, "unsettled": 1, "needed": 2}
    columns = sorted(found.columns, key=lambda column: (order[column.status], not column.personal, column.name))
    click.echo(table(heads, [_row(column) for column in columns]) + "\n")
    gone = sum(column.status == "not needed" for column in found.columns)
    click.echo(f"{found.metric} with all {len(found.columns)} columns: {found.full[0]:.3f} ({found.full[1]:.3f} to {found.full[2]:.3f})")
    if gone:
        click.echo(f"without the {gone} that may go: {found.reached[0]:.3f}; at most {max(0.0, found.lost_at_most):.4f} lower, for certain")
    leaks = [column.name for column in found.columns if column.leak]
    if leaks:
        click.echo(f"note: alone {one_line(', '.join(leaks), 120)} tells the label almost without error: does the answer stand in it?")
    if not found.notes and all(column.status == "unsettled" for column in found.columns):
        larger = min(found.margin * 4, 0.5)
        click.echo(f"note: {found.rows} rows settle no column: give more rows, or allow a larger loss (--margin {larger:g})")
    for note in found.notes:
        click.echo(f"note: {one_line(note)}")
    click.echo(f"by {found.learner}, {found.rows} rows, margin {found.margin:g}")


def _row(column: ColumnNeed) -> tuple[str, ...]:
    held = column.permuted
    lost = [f"{one.value:+.4f}" for one in (held.alone, held.together, held.alike)] if held is not None else ["", "", ""]
    without = f"{column.lost.value:+.4f}" if column.lost is not None else ""
    mark = "personal" if column.personal else ""
    return (
        one_line(column.name, 60),
        mark,
        str(column.status),
        *lost,
        without,
        f"{column.alone[0]:.3f}",
        one_line(", ".join(column.alike), 40),
    )


def _told(what: str) -> None:
    """One line on a terminal's standard error that says what is tried; an empty one takes it away."""
    if sys.stderr.isatty():
        sys.stderr.write("\r" + fit(one_line(what, 90), 90).rstrip() + "\x1b[K")
        sys.stderr.flush()
