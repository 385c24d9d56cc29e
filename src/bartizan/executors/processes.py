"""Runs jobs in child processes, several at a time: a crash, a hang or a leak ends one job and nothing else.

Workers are fresh interpreters (no fork of a process with threads, no second run of the caller's main module), each in a session of its
own, and take one job after the other. The limits of `engine.limits` hold inside. From outside a worker is killed, with all that it
started, a second after its time limit, or when its resident private memory has grown by more than the job may use; memory of processes
that a job starts is not counted (on systems without `/proc` none is). Libraries that compute in threads are told to share the processors
among the workers, unless their environment variables say otherwise; a sum may differ from a run in one process in its last bit.
"""

from __future__ import annotations

import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import IO

import msgspec

from bartizan.engine import limits, unknowns
from bartizan.engine.runner import now, stopped
from bartizan.executors.worker import HEADER, LARGEST, Result, frame, write
from bartizan.model.errors import one_line
from bartizan.model.findings import Finding, Job, Outcome

GRACE_SECONDS = 1.0
"""How long past its limit a job may take to end by itself before its process is killed."""

BOOT_SECONDS = 120.0
"""How long a worker may take to start."""

TICK_SECONDS = 0.05
_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[3]); from bartizan.executors.worker import main; main(*map(int, sys.argv[1:3]))"
)
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Processes:
    """The executor with `workers` child processes; by default one for each processor."""

    name = "processes"

    def __init__(self, workers: int | None = None) -> None:
        self.workers = max(1, workers or processors())

    def run(self, jobs: Sequence[Job], started: Callable[[int], None]) -> Generator[tuple[int, Outcome], None, None]:
        """Yield `(index, outcome)` as jobs end. When closed or interrupted, all workers are killed before this returns."""
        waiting = deque(range(len(jobs)))
        threads = max(1, processors() // max(1, min(self.workers, len(jobs))))
        crew = _Crew(self.workers, threads)
        try:
            while waiting or crew.busy():
                crew.man(len(waiting))
                for worker in crew.free():
                    if waiting:
                        worker.give(waiting[0], jobs[waiting[0]])
                        started(waiting.popleft())
                crew.listen()
                for worker in list(crew.workers):
                    if worker.answer is not None:
                        yield worker.take()
                    elif (findings := worker.trouble(jobs[waiting[0]] if waiting else None)) is not None:
                        index = waiting.popleft() if worker.index is None else worker.index
                        crew.dismiss(worker)
                        yield index, stopped(jobs[index], worker.began, findings)
        finally:
            crew.close()


class _Crew:
    """The workers at hand, at most `size`."""

    def __init__(self, size: int, threads: int) -> None:
        self.workers: list[_Worker] = []
        self._size = size
        self._threads = threads
        self._selector = selectors.DefaultSelector()

    def busy(self) -> bool:
        return any(worker.index is not None for worker in self.workers)

    def free(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.ready and worker.index is None]

    def man(self, jobs: int) -> None:
        """Replace free workers that died after their job, and hire as many as `jobs` that wait can use."""
        for worker in self.free():
            if worker.dead():
                self.dismiss(worker)
        while len(self.workers) < self._size and sum(worker.index is None for worker in self.workers) < jobs:
            self.workers.append(_Worker(self._threads))
            self._selector.register(self.workers[-1].results, selectors.EVENT_READ, self.workers[-1])

    def listen(self) -> None:
        """Take in what workers send, for at most one tick."""
        for key, _ in self._selector.select(TICK_SECONDS):
            key.data.receive()

    def dismiss(self, worker: _Worker) -> None:
        self._selector.unregister(worker.results)
        self.workers.remove(worker)
        worker.stop()

    def close(self) -> None:
        for worker in list(self.workers):
            self.dismiss(worker)
        self._selector.close()


class _Worker:
    """A child process and what it is doing."""

    def __init__(self, threads: int) -> None:
        self.index: int | None = None
        self.answer: Outcome | None = None
        self.ready = False
        self._garbled = False
        self.began = now()
        self._job: Job | None = None
        self._buffer = bytearray()
        self._deadline = time.monotonic() + BOOT_SECONDS
        self._memory = 0
        self._output: IO[bytes] = tempfile.TemporaryFile("a+b", buffering=0)  # noqa: SIM115 - closed by stop()
        self._spoken = 0
        child_jobs, self._jobs = os.pipe()
        self.results, child_results = os.pipe()
        os.set_blocking(self.results, False)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-P", "-c", _BOOT, str(child_jobs), str(child_results), json.dumps(sys.path)],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=(child_jobs, child_results),
                start_new_session=True,
                env={**dict.fromkeys(_THREADS, str(threads)), **os.environ},
            )
        finally:
            os.close(child_jobs)
            os.close(child_results)

    def give(self, index: int, job: Job) -> None:
        """Start `job`, the one at `index` of the plan."""
        self.index, self._job, self.began = index, job, now()
        self._memory = self._resident()
        self._spoken = os.fstat(self._output.fileno()).st_size
        self._deadline = time.monotonic() + job.budget.seconds + GRACE_SECONDS
        with suppress(BrokenPipeError):  # it has died; `trouble` will say so
            write(self._jobs, frame(pickle.dumps(job)))

    def receive(self) -> None:
        """Take in what the child has written."""
        with suppress(BlockingIOError):
            while part := os.read(self.results, 1 << 20):
                self._buffer += part
        size = int.from_bytes(self._buffer[:HEADER], "big")
        if len(self._buffer) < HEADER or len(self._buffer) < HEADER + size:
            return
        payload = bytes(self._buffer[HEADER : HEADER + size])
        del self._buffer[: HEADER + size]
        if not payload:
            self.ready = True
        elif self._job is not None:
            try:
                self.answer = msgspec.msgpack.decode(payload, type=Result).of(self._job)
            except msgspec.MsgspecError:
                self._garbled = True

    def take(self) -> tuple[int, Outcome]:
        """The answer that has come; the worker is free again."""
        index, answer = self.index, self.answer
        assert index is not None
        assert answer is not None
        self.index = self.answer = self._job = None
        return index, answer

    def trouble(self, next_job: Job | None) -> tuple[Finding, ...] | None:
        """The findings for the job at hand where it must be ended from outside, else None.

        A worker that cannot even start fails `next_job`, so that every plan comes to an end.
        """
        job = self._job or (None if self.ready else next_job)
        if job is None:
            return None
        if self.dead():
            self.receive()
            return None if self.answer else unknowns.crashed(job, self._death(), self._last_words())
        if self._garbled or int.from_bytes(self._buffer[:HEADER], "big") > LARGEST:
            return unknowns.crashed(job, "it sent what is no answer")
        if time.monotonic() > self._deadline:
            return unknowns.out_of_time(job) if self._job else unknowns.crashed(job, f"it did not start within {BOOT_SECONDS:g} s")
        if self._job and self._resident() - self._memory > job.budget.memory_mib * limits.MIB:
            return unknowns.out_of_memory(job)
        return None

    def stop(self) -> None:
        """Kill the child and all that it started; leave nothing behind."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()
        os.close(self._jobs)
        os.close(self.results)

    def _resident(self) -> int:
        pid = self._process.pid
        return limits.memory_of(pid, 1) - limits.memory_of(pid, 2)

    def dead(self) -> bool:
        """Whether the child has ended. It is not reaped yet: its number must stay taken until its group is killed."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _death(self) -> str:
        end = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if end is None or end.si_code == os.CLD_EXITED:
            return f"exit status {end.si_status if end else 'unknown'}"
        name = signal.Signals(end.si_status).name
        return f"{name} (perhaps this machine ran out of memory)" if name == "SIGKILL" else name

    def _last_words(self) -> str:
        """The last line that the child wrote about this job."""
        size = os.fstat(self._output.fileno()).st_size
        begin = max(self._spoken, size - 4096)
        lines = os.pread(self._output.fileno(), size - begin, begin).decode(errors="replace").splitlines()
        return one_line(next((line for line in reversed(lines) if line.strip()), ""), 200)
