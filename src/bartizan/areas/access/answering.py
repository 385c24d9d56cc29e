"""A process that answers one query, so that what a query does to memory and time ends with it.

DuckDB's own limits do not hold within one function: `repeat('x', 2000000000)` takes the memory and cannot be interrupted. So the table and
the query go to a process whose memory the system bounds and that ends itself when the time is over; it has no environment variables.
Nothing but the masked table and the query is ever in it.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import resource
import subprocess
import sys
import threading
from typing import IO, Any

from bartizan.model.errors import InputError, MissingExtra, Refused

_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from bartizan.areas.access.answering import main; main()"

GRACE = 1.0
"""Seconds that a query has to end when it is told to; then its process ends."""

START = 60.0
"""Seconds that the process may take besides, to start and to pass on the answer."""

ROOM = 512 * 2**20
"""Bytes that the process may take besides the memory of the database and that of the answer."""

_LATE = 75
_MEMORY = 71


def answered(text: str, name: str, table: Any, seconds: float, memory: int, threads: int) -> bytes:
    """The answer to the query `text` over `table` (Arrow, there called `name`) as an Arrow stream. Raises `InputError`, `Refused`."""
    head = json.dumps({"text": text, "name": name, "seconds": seconds, "memory": memory, "threads": threads}).encode()
    sink = io.BytesIO()
    sink.write(len(head).to_bytes(8, "big") + head)
    with arrow().ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    command = [sys.executable, "-c", _BOOT, json.dumps(sys.path)]
    worker = subprocess.Popen(  # noqa: S603 - this interpreter with our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"ARROW_DEFAULT_MEMORY_POOL": "system"}
    )
    try:
        found, said = worker.communicate(sink.getvalue(), timeout=seconds + START)
    except subprocess.TimeoutExpired:
        raise _late(seconds) from None
    finally:
        if worker.returncode is None:
            worker.kill()
            worker.communicate()
    if worker.returncode == 0:
        return found
    raise _told(worker.returncode, said, seconds, memory)


def arrow() -> Any:
    """The module pyarrow, by name: listing commands does not lead to it. Raises `MissingExtra` where it is not installed."""
    try:
        importlib.import_module("pyarrow.ipc")
        return importlib.import_module("pyarrow")
    except ImportError:
        raise MissingExtra("access", "pyarrow") from None


def _late(seconds: float) -> Refused:
    return Refused(f"the query took longer than {seconds:g} s")


def _told(status: int, said: bytes, seconds: float, memory: int) -> InputError | Refused:
    """What a process that gave no answer ended by."""
    if status == _LATE:
        return _late(seconds)
    try:
        error = json.loads(said)
        return (Refused if error["refused"] else InputError)(error["what"], cure=error["cure"])
    except (ValueError, KeyError, TypeError):
        return Refused(f"the query took more memory than {memory} MiB, or broke the database")


def main() -> None:
    """Answer the query on standard input on standard output; an error is JSON on standard error and an exit status."""
    status = 1
    try:
        _answer(sys.stdin.buffer, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        status = 0
    except (InputError, Refused) as error:
        said = {"refused": isinstance(error, Refused), "what": error.what, "cure": error.cure}
        sys.stderr.write(json.dumps(said))
        sys.stderr.flush()
    except MemoryError:
        status = _MEMORY
    finally:
        os._exit(status)  # a database that is still at work does not keep it


def _answer(source: IO[bytes], sink: IO[bytes]) -> None:
    from bartizan.areas.access.queries import Limits, stream

    order = json.loads(source.read(int.from_bytes(source.read(8), "big")))
    table = arrow().ipc.open_stream(source).read_all()
    limits = Limits(seconds=order["seconds"], memory=order["memory"], threads=order["threads"])
    _bounded(2 * limits.memory * 2**20 + ROOM)
    last = threading.Timer(limits.seconds + GRACE, os._exit, (_LATE,))
    last.daemon = True
    last.start()
    schema, batches = stream(order["text"], order["name"], table, limits)
    with arrow().ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _bounded(more: int) -> None:
    """Let this process take `more` bytes than it has: enforced by Linux."""
    from bartizan.engine.limits import memory_of

    used, (_, hard) = memory_of("self", 5), resource.getrlimit(resource.RLIMIT_DATA)
    if used and (hard == resource.RLIM_INFINITY or used + more < hard):
        resource.setrlimit(resource.RLIMIT_DATA, (used + more, hard))
