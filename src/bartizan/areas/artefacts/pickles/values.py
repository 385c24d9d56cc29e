"""The abstract values on the machine's stack, and what can be told of a constant from where it stands.

A constant is the offset of its opcode (an int); a tuple is a tuple of values (of long ones the first and the last items); a list, a set, a
persistent object and an unknown one are the marks below; a dict or what a call gave back is a `Cell`.
"""

from __future__ import annotations

import _codecs
import ast
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bartizan.areas.artefacts.pickles import opcodes as op
from bartizan.areas.artefacts.pickles.analysis import Buffer, Watched
from bartizan.areas.artefacts.safety import Argument

MAX_NAME = 1_000
"""Longest name of a module or class, in bytes; a longer one is as good as unknown."""

MAX_TEXT = 4_096
"""Longest text of a state that a policy gets to see, in bytes."""

KEPT = 8
"""Items of a tuple that are kept, beside the last one."""

DUNDER, COMPUTED = 1, 2
"""Flags of a dict: a key of its is an attribute that the loader itself would call or that changes what the object is; a key is computed,
or there is more than one of the first sort."""

_LOADER_CALLS = (b"append", b"extend", b"add")


@dataclass(slots=True, eq=False)
class Global:
    """A name looked up. `done` holds the uses that were noted already; `pushed` and `called` count a confined global."""

    module: str
    name: str
    watched: Watched | None = None
    pushed: int = 0
    called: int = 0
    done: set[object] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Cell:
    """A dict (`origin` None) or what a call of `origin` gave back, and what is known of its keys.

    `parts` (kept only where states are followed, and only of dicts with few and plain keys) has the items by text key, and for results
    the arguments under `*` and the state under `=`. `new` says that it was made without a constructor, so that it is of the class
    `origin`; `method` that it is a method of an object.
    """

    origin: Global | None
    flags: int = 0
    key: int = -1
    parts: dict[str, Any] | None = None
    new: bool = False
    method: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A value of which only the kind is known."""

    kind: str


LIST, SET, PERSISTENT, OPAQUE = Mark("list"), Mark("set"), Mark("persistent"), Mark("opaque")

Value = int | tuple[Any, ...] | Global | Cell | Mark


def length_of(data: Buffer, at: int, size: int) -> int:
    """The length that stands in the `size` bytes at `at`, unsigned as the C loader reads it. Raises `IndexError` beyond the end."""
    if size == 1:
        return data[at]
    field_ = bytes(data[at : at + size])
    if len(field_) < size:
        raise IndexError(at)
    return int.from_bytes(field_, "little")


def line_end(data: Buffer, at: int) -> int:
    """The offset of the first line feed from `at` on; -1 where there is none."""
    step = 4_096
    while at < len(data):
        found = bytes(data[at : at + step]).find(b"\n")
        if found >= 0:
            return at + found
        at += step
        step = min(step * 4, 1 << 24)
    return -1


def span_of(data: Buffer, at: int) -> tuple[int, int]:
    """Where the content of the string or bytes constant at `at` starts and ends."""
    count = op.CONSTANT_COUNTED.get(data[at])
    if count is None:
        return at + 1, line_end(data, at + 1)
    start = at + 1 + count
    return start, start + length_of(data, at + 1, count)


def text_of(data: Buffer, at: int, limit: int = MAX_NAME) -> str | None:
    """The str constant at `at`; None where it is none, is longer than `limit`, or depends on the encoding that a loader is given."""
    code = data[at]
    if code not in op.TEXT:
        return None
    start, end = span_of(data, at)
    if end - start > limit:
        return None
    raw = bytes(data[start:end])
    try:
        if code == op.UNICODE:
            return raw.decode("raw-unicode-escape")
        if code == op.STRING:
            return _unquoted(raw)
        if code in (op.SHORT_BINSTRING, op.BINSTRING):
            return raw.decode("ascii")
        return raw.decode("utf-8", "surrogatepass")
    except (UnicodeError, ValueError):
        return None


def _unquoted(raw: bytes) -> str | None:
    if len(raw) < 2 or raw[0] != raw[-1] or raw[0] not in b"'\"":
        return None
    decoded, _ = _codecs.escape_decode(raw[1:-1])
    return bytes(decoded).decode("ascii")


def integer_of(data: Buffer, value: Value) -> int | None:
    """The integer constant `value`; None where it is none."""
    if not isinstance(value, int):
        return None
    code = data[value]
    if code in (op.BININT1, op.BININT2):
        return length_of(data, value + 1, (code == op.BININT2 and 2) or 1)
    if code == op.BININT:
        return int.from_bytes(bytes(data[value + 1 : value + 5]), "little", signed=True)
    if code in (op.LONG1, op.LONG4):
        start, end = span_of(data, value)
        return int.from_bytes(bytes(data[start:end]), "little", signed=True) if end - start <= 64 else None
    if code in (op.INT, op.LONG):
        start, end = span_of(data, value)
        try:
            literal = ast.literal_eval(bytes(data[start : min(end, start + 40)]).decode("ascii").strip().rstrip("L"))
        except (ValueError, SyntaxError):
            return None
        return literal if isinstance(literal, int) else None
    return None


def mark_key(data: Buffer, cell: Cell, key: Value) -> None:
    """Notes in `cell` what setting `key` means, should the dict become the state of an object."""
    if isinstance(key, int):
        if is_special(data, key):
            if cell.flags & DUNDER:
                cell.flags |= COMPUTED
            else:
                cell.key = key
            cell.flags |= DUNDER
    elif not isinstance(key, tuple):
        cell.flags |= COMPUTED


def is_special(data: Buffer, at: int) -> bool:
    """Is the constant at `at` the name of an attribute that the loader calls or that changes what an object is?"""
    code = data[at]
    if code == op.SHORT_BINUNICODE:
        size = data[at + 1]
        if size < 3 or (data[at + 2] != 0x5F and size not in (3, 6)):
            return False
    elif code not in op.TEXT:
        return False
    text = text_of(data, at, 200)
    if text is None:
        return code in (op.STRING, op.SHORT_BINSTRING, op.BINSTRING) and _short(data, at)
    return (text.startswith("__") and text.endswith("__")) or text.encode("utf-8", "surrogatepass") in _LOADER_CALLS


def _short(data: Buffer, at: int) -> bool:
    start, end = span_of(data, at)
    return end - start <= 200


def state_flags(value: Value) -> tuple[int, int]:
    """What is out of the ordinary in a state: its flags, and the offset of the first telling key (-1 without one)."""
    if isinstance(value, Cell):
        return value.flags, value.key
    if isinstance(value, tuple):
        flags, key = 0, -1
        pair = len(value) == 2
        for item in value:
            if isinstance(item, Cell) and (pair or item.origin is None) and item.flags:
                flags |= item.flags
                key = item.key if key < 0 else key
            elif pair and (isinstance(item, Global) or item is OPAQUE or item is PERSISTENT):
                flags |= COMPUTED
        return flags, key
    return (COMPUTED, -1) if isinstance(value, Global) or value in (OPAQUE, PERSISTENT) else (0, -1)


def argument_of(data: Buffer, value: Value, detailed: bool = True, limit: int = MAX_NAME) -> Argument:
    """What a policy gets to see of one argument, with its text or place only where it is `detailed`."""
    if isinstance(value, int):
        if data[value] in op.TEXT:
            text = text_of(data, value, limit) if detailed else ""
            return Argument("unknown") if text is None else Argument("text", text)
        if data[value] in op.BYTES:
            return Argument("bytes", span=span_of(data, value) if detailed else None)
        return Argument("constant")
    if isinstance(value, Global):
        return Argument("name", f"{value.module}:{value.name}")
    if isinstance(value, Cell):
        return _argument_made(data, value)
    if isinstance(value, tuple) or value in (LIST, SET):
        return Argument("data")
    return Argument("unknown")


def _argument_made(data: Buffer, value: Cell) -> Argument:
    """What a dict or a result is as an argument."""
    if value.origin is None:
        return Argument("data")
    name = f"{value.origin.module}:{value.origin.name}"
    if name == "_codecs:encode" and value.parts is not None:
        args = value.parts["*"]
        if isinstance(args, tuple) and len(args) == 2 and isinstance(args[0], int) and data[args[0]] in op.TEXT:
            return Argument("encoded", name, span=(args[0], span_of(data, args[0])[1]))
    return Argument("method" if value.method else "result", name)


def state_of(data: Buffer, state: Value, detailed: frozenset[str]) -> tuple[Argument, ...]:
    """The attributes that a state sets, in order; one unknown argument where it is no dict whose keys can all be told."""
    if not isinstance(state, Cell) or state.origin is not None or state.parts is None:
        return (Argument("unknown"),)
    return tuple(
        msgspec.structs.replace(argument_of(data, value, key in detailed, MAX_TEXT), key=key) for key, value in state.parts.items()
    )


def arguments_of(data: Buffer, value: Value, positions: tuple[int, ...], detailed: frozenset[int]) -> tuple[Argument, ...]:
    """The arguments at `positions` of the tuple `value`, by position; those in between are `missing`."""
    if not positions:
        return ()
    shown = [Argument("missing")] * (max(positions) + 1)
    for position in positions:
        if not isinstance(value, tuple) or (position >= KEPT and len(value) > KEPT):
            shown[position] = Argument("unknown")
        elif position < len(value):
            shown[position] = argument_of(data, value[position], position in detailed)
    return tuple(shown)


def kept(items: list[Value]) -> tuple[Value, ...]:
    """What is kept of a tuple's items: the first eight and the last."""
    return tuple(items) if len(items) <= KEPT + 1 else (*items[:KEPT], items[-1])
