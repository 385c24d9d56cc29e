"""`bartizan scan`: what would loading these model files do? With a first word such as `deps`, what else can be scanned."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bartizan.cli.options import NewFile, format_option, write

if TYPE_CHECKING:
    from bartizan.areas.artefacts.pickles import Policy
    from bartizan.areas.artefacts.reports import FileReport, ScanReport

KINDS: dict[str, tuple[str, str]] = {
    "deps": ("bartizan.cli.scan_deps", "packages with published weaknesses"),
    "code": ("bartizan.cli.scan_code", "training code, notebooks and settings that open a door"),
    "weights": ("bartizan.cli.scan_weights", "weights beside a reference"),
    "data": ("bartizan.cli.scan_data", "a data set: what it holds, and what every check says of it"),
}
"""What else can be scanned: the first word, the module of its command, what it is. A file of that name is scanned as `./deps`."""

REASONS_SHOWN = 4
"""Reasons of one file that the table shows."""

COLOURS = {"safe": "green", "needs-policy": "yellow", "unsafe": "red"}

EPILOG = """\b
Example: bartizan scan models/ --format sarif -o scan.sarif
\b
Also:
"""


class _Scan(click.Command):
    """The command on model files; a first word of `KINDS` hands over to the command of that kind."""

    def make_context(self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any) -> click.Context:
        if args and args[0] in KINDS:
            module, _ = KINDS[args[0]]
            inner = importlib.import_module(module).command
            assert isinstance(inner, click.Command)
            return inner.make_context(args[0] if parent is None else f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command("scan", cls=_Scan, epilog=EPILOG + "".join(f"  bartizan scan {word:6} {text}\n" for word, (_, text) in KINDS.items()))
@click.argument("paths", nargs=-1, required=True, type=click.Path(), metavar="PATH...")
@format_option("table", "json", "sarif")
@click.option("-o", "--output", type=NewFile(), help="Write the result to a file.")
@click.option(
    "--policy", "policies", type=click.Path(path_type=Path, exists=True, dir_okay=False), multiple=True, help="Names that are allowed, too."
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes; as many as there are processors where the work is worth it.")
@click.option("--no-cache", is_flag=True, help="Scan again what was scanned before.")
def command(paths: tuple[str, ...], form: str, output: Path | None, policies: tuple[Path, ...], workers: int | None, no_cache: bool) -> int:
    """Say what loading model files would do: files, folders, Hugging Face and MLflow layouts, archives. Nothing is loaded, no framework is
    needed. Exit code 0: all safe; 1: something is unsafe, or nobody reviewed what it uses; 2: a path could not be read."""
    from bartizan.areas.artefacts.pickles import Policy
    from bartizan.areas.artefacts.safety import Safety
    from bartizan.areas.artefacts.scan_cache import ScanCache, default_folder
    from bartizan.areas.artefacts.scanning import VERSION, scan

    policy = _with(policies) if policies else Policy.shipped()
    cache = None if no_cache else ScanCache(default_folder(), policy.digest, VERSION)
    report = scan(paths, policy=policy, workers=workers, cache=cache, listener=_Ticker() if sys.stderr.isatty() else None)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    write(_FORMS[form](report), output)
    if report.errors or not report.files:
        for file in report.errors:
            click.echo(f"bartizan: {file.path}: {file.error}", err=True)
        if not report.files:
            click.echo("bartizan: there is no file here", err=True)
        return 2
    return 0 if report.verdict is Safety.SAFE else 1


def _with(paths: tuple[Path, ...]) -> Policy:
    """The shipped policy and the files, whose signatures hold and whose packages are installed as they were read."""
    from bartizan.areas.artefacts.policy_compiler.signed import installed, with_policies
    from bartizan.cli.policy import known_keys

    policy, notes = with_policies(paths, keys=known_keys(), environment=installed())
    for note in notes:
        click.echo(f"bartizan: {note}", err=True)
    return policy


class _Ticker:
    """One line on a terminal's standard error, redrawn in place."""

    def __call__(self, report: FileReport, done: int, total: int) -> None:
        from bartizan.cli.show import fit

        if total > 1 and (done % 8 == 0 or done == total):
            sys.stderr.write("\r" + fit(f"{done}/{total}  {os.path.basename(report.path)}", 78).rstrip() + "\x1b[K")
            sys.stderr.flush()


def _table(report: ScanReport) -> str:
    from bartizan.model.errors import one_line

    lines = []
    for file in report.files:
        verdict = click.style(f"{file.safety.value:12}", fg=COLOURS[file.safety.value])
        lines.append(f"{verdict}  {one_line(file.path, 200)}  ({file.format})")
        for reason in file.reasons[:REASONS_SHOWN]:
            at = f" (byte {reason.offset})" if reason.offset is not None else ""
            lines.append(f"              {one_line(reason.text, 300)}{at}")
        if len(file.reasons) > REASONS_SHOWN:
            lines.append(f"              and {len(file.reasons) - REASONS_SHOWN} reasons more: --format json")
    lines += [f"{'skipped':12}  {one_line(folder, 200)}" for folder in report.skipped]
    counts = ", ".join(f"{count} {safety.value}" for safety, count in report.counts.items() if count)
    total = len(report.files)
    lines.append(f"{total} file{'s' * (total != 1)}: {counts or 'nothing'}.")
    return "\n".join(lines)


def _json(report: ScanReport) -> str:
    import msgspec

    from bartizan.cli.show import json_text

    plain = msgspec.to_builtins(report) | {
        "verdict": report.verdict.value,
        "counts": {safety.value: count for safety, count in report.counts.items()},
    }
    return json_text(plain)


def _sarif(report: ScanReport) -> str:
    import msgspec

    from bartizan.renderers.scan_sarif import render

    return render(msgspec.to_builtins(report)["files"])


_FORMS = {"table": _table, "json": _json, "sarif": _sarif}
