"""The table of commands. A command's file is imported when it is used, so that `--help` stays light."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from bartizan import __version__
from bartizan.model.errors import BartizanError, nearest, one_line

COMMANDS: dict[str, str] = {
    "init": "Draft a manifest from what a folder holds.",
    "threats": "Derive what can go wrong from the manifest.",
    "assess": "Attack and inspect the real system, keep signed evidence, compute the residual risk.",
    "harden": "Make a declared model stronger or smaller, and compare both under attack.",
    "risks": "Show the risk register from the evidence at hand, without running anything.",
    "explain": "Show how a risk came to its number, step by step.",
    "accept": "Accept, transfer or avoid a risk, with a reason and an end date.",
    "report": "Write the report: HTML, Markdown, JSON, CSV, SARIF or JUnit.",
    "bundle": "Export what an auditor needs as one file.",
    "sign": "Sign a model or a data set, so that others can tell that it is the one.",
    "verify": "Check a signed model, an evidence store or a bundle offline for tampering.",
    "seal": "Encrypt weights or data at rest.",
    "unseal": "Decrypt what was sealed, whole or not at all.",
    "data": "Record what a data set holds, verify, compare and prove it; read it by policy, judge it, purge rows with proof.",
    "scan": "Say what loading model files would do; also packages and code.",
    "convert": "Rewrite a model file as safetensors or skops.",
    "policy": "Allow the classes of a library in model files, derived from its files; diff and verify.",
    "run": "Run a Python program in which every pickle is judged before it is loaded.",
    "checks": "List the checks of this install, or describe one.",
    "catalog": "Look up threats, controls, frameworks and the checklist.",
    "schema": "Print the JSON Schema of the manifest for editors.",
    "advisories": "Fetch published weaknesses of packages, and show how old they are.",
    "bom": "Write the bill of materials (CycloneDX, SPDX), or say what changed between two.",
    "keys": "Show, rotate or export the signing key.",
    "doctor": "Say what this install can and cannot do.",
    "completion": "Print the shell completion script.",
}


class Table(click.Group):
    """A group whose commands are the rows of `COMMANDS`, each in the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"bartizan.cli.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            close = nearest(args[0], COMMANDS)
            ctx.fail(f"no command '{args[0]}'" + (f"; did you mean '{close}'?" if close else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


EPILOG = """\b
First steps:
  bartizan init my-system/       draft my-system/bartizan.yaml
  bartizan threats my-system/    what can go wrong
  bartizan assess my-system/     attack, inspect, sign, and see the risk
"""


@click.group(
    cls=Table, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, no_args_is_help=True
)
@click.version_option(__version__, prog_name="bartizan", message="%(prog)s %(version)s")
def bartizan() -> None:
    """Declare an AI system in one file, derive its threats, attack and inspect the real thing, keep signed evidence, and know the
    residual risk."""


def run(arguments: Sequence[str]) -> int:
    """Run the command line with `arguments`; return the exit code. Errors made by users are one line on standard error."""
    try:
        code = bartizan.main(args=list(arguments), prog_name="bartizan", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except BartizanError as error:
        return _fail(str(error))
    except (click.exceptions.Abort, KeyboardInterrupt):  # click makes the one of the other
        return _fail("interrupted; no half-written file is left, run the same command again to go on from what it keeps, or from the start")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except UnicodeEncodeError as error:
        return _fail(one_line(f"{error.object.encode('utf-8', 'backslashreplace').decode()}: is no Unicode text; rename it", 400))
    except OSError as error:
        return _fail(one_line(f"{error.filename or 'input'}: {error.strerror or error}"))
    return int(code or 0)


def _fail(message: str) -> int:
    click.echo(f"bartizan: {message}", err=True)
    return 2
