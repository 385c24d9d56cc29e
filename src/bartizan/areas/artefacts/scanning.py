"""Scans files, folders and archives of models: what would loading them do? Nothing is loaded, and no framework is needed."""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bartizan.areas.artefacts.containers.readings import inspect
from bartizan.areas.artefacts.containers.scope import LimitReached, Limits, Piece, Scope
from bartizan.areas.artefacts.pickles import Policy
from bartizan.areas.artefacts.reports import FileReport, ScanReport
from bartizan.areas.artefacts.safety import Reason, Safety
from bartizan.areas.artefacts.walking import Found, files_of
from bartizan.model.errors import one_line

if TYPE_CHECKING:
    from bartizan.areas.artefacts.scan_cache import ScanCache

VERSION = "2"
"""Raised whenever the same bytes could get another verdict; part of the key of every cached result."""

HASHED = 64 * 1024 * 1024
"""Largest file, in bytes, whose digest is computed and whose result is cached; larger ones are read where it matters alone."""

WORTH_A_POOL = (64, 512 * 1024 * 1024)
"""Files, or bytes of all of them, from which on several processes are worth their start."""

MAX_REASONS = 200
"""Most reasons that a report keeps of one file."""

BROKEN = (
    ValueError, IndexError, KeyError, TypeError, AttributeError, struct.error, ArithmeticError, MemoryError, RecursionError, OSError,
    AssertionError, EOFError,
)  # fmt: skip
"""What reading a hostile file may end in where nobody thought of it: then the file needs a policy, and the scan goes on."""

Listener = Callable[[FileReport, int, int], None]
"""Called for each finished file with its report, how many are done, and of how many."""


def scan(
    paths: Iterable[str | Path],
    *,
    policy: Policy | None = None,
    workers: int | None = None,
    cache: ScanCache | None = None,
    listener: Listener | None = None,
    limits: Limits | None = None,
) -> ScanReport:
    """Judge every file of `paths` and of the folders among them.

    `workers` processes share the work (by default as many as there are processors, where the work is worth it); `cache` keeps verdicts by
    content, policy and version. Links out of a folder are reported, not followed. A path that cannot be read gets a report with `error`;
    nothing is raised for it.
    """
    policy = policy or Policy.shipped()
    found = list(files_of(paths))
    skipped = tuple(item.path for item in found if item.skipped)
    work = [item for item in found if not item.skipped]
    reports: list[FileReport] = []
    for report in _reports(work, policy, workers, cache, limits or Limits()):
        reports.append(report)
        if listener is not None:
            listener(report, len(reports), len(work))
    reports.sort(key=lambda report: report.path)
    return ScanReport(files=tuple(reports), policy=policy.digest, skipped=skipped)


def scan_bytes(data: bytes | memoryview, name: str = "", *, policy: Policy | None = None, limits: Limits | None = None) -> FileReport:
    """The verdict on bytes in memory, as if they were the content of a file called `name`."""
    return _judge(memoryview(data), name, policy or Policy.shipped(), limits or Limits())


def _reports(work: Sequence[Found], policy: Policy, workers: int | None, cache: ScanCache | None, limits: Limits) -> Iterator[FileReport]:
    count = workers if workers is not None else _processors(work)
    if count <= 1 or len(work) < 2:
        for item in work:
            yield scan_file(item, policy, cache, limits)
        return
    from bartizan.areas.artefacts.scan_pool import reports_of

    yield from reports_of(work, policy, count, cache, limits)


def _processors(work: Sequence[Found]) -> int:
    files, size = WORTH_A_POOL
    if len(work) < files * 4 and sum(min(item.size, HASHED) for item in work) < size:
        return 1
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 16)


def scan_file(item: Found, policy: Policy, cache: ScanCache | None, limits: Limits) -> FileReport:
    """The verdict on one file that a walk found."""
    if item.problem is not None:
        reason = Reason(item.problem, safety=Safety.NEEDS_POLICY)
        error = None if item.out else item.problem
        return FileReport(path=item.path, format="not read", safety=Safety.NEEDS_POLICY, reasons=(reason,), error=error)
    try:
        data = _mapped(item.path)
    except OSError as error:
        said = error.strerror or str(error)
        reason = Reason(said, safety=Safety.NEEDS_POLICY)
        return FileReport(path=item.path, format="not read", safety=Safety.NEEDS_POLICY, reasons=(reason,), error=said)
    digest = hashlib.sha256(data).hexdigest() if len(data) <= HASHED else None
    known = cache.get(digest, item.path) if cache is not None and digest is not None else None
    if known is not None:
        return known
    report = _judge(data, item.path, policy, limits, digest)
    if cache is not None and digest is not None:
        cache.put(digest, report)
    return report


def _mapped(path: str) -> memoryview:
    """The file's bytes as a read-only memory map. Raises `OSError`."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return memoryview(b"")
        if size <= 1 << 16:
            return memoryview(file.read())
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _judge(data: memoryview, path: str, policy: Policy, limits: Limits, digest: str | None = None) -> FileReport:
    scope = Scope(policy, file=path, limits=limits)
    piece = Piece(data)
    try:
        inspect(piece, scope)
    except LimitReached as limit:
        scope.unsure(f"not read to its end: {limit}", piece)
    except BROKEN as error:
        scope.unsure(one_line(f"not read to its end: it breaks the reader ({type(error).__name__}: {error})", 200), piece)
    ruling = scope.ruling()
    return FileReport(
        path=path,
        format=scope.formats[0] if scope.formats else "unknown",
        safety=ruling.verdict,
        reasons=ruling.reasons[:MAX_REASONS],
        notes=tuple(scope.notes),
        sha256=digest,
        size=len(data),
    )
