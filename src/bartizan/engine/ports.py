"""What the engine needs from outside: somewhere to run jobs, and someone to tell about progress."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeAlias

import msgspec

from bartizan.model.findings import Job, Outcome


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to a job: `started`, `finished` or `reused`. `index` is its place in the plan, from 0."""

    kind: str
    index: int
    total: int
    job: Job
    outcome: Outcome | None = None


Listener: TypeAlias = Callable[[Progress], None]


class Executor(Protocol):
    """Runs jobs somewhere. The findings of a job are the same on every executor; only the time differs."""

    name: str

    def run(self, jobs: Sequence[Job], started: Callable[[int], None]) -> Generator[tuple[int, Outcome], None, None]:
        """Yield `(index into jobs, outcome)` as each job ends; call `started(index)` when one begins.

        Never raises for what a job does: a crash, a timeout, too much memory is an outcome with verdict `unknown`. When the iterator is
        closed or interrupted, running jobs are stopped and nothing is left behind.
        """
        ...
