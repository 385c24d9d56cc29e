"""The contract of an executor: the findings, their order and their digests are those of running the jobs here, whatever jobs do.

with sample_plan(tmp_path) as jobs:
    contract(MyExecutor(), jobs)
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bartizan.engine import planner, runner
from bartizan.engine.ports import Executor, Progress
from bartizan.model.findings import Budget, Finding, Job, Verdict
from bartizan.model.system import Asset, Kind
from bartizan.testing.distributions import installed
from bartizan.testing.sample_checks import THREAT


@contextmanager
def samples(folder: Path) -> Iterator[None]:
    """The checks of `sample_checks` are installed, from metadata written into `folder`."""
    with installed(
        folder,
        "bartizan-samples",
        {"samples": "bartizan.testing.sample_checks"},
        requires=("no-such-library-anywhere; extra == 'rare'",),
        extras=("rare",),
    ):
        yield


def sample_job(
    name: str, asset: str = "scorer", *, seconds: float = 30.0, memory_mib: int = 1024, seed: int = 0, **parameters: object
) -> Job:
    """A job of the sample check `name` on a model called `asset`."""
    job = Job(
        check=f"sample.{name}",
        version="1",
        threats=(THREAT,),
        subject=Asset(id=asset, kind=Kind.MODEL),
        parameters=dict(parameters),
        seed=planner.seed_of(seed, name, asset),
        budget=Budget(seconds=seconds, memory_mib=memory_mib),
        about=((THREAT, asset),),
    )
    return msgspec.structs.replace(job, digest=planner.identity(job))


def harmless() -> tuple[Job, ...]:
    """Jobs that any executor can run, among them some that fail in a decent way."""
    names = ("answers", "raises", "silent", "errs", "lacks")
    return tuple(sample_job(name, f"model{number}") for number in range(3) for name in names)


def contract(executor: Executor, *, isolates: bool) -> None:
    """Everything that holds for an executor. Call it within `samples`. `isolates`: jobs run in processes of their own."""
    same_as_here(executor, harmless())
    limits_hold(executor)
    stops_when_closed(executor)
    if isolates:
        survives(executor)


def same_as_here(executor: Executor, jobs: Sequence[Job]) -> None:
    """Every job ends once, was started before, and gives the findings that `run_job` gives."""
    heard: list[Progress] = []
    outcomes = runner.run(jobs, executor, listener=heard.append)
    expected = [runner.run_job(job) for job in jobs]
    assert [outcome.job for outcome in outcomes] == list(jobs), "outcomes are not of the jobs, in their order"
    assert [outcome.findings for outcome in outcomes] == [outcome.findings for outcome in expected], "findings differ from a run here"
    assert [outcome.environment for outcome in outcomes] == [outcome.environment for outcome in expected], "environments differ"
    for kind in ("started", "finished"):
        assert sorted(news.index for news in heard if news.kind == kind) == list(range(len(jobs))), f"not every job was {kind} once"


def limits_hold(executor: Executor) -> None:
    """A job is ended at its limits of time and memory, with a finding that says how to give it more."""
    slow, big = runner.run([sample_job("sleeps", seconds=0.2), sample_job("allocates", memory_mib=64)], executor)
    assert _title(slow.findings) == "ran past 0.2 s"
    assert "--time-limit" in slow.findings[0].remedy
    assert _title(big.findings) == "needed more than 64 MiB of memory"
    assert "--memory-limit" in big.findings[0].remedy


def survives(executor: Executor) -> None:
    """Crashes, hangs and leaks that the job itself hides end that job only."""
    jobs = (
        sample_job("dies"),
        sample_job("answers"),
        sample_job("dies", number=int(signal.SIGSEGV)),
        sample_job("sleeps", seconds=0.2, stubborn=True),
        sample_job("allocates", memory_mib=64, stubborn=True),
        sample_job("answers", "last"),
    )
    left, answer, killed, hung, leaked, last = runner.run(jobs, executor)
    assert _title(left.findings) == "its process died: exit status 7"
    assert "last words" in left.findings[0].why
    assert _title(killed.findings) == "its process died: SIGSEGV"
    assert _title(hung.findings) == "ran past 0.2 s"
    assert _title(leaked.findings) == "needed more than 64 MiB of memory"
    assert answer.findings == runner.run_job(jobs[1]).findings, "a job beside a crash was disturbed"
    assert last.findings == runner.run_job(jobs[-1]).findings, "a job after a crash was disturbed"


def stops_when_closed(executor: Executor) -> None:
    """After the first outcome the iterator can be closed; a plan without jobs is no error."""
    assert runner.run((), executor) == ()
    begun: list[int] = []
    ended = executor.run([sample_job("answers"), sample_job("sleeps")], begun.append)
    assert next(ended)[0] == 0
    ended.close()
    assert next(ended, None) is None


def _title(findings: Sequence[Finding]) -> str:
    assert [finding.verdict for finding in findings] == [Verdict.UNKNOWN]
    return findings[0].title
