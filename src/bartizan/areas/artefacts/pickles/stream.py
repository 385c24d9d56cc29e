"""The part of the abstract machine that reads: opcodes, constants, lines, frames, the stack with its marks, and the memo."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from bartizan.areas.artefacts.pickles import opcodes as op
from bartizan.areas.artefacts.pickles.analysis import Analysis, Buffer, Limits, Watch
from bartizan.areas.artefacts.pickles.values import (
    MAX_NAME,
    Cell,
    Global,
    Value,
    length_of,
    line_end,
)
from bartizan.areas.artefacts.safety import Argument, Use, UseKind

CHUNK = 1 << 17
"""Opcodes between two looks at the memory that is used."""

LONG_CONSTANT = 1_024
"""Bytes from which on a constant is listed."""

_FIXED = [op.CONSTANT_FIXED.get(code, -1) for code in range(256)]
NEVER = 1 << 62
"""The end of no frame."""


class Stuck(Exception):
    """Every loader refuses the stream here."""


class Beyond(Exception):
    """A limit of the analysis is reached."""


class Stream:
    """The state of one reading of `data` from `start` on; what the opcodes do stands in `Machine`."""

    handlers: ClassVar[dict[int, Callable[[Any, int], int]]]
    """What reads each opcode: takes its offset, gives that of the next one; minus that behind STOP."""

    tracking: bool
    """Are the items of dicts kept, because what a state sets matters?"""

    def __init__(self, data: Buffer, start: int, limits: Limits, watch: Watch) -> None:
        self.data = data
        self.size = len(data)
        self.limits = limits
        self.watch = watch
        self.at = self.end = start
        self.protocol = 0
        self.frame = NEVER
        self.stack: list[Value] = []
        self.metastack: list[list[Value]] = []
        self.memo: dict[int, Value] = {}
        self.globals: dict[tuple[str, str], Global] = {}
        self.by_place: dict[tuple[int, int], Global] = {}
        self.uses: list[Use] = []
        self.problems: list[str] = []
        self.hidden: list[int] = []
        self.spans: list[tuple[int, int]] = []
        self.persistent: dict[str, None] = {}
        self.arrays: list[tuple[int, int]] = []
        self.count = 0
        self.tracking = False
        self.stopped = -1
        self.complete = False

    def analysis(self) -> Analysis:
        """What the reading found."""
        self._escapes()
        return Analysis(
            uses=tuple(self.uses),
            complete=self.complete and not self.hidden,
            end=self.end,
            problems=tuple(self.problems),
            stopped=self.stopped,
            hidden=tuple(self.hidden),
            constants=tuple(self.spans),
            persistent=tuple(self.persistent),
            arrays=tuple(self.arrays),
            opcodes=self.count,
        )

    def _escapes(self) -> None:
        """Notes the confined globals that went anywhere but where they are called."""
        confined = [found for found in self.globals.values() if found.watched is not None and found.watched.confined]
        waiting = [value for part in (*self.metastack, self.stack) for value in part if isinstance(value, Global)] if confined else []
        for found in confined:
            if found.pushed > found.called + sum(value is found for value in waiting) and len(self.uses) < self.limits.uses:
                self._use(found, UseKind.REFERENCE, self.end, argument="value")

    def run(self, opcodes: int | None = None) -> bool:
        """Reads up to `opcodes` more opcodes; says whether the reading is over. Its result is in `analysis()`."""
        left = self.limits.opcodes - self.count if opcodes is None else min(opcodes, self.limits.opcodes - self.count)
        blocks = sys.getallocatedblocks()
        try:
            while left > 0:
                step = min(left, CHUNK)
                if self._steps(step):
                    self.complete = True
                    return True
                left -= step
                if sys.getallocatedblocks() - blocks > self.limits.blocks:
                    raise Beyond("it would keep more objects in memory than an analysis may")
            if self.count >= self.limits.opcodes:
                raise Beyond(f"it has more than {self.limits.opcodes} opcodes")
        except IndexError:
            short = self.end >= self.size or self._ends_early()
            self._stop("the data ends here" if short else "the stack is empty here")
        except Stuck as stuck:
            self._stop(str(stuck))
        except Beyond as beyond:
            self.problems.append(f"not read further than byte {self.end}: {beyond}")
        else:
            return False
        return True

    def _stop(self, why: str) -> None:
        self.stopped = self.at = self.end
        self.problems.append(f"the loader itself stops at byte {self.end}: {why}")

    def _ends_early(self) -> bool:
        """Does the argument of the opcode at hand reach behind the end of the data?"""
        return any(end > self.size for _, end in self._fields(self.end))

    def _steps(self, count: int) -> bool:
        """Reads `count` opcodes, or up to STOP; says whether STOP was read. The loop holds the opcodes that pickles are made of."""
        data, fixed, memo, handlers = self.data, _FIXED, self.memo, self.handlers
        stack, pos, at = self.stack, self.end, self.end
        push = stack.append
        limit = min(self.frame, self.size)
        done = 0
        try:
            for done in range(count):  # noqa: B007 - read behind the loop
                at = pos
                code = data[pos]
                more = fixed[code]
                if more >= 0:
                    push(pos)
                    pos += more + 1
                elif code == 0x94:
                    memo[len(memo)] = stack[-1]
                    pos += 1
                elif code == 0x8C:
                    push(pos)
                    pos += 2 + data[pos + 1]
                elif code == 0x71:
                    memo[data[pos + 1]] = stack[-1]
                    pos += 2
                elif code == 0x68:
                    value = memo[data[pos + 1]]
                    if value.__class__ is Global:
                        value.pushed += 1
                    elif self.tracking:
                        self._again(value)
                    push(value)
                    pos += 2
                elif code == 0x86:
                    last = stack.pop()
                    stack[-1] = (stack[-1], last)
                    pos += 1
                else:
                    self.end = pos
                    pos = handlers[code](self, pos)
                    if pos < 0:
                        self.end = -pos
                        return True
                    stack = self.stack
                    push = stack.append
                    if limit != self.frame:
                        limit = min(self.frame, self.size)
                if pos > limit:
                    self.end = at
                    self._boundary(at, pos)
                    limit = min(self.frame, self.size)
            self.end = pos
        except KeyError:
            self.end = at
            raise Stuck("nothing is in the memo under that number" if code in _GETS else f"{code:#04x} is no opcode") from None
        except BaseException:
            self.end = at
            raise
        finally:
            self.count += done + 1
        return False

    def _use(self, target: Global, kind: UseKind, pos: int, argument: str | None = None, arguments: tuple[Argument, ...] = ()) -> None:
        key = (kind, argument, arguments) if argument is not None or arguments else kind
        if key in target.done:
            return
        if len(self.uses) >= self.limits.uses:
            raise Beyond(f"it uses globals in more than {self.limits.uses} ways")
        target.done.add(key)
        self.uses.append(Use(target.module, target.name, kind, pos, argument, arguments))

    # Places: lines, lengths and frames

    def _fields(self, at: int) -> list[tuple[int, int]]:
        """The pieces in which a loader reads the opcode at `at`: opcode, length, content, or lines."""
        code = self.data[at]
        if code in op.CONSTANT_COUNTED:
            size = op.CONSTANT_COUNTED[code]
            start = at + 1 + size
            pieces = [(at, at + 1), (at + 1, start)]
            if start <= self.size:
                pieces.append((start, start + length_of(self.data, at + 1, size)))
            return pieces
        pieces = [(at, at + 1)]
        for _ in range(op.LINES.get(code, 0)):
            end = line_end(self.data, pieces[-1][1])
            pieces.append((pieces[-1][1], end + 1 if end >= 0 else self.size + 1))
        more = op.CONSTANT_FIXED.get(code, op.OTHER_FIXED.get(code, 0))
        return [*pieces, (at + 1, at + 1 + more)] if more else pieces

    def _boundary(self, at: int, pos: int) -> None:
        """The opcode from `at` to `pos` goes over the end of the frame or of the data."""
        if pos > self.size:
            raise IndexError(pos)
        if any(start < self.frame < end for start, end in self._fields(at)):
            self.hidden.append(at)
            self.problems.append(f"an argument at byte {at} goes over the end of its frame, where loaders read on in different ways")
        self.frame = NEVER

    def _line(self, pos: int) -> tuple[bytes, int]:
        """The line from `pos` on without its line feed, and where the next one starts; behind the end of the data as Python reads it."""
        end = line_end(self.data, pos)
        if end < 0:
            return bytes(self.data[pos : min(self.size, pos + MAX_NAME + 2)])[:-1], self.size + 1
        return bytes(self.data[pos : min(end, pos + MAX_NAME + 2)]), end + 1

    # Constants

    def _counted(self, pos: int) -> int:
        size = op.CONSTANT_COUNTED[self.data[pos]]
        start = pos + 1 + size
        length = length_of(self.data, pos + 1, size)
        if self.data[pos] == op.LONG4 and length >= 1 << 31:
            raise Stuck("a number has a negative length")
        end = start + length
        if end <= self.size and length >= LONG_CONSTANT and len(self.spans) < self.limits.spans:
            self.spans.append((start, end))
        self.stack.append(pos)
        return end

    def _constant_line(self, pos: int) -> int:
        end = line_end(self.data, pos + 1)
        if end < 0:
            raise IndexError(pos)
        if end - pos > LONG_CONSTANT and len(self.spans) < self.limits.spans:
            self.spans.append((pos + 1, end))
        self.stack.append(pos)
        return end + 1

    # Stack and memo

    def _mark(self, pos: int) -> int:
        self.metastack.append(self.stack)
        self.stack = []
        return pos + 1

    def _pop_mark(self) -> list[Value]:
        items = self.stack
        self.stack = self.metastack.pop()
        return items

    def _pop(self, pos: int) -> int:
        if self.stack:
            self.stack.pop()
        else:
            self._pop_mark()
        return pos + 1

    def _pop_to_mark(self, pos: int) -> int:
        self._pop_mark()
        return pos + 1

    def _dup(self, pos: int) -> int:
        self._push(self.stack[-1])
        return pos + 1

    def _push(self, value: Value) -> None:
        if isinstance(value, Global):
            value.pushed += 1
        elif self.tracking:
            self._again(value)
        self.stack.append(value)

    def _again(self, value: Value) -> None:
        """A tuple or dict that is used once more is one more use of the globals in it."""
        if isinstance(value, tuple):
            inside: Iterable[Value] = value
        elif isinstance(value, Cell) and value.parts is not None:
            inside = value.parts.values()
        else:
            return
        for item in inside:
            if isinstance(item, Global):
                item.pushed += 1

    def _get(self, pos: int) -> int:
        line, end = self._line(pos + 1)
        if end > self.size:
            raise IndexError(pos)
        self._push(self._from_memo(_number(line)))
        return end

    def _long_binget(self, pos: int) -> int:
        self._push(self._from_memo(length_of(self.data, pos + 1, 4)))
        return pos + 5

    def _from_memo(self, index: int) -> Value:
        if index not in self.memo:
            raise Stuck("nothing is in the memo under that number")
        return self.memo[index]

    def _put(self, pos: int) -> int:
        line, end = self._line(pos + 1)
        if end > self.size:
            raise IndexError(pos)
        index = _number(line)
        if index < 0:
            raise Stuck("a number for the memo is negative")
        self.memo[index] = self.stack[-1]
        return end

    def _long_binput(self, pos: int) -> int:
        self.memo[length_of(self.data, pos + 1, 4)] = self.stack[-1]
        return pos + 5


def _number(line: bytes) -> int:
    """The index in a GET or PUT, as the loader in C reads it: up to a zero byte, with white space and underscores."""
    try:
        return int(line.split(b"\0")[0])
    except ValueError:
        raise Stuck("the number for the memo is none") from None


_GETS = (op.BINGET, op.LONG_BINGET, op.GET)
