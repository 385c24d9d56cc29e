"""`bartizan catalog`: look up what we know."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from bartizan.catalog import Catalog
from bartizan.catalog import load as load_catalog
from bartizan.cli.options import format_option
from bartizan.cli.show import json_text, table
from bartizan.model.errors import UnknownName
from bartizan.renderers.escape import visible

SECTIONS = ("threats", "controls", "frameworks", "checklist")


@click.command("catalog", epilog="Example: bartizan catalog threats membership-inference")
@click.argument("section", type=click.Choice(SECTIONS), default="threats")
@click.argument("id", required=False)
@click.option("--extra", multiple=True, type=click.Path(path_type=Path, exists=True), help="A file or folder of your own to add.")
@format_option("table", "json")
def command(section: str, id: str | None, extra: tuple[Path, ...], form: str) -> None:
    """List threats, controls, frameworks or the implementation checklist, or show one entry."""
    catalog = load_catalog(extra)
    entries = entries_of(catalog, section)
    if id is not None:
        one = found(catalog, section, id, entries)
        click.echo(json_text(one) if form == "json" else page(one))
    elif form == "json":
        click.echo(json_text(list(entries.values())))
    else:
        click.echo(table(*rows(section, catalog)))


def entries_of(catalog: Catalog, section: str) -> dict[str, msgspec.Struct]:
    """The entries of one section by id."""
    if section == "checklist":
        return {item.id: item for item in catalog.checklist}
    return dict(getattr(catalog, section))


def found(catalog: Catalog, section: str, id: str, entries: dict[str, msgspec.Struct]) -> msgspec.Struct:
    """The entry called `id`, or by a retired name that an alias resolves."""
    if section == "threats":
        return catalog.threat(id)
    if section == "controls":
        return catalog.control(id)
    if id not in entries:
        raise UnknownName(section, id, list(entries))
    return entries[id]


def page(entry: msgspec.Struct) -> str:
    """An entry as lines of `field: value`, without what is empty."""
    lines = []
    for name, value in msgspec.to_builtins(entry).items():
        if not value or name in ("at", "when"):
            continue
        if isinstance(value, list | tuple):
            value = "".join(f"\n    {', '.join(map(str, v.values())) if isinstance(v, dict) else v}" for v in value)
        shown = visible(str(value), keep="\n")
        lines.append(f"{click.style(name, bold=True)}: {shown}")
    return "\n".join(lines)


def rows(section: str, catalog: Catalog) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """The heads and rows of the table of one section."""
    if section == "threats":
        return ("threat", "family", "stride", "title"), [(t.id, t.family, "".join(t.stride), t.title) for t in catalog.threats.values()]
    if section == "controls":
        return ("control", "phases", "title"), [(c.id, ", ".join(c.phases), c.title) for c in catalog.controls.values()]
    if section == "frameworks":
        sizes = {f.id: f"{len(f.clauses)}" if f.complete else f"{len(f.clauses)} listed" for f in catalog.frameworks.values()}
        listed = [(f.id, f.version, sizes[f.id], f.title) for f in catalog.frameworks.values()]
        return ("framework", "version", "entries", "title"), [*listed]
    return ("item", "group", "title"), [(i.id, i.group, i.title) for i in catalog.checklist]
