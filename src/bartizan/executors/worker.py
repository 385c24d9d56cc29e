"""The child side of the executor `processes`: takes jobs from one pipe, writes results to another, dies with its parent.

A frame is eight bytes of length, big-endian, and that many bytes. Jobs come pickled, from the parent that is trusted. Results go back as
MessagePack, which can carry nothing but data: what a hostile model may do to this process cannot reach the parent through them.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from queue import SimpleQueue

import msgspec

from bartizan.engine import registry
from bartizan.engine.runner import run_job
from bartizan.model.findings import Finding, Job, Outcome

HEADER = 8
LARGEST = 1 << 30
"""Longest frame, in bytes, that is taken."""


class Result(msgspec.Struct, frozen=True):
    """An outcome without its job, which the parent has."""

    findings: tuple[Finding, ...]
    started: str
    finished: str
    cpu_seconds: float
    environment: dict[str, str]

    def of(self, job: Job) -> Outcome:
        """The outcome of `job`."""
        return Outcome(
            job=job,
            findings=self.findings,
            started=self.started,
            finished=self.finished,
            cpu_seconds=self.cpu_seconds,
            environment=self.environment,
        )


def frame(payload: bytes) -> bytes:
    """`payload` as a frame."""
    return len(payload).to_bytes(HEADER, "big") + payload


def write(descriptor: int, data: bytes) -> None:
    """Write all of `data`."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def main(jobs: int, results: int) -> None:
    """Run the jobs that arrive on descriptor `jobs` until it closes. An empty frame on `results` says that we are ready."""
    for descriptor in (jobs, results):
        os.set_inheritable(descriptor, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    registry.load_all()
    queue: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(jobs, queue), daemon=True).start()
    write(results, frame(b""))
    while True:
        outcome = run_job(pickle.loads(queue.get()))  # noqa: S301 - written by the process that started us
        result = Result(outcome.findings, outcome.started, outcome.finished, outcome.cpu_seconds, outcome.environment)
        write(results, frame(msgspec.msgpack.encode(result)))


def _listen(descriptor: int, queue: SimpleQueue[bytes]) -> None:
    """Pass frames on. When the parent has closed the pipe or is gone, end this process and all it started."""
    while (header := _read(descriptor, HEADER)) and (payload := _read(descriptor, int.from_bytes(header, "big"))):
        queue.put(payload)
    os.killpg(0, signal.SIGKILL)


def _read(descriptor: int, size: int) -> bytes:
    """Exactly `size` bytes, or none where the pipe ends before."""
    parts = bytearray()
    while len(parts) < size:
        part = os.read(descriptor, min(size - len(parts), 1 << 20))
        if not part:
            return b""
        parts += part
    return bytes(parts)
