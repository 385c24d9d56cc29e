"""`bartizan assess`: the main job."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bartizan.cli.options import NewFile, format_option, project_argument

if TYPE_CHECKING:
    from bartizan.engine.ports import Executor
    from bartizan.workflows.assess import Options


def run_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options that say what to run and how; the command gets them as one `Options`."""

    @click.option("--only", multiple=True, metavar="CHECK", help="Only this check, area or check@node; repeatable. Live ones ask again.")
    @click.option("--fail-on", metavar="RULE", help="What makes the exit code 1. Default: the manifest's rule, else 'fail'.")
    @click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random choice.")
    @click.option("--time-limit", type=click.FloatRange(min=0.1), default=600.0, show_default=True, help="Seconds one job may take.")
    @click.option("--memory-limit", type=click.IntRange(64), default=4096, show_default=True, help="MiB one job may take.")
    @click.option("--probe", multiple=True, metavar="HOST", help="Let live checks ask this host; otherwise they ask this machine alone.")
    @click.option("--run-code", is_flag=True, help="Run the code that makes the project's own nets (architecture: in the manifest).")
    @click.option("--fresh", is_flag=True, help="Run everything again, even what is proved on unchanged things.")
    @functools.wraps(command)
    def gathered(*, seed: int, time_limit: float, memory_limit: int, probe: tuple[str, ...], run_code: bool, **rest: Any) -> int:
        from bartizan.adapters.consent import consent, consent_to_code
        from bartizan.model.findings import Budget
        from bartizan.workflows.assess import Options

        chosen = {name: rest.pop(name) for name in ("only", "fail_on", "fresh")}
        chosen["only"] = tuple(part.strip() for word in chosen["only"] for part in word.split(",") if part.strip())
        consent(probe)
        if run_code:
            consent_to_code()
        budget = Budget(seconds=time_limit, memory_mib=memory_limit)
        return command(options=Options(seed=seed, budget=budget, **chosen), **rest)

    return gathered


@click.command("assess", epilog="Example: bartizan assess examples/credit-scoring --report report.html --fail-on 'fail,risk>=high'")
@project_argument
@format_option("table", "json")
@run_options
@click.option("--executor", type=click.Choice(["processes", "inline"]), default="processes", show_default=True, help="Where jobs run.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes at once; the machine's cores by default.")
@click.option("--report", "reports", multiple=True, type=NewFile(), help="Also write a report; its suffix says the format.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def command(path: Path, form: str, options: Options, executor: str, workers: int | None, reports: tuple[Path, ...], quiet: bool) -> int:
    """Attack and inspect what the manifest declares, keep signed evidence, compute the residual risk.

    What was proved on unchanged things is not run again. Ctrl-C keeps what is done. Exit code: 0 nothing beyond tolerance, 1 findings
    beyond tolerance, 2 could not do what was asked."""
    from bartizan.cli.formats import format_of, render
    from bartizan.cli.options import write
    from bartizan.cli.progress import Ticker
    from bartizan.cli.show import json_text
    from bartizan.cli.summary import violations_text, whole
    from bartizan.model.findings import Verdict
    from bartizan.renderers.summary import verdicts_of
    from bartizan.workflows.assess import assess
    from bartizan.workflows.project import find

    targets = {target: format_of(target) for target in reports}
    with Ticker(quiet=quiet or not sys.stderr.isatty()) as ticker:
        done = assess(find(path), _executor(executor, workers), ticker.tell, options)
    for target, chosen in targets.items():
        write(render(done.report, chosen), target)
    if form == "json":
        click.echo(
            json_text({"report": done.report, "ran": done.ran, "reused": done.reused, "violations": done.violations, "notes": done.notes})
        )
    else:
        click.echo(whole(done.report, path))
        click.echo(f"\n{done.ran} jobs ran, {done.reused} reused from evidence on unchanged things.")
        for note in done.notes:
            click.echo(f"note: {note}")
        click.echo(violations_text(done.violations, verdicts_of(done.report)[Verdict.UNKNOWN]))
    return 1 if done.violations else 0


def _executor(name: str, workers: int | None) -> Executor:
    if name == "inline":
        from bartizan.executors.inline import Inline

        return Inline()
    from bartizan.executors.processes import Processes

    return Processes(workers)
