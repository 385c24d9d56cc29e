"""`bartizan doctor`: what this install can do."""

from __future__ import annotations

import platform
import sqlite3
import sys

import click

from bartizan import __version__
from bartizan.cli.options import format_option
from bartizan.cli.show import json_text, table
from bartizan.engine import extras, registry


@click.command("doctor", epilog="Example: bartizan doctor --format json")
@format_option("table", "json")
def command(form: str) -> int:
    """Say which versions are at work, which extras are installed, which checks each would bring, and what is wrong."""
    checks, problems = registry.load_all()
    core = {
        name: extras.version(name) or "missing"
        for name in ("click", "cryptography", "jinja2", "msgspec", "numpy", "packaging", "PyYAML", "rfc8785")
    }
    parts = {
        name: {"missing": extras.missing("bartizan", name), "checks": sorted(c.id for c in checks.values() if c.extra == name)}
        for name in extras.offered()
        if name not in ("dev", "docs")
    }
    if form == "json":
        facts = {"bartizan": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
        click.echo(json_text({**facts, "core": core, "extras": parts, "checks": len(checks), "problems": [str(p) for p in problems]}))
        return 2 if problems else 0
    click.echo(f"bartizan {__version__} on Python {platform.python_version()}, {sys.platform}, SQLite {sqlite3.sqlite_version}")
    click.echo("  ".join(f"{name} {v}" for name, v in core.items()) + "\n")
    rows = [
        (name, extras.command("bartizan", name) if part["missing"] else "installed", len(part["checks"]), ", ".join(part["checks"]) or "-")
        for name, part in parts.items()
    ]
    click.echo(table(("extra", "state", "checks", "which"), rows))
    click.echo(f"\n{len(checks)} checks are ready to plan.")
    for problem in problems:
        click.echo(f"{click.style('problem', fg='red')}: {problem}")
    return 2 if problems else 0
