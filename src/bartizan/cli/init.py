"""`bartizan init`: draft a manifest from what a folder holds."""

from __future__ import annotations

from pathlib import Path

import click

from bartizan.cli.options import write
from bartizan.model.errors import InputError


@click.command("init", epilog="Example: bartizan init my-system/")
@click.argument("folder", type=click.Path(path_type=Path), default=Path(), metavar="[DIR]")
@click.option("--name", help="Name of the system; the folder's name by default.")
@click.option("--force", is_flag=True, help="Replace a manifest that is there.")
@click.option("--stdout", is_flag=True, help="Print the draft instead of writing bartizan.yaml.")
def command(folder: Path, name: str | None, force: bool, stdout: bool) -> None:
    """Draft DIR/bartizan.yaml from the model files, data, requirements, Dockerfile, Kubernetes files, OpenAPI documents, notebooks,
    web applications, language-model calls, tools and document folders found in DIR. What cannot be known is written as a question, never
    guessed. Nothing that is found is run."""
    from bartizan.workflows.draft import draft
    from bartizan.workflows.project import MANIFEST

    if not folder.is_dir():
        raise InputError("no such folder", place=str(folder))
    target = folder / MANIFEST
    if target.exists() and not (force or stdout):
        raise InputError("a manifest is already there", place=str(target), cure="replace it with --force, or print with --stdout")
    text = draft(folder, name=name)
    write(text, None if stdout else target)
    if not stdout:
        questions = sum("?" in line for line in text.splitlines() if line.lstrip().startswith("#"))
        click.echo(f"{questions} questions wait in its comments. Next: bartizan threats {folder}")
