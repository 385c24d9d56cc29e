"""The abstract pickle machine: reads a stream as CPython's unpicklers do, opcode by opcode, and executes nothing.

It keeps what the loaders keep (a stack with marks, a memo, the protocol, the frame) with abstract values instead of objects, and notes
every use of a global. Where the loader in C and the one in Python differ, it follows the one that goes on; where they would read different
bytes (an argument that straddles the end of a frame), it says so in `hidden`. Source: CPython 3.8-3.14,
`Modules/_pickle.c` and `Lib/pickle.py`.
"""

from __future__ import annotations

import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from typing import Any, ClassVar

from bartizan.areas.artefacts.pickles import opcodes as op
from bartizan.areas.artefacts.pickles.analysis import Analysis, Buffer, Limits, Watch
from bartizan.areas.artefacts.pickles.values import (
    COMPUTED,
    DUNDER,
    LIST,
    MAX_NAME,
    OPAQUE,
    PERSISTENT,
    SET,
    Cell,
    Global,
    Value,
    arguments_of,
    kept,
    length_of,
    line_end,
    mark_key,
    state_flags,
    text_of,
)
from bartizan.areas.artefacts.safety import Argument, Use, UseKind

CHUNK = 1 << 17
"""Opcodes between two looks at the memory that is used."""

LONG_CONSTANT = 1_024
"""Bytes from which on a constant is listed."""

_FIXED = [op.CONSTANT_FIXED.get(code, -1) for code in range(256)]
_NEVER = 1 << 62


class Stuck(Exception):
    """Every loader refuses the stream here."""


class Beyond(Exception):
    """A limit of the analysis is reached."""


