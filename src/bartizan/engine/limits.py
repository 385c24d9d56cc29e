"""Limits of time and memory within the running process.

Time: a timer signal (`SIGALRM`) raises `TimeUp` in the main thread. It cannot interrupt compiled code before that
returns to Python, and does nothing in other threads or without such signals. Memory: a soft limit on the private
data of the process (`RLIMIT_DATA`, enforced by Linux) makes allocations fail with `MemoryError`; it counts what is
reserved to be written, not what is resident, and is per process, so a child process starts a count of its own. The
executor `processes` adds guards from outside that need no help from the job.
"""

from __future__ import annotations

import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from bartizan.model.findings import Budget

MIB = 1 << 20
_PAGE = resource.getpagesize()


class TimeUp(BaseException):
    """The time limit of a job is reached. Not an `Exception`, so that no handler within a check keeps it."""


@contextmanager
def limited(budget: Budget) -> Iterator[None]:
    """Run the body within `budget`: raises `TimeUp` past its seconds, lets allocations beyond its memory fail."""
    with _time(budget.seconds), _memory(budget.memory_mib):
        yield


@contextmanager
def _time(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    armed = True

    def ring(_number: int, _frame: FrameType | None) -> None:
        if armed:
            raise TimeUp

    previous = signal.signal(signal.SIGALRM, ring)
    # It rings again every second: an exception raised inside a destructor would be lost.
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001), 1.0)
    try:
        try:
            yield
        finally:
            armed = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        if remaining:
            signal.setitimer(signal.ITIMER_REAL, remaining, interval)


@contextmanager
def _memory(mib: int) -> Iterator[None]:
    used = memory_of("self", 5)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used + mib * MIB
    if not used or any(bound != resource.RLIM_INFINITY and bound <= wanted for bound in (soft, hard)):
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def memory_of(pid: int | str, column: int = 1) -> int:
    """Bytes of memory of a process from `/proc/PID/statm`: column 1 resident, 5 private data; 0 where that cannot be read."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[column]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0
