"""`bartizan scan code`: what in training code opens a door."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bartizan.cli.options import NewFile, format_option, write
from bartizan.cli.show import json_text, table

if TYPE_CHECKING:
    from bartizan.areas.dependencies.training_code.remarks import Remark


@click.command("code", epilog="Example: bartizan scan code train.py notebooks/")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True), metavar="[PATH]...")
@click.option("--rule", "rules", multiple=True, metavar="RULE", help="Only this rule; may be given again.")
@click.option("--rules", "listing", is_flag=True, help="List the rules with their repairs, and end.")
@click.option("-o", "--output", type=NewFile(), help="Write the result to a file.")
@format_option("table", "json", "sarif")
def command(paths: tuple[Path, ...], rules: tuple[str, ...], listing: bool, output: Path | None, form: str) -> None:
    """Read training code, notebooks, scripts and settings for what opens a door: code in data, code from strangers, names instead of
    revisions, missing verification, open servers, missing seeds, wide permissions, secrets.

    Ends with 1 where something was found that no reason allows (`# bartizan: allow RULE because REASON`), with 2 where a file cannot be
    read. Nothing is run.
    """
    from bartizan.areas.dependencies.training_code.lint import RULES, lint
    from bartizan.model.errors import UnknownName

    if listing:
        click.echo(table(("rule", "severity", "finds", "repair"), [(r.id, r.severity, r.title, r.fix) for r in RULES]))
        return
    for rule in rules:
        if rule not in {known.id for known in RULES}:
            raise UnknownName("rule", rule, [known.id for known in RULES])
    remarks: list[Remark] = []
    unread: list[str] = []
    for path in paths or (Path(),):
        found, broken = lint(path, root=Path.cwd() if path.resolve().is_relative_to(Path.cwd()) else None, rules=rules or None)
        remarks += found
        unread += broken
    write(_FORMS[form](remarks, unread), output)
    if any(not remark.allowed for remark in remarks):
        raise click.exceptions.Exit(1)
    if unread:
        raise click.exceptions.Exit(2)


def _table(remarks: list[Remark], unread: list[str]) -> str:
    open_ones = [r for r in remarks if not r.allowed]
    parts = [table(("where", "rule", "severity", "what"), [(r.place, r.rule, r.severity, r.text) for r in open_ones])] if open_ones else []
    fixes = {r.rule: r.fix for r in open_ones}
    parts += [f"  {rule}: {fix}" for rule, fix in fixes.items()]
    parts += [f"allowed: {r.place} {r.rule}: {r.allowed}" for r in remarks if r.allowed]
    parts += [f"cannot be read: {name}" for name in unread]
    parts.append(f"{len(open_ones)} remarks, {len(remarks) - len(open_ones)} allowed, {len(unread)} files not read")
    return "\n".join(parts)


def _json(remarks: list[Remark], unread: list[str]) -> str:
    return json_text(
        {
            "remarks": [
                {"rule": r.rule, "at": str(r.place), "severity": r.severity, "text": r.text, "fix": r.fix, "allowed": r.allowed or None}
                for r in remarks
            ],
            "unread": unread,
        }
    )


def _sarif(remarks: list[Remark], unread: list[str]) -> str:
    from bartizan.areas.dependencies.training_code.lint import RULES
    from bartizan.model.errors import Place
    from bartizan.renderers.sarif_log import log, result

    levels = {"critical": "error", "high": "error", "medium": "warning"}
    results = [result(r.rule, levels.get(r.severity, "note"), r.text, r.place, fix=r.fix) for r in remarks if not r.allowed]
    results += [result("cannot-be-read", "warning", "the file cannot be read", Place(name)) for name in unread]
    return log(results, {rule.id: rule.title for rule in RULES})


_FORMS = {"table": _table, "json": _json, "sarif": _sarif}
