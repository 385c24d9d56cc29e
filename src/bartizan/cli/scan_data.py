"""`bartizan scan data`: a data set as it is, without a manifest."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

from bartizan.cli.data_progress import progress, told
from bartizan.cli.options import NewFile, format_option, write
from bartizan.cli.show import json_text, paint, table, terminal_width
from bartizan.model.errors import one_line

if TYPE_CHECKING:
    from bartizan.workflows.dataset_passport import DataScan, Line

COLUMNS = 30
"""Columns that the summary shows."""


@click.command("data", epilog="Example: bartizan scan data loans.csv --label default --test holdout.csv")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--label", metavar="COLUMN", help="The column with the labels.")
@click.option("--test", type=click.Path(path_type=Path, exists=True), help="Held-out data that must not share rows with it.")
@click.option("--schema", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Judge it by this schema.")
@click.option("--seconds", type=click.FloatRange(min=1), default=600.0, show_default=True, help="The most that one check may take.")
@click.option("--skip", multiple=True, metavar="CHECK", help="Leave out a check, or an area; repeatable.")
@click.option(
    "--set", "parameters", multiple=True, metavar="CHECK.NAME=VALUE",
    help="A parameter of a check, such as quality.representation.groups=sex,age; repeatable.",
)  # fmt: skip
@click.option("--html", type=NewFile(), help="Also write a page with pictures of what was found.")
@click.option("-o", "--output", type=NewFile(), help="Write the result to a file.")
@click.option("--fresh", is_flag=True, help="Forget what a run that was stopped had read.")
@format_option("table", "json")
def command(path: Path, skip: tuple[str, ...], output: Path | None, form: str, fresh: bool, html: Path | None, **how: Any) -> int:
    """Look at a data set: a folder, csv, jsonl, parquet, text, images. One reading records what it holds, infers its schema and looks for
    personal data; then every other installed check of data sets runs. Ends with 1 where a check fails, with 2 where there is nothing in it.
    What no check looked at is said to be not covered, never to be clean."""
    from bartizan.workflows.dataset_passport import Look, scan

    with progress() as listener:
        found = scan(path, Look(skip=skip, told=told, **how), fresh=fresh, listener=listener)
    if html is not None:
        from bartizan import __version__
        from bartizan.renderers.data_scan_html import render

        write(render(found, version=__version__), html)
    said = _json(found) if form == "json" else _table(found)
    write(click.unstyle(said) if output is not None else said, output)
    return 1 if found.failed else 0


def _table(found: DataScan) -> str:
    parts = []
    if found.passport is not None and found.details is not None:
        made = found.passport
        rows = f"{made.content.rows:,} rows, {made.content.columns} columns"
        parts.append(f"{made.name}: {made.files.count} files, {made.files.size:,} bytes, {rows}\ncontent {made.content.root}")
        held = [file for file in found.details.files if file.columns]
        first = next((file for file in held if file.format != "text"), held[0] if held else None)
        if first is not None:
            profile = [(c.name, c.type, c.nulls, _number(c.mean), _number(c.deviation)) for c in first.columns[:COLUMNS]]
            of = f"{one_line(first.name)}\n" if found.details.files[1:] else ""
            parts.append(of + table(("column", "type", "empty", "mean", "deviation"), profile))
            if len(first.columns) > COLUMNS:
                parts.append(f"and {len(first.columns) - COLUMNS} columns more: --format json")
    answers = [(line.area, line.check.partition(".")[2] or line.check, line.verdict or "-", line.title) for line in found.lines]
    parts.append(table(("area", "check", "verdict", "what was found"), answers, wrapped=True))
    parts += [_advice(line) for line in found.lines if line.remedy and str(line.verdict) in ("fail", "inconclusive")]
    failed = sum(1 for line in found.lines if str(line.verdict) == "fail")
    open_ones = sum(1 for line in found.lines if str(line.verdict) in ("inconclusive", "None"))
    parts.append(f"{paint('fail') if failed else 'nothing failed'}: {failed} checks failed, {open_ones} answers are missing or not judged")
    return "\n\n".join(parts)


def _advice(line: Line) -> str:
    """What an answer rests on, and what to do."""
    said = [(f"{line.check}: ", line.why), ("  what to do: ", line.remedy)]
    columns = terminal_width()
    return "\n".join(fill(lead + one_line(text, 1200), columns, subsequent_indent="  ") for lead, text in said if text)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _json(found: DataScan) -> str:
    import msgspec

    return json_text(
        {
            "path": found.path,
            "failed": found.failed,
            "passport": msgspec.to_builtins(found.passport) if found.passport is not None else None,
            "files": msgspec.to_builtins(found.details.files) if found.details is not None else [],
            "answers": [_answer(line) for line in found.lines],
            "schema": found.schema,
            "schemas": found.schemas,
        }
    )


def _answer(line: Line) -> dict[str, Any]:
    import msgspec

    found = line.finding
    said = {"area": line.area, "check": line.check, "verdict": line.verdict, "title": line.title, "why": line.why, "remedy": line.remedy}
    if found is None:
        return {**said, "details": {}}
    more = {"severity": found.severity, "measures": found.measures, "places": found.places, "details": found.details}
    return said | {name: msgspec.to_builtins(value) for name, value in more.items()}
