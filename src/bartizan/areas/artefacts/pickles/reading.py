"""One reading of a pickle: chooses the machine and gives what it found."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bartizan.areas.artefacts.pickles.analysis import DEFAULT, Analysis, Buffer, Limits, Loader, Watch
from bartizan.areas.artefacts.pickles.arrays import JoblibMachine
from bartizan.areas.artefacts.pickles.machine import Machine

FIRST = 100_000
"""Opcodes that the pure machine reads before the compiled one is thought of."""

WORTH_COMPILING, WORTH_LOADING, WORTH_USING = 30_000_000, 2_000_000, 200_000
"""Opcodes still to be expected from which on it pays to compile the fast machine, to load it, or to use it when loaded."""


def analyse(
    data: Buffer, *, start: int = 0, limits: Limits = DEFAULT, loader: Loader = Loader.PICKLE, watch: Watch | None = None
) -> Analysis:
    """What the pickle in `data` from `start` on does, read as `loader` reads it; nothing of it is executed.

    `watch` says of which globals the arguments matter (from a policy; without it that of the shipped one). The work is proportional to the
    number of opcodes: long constants are skipped, so a memory map of a large file costs nothing. Never raises for what is in `data`.
    """
    if watch is None:
        from bartizan.areas.artefacts.pickles.policy import Policy

        watch = Policy.shipped().watch
    if isinstance(data, memoryview) and (data.format != "B" or not data.c_contiguous):
        data = data.cast("B") if data.c_contiguous else bytes(data)
    if loader is Loader.JOBLIB:
        machine: Machine = JoblibMachine(data, start, limits, watch)
        machine.run()
        return machine.analysis()
    machine = Machine(data, start, limits, watch)
    if not machine.run(FIRST):
        found = _compiled(data, start, limits, watch, machine)
        if found is not None:
            return found
        machine.run()
    return machine.analysis()


def _compiled(data: Buffer, start: int, limits: Limits, watch: Watch, machine: Machine) -> Analysis | None:
    """The reading of the compiled machine, where enough is left to read and it can be had."""
    expected = (len(data) - machine.end) * machine.count // max(1, machine.end - start)
    loaded = "bartizan.areas.artefacts.pickles.fast" in sys.modules
    if expected < (WORTH_USING if loaded else WORTH_LOADING if compiled_before() else WORTH_COMPILING):
        return None
    try:
        from bartizan.areas.artefacts.pickles import fast
    except ImportError:
        return None
    return fast.analyse(data, start, limits, watch)


def prepare() -> bool:
    """Compiles the fast machine for this machine and user, once (seconds); says whether it can be had (it needs the extra `fast`)."""
    try:
        from bartizan.areas.artefacts.pickles import fast
    except ImportError:
        return False
    return fast.analyse(b"\x80\x04N.", 0, DEFAULT, {}) is not None


def compiled_before() -> bool:
    """Is there compiled code of this version in the user's cache?"""
    newest = max((path.stat().st_mtime for path in cache_folder().glob("*/compiled.run-*.nbi")), default=0.0)
    return newest > Path(__file__).with_name("compiled.py").stat().st_mtime


def cache_folder() -> Path:
    """Where compiled code is kept: `NUMBA_CACHE_DIR`, or `bartizan/numba` in the user's cache."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bartizan" / "numba"
