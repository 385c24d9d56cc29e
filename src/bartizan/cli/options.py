"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def project_argument(command: Command) -> Command:
    """`[PATH]`: a manifest, or a folder that holds `bartizan.yaml`; the current folder by default."""
    return click.argument("path", type=click.Path(path_type=Path), default=Path(), metavar="[PATH]")(command)


def format_option(*formats: str, default: str = "table") -> Callable[[Command], Command]:
    """`--format`: `table` for people, `json` for programs, and what else the command offers."""
    return click.option(
        "--format", "form", type=click.Choice(formats or ("table", "json")), default=default, show_default=True, help="How to print."
    )


def write(text: str, output: Path | None) -> None:
    """Print `text`, or write it whole to `output` so that an interrupted run leaves no half file."""
    if output is None:
        click.echo(text, nl=not text.endswith("\n"))
        return
    whole = output.with_name(f".{output.name}.part")
    try:
        whole.write_text(text, encoding="utf-8")
        whole.replace(output)
    finally:
        whole.unlink(missing_ok=True)
    click.echo(f"wrote {output}", err=True)