class Machine:
    """One reading of `data` from `start` on. `run()` reads to the end, `analysis()` says what was seen."""

    handlers: ClassVar[dict[int, Callable[[Any, int], int]]]
    """What reads each opcode: takes its offset, gives that of the next one; minus that behind STOP."""

    def __init__(self, data: Buffer, start: int, limits: Limits, watch: Watch) -> None:
        self.data = data
        self.size = len(data)
        self.limits = limits
        self.watch = watch
        self.at = self.end = start
        self.protocol = 0
        self.frame = _NEVER
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
                        value.pushed += 1  # type: ignore[union-attr]
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
        self.frame = _NEVER

    def _line(self, pos: int) -> tuple[str | bytes, int]:
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
        self.stack.append(value)

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

    # Containers

    def _tuple(self, pos: int) -> int:
        items = self._pop_mark()
        self.stack.append(kept(items))
        return pos + 1

    def _empty_tuple(self, pos: int) -> int:
        self.stack.append(())
        return pos + 1

    def _tuple1(self, pos: int) -> int:
        self.stack[-1] = (self.stack[-1],)
        return pos + 1

    def _tuple3(self, pos: int) -> int:
        third, second = self.stack.pop(), self.stack.pop()
        self.stack[-1] = (self.stack[-1], second, third)
        return pos + 1

    def _empty_list(self, pos: int) -> int:
        self.stack.append(LIST)
        return pos + 1

    def _list(self, pos: int) -> int:
        self._pop_mark()
        self.stack.append(LIST)
        return pos + 1

    def _empty_set(self, pos: int) -> int:
        self.stack.append(SET)
        return pos + 1

    def _frozenset(self, pos: int) -> int:
        self._pop_mark()
        self.stack.append(SET)
        return pos + 1

    def _empty_dict(self, pos: int) -> int:
        self.stack.append(Cell(None))
        return pos + 1

    def _dict(self, pos: int) -> int:
        items = self._pop_mark()
        cell = Cell(None)
        if len(items) % 2:
            raise IndexError(pos)
        self._set(cell, items, pos)
        self.stack.append(cell)
        return pos + 1

    def _append(self, pos: int) -> int:
        self.stack.pop()
        self._change(self.stack[-1], UseKind.APPEND, pos)
        return pos + 1

    def _appends(self, pos: int) -> int:
        self._pop_mark()
        self._change(self.stack[-1], UseKind.APPEND, pos)
        return pos + 1

    def _additems(self, pos: int) -> int:
        self._pop_mark()
        self._change(self.stack[-1], UseKind.ADD, pos)
        return pos + 1

    def _setitem(self, pos: int) -> int:
        value, key = self.stack.pop(), self.stack.pop()
        self._set(self.stack[-1], [key, value], pos)
        return pos + 1

    def _setitems(self, pos: int) -> int:
        items = self._pop_mark()
        self._set(self.stack[-1], items, pos)
        return pos + 1

    def _set(self, target: Value, items: list[Value], pos: int) -> None:
        self._change(target, UseKind.SETITEM, pos)
        if isinstance(target, Cell):
            for key in items[::2]:
                mark_key(self.data, target, key)

    def _change(self, target: Value, kind: UseKind, pos: int) -> None:
        """Notes that items are put into `target`; plain containers and constants have no code of their own to run."""
        if isinstance(target, Global):
            self._use(target, UseKind.INSIDE, pos)
        elif isinstance(target, Cell):
            if target.origin is not None:
                self._use(target.origin, kind, pos)
        elif target is PERSISTENT or target is OPAQUE:
            self._use(self._unknown(f"a {target.kind} object"), UseKind.UNKNOWN, pos)

    # Globals

    def _unknown(self, name: str) -> Global:
        return self._global("?", name)

    def _global(self, module: str, name: str) -> Global:
        found = self.globals.get((module, name))
        if found is None:
            if len(self.globals) >= self.limits.uses:
                raise Beyond(f"it names more than {self.limits.uses} globals")
            found = self.globals[module, name] = Global(module, name, self.watch.get((module, name)))
        return found

    def _look_up(self, module: str, name: str, pos: int) -> Global:
        """The global that the loader finds under a name of the stream, by the names of Python 2 below protocol 3."""
        if self.protocol < 3:
            if (module, name) in NAME_MAPPING:
                module, name = NAME_MAPPING[module, name]
            else:
                module = IMPORT_MAPPING.get(module, module)
        found = self._global(module, name)
        self._use(found, UseKind.REFERENCE, pos)
        return found

    def _use(self, target: Global, kind: UseKind, pos: int, argument: str | None = None, arguments: tuple[Argument, ...] = ()) -> None:
        key = (kind, argument, arguments) if argument is not None or arguments else kind
        if key in target.done:
            return
        if len(self.uses) >= self.limits.uses:
            raise Beyond(f"it uses globals in more than {self.limits.uses} ways")
        target.done.add(key)
        self.uses.append(Use(target.module, target.name, kind, pos, argument, arguments))

    def _names(self, pos: int) -> tuple[Global, int]:
        """The global that the two lines from `pos` on name, and where they end."""
        module, middle = self._line(pos)
        if middle > self.size:
            raise IndexError(pos)
        name, end = self._line(middle)
        place = pos - 1
        if len(module) > MAX_NAME or len(name) > MAX_NAME:
            found = self._unknown("a name that is too long")
            self._use(found, UseKind.UNKNOWN, place)
            return found, end
        try:
            return self._look_up(bytes(module).decode("utf-8"), bytes(name).decode("utf-8"), place), end
        except UnicodeDecodeError:
            raise Stuck("a name is not in UTF-8") from None

    def _global_line(self, pos: int) -> int:
        found, end = self._names(pos + 1)
        self._push(found)
        return end

    def _stack_global(self, pos: int) -> int:
        name, module = self.stack.pop(), self.stack.pop()
        place = (module, name)
        if isinstance(module, int) and isinstance(name, int):
            found = self.by_place.get(place) if self.protocol >= 3 else None
            if found is None:
                found = self._named(module, name, pos)
                if self.protocol >= 3:
                    self.by_place[place] = found
            self._push(found)
            return pos + 1
        if any(_no_string(part) for part in place):
            raise Stuck("the name of a global is no string")
        self.stack.append(self._unknown("a computed name"))
        self._use(self._unknown("a computed name"), UseKind.UNKNOWN, pos)
        return pos + 1

    def _named(self, module: int, name: int, pos: int) -> Global:
        data = self.data
        if data[module] not in op.TEXT or data[name] not in op.TEXT:
            raise Stuck("the name of a global is no string")
        first, second = text_of(data, module), text_of(data, name)
        if first is None or second is None:
            found = self._unknown("a name that cannot be told")
            self._use(found, UseKind.UNKNOWN, pos)
            return found
        return self._look_up(first, second, pos)

    def _extension(self, pos: int) -> int:
        size = op.OTHER_FIXED[self.data[pos]]
        code = length_of(self.data, pos + 1, size)
        if code == 0 or (size == 4 and code >= 1 << 31):
            raise Stuck("a number of the extension registry is not positive")
        found = self._global("extension registry", str(code))
        self._use(found, UseKind.EXTENSION, pos)
        self.stack.append(found)
        return pos + 1 + size

    # Calls

    def _call(self, target: Value, args: Value, pos: int, kind: UseKind) -> Value:
        """What comes out when `target` is called with `args`."""
        if isinstance(target, Global):
            target.called += 1
            watched = target.watched
            made = target
            if watched is None:
                self._use(target, kind, pos)
            else:
                looked_up = _name_of_attribute(self.data, args) if target.name == "getattr" and target.module == "builtins" else None
                if looked_up is not None:
                    return self._attribute(*looked_up, pos)
                self._use(target, kind, pos, arguments=arguments_of(self.data, args, watched.positions, watched.detailed))
                made = self._made(args, watched.makes) if watched.makes >= 0 else target
            return Cell(made, 0 if args == () else COMPUTED, new=kind is UseKind.NEW and made is target)
        if isinstance(target, Cell) and target.origin is not None:
            if target.new and target.origin.name == "NumpyArrayWrapper":
                raise Stuck("what describes an array is called")
            self._use(target.origin, UseKind.UNKNOWN, pos, argument="()")
            return Cell(target.origin, COMPUTED)
        if target is PERSISTENT or target is OPAQUE:
            found = self._unknown(f"a {target.kind} object")
            self._use(found, UseKind.UNKNOWN, pos, argument="()")
            return Cell(found, COMPUTED)
        raise Stuck("a constant is called")

    def _attribute(self, target: Global, name: str, pos: int) -> Global:
        """`getattr` of a global by a constant is a look-up like any other; the global itself goes nowhere else by it."""
        target.called += 1
        found = self._global(target.module, f"{target.name}.{name}")
        self._use(found, UseKind.REFERENCE, pos)
        found.pushed += 1
        return found

    def _made(self, args: Value, position: int) -> Global:
        item = args[position] if isinstance(args, tuple) and position < len(args) else None
        return item if isinstance(item, Global) else self._unknown("an unknown class")

    def _reduce(self, pos: int) -> int:
        args = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], args, pos, UseKind.CALL)
        return pos + 1

    def _newobj(self, pos: int) -> int:
        args, cls = self.stack.pop(), self.stack.pop()
        self.stack.append(self._call(cls, args, pos, UseKind.NEW))
        return pos + 1

    def _newobj_ex(self, pos: int) -> int:
        self.stack.pop()
        args, cls = self.stack.pop(), self.stack.pop()
        self.stack.append(self._call(cls, args or OPAQUE, pos, UseKind.NEW))
        return pos + 1

    def _obj(self, pos: int) -> int:
        args = self._pop_mark()
        cls = args.pop(0)
        self.stack.append(self._instance(cls, args, pos))
        return pos + 1

    def _inst(self, pos: int) -> int:
        found, end = self._names(pos + 1)
        self.stack.append(self._instance(found, self._pop_mark(), pos))
        return end

    def _instance(self, cls: Value, args: list[Value], pos: int) -> Value:
        return self._call(cls, kept(args), pos, UseKind.CALL if args else UseKind.NEW)

    def _build(self, pos: int) -> int:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Global):
            self._use(target, UseKind.INSIDE, pos)
        elif target is PERSISTENT or target is OPAQUE:
            self._change(target, UseKind.BUILD, pos)
        elif isinstance(target, Cell) and target.origin is not None:
            flags, key = state_flags(state)
            if flags & DUNDER:
                self._use(target.origin, UseKind.BUILD, pos, argument=text_of(self.data, key) or "?")
            if flags & COMPUTED:
                self._use(target.origin, UseKind.BUILD, pos, argument="?")
            if not flags:
                self._state(target.origin, state, pos)
        return pos + 1

    def _state(self, origin: Global, state: Value, pos: int) -> None:
        positions = origin.watched.state if origin.watched is not None else ()
        self._use(origin, UseKind.BUILD, pos, arguments=arguments_of(self.data, state, positions, frozenset()))

    # The rest

    def _persid(self, pos: int) -> int:
        end = line_end(self.data, pos + 1)
        if end < 0:
            raise IndexError(pos)
        self.persistent["?"] = None
        self.stack.append(PERSISTENT)
        return end + 1

    def _binpersid(self, pos: int) -> int:
        ident = self.stack.pop()
        first: Any = ident[0] if isinstance(ident, tuple) and ident else None
        kind = text_of(self.data, first, 20) if isinstance(first, int) else None
        self.persistent[kind if kind in ("storage", "module") else "?"] = None
        module = ident[1] if kind == "module" and isinstance(ident, tuple) and len(ident) > 1 else None
        self._push(module if isinstance(module, Global) else PERSISTENT)
        return pos + 1

    def _next_buffer(self, pos: int) -> int:
        self.stack.append(OPAQUE)
        return pos + 1

    def _readonly_buffer(self, pos: int) -> int:
        self.stack[-1] = self.stack[-1]
        return pos + 1

    def _proto(self, pos: int) -> int:
        self.protocol = self.data[pos + 1]
        return pos + 2

    def _frame(self, pos: int) -> int:
        start = pos + 9
        end = start + length_of(self.data, pos + 1, 8)
        if end > self.size:
            self.problems.append(f"the frame at byte {pos} ends behind the data")
        if self.frame == _NEVER or start >= self.frame:
            if start > self.frame:
                self._boundary(pos, start)
            self.frame = end
        elif end > self.frame:
            self.hidden.append(pos)
            self.problems.append(f"the frame at byte {pos} goes over the end of the one around it, where loaders read on in different ways")
        return start

    def _stop_opcode(self, pos: int) -> int:
        self.stack.pop()
        return -(pos + 1)


