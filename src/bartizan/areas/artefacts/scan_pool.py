"""Scans many files in several processes. A process that dies takes one file along, which is then not safe, and nothing else."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from bartizan.areas.artefacts.reports import FileReport
from bartizan.areas.artefacts.safety import Reason, Safety

if TYPE_CHECKING:
    from bartizan.areas.artefacts.containers.scope import Limits
    from bartizan.areas.artefacts.pickles import Policy
    from bartizan.areas.artefacts.scan_cache import ScanCache
    from bartizan.areas.artefacts.walking import Found

BATCH = 16
"""Files that a process takes at a time."""

_shared: dict[str, tuple[Policy, ScanCache | None, Limits]] = {}


def reports_of(work: Sequence[Found], policy: Policy, workers: int, cache: ScanCache | None, limits: Limits) -> Iterator[FileReport]:
    """The reports of all files, in the order in which they are done."""
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    batches = [work[at : at + BATCH] for at in range(0, len(work), BATCH)]
    lost: list[Found] = []
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(policy, cache, limits)) as pool:
        running: dict[Future[list[FileReport]], Sequence[Found]] = {pool.submit(_batch, batch): batch for batch in batches}
        for done in as_completed(running):
            try:
                yield from done.result()
            except BrokenProcessPool:
                lost += running[done]
    for item in lost:
        yield _alone(item, policy, cache, limits, context)


def _alone(
    item: Found, policy: Policy, cache: ScanCache | None, limits: Limits, context: multiprocessing.context.BaseContext
) -> FileReport:
    """One file in a process of its own, after the pool broke on it or on a neighbour."""
    with ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(policy, cache, limits)) as pool:
        try:
            return pool.submit(_batch, [item]).result()[0]
        except BrokenProcessPool:
            text = "the process that read it was ended by the system"
            reason = Reason(text, safety=Safety.NEEDS_POLICY)
            return FileReport(path=item.path, format="not read", safety=Safety.NEEDS_POLICY, reasons=(reason,), size=item.size)


def _begin(policy: Policy, cache: ScanCache | None, limits: Limits) -> None:
    _shared["scan"] = (policy, cache, limits)


def _batch(items: Sequence[Found]) -> list[FileReport]:
    from bartizan.areas.artefacts.scanning import scan_file

    policy, cache, limits = _shared["scan"]
    return [scan_file(item, policy, cache, limits) for item in items]
