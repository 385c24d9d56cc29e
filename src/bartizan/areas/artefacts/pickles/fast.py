"""The abstract pickle machine for millions of opcodes: the same reading as `machine.py`, coded in arrays and compiled by numba.

The compiled loop (`compiled.py`) does what picklers write; it hands back whenever a name, a use or an argument is to be noted, which this
module does with the pure machine's own code, so both say the same. What no pickler writes (text opcodes of the memo, extension codes,
persistent ids, frames that are straddled) is left to the pure machine from the start.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bartizan.areas.artefacts.pickles import coded as c
from bartizan.areas.artefacts.pickles.analysis import Analysis, Buffer, Limits, Watch, Watched
from bartizan.areas.artefacts.pickles.compiled import run
from bartizan.areas.artefacts.pickles.machine import Beyond, Machine, Stuck
from bartizan.areas.artefacts.pickles.values import LIST, SET, Cell, Global, Value, arguments_of, text_of
from bartizan.areas.artefacts.safety import UseKind

_KINDS = {
    c.REFERENCE: UseKind.REFERENCE, c.NEW: UseKind.NEW, c.CALL: UseKind.CALL, c.BUILD: UseKind.BUILD, c.COMPUTED_STATE: UseKind.BUILD,
    c.APPEND: UseKind.APPEND, c.SETITEM: UseKind.SETITEM, c.ADD: UseKind.ADD,
}  # fmt: skip

_FIRST = 1 << 20
"""Cells that are set aside at first; memory that is not touched costs nothing."""

_NOTHING = Watched()


def analyse(data: Buffer, start: int, limits: Limits, watch: Watch) -> Analysis | None:
    """The reading of `data` from `start` on; None where the pure machine has to do it."""
    view = np.frombuffer(data, dtype=np.uint8)
    return _Run(data, view, start, limits, watch).result()


class _Run:
    """One reading: the arrays of the compiled loop, and the pure machine that keeps the notes."""

    def __init__(self, data: Buffer, view: Any, start: int, limits: Limits, watch: Watch) -> None:
        self.data, self.view, self.limits = data, view, limits
        self.notes = Machine(data, start, limits, watch)
        self.known: list[Global] = []
        self.ids: dict[int, int] = {}
        self.reg = np.zeros(c.REGISTERS, dtype=np.int64)
        self.reg[c.POS], self.reg[c.FRAME], self.reg[c.TOP] = start, c.NEVER, 1
        self.reg[c.LIMIT] = limits.opcodes
        self.stack = np.empty(_FIRST, dtype=np.int64)
        self.marks = np.empty(1 << 16, dtype=np.int64)
        self.memo = np.full(1 << 16, -1, dtype=np.int64)
        self.arena = np.empty(_FIRST, dtype=np.int64)
        self.arena[0] = 0
        self.table = np.zeros((1 << 10, c.COLUMNS), dtype=np.int64)
        self.pairs = np.full((1 << c.TABLE_BITS, 5), -1, dtype=np.int64)
        self.lines = np.full((1 << c.TABLE_BITS, 4), -1, dtype=np.int64)
        self.spans = np.empty((limits.spans, 2), dtype=np.int64)

    def result(self) -> Analysis | None:
        """Runs to the end; None where the pure machine has to read."""
        while True:
            tables = (self.table, self.pairs, self.lines)
            code = run(self.view, self.reg, self.stack, self.marks, self.memo, self.arena, tables, self.spans)
            try:
                if code == c.STOPPED:
                    self.notes.complete = True
                    return self._analysis(int(self.reg[c.POS]))
                if code == c.LEAVE or not self._serve(code):
                    return None
            except Stuck as stuck:
                self.notes.end = int(self.reg[c.AT])
                self.notes._stop(str(stuck))
                return self._analysis(self.notes.end)
            except Beyond as beyond:
                self.notes.end = int(self.reg[c.AT])
                self.notes.problems.append(f"not read further than byte {self.notes.end}: {beyond}")
                return self._analysis(self.notes.end)

    def _serve(self, code: int) -> bool:
        """Does what the compiled loop asks for; False where the pure machine has to take over."""
        if code == c.LOOK_UP:
            return self._look_up()
        if code == c.LOOK_UP_LINES:
            return self._look_up_lines()
        if code == c.NOTE:
            self._note()
        elif code in (c.GROW_STACK, c.GROW_MARKS, c.GROW_MEMO, c.GROW_ARENA):
            return self._grow(code)
        else:
            return False
        return True

    def _analysis(self, end: int) -> Analysis:
        notes = self.notes
        notes.end, notes.count = end, int(self.reg[c.COUNT])
        notes.spans = [(int(first), int(last)) for first, last in self.spans[: self.reg[c.SPANS]]]
        stack = self.stack[: self.reg[c.SP]]
        for number, found in enumerate(self.known):
            if found.watched is not None and found.watched.confined:
                waiting = int(np.count_nonzero(stack == number * 8 + c.GLOBAL))
                found.pushed = int(self.table[number, c.PUSHED]) - waiting
                found.called = int(self.table[number, c.CALLED])
        return notes.analysis()

    def _grow(self, code: int) -> bool:
        name = {c.GROW_STACK: "stack", c.GROW_MARKS: "marks", c.GROW_MEMO: "memo", c.GROW_ARENA: "arena"}[code]
        old = getattr(self, name)
        if len(old) * 2 > 4 * self.limits.blocks:
            return False
        new = np.full(len(old) * 2, -1, dtype=np.int64) if name == "memo" else np.empty(len(old) * 2, dtype=np.int64)
        new[: len(old)] = old
        setattr(self, name, new)
        return True

    def _number(self, found: Global) -> int:
        number = self.ids.get(id(found))
        if number is None:
            number = self.ids[id(found)] = len(self.known)
            self.known.append(found)
            if number >= len(self.table):
                self.table = np.vstack([self.table, np.zeros_like(self.table)])
            self._describe(number, found)
        return number

    def _describe(self, number: int, found: Global) -> None:
        """Puts what is watched of a global where the compiled loop sees it."""
        watched = found.watched or _NOTHING
        row = self.table[number]
        row[c.MAKES] = watched.makes
        row[c.STATE] = len(watched.state)
        row[c.MANY] = len(watched.positions) > 3
        row[c.GETATTR] = (found.module, found.name) == ("builtins", "getattr")
        for column, position in enumerate(watched.positions[:3]):
            row[c.POSITIONS + column] = position + 1
            row[c.DETAILED + column] = position in watched.detailed

    def _push(self, found: Global) -> None:
        number = self._number(found)
        self.table[number, c.PUSHED] += 1
        self.table[number, c.DONE + c.REFERENCE] = 1
        self.stack[self.reg[c.SP]] = number * 8 + c.GLOBAL
        self.reg[c.SP] += 1

    def _look_up(self) -> bool:
        """The global whose name is two constants, which the loop took off the stack; False where the pure machine has to follow it."""
        reg, notes = self.reg, self.notes
        notes.protocol = int(reg[c.PROTOCOL])
        found = notes._named(int(reg[c.A]), int(reg[c.B]), int(reg[c.AT]))
        self._push(found)
        if notes.protocol >= 3:
            c.remember_pair(self.pairs, -2, reg[c.A], reg[c.B], 0, self._number(found))
        return not notes.tracking

    def _look_up_lines(self) -> bool:
        """The global whose name is two lines; False where the pure machine has to follow it."""
        reg, notes = self.reg, self.notes
        notes.protocol = int(reg[c.PROTOCOL])
        found, end = notes._names(int(reg[c.AT]) + 1)
        self._push(found)
        reg[c.POS] = end
        c.remember_lines(self.view, self.lines, int(reg[c.AT]) + 1, end, notes.protocol < 3, self._number(found))
        return not notes.tracking

    def _note(self) -> None:
        """A use that was not seen before, or whose arguments matter."""
        reg = self.reg
        kind, found, place = int(reg[c.KIND]), self.known[int(reg[c.WHO])], int(reg[c.AT])
        value = self._value(int(reg[c.A]))
        watched = found.watched or _NOTHING
        argument = None
        arguments: tuple[Any, ...] = ()
        if kind in (c.CALL, c.NEW):
            arguments = arguments_of(self.data, value, watched.positions, watched.detailed)
        elif kind == c.BUILD and reg[c.B] >= 0:
            argument = text_of(self.data, int(reg[c.B])) or "?"
        elif kind == c.BUILD:
            arguments = arguments_of(self.data, value, watched.state, frozenset())
        elif kind == c.COMPUTED_STATE:
            argument = "?"
        self.notes._use(found, _KINDS[kind], place, argument, arguments)
        if not arguments and (argument is None or kind == c.COMPUTED_STATE):
            self.table[self._number(found), c.DONE + kind] = 1

    def _value(self, coded: int, deep: bool = True) -> Value:
        """The pure machine's value for one of the loop's."""
        tag, body = coded & 7, coded >> 3
        if tag == c.CONSTANT:
            return body
        if tag == c.GLOBAL:
            return self.known[body]
        if tag == c.TUPLE:
            items = self.arena[body + 1 : body + 1 + min(int(self.arena[body]), c.KEPT + 1)]
            return tuple(self._value(int(item), False) for item in items) if deep else ()
        if tag == c.CELL:
            head = int(self.arena[body])
            return Cell(self.known[(head >> 4) - 1] if head >> 4 else None)
        return LIST if tag == c.A_LIST else SET
