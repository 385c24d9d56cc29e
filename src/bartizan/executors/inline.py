"""Runs jobs one after the other in this process: nothing to set up, easy to debug; a crash of compiled code ends it all.

The limits of time and memory are those of `engine.limits`: they need the main thread, and compiled code that does not
return to Python is not interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from bartizan.engine.runner import run_job
from bartizan.model.findings import Job, Outcome


class Inline:
    """The executor without processes."""

    name = "inline"

    def run(self, jobs: Sequence[Job], started: Callable[[int], None]) -> Generator[tuple[int, Outcome], None, None]:
        """Yield `(index, outcome)` in the order of `jobs`."""
        for index, job in enumerate(jobs):
            started(index)
            yield index, run_job(job)
