"""Scans texts in several processes: fresh interpreters that take one batch after the other over pipes.

A fresh interpreter, not a fork: threads of other libraries cannot leave it with their locks held, and the caller's main module is not run
again. A process that ends before its time costs nothing but speed: its batch is scanned here.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Any

_BOOT = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from bartizan.areas.pii.crew import main; main()"
_HEAD = 8

Found = list[tuple[int, str, int, int, float, str]]
"""Of each hit the number of its text in the batch, the kind, start and end there, the score and why."""
Scan = Callable[[list[str], str, float], Found]


class Crew:
    """`workers` processes (at least one); they end with the context."""

    def __init__(self, workers: int) -> None:
        command = [sys.executable, "-c", _BOOT, json.dumps(sys.path)]
        self._workers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - this interpreter with our own module
            for _ in range(max(1, workers))
        ]
        self._free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        for worker in self._workers:
            self._free.put(worker)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for worker in self._workers:
            if kind is not None:
                worker.kill()
            worker.communicate()

    def scan(self, batches: Iterable[list[str]], how: tuple[str, float], here: Scan) -> Iterator[Found]:
        """What is found in each batch, in order, for a hint and a least score; `here` does the same in this process."""

        def one(batch: list[str]) -> Found:
            worker = self._free.get()
            try:
                _put(worker.stdin, (batch, how))
                found: Found = _taken(worker.stdout)
            except (OSError, EOFError):
                found = here(batch, *how)
            finally:
                self._free.put(worker)
            return found

        with ThreadPoolExecutor(len(self._workers)) as threads:
            yield from threads.map(one, batches)


def main() -> None:
    """What a worker does until its input ends."""
    from bartizan.areas.pii.scan import found_in

    output = sys.stdout.buffer
    while True:
        try:
            batch, how = _taken(sys.stdin.buffer)
        except EOFError:
            return
        _put(output, found_in(batch, *how))


def _put(pipe: IO[bytes] | None, value: Any) -> None:
    if pipe is None:
        raise EOFError
    content = pickle.dumps(value, protocol=5)
    pipe.write(len(content).to_bytes(_HEAD, "little") + content)
    pipe.flush()


def _taken(pipe: IO[bytes] | None) -> Any:
    head = b"" if pipe is None else pipe.read(_HEAD)
    if pipe is None or len(head) < _HEAD:
        raise EOFError
    content = pipe.read(int.from_bytes(head, "little"))
    try:
        return pickle.loads(content)  # noqa: S301 - what our own child or parent wrote
    except (pickle.UnpicklingError, EOFError):
        raise EOFError from None
