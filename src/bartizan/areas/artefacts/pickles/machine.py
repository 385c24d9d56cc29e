"""The abstract pickle machine: reads a stream as CPython's unpicklers do, opcode by opcode, and executes nothing.

It keeps what the loaders keep (a stack with marks, a memo, the protocol, the frame) with abstract values instead of objects, and notes
every use of a global. Where the loader in C and the one in Python differ, it follows the one that goes on; where they would read different
bytes (an argument that straddles the end of a frame), it says so in `hidden`. Source: CPython 3.8-3.14,
`Modules/_pickle.c` and `Lib/pickle.py`.
"""

from __future__ import annotations

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import Any

from bartizan.areas.artefacts.pickles import opcodes as op
from bartizan.areas.artefacts.pickles.stream import NEVER, Beyond, Stream, Stuck
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
    state_of,
    text_of,
)
from bartizan.areas.artefacts.safety import UseKind

__all__ = ["Beyond", "Machine", "Stuck"]

MAX_KEYS, MAX_KEY = 64, 200
"""Keys of a dict that are followed, and the bytes of one."""


class Machine(Stream):
    """One reading of `data` from `start` on. `run()` reads to the end, `analysis()` says what was seen."""

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
        self.stack.append(Cell(None, parts={} if self.tracking else None))
        return pos + 1

    def _dict(self, pos: int) -> int:
        items = self._pop_mark()
        cell = Cell(None, parts={} if self.tracking else None)
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
            if target.parts is not None and target.origin is None:
                self._track(target, items)

    def _track(self, target: Cell, items: list[Value]) -> None:
        """Keeps the items of a dict by key; of a dict with many keys, or one that is no plain text, none from now on."""
        for key, value in zip(items[::2], items[1::2], strict=False):
            text = text_of(self.data, key, MAX_KEY) if isinstance(key, int) else None
            if text is None or target.parts is None or len(target.parts) >= MAX_KEYS:
                target.parts = None
                return
            target.parts[text] = value

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
            self.tracking = self.tracking or (found.watched is not None and found.watched.slow)
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
            return self._look_up(module.decode("utf-8"), name.decode("utf-8"), place), end
        except UnicodeDecodeError:
            raise Stuck("a name is not in UTF-8") from None

    def _global_line(self, pos: int) -> int:
        found, end = self._names(pos + 1)
        self._push(found)
        return end

    def _stack_global(self, pos: int) -> int:
        name, module = self.stack.pop(), self.stack.pop()
        if isinstance(module, int) and isinstance(name, int):
            found = self.by_place.get((module, name)) if self.protocol >= 3 else None
            if found is None:
                found = self._named(module, name, pos)
                if self.protocol >= 3:
                    self.by_place[(module, name)] = found
            self._push(found)
            return pos + 1
        if _no_string(module) or _no_string(name):
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
                if target.name == "getattr" and target.module == "builtins":
                    looked_up = self._looked_up(args, pos)
                    if looked_up is not None:
                        return looked_up
                self._use(target, kind, pos, arguments=arguments_of(self.data, args, watched.positions, watched.detailed))
                made = self._made(args, watched.makes) if watched.makes >= 0 else target
            cell = Cell(made, 0 if args == () else COMPUTED, new=kind is UseKind.NEW and made is target)
            if self.tracking and target.name == "encode" and target.module == "_codecs":
                cell.parts = {"*": args}
            return cell
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

    def _looked_up(self, args: Value, pos: int) -> Value | None:
        """What `getattr` gives: of a global by a constant it is a look-up like any other, and methods of some objects may be looked up."""
        if not isinstance(args, tuple) or len(args) != 2 or not isinstance(args[1], int):
            return None
        target, name = args[0], text_of(self.data, args[1])
        if name is not None and isinstance(target, Global):
            return self._attribute(target, name, pos)
        origin = target.origin if isinstance(target, Cell) else None
        if name is None or origin is None or origin.watched is None or name not in origin.watched.methods:
            return None
        return Cell(self._global(origin.module, f"{origin.name}.{name}"), COMPUTED, method=True)

    def _attribute(self, target: Global, name: str, pos: int) -> Global:
        found = self._global(target.module, f"{target.name}.{name}")
        self._use(found, UseKind.REFERENCE, pos)
        found.pushed += 1
        return found

    def _made(self, args: Value, position: int) -> Global:
        item = args[position] if isinstance(args, tuple) and position < len(args) else None
        if not isinstance(item, Global):
            return self._unknown("an unknown class")
        if item.watched is not None and item.watched.slow:
            item.called += 1
        return item

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
        found.pushed += 1
        args = self._pop_mark()
        self.stack.append(self._instance(found, args, pos))
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
        elif isinstance(target, Cell) and target.origin is not None and _keys(target.origin) is not None:
            self._keyed_state(target.origin, state, pos)
        elif isinstance(target, Cell) and target.origin is not None:
            flags, key = state_flags(state)
            if flags & DUNDER:
                self._use(target.origin, UseKind.BUILD, pos, argument=text_of(self.data, key) or "?")
            if flags & COMPUTED:
                self._use(target.origin, UseKind.BUILD, pos, argument="?")
            if not flags:
                self._state(target.origin, state, pos)
        return pos + 1

    def _keyed_state(self, origin: Global, state: Value, pos: int) -> None:
        """A state of which the policy sees every attribute."""
        watched = origin.watched
        assert watched is not None
        self._use(origin, UseKind.BUILD, pos, arguments=state_of(self.data, state, watched.keys or frozenset()))
        parts = state.parts if isinstance(state, Cell) and state.origin is None else None
        for key in watched.takes & set(parts or ()):
            value = (parts or {})[key]
            if isinstance(value, Global):
                value.called += 1

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
        if isinstance(module, Global) and module.watched is not None and module.watched.slow:
            module.called += 1
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
        if self.frame == NEVER or start >= self.frame:
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


def _keys(origin: Global) -> frozenset[str] | None:
    """The attributes of which a policy sees the text, where it sees each of a state."""
    return origin.watched.keys if origin.watched is not None else None


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
