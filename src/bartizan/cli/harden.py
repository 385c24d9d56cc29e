"""`bartizan harden`: a declared model made stronger, a copy made smaller, or a step before it, and what that does to its robustness.

One sub-command a method; methods for models share the arguments of `of_a_model`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bartizan.cli.anonymise import command as anonymise
from bartizan.cli.options import Radius, format_option, project_argument

if TYPE_CHECKING:
    from bartizan.workflows.harden import Report, Wanted
    from bartizan.workflows.project import Project


@click.group("harden", epilog="Example: bartizan harden adversarial-training my-system/ --asset reader -o models/hardened.skops")
def command() -> None:
    """Make a new version of a declared model, or put a step before it, and compare both under attack.

    The first word is the method. No method touches the model that is there."""


def of_a_model(method: Callable[..., Report]) -> Callable[..., int]:
    """The arguments of every method for models; it gets them as `project`, `wanted` and `tell`, and returns a report to print."""

    @project_argument
    @click.option("--asset", metavar="ID", help="Which declared model; needed where there are several.")
    @click.option("--eps", type=Radius(), help="Radius of the attack. Default: that of the white-box check, as the manifest sets it.")
    @click.option("--norm", type=click.Choice(["linf", "l2"]), help="Norm of the radius. Default: as for --eps.")
    @click.option("--rows", type=click.IntRange(1), default=500, show_default=True, help="Most test inputs that are attacked.")
    @click.option("--tolerance", type=click.FloatRange(0, 0.99), default=0.02, show_default=True, help="Robust accuracy that may be lost.")
    @click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of every random choice.")
    @click.option("--run-code", is_flag=True, help="Let the project's own code run that makes a torch net (architecture in the manifest).")
    @click.option("--quiet", "-q", is_flag=True, help="No progress.")
    @format_option("table", "json")
    @functools.wraps(method)
    def run(*, path: Path, run_code: bool, quiet: bool, form: str, **rest: Any) -> int:
        from bartizan.adapters.consent import consent_to_code
        from bartizan.cli.progress import Line
        from bartizan.workflows.harden import Wanted
        from bartizan.workflows.project import find

        if run_code:
            consent_to_code()
        wanted = Wanted(**{name: rest.pop(name) for name in Wanted.__dataclass_fields__})
        with Line(quiet=quiet or not sys.stderr.isatty()) as line:
            report = method(project=find(path), wanted=wanted, tell=line.show, **rest)
        shown(report, form)
        return 1 if report.failed else 0

    return run


@command.command(
    "adversarial-training", epilog="Example: bartizan harden adversarial-training my-system/ --asset reader -o models/hardened.skops"
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The new file: .skops, .json (XGBoost), .safetensors.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Where an unfinished training is kept. Default: beside the output.")
@click.option("--rounds", type=click.IntRange(1), help="Epochs of a perceptron (120) or torch net (20), rounds of other models (5).")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Learning rate of nets.")
@click.option("--margin", type=click.FloatRange(0.1), default=1.2, show_default=True, help="Radius of training, in radii of the attack.")
@click.option("--widen", type=click.IntRange(1), default=2, show_default=True, help="Hidden layers of a perceptron: times as wide.")
@click.option("--recipe", type=click.Choice(["fast", "pgd", "trades"]), default="fast", show_default=True, help="How torch nets train.")
@of_a_model
def adversarial_training(*, output: Path, force: bool, checkpoint: Path | None, project: Project, wanted: Wanted,
                         tell: Callable[[str], None], **training: Any) -> Report:  # fmt: skip
    """Train a model anew on inputs that are attacked while it learns (Madry et al., 2018).

    Nets of torch and perceptrons of scikit-learn are attacked batch by batch; linear models, trees and XGBoost round by round, and the
    examples join their rows. A part of the training set is set aside to choose the best round; the test set only measures. Ctrl-C loses
    nothing: the same command goes on. Exit code: 0, 1 when the new model is less robust beyond noise, 2 when it could not be made."""
    from bartizan.workflows import harden

    return harden.adversarial_training(project, wanted, harden.Target(output, force, checkpoint), training, tell)


@command.command("compression", epilog="Example: bartizan harden compression my-system/ --asset reader")
@click.option("--keep", metavar="VERSION", help="Write this version of the table, for instance 'int8 weights'; needs -o.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to write it to.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@of_a_model
def compression(*, keep: str | None, output: Path | None, force: bool, project: Project, wanted: Wanted,
                tell: Callable[[str], None]) -> Report:  # fmt: skip
    """Compare the copies that rounding or pruning of weights gives with the model itself, clean and under attack.

    A copy fails when it lost robustness beyond noise, whatever its clean accuracy did. Exit code: 0, 1 when a copy fails (the kept one,
    with --keep), 2 when it could not be done."""
    from bartizan.workflows import harden

    return harden.compression(project, wanted, None if output is None else harden.Target(output, force), keep, tell)


@command.command("sanitisation", epilog="Example: bartizan harden sanitisation my-system/ --asset reader --sanitiser bit-depth:3")
@click.option(
    "--sanitiser", metavar="NAME:NUMBER", required=True,
    help="bit-depth:3, median:3, gaussian:1, jpeg:75, total-variation:0.1 or noise:0.1; several joined by +.",
)  # fmt: skip
@of_a_model
def sanitisation(*, sanitiser: str, project: Project, wanted: Wanted, tell: Callable[[str], None]) -> Report:
    """Measure what a step before a net is worth: bare, under an attack that ignores it, and under one that knows it.

    Rounding, filters and noise hide gradients, so that an attack that ignores them says too much. Writes nothing; --tolerance has no part
    in it. Exit code: 0, 1 when the net is not more robust behind the step under the attack that knows it, 2 when it could not be done."""
    from bartizan.workflows import harden

    return harden.sanitisation(project, wanted, sanitiser, tell)


command.add_command(anonymise)


def shown(report: Report, form: str) -> None:
    """Print the table and the verdicts."""
    from bartizan.cli.show import json_text, paint, table

    if form == "json":
        click.echo(json_text(report))
        return
    before = report.table.before
    verdicts = {ruling.name: ruling for ruling in report.rulings}
    rows = [
        (row.name, _rate(row.clean), _rate(row.robust), str(verdicts[row.name].verdict) if row.name in verdicts else "")
        for row in (before, *report.table.after)
    ]
    click.echo(f"{report.asset}, {before.clean.n} test inputs, attacked within {report.norm} {report.eps:g} ({report.attack})\n")
    judged = "gained robustness" if report.method == "sanitisation" else "kept its robustness"
    click.echo(table(("model", "right", "right under attack", judged), rows))
    click.echo("")
    for ruling in report.rulings:
        click.echo(f"{paint(str(ruling.verdict))}  {ruling.name}: {ruling.why}")
    for row in (before, *report.table.after):
        if row.trust:
            click.echo(f"{row.name}: {row.trust}")
    if report.note:
        click.echo(report.note)
    if report.written:
        named = f"declare it with uri: {report.uri}" if report.uri else "put it below the manifest and declare it"
        click.echo(f"wrote {report.written}; {named}, then: bartizan assess --only evasion")


def _rate(rate: Any) -> str:
    return f"{rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%})"