def _no_string(value: Value) -> bool:
    """Is `value` certainly no str, so that every loader refuses it as a name?"""
    if isinstance(value, Cell):
        return value.origin is None or (value.new and (value.origin.module, value.origin.name) != ("builtins", "str"))
    return isinstance(value, tuple) or value is LIST or value is SET


def _name_of_attribute(data: Buffer, args: Value) -> tuple[Global, str] | None:
    """The global and the attribute that `getattr` is called with, where both stand in the stream."""
    if not isinstance(args, tuple) or len(args) != 2 or not isinstance(args[0], Global) or not isinstance(args[1], int):
        return None
    text = text_of(data, args[1])
    return None if text is None else (args[0], text)


def _number(line: str | bytes) -> int:
    """The index in a GET or PUT, as the loader in C reads it: up to a zero byte, with white space and underscores."""
    try:
        return int(bytes(line, "ascii") if isinstance(line, str) else line.split(b"\0")[0])
    except ValueError:
        raise Stuck("the number for the memo is none") from None


_GETS = (op.BINGET, op.LONG_BINGET, op.GET)

Machine.handlers = {
    op.MARK: Machine._mark, op.POP: Machine._pop, op.POP_MARK: Machine._pop_to_mark, op.DUP: Machine._dup,
    op.GET: Machine._get, op.LONG_BINGET: Machine._long_binget, op.PUT: Machine._put, op.LONG_BINPUT: Machine._long_binput,
    op.TUPLE: Machine._tuple, op.EMPTY_TUPLE: Machine._empty_tuple, op.TUPLE1: Machine._tuple1, op.TUPLE3: Machine._tuple3,
    op.EMPTY_LIST: Machine._empty_list, op.LIST: Machine._list, op.EMPTY_SET: Machine._empty_set, op.FROZENSET: Machine._frozenset,
    op.EMPTY_DICT: Machine._empty_dict, op.DICT: Machine._dict, op.APPEND: Machine._append, op.APPENDS: Machine._appends,
    op.ADDITEMS: Machine._additems, op.SETITEM: Machine._setitem, op.SETITEMS: Machine._setitems, op.GLOBAL: Machine._global_line,
    op.STACK_GLOBAL: Machine._stack_global, op.EXT1: Machine._extension, op.EXT2: Machine._extension, op.EXT4: Machine._extension,
    op.REDUCE: Machine._reduce, op.NEWOBJ: Machine._newobj, op.NEWOBJ_EX: Machine._newobj_ex, op.OBJ: Machine._obj,
    op.INST: Machine._inst, op.BUILD: Machine._build, op.PERSID: Machine._persid, op.BINPERSID: Machine._binpersid,
    op.NEXT_BUFFER: Machine._next_buffer, op.READONLY_BUFFER: Machine._readonly_buffer, op.PROTO: Machine._proto,
    op.FRAME: Machine._frame, op.STOP: Machine._stop_opcode,
    **dict.fromkeys(op.CONSTANT_COUNTED, Machine._counted), **dict.fromkeys(op.CONSTANT_LINE, Machine._constant_line),
}  # fmt: skip
