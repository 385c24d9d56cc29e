"""One reading of a pickle: chooses the machine and gives what it found."""

from __future__ import annotations

import sys

from bartizan.areas.artefacts.pickles.analysis import DEFAULT, Analysis, Buffer, Limits, Loader, Watch
from bartizan.areas.artefacts.pickles.arrays import JoblibMachine
from bartizan.areas.artefacts.pickles.machine import Machine

FIRST = 100_000
"""Opcodes that the pure machine reads before the compiled one is thought of."""

WORTH_LOADING, WORTH_USING = 3_000_000, 300_000
"""Opcodes still to be expected from which on it pays to load the compiled machine, or to use it when it is loaded."""


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
    if expected < (WORTH_USING if "numba" in sys.modules else WORTH_LOADING):
        return None
    try:
        from bartizan.areas.artefacts.pickles import fast
    except ImportError:
        return None
    return fast.analyse(data, start, limits, watch)
