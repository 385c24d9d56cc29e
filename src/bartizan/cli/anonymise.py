"""`bartizan harden anonymise`: a copy of a table or text without personal data."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bartizan.cli.options import format_option

if TYPE_CHECKING:
    from bartizan.areas.pii.cleaning import Action


@click.command(
    "anonymise", epilog="Example: bartizan harden anonymise loans.csv -o clean.csv --key pseudonyms.key --set age=generalise --k 10"
)
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The new file: .csv, .tsv, .jsonl, .parquet or a text."
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--key", type=click.Path(path_type=Path), help="File with the key of the pseudonyms; made where there is none.")
@click.option("--set", "actions", multiple=True, metavar="COLUMN=ACTION", help="What happens to a column; repeatable.")
@click.option("--k", type=click.IntRange(1), default=10, show_default=True, help="Rows that look alike in columns set to generalise.")
@click.option("--diversity", type=click.IntRange(1), default=1, show_default=True, help="Different sensitive values in each such group.")
@click.option("--closeness", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Farthest a group may lie from the whole.")
@click.option("--sensitive", multiple=True, metavar="COLUMN", help="A column that must not be guessed from a group; repeatable.")
@click.option("--subject", metavar="COLUMN", help="Whose row it is: dates set to shift move together for each.")
@click.option(
    "--names",
    type=click.Choice(["auto", "off", "strict"]),
    default="auto",
    show_default=True,
    help="Names in free text: searched where the extra for it is installed; not at all; in every sentence, with places.",
)
@format_option("table", "json")
def command(
    *, source: Path, output: Path, force: bool, key: Path | None, actions: tuple[str, ...], form: str, names: str, **wanted: Any
) -> int:
    """Write a copy of a table or text without personal data, and measure what is left.

    What is not set is chosen: identifiers become pseudonyms, details inside text are masked, secrets and addresses are left out, dates of
    birth become years. The same name has the same letters everywhere under one key. Actions: keep, remove, mask, pseudonym, format, shift,
    year, round, prefix, generalise. Exit code: 0, 1 when a scan of the copy still finds something, 2 when it could not be made."""
    from bartizan.areas.pii.cleaning import Wish
    from bartizan.areas.pii.masking import Names
    from bartizan.areas.pii.pseudonyms import load_key
    from bartizan.cli.show import json_text

    wish = Wish(actions=dict(_action(text) for text in actions), names=Names(names), **wanted)
    copies: Any = importlib.import_module("bartizan.areas.pii.copies")  # by name: listing commands does not lead to pandas
    copy = copies.clean_copy(source, output, wish, key=load_key(key) if key else None, force=force)
    if form == "json":
        click.echo(json_text(copy))
    else:
        _shown(copy, names)
    return 0 if copy.clean else 1


def _action(text: str) -> tuple[str, Action]:
    from bartizan.areas.pii.cleaning import Action
    from bartizan.model.errors import InputError, UnknownName

    name, equals, action = text.rpartition("=")
    if not equals:
        raise InputError(f"'{text}' is not COLUMN=ACTION", cure="for instance --set age=generalise")
    if action not in list(Action):
        raise UnknownName("action", action, [str(known) for known in Action])
    return name, Action(action)


def _shown(copy: Any, names: str) -> None:
    from bartizan.cli.show import table

    if copy.done:
        rows = [(name, str(action), ", ".join(copy.residual.get(name, {}))) for name, action in copy.done.items()]
        click.echo(table(("column", "what was done", "still found"), rows) + "\n")
    for when, alike in (("before", copy.before), ("after", copy.after)):
        if alike is not None:
            lone = f"{alike.unique} stand alone; who knows a person's values finds the row in {alike.highest_risk:.2%} at worst"
            click.echo(f"{when}: the smallest of {alike.groups} groups has {alike.k} of {alike.rows} rows, {lone}")
    left = "nothing is found in it any more" if copy.clean else f"still found: {', '.join(copy.residual)}"
    missed = "names inside free text were searched too; the tagger misses some (one in eight in its tests)"
    unsearched = "names inside free text were not searched" + ("" if names == "off" else ": pip install 'bartizan[names]'")
    click.echo(f"wrote {copy.written} ({copy.rows} rows); {left}; {missed if copy.names else unsearched}")
