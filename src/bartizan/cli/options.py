"""Arguments and options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bartizan.model.errors import InputError, one_line

Command = TypeVar("Command", bound=Callable[..., Any])


MAX_RADIUS = 1e9
"""Greatest radius of an attack, in units of the inputs: beyond it numbers of single precision mean nothing."""


class NewFile(click.Path):
    """A file that a command will write. Its folder must be there, so that no long work ends in nothing; what is there and no plain file,
    such as a pipe or `/dev/null`, is written to by none that puts a whole file in its place."""

    def __init__(self, *, dir_okay: bool = False) -> None:
        super().__init__(path_type=Path, dir_okay=dir_okay)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Fails where nothing can be written there."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        try:
            if not path.parent.is_dir():
                self.fail(f"the folder '{path.parent}' is not there; make it first", param, ctx)
            if path.exists() and not path.is_file() and not path.is_dir():
                self.fail(f"'{path}' is no plain file; name a file to write, or leave the option out where the command prints", param, ctx)
        except OSError as error:
            self.fail(f"'{path}': {error.strerror}", param, ctx)
        return path


class Radius(click.FloatRange):
    """A finite number greater than 0: the radius of an attack."""

    def __init__(self) -> None:
        super().__init__(0.0, MAX_RADIUS, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. Fails for one that is none (nan), which is neither below nor above any bound."""
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail("nan is no radius", param, ctx)
        return number


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
    if not output.parent.is_dir():
        raise InputError("the folder of the output is not there", place=str(output), cure="make it first")
    whole = output.with_name(f".{output.name}.part")
    try:
        whole.write_text(text, encoding="utf-8")
        whole.replace(output)
    finally:
        whole.unlink(missing_ok=True)
    click.echo(f"wrote {one_line(str(output), 300)}", err=True)
