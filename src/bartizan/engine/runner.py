"""Runs jobs: one in this process (`run_job`), or a plan on an executor, reusing what is known and keeping what is done."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing

import msgspec

from bartizan.engine import extras, registry, unknowns
from bartizan.engine.answers import BadFinding, answers
from bartizan.engine.environment import environment
from bartizan.engine.limits import TimeUp, limited
from bartizan.engine.ports import Executor, Listener, Progress
from bartizan.engine.reuse import outcome_of as outcome_of
from bartizan.engine.reuse import reusable as reusable
from bartizan.engine.targets import NoTarget, target_of
from bartizan.engine.unknowns import Reason
from bartizan.model.checks import Check
from bartizan.model.errors import BartizanError, MissingExtra
from bartizan.model.findings import Finding, Job, Outcome


class Interrupted(BartizanError):
    """A run that was stopped. `outcomes` are those that ended before, in plan order, all of them kept; `total` the size of the plan."""

    def __init__(self, outcomes: tuple[Outcome, ...], total: int) -> None:
        self.outcomes = outcomes
        self.total = total
        super().__init__(f"stopped: {len(outcomes)} of {total} jobs done", cure="run the same command again to go on")


def run(
    jobs: Sequence[Job],
    executor: Executor,
    *,
    reuse: Callable[[str], Outcome | None] | None = None,
    keep: Callable[[Outcome], None] | None = None,
    listener: Listener | None = None,
) -> tuple[Outcome, ...]:
    """The outcomes of `jobs` in their order.

    `reuse(digest)` gives an earlier outcome of the same job; it stands in for a run where `reusable` says so. Every other
    outcome goes to `keep` as soon as it is there. `listener` hears of progress. Raises `Interrupted` on Ctrl-C, after running
    jobs were stopped; what `keep`, `reuse` and `listener` raise passes through, and running jobs are stopped likewise.
    """
    tell = listener or _silent
    done: dict[int, Outcome] = {}
    for index, job in enumerate(jobs):
        earlier = reuse(job.digest) if reuse else None
        if earlier is not None and reusable(earlier):
            done[index] = msgspec.structs.replace(earlier, job=job, cached=True)
            tell(Progress(kind="reused", index=index, total=len(jobs), job=job, outcome=done[index]))
    waiting = [index for index in range(len(jobs)) if index not in done]

    def started(place: int) -> None:
        tell(Progress(kind="started", index=waiting[place], total=len(jobs), job=jobs[waiting[place]]))

    try:
        with closing(executor.run([jobs[index] for index in waiting], started)) as ended:
            for place, outcome in ended:
                index = waiting[place]
                if keep:
                    keep(outcome)
                done[index] = outcome
                tell(Progress(kind="finished", index=index, total=len(jobs), job=jobs[index], outcome=outcome))
    except KeyboardInterrupt:
        raise Interrupted(tuple(done[index] for index in sorted(done)), len(jobs)) from None
    return tuple(done[index] for index in range(len(jobs)))


def run_job(job: Job) -> Outcome:
    """Run one job here, within its limits (see `limits`). Never raises for what a check does; Ctrl-C passes through."""
    started, cpu = now(), _cpu_seconds()
    findings = _findings(job)
    return Outcome(
        job=job,
        findings=findings,
        started=started,
        finished=now(),
        cpu_seconds=round(max(0.0, _cpu_seconds() - cpu), 6),
        environment=environment(job),
    )


def stopped(job: Job, started: str, findings: tuple[Finding, ...]) -> Outcome:
    """The outcome of a job that an executor had to end from outside, with `findings` from `unknowns`."""
    return Outcome(job=job, findings=findings, started=started, finished=now(), cpu_seconds=0.0, environment=environment(job))


def _findings(job: Job) -> tuple[Finding, ...]:
    check: Check | None = None
    try:
        check = registry.get(job.check)
        lacking = extras.missing(check.distribution, check.extra)
        if check.extra and lacking:
            return unknowns.missing_extra(job, check.extra, extras.command(check.distribution, check.extra), lacking)
        with limited(job.budget):
            return answers(job, check, list(check.run(job, target_of(job, check), **job.parameters)))
    except TimeUp:
        return unknowns.out_of_time(job)
    except MemoryError:
        return unknowns.out_of_memory(job)
    except MissingExtra as error:
        command = extras.command(check.distribution if check else "bartizan", error.extra)
        return unknowns.missing_extra(job, error.extra, command, ())
    except NoTarget as error:
        return unknowns.unknown(job, Reason.NO_TARGET, str(error), remedy=error.cure)
    except BadFinding as error:
        return unknowns.unknown(job, Reason.INVALID, str(error), why="an error of the check")
    except BartizanError as error:
        return unknowns.unknown(job, Reason.REFUSED, str(error), remedy=error.cure)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code may raise anything: this one place turns it into a verdict
        return unknowns.raised(job, error)


def now() -> str:
    """The time, RFC 3339 in UTC, to the millisecond."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cpu_seconds() -> float:
    """Processor seconds of this process and of the children it has waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _silent(_: Progress) -> None:
    """The listener where nobody listens."""
