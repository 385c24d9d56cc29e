"""`bartizan scan deps`: packages with published weaknesses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bartizan.cli.options import NewFile, format_option, write
from bartizan.cli.show import json_text, table

if TYPE_CHECKING:
    from bartizan.areas.dependencies.advisories.matching import Match
    from bartizan.areas.dependencies.vulnerabilities import Judged


@click.command("deps", epilog="Example: bartizan scan deps requirements.txt --code src/")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True), metavar="[PATH]...")
@click.option("--max-age", type=click.FloatRange(min=0), default=7.0, show_default=True, help="Days after which advisories are too old.")
@click.option("--vex", type=click.Path(path_type=Path, exists=True, dir_okay=False), multiple=True, help="OpenVEX or CycloneDX excuses.")
@click.option("--write-vex", type=NewFile(), help="Write an OpenVEX document to start from.")
@click.option("--code", type=click.Path(path_type=Path, exists=True), help="The serving code: says which vulnerable packages it imports.")
@click.option("--known-name", multiple=True, metavar="NAME", help="A package that is meant, although its name looks like another's.")
@click.option("-o", "--output", type=NewFile(), help="Write the result to a file.")
@format_option("table", "json", "sarif")
def command(
    paths: tuple[Path, ...],
    max_age: float,
    vex: tuple[Path, ...],
    write_vex: Path | None,
    code: Path | None,
    known_name: tuple[str, ...],
    output: Path | None,
    form: str,
) -> None:
    """Compare packages with published weaknesses: requirements and lock files, environments, wheels, SBOMs, container images.

    Ends with 1 where a package is vulnerable or cannot be judged, with 2 without current advisories. Nothing is installed or run.
    """
    from bartizan.areas.dependencies import vex as statements
    from bartizan.areas.dependencies.inventory import packages_in
    from bartizan.areas.dependencies.reachability import imports_of
    from bartizan.areas.dependencies.vulnerabilities import judge

    packages = [package for path in (paths or (Path(),)) for package in packages_in(path)]
    excuses = [statement for path in vex for statement in statements.read(path)]
    imports = imports_of(code) if code is not None else None
    found = judge(packages, max_age=timedelta(days=max_age), statements=excuses, imports=imports, known_names=known_name)
    if write_vex is not None:
        write(statements.document(found.vulnerable, dict(found.imported), "bartizan scan deps"), write_vex)
    write(_FORMS[form](found), output)
    if found.aged is not None:
        click.echo(f"bartizan: {found.aged}", err=True)
    if not found.clean:
        raise click.exceptions.Exit(1 if found.vulnerable or found.unknown or found.unjudged or found.suspects else 2)


def _row(match: Match, imported: Mapping[str, bool | None]) -> tuple[object, ...]:
    package = match.package
    cve = next((id for id in match.ids[1:] if id.startswith("CVE")), "-")
    words = {True: "yes", False: "no", None: "?"}
    seen = words[imported[package.name]] if imported else "-"
    return package.name, package.version, match.ids[0], cve, ", ".join(match.fixed[:3]) or "none", seen, match.title[:70]


def _table(found: Judged) -> str:
    rows = [_row(match, found.imported) for match in found.vulnerable]
    parts = [table(("package", "version", "advisory", "CVE", "repaired in", "imported", "weakness"), rows)] if rows else []
    if found.upgrades:
        parts.append("\n".join(f"  {n}: install {v}" if v else f"  {n}: no version repairs all" for n, v in found.upgrades.items()))
    parts += [f"cannot be judged: {m.package}, {', '.join(m.ids[:2])}: {m.why}" for m in found.unknown]
    parts += [
        f"cannot be judged: {count} packages of {kind}; fetch advisories: bartizan advisories update --ecosystem {kind}"
        for kind, count in found.unjudged.items()
    ]
    parts += [f"suspect name: '{s.name}' looks like '{s.target}' ({s.how}); if it is meant: --known-name {s.name}" for s in found.suspects]
    parts += [f"excused: {m.package.name} {m.ids[0]}: {s.state}, {s.reason or 'no reason given'} ({s.place})" for m, s in found.excused]
    dated = ", ".join(f"{a.ecosystem} {a.newest[:10]}" for a in found.about)
    names = {m.package.name for m in found.vulnerable}
    parts.append(
        f"{len(found.vulnerable)} weaknesses in {len(names)} of {len(found.packages)} packages; "
        f"{len(found.unknown)} cannot be judged; {len(found.excused)} excused; advisories: {dated}"
    )
    return "\n".join(parts)


def _json(found: Judged) -> str:
    def plain(match: Match) -> dict[str, object]:
        package = match.package
        return {
            "package": package.name, "version": package.version, "ecosystem": package.ecosystem, "ids": list(match.ids),
            "title": match.title, "fixed": list(match.fixed), "severity": list(match.vectors), "why": match.why,
            "at": str(package.place), "imported": found.imported.get(package.name),
        }  # fmt: skip

    return json_text(
        {
            "clean": found.clean,
            "packages": len(found.packages),
            "vulnerable": [plain(m) for m in found.vulnerable],
            "unknown": [plain(m) for m in found.unknown],
            "excused": [plain(m) | {"state": s.state, "reason": s.reason} for m, s in found.excused],
            "unjudged": dict(found.unjudged),
            "suspects": [{"name": s.name, "looks_like": s.target, "how": s.how} for s in found.suspects],
            "upgrades": dict(found.upgrades),
            "advisories": list(found.about),
            "aged": str(found.aged) if found.aged else None,
        }
    )


def _sarif(found: Judged) -> str:
    from bartizan.renderers.sarif_log import log, result

    results = [
        result(m.ids[0], "error", f"{m.package}: {m.title}; repaired in {', '.join(m.fixed) or 'no version'}", m.package.place)
        for m in found.vulnerable
    ]
    results += [result("cannot-be-judged", "warning", f"{m.package}: {m.why}", m.package.place) for m in found.unknown]
    places = {p.name: p.place for p in found.packages}
    results += [result("suspect-name", "warning", f"'{s.name}' looks like '{s.target}' ({s.how})", places[s.name]) for s in found.suspects]
    return log(results)


_FORMS = {"table": _table, "json": _json, "sarif": _sarif}
