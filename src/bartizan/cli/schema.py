"""`bartizan schema`: the JSON Schema of the manifest."""

from __future__ import annotations

from pathlib import Path

import click

from bartizan.cli.options import NewFile, write
from bartizan.cli.show import json_text


@click.command("schema", epilog="Example: bartizan schema -o bartizan.schema.json")
@click.option("--output", "-o", type=NewFile(), help="Write to this file.")
def command(output: Path | None) -> None:
    """Print the JSON Schema of bartizan.yaml, for completion and checking in editors."""
    from bartizan.manifest import schema

    write(json_text(schema()), output)
