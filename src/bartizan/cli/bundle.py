"""`bartizan bundle`: export what an auditor needs as one file."""

from __future__ import annotations

import re
from pathlib import Path

import click

from bartizan.cli.options import NewFile, project_argument


@click.command("bundle", epilog="Example: bartizan bundle examples/credit-scoring -o audit.bartizan.zip")
@project_argument
@click.option("--output", "-o", type=NewFile(), help="The file to write; <system>.bartizan.zip by default.")
def command(path: Path, output: Path | None) -> None:
    """Export the evidence, checkpoints, public keys and artefacts with the manifest and the report as one file that `bartizan verify`
    checks anywhere, offline."""
    from bartizan.cli.state import opened
    from bartizan.workflows.audit import bundle

    with opened(path, sign=True) as (project, store):
        target = output or Path(f"{_file_name(project.system.name)}.bartizan.zip")
        head = bundle(project, store, target)
    click.echo(f"wrote {target}: {head.entries} entries, head {head.head[:16]}…, key {head.key[:16]}…")
    click.echo(f"Give the auditor the public key by another road: bartizan keys export key.pem {path}")


def _file_name(system: str) -> str:
    """`system` as the name of a file in the present folder: a manifest does not choose another one."""
    return re.sub(r"[^\w.-]+", "-", system)[:40].strip("-.") or "system"
