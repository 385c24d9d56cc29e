"""The values of the fast pickle machine: integers only, no object of Python's, compiled by numba.

A value is an integer: the kind in the lowest three bits, and above them the offset of a constant, the number of a global, or the place of a
tuple or cell in the arena. A tuple is its length and its first eight items and the last; a cell is its origin (number plus one, 0 for a
dict), flags and whether `__new__` alone made it, and the offset of its first telling key.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from bartizan.areas.artefacts.pickles import opcodes as op
from bartizan.areas.artefacts.pickles.reading import cache_folder

os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder()))

import numba

Array = np.ndarray[Any, Any]
Number = Any
"""An integer of 64 bits, or a truth value."""

Tables = tuple[Array, Array, Array]
"""Of the globals (a row each, see the columns), of fours of numbers seen before, and of names in two lines seen before."""

_F = TypeVar("_F", bound=Callable[..., Any])
_OPTIONS: Any = {"cache": True, "error_model": "numpy", "_nrt": False}
compiled: Callable[[_F], _F] = numba.njit(**_OPTIONS)
inline: Callable[[_F], _F] = numba.njit(**_OPTIONS, forceinline=True)

POS, SP, MARKS, FRAME, PROTOCOL, TOP, COUNT, SPANS, AT, KIND, WHO, A, B, LIMIT, MADE, MEMOED, REGISTERS = range(17)
CONSTANT, GLOBAL, TUPLE, CELL, A_LIST, A_SET = range(6)
CONTINUE, STOPPED, LEAVE, LOOK_UP, LOOK_UP_LINES, NOTE, GROW_STACK, GROW_MARKS, GROW_MEMO, GROW_ARENA = range(10)
REFERENCE, NEW, CALL, BUILD, APPEND, SETITEM, ADD, COMPUTED_STATE = range(8)
DONE, PUSHED, CALLED, MAKES, STATE, MANY, GETATTR, POSITIONS, DETAILED, COLUMNS = 0, 8, 9, 10, 11, 12, 13, 14, 17, 20
DUNDER_FLAG, COMPUTED_FLAG, NEW_FLAG = 1, 2, 4
KEPT = 8
NEVER = 1 << 62
TABLE_BITS = 14
LONG_CONSTANT = 1_024
PROBES = 24

FIXED = np.array([op.CONSTANT_FIXED.get(code, -1) for code in range(256)], dtype=np.int64)
COUNTED = np.array([op.CONSTANT_COUNTED.get(code, 0) for code in range(256)], dtype=np.int64)
LINE = np.array([code in op.CONSTANT_LINE for code in range(256)], dtype=np.bool_)
TEXT = np.array([code in op.TEXT for code in range(256)], dtype=np.bool_)
BYTES = np.array([code in op.BYTES for code in range(256)], dtype=np.bool_)


@inline
def number(data: Array, at: Number, size: Number) -> Number:
    """The unsigned little-endian number in `size` bytes at `at`; -1 behind the end or above 2^62."""
    if at + size > len(data):
        return -1
    value = np.int64(0)
    for place in range(size - 1, -1, -1):
        if value >= 1 << 54:
            return -1
        value = value * 256 + np.int64(data[at + place])
    return value


@inline
def constant(data: Array, reg: Array, spans: Array, at: Number, code: Number) -> Number:
    """Where the constant with a length or a line at `at` ends; -1 where that is behind the data."""
    if LINE[code]:
        end = at + 1
        while end < len(data) and data[end] != 10:
            end += 1
        start = at + 1
        if end >= len(data):
            return -1
        after = end + 1
        long = end - at > LONG_CONSTANT
    else:
        size = COUNTED[code]
        length = number(data, at + 1, size)
        start = at + 1 + size
        end = start + length
        if length < 0 or end > len(data) or (code == op.LONG4 and length >= 1 << 31):
            return -1
        after = end
        long = length >= LONG_CONSTANT
    if long and reg[SPANS] < len(spans):
        spans[reg[SPANS], 0] = start
        spans[reg[SPANS], 1] = end
        reg[SPANS] += 1
    return after


@compiled
def odd(data: Array, start: Number, size: Number) -> Number:
    """-1 where one of the bytes is not ASCII, else 0."""
    if size > 200:
        return 0
    for place in range(start, start + size):
        if data[place] >= 128:
            return -1
    return 0


@compiled
def word(data: Array, at: Number) -> Number:
    """Do the six bytes at `at` say `append` or `extend`?"""
    a, b, c, d, e, f = data[at], data[at + 1], data[at + 2], data[at + 3], data[at + 4], data[at + 5]
    append = a == 97 and b == 112 and c == 112 and d == 101 and e == 110 and f == 100
    extend = a == 101 and b == 120 and c == 116 and d == 101 and e == 110 and f == 100
    return append or extend


@inline
def special(data: Array, key: Number) -> Number:
    """0 or 1: is the constant the name of an attribute that a loader calls? -1 where the pure machine has to say."""
    at = key >> 3
    code = data[at]
    if not TEXT[code]:
        return 0
    if code == op.STRING:
        return -1
    start = at + 1 + COUNTED[code]
    if code == op.UNICODE:
        size = np.int64(0)
        while start + size < len(data) and data[start + size] != 10:
            if data[start + size] == 92:
                return -1
            size += 1
    else:
        size = number(data, at + 1, COUNTED[code])
    if size > 200 or size < 3:
        return 0 if code != op.SHORT_BINSTRING and code != op.BINSTRING else odd(data, start, size)
    dunder = size >= 4 and data[start] == 95 and data[start + 1] == 95 and data[start + size - 2] == 95 and data[start + size - 1] == 95
    if (dunder or code == op.SHORT_BINSTRING or code == op.BINSTRING) and odd(data, start, size) != 0:
        return -1
    if size == 3:
        if data[start] == 95:
            return 1 if data[start + 1] == 95 and data[start + 2] == 95 else 0
        return 1 if data[start] == 97 and data[start + 1] == 100 and data[start + 2] == 100 else 0
    if size == 6:
        return 1 if dunder or word(data, start) else 0
    return 1 if dunder else 0


@inline
def mark_keys(data: Array, stack: Array, arena: Array, cell: Number, first: Number, last: Number, step: Number) -> Number:
    """Notes in a cell what the keys on the stack from `first` on mean; False where the pure machine has to say."""
    for place in range(first, last, step):
        key = stack[place]
        tag = key & 7
        if tag == CONSTANT:
            found = special(data, key)
            if found < 0:
                return False
            if found == 1:
                if arena[cell] & DUNDER_FLAG:
                    arena[cell] |= COMPUTED_FLAG
                else:
                    arena[cell + 1] = key >> 3
                arena[cell] |= DUNDER_FLAG
        elif tag != TUPLE:
            arena[cell] |= COMPUTED_FLAG
    return True


@inline
def new_tuple(reg: Array, stack: Array, arena: Array, first: Number) -> Number:
    """Puts the items from `first` to the top of the stack into a tuple."""
    count = reg[SP] - first
    if count == 0:
        return TUPLE
    place = reg[TOP]
    arena[place] = count
    kept = count if count <= KEPT + 1 else KEPT
    for item in range(kept):
        arena[place + 1 + item] = stack[first + item]
    if kept < count:
        arena[place + 1 + KEPT] = stack[reg[SP] - 1]
        kept = KEPT + 1
    reg[TOP] = place + 1 + kept
    return place * 8 + TUPLE


@inline
def new_cell(reg: Array, arena: Array, origin: Number, flags: Number) -> Number:
    """A dict (`origin` -1) or what came of a global."""
    place = reg[TOP]
    arena[place] = (origin + 1) * 16 + flags
    arena[place + 1] = -1
    reg[TOP] = place + 2
    return place * 8 + CELL


@compiled
def digest(first: Number, second: Number, third: Number, fourth: Number) -> Number:
    """A place in a table for four numbers."""
    value = np.uint64(first) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(second) * np.uint64(0xC2B2AE3D27D4EB4F)
    value ^= np.uint64(third) * np.uint64(0x165667B19E3779F9) ^ np.uint64(fourth) * np.uint64(0x27D4EB2F165667C5)
    value ^= value >> np.uint64(29)
    return np.int64(value & np.uint64((1 << TABLE_BITS) - 1))


@inline
def find_pair(pairs: Array, first: Number, second: Number, third: Number, fourth: Number) -> Number:
    """What was remembered for four numbers; -1 for nothing."""
    place = digest(first, second, third, fourth)
    for _ in range(PROBES):
        row = pairs[place]
        if row[4] < 0:
            return -1
        if row[0] == first and row[1] == second and row[2] == third and row[3] == fourth:
            return row[4]
        place = (place + 1) & ((1 << TABLE_BITS) - 1)
    return -1


@compiled
def remember_pair(pairs: Array, first: Number, second: Number, third: Number, fourth: Number, value: Number) -> None:
    """Remembers `value` for four numbers, if there is room nearby."""
    place = digest(first, second, third, fourth)
    for _ in range(PROBES):
        if pairs[place, 4] < 0:
            pairs[place, 0], pairs[place, 1], pairs[place, 2], pairs[place, 3], pairs[place, 4] = first, second, third, fourth, value
            return
        place = (place + 1) & ((1 << TABLE_BITS) - 1)


@compiled
def text_digest(data: Array, start: Number, end: Number, old: Number) -> Number:
    """A place in a table for some text."""
    value = np.uint64(1469598103934665603 + old)
    for place in range(start, end):
        value = (value ^ np.uint64(data[place])) * np.uint64(1099511628211)
    return np.int64((value ^ (value >> np.uint64(31))) & np.uint64((1 << TABLE_BITS) - 1))


@compiled
def find_lines(data: Array, lines: Array, start: Number, end: Number, old: Number) -> Number:
    """The number of the global with the two lines from `start` to `end`, exactly; -1 for none."""
    place = text_digest(data, start, end, old)
    for _ in range(PROBES):
        if lines[place, 3] < 0:
            return -1
        if lines[place, 2] == old and lines[place, 1] == end - start:
            same = True
            other = lines[place, 0]
            for offset in range(end - start):
                if data[start + offset] != data[other + offset]:
                    same = False
                    break
            if same:
                return lines[place, 3]
        place = (place + 1) & ((1 << TABLE_BITS) - 1)
    return -1


@compiled
def remember_lines(data: Array, lines: Array, start: Number, end: Number, old: Number, value: Number) -> None:
    """Remembers the number of a global for its two lines, if there is room nearby."""
    place = text_digest(data, start, end, old)
    for _ in range(PROBES):
        if lines[place, 3] < 0:
            lines[place, 0], lines[place, 1], lines[place, 2], lines[place, 3] = start, end - start, old, value
            return
        place = (place + 1) & ((1 << TABLE_BITS) - 1)


@compiled
def shown(data: Array, arena: Array, args: Number, position: Number, detailed: Number) -> Number:
    """A number for what a policy sees of one argument, the same for the same; -1 where the pure machine has to say."""
    if args & 7 != TUPLE:
        return 1
    place = args >> 3
    if place == 0 or position >= arena[place]:
        return 2
    if position >= KEPT and arena[place] > KEPT:
        return 1
    value = arena[place + 1 + position]
    tag = value & 7
    if tag == CONSTANT:
        code = data[value >> 3]
        if detailed and (TEXT[code] or BYTES[code]):
            return value * 8 + 7
        return 3 if TEXT[code] else (4 if BYTES[code] else 5)
    if tag == GLOBAL:
        return (value >> 3) * 8 + 6
    if tag == CELL:
        origin = arena[value >> 3] >> 4
        return origin * 8 + 0 if origin > 0 else 9
    return 9


@compiled
def column(data: Array, arena: Array, row: Array, args: Number, which: Number) -> Number:
    """What is seen of the argument in one of the three columns of a global's row; 0 where none is watched."""
    if row[POSITIONS + which] == 0:
        return 0
    return shown(data, arena, args, row[POSITIONS + which] - 1, row[DETAILED + which])


@inline
def state_flags(arena: Array, state: Number) -> Number:
    """The flags of a state; the offset of the first telling key is in the second number."""
    tag = state & 7
    if tag == CELL:
        return arena[state >> 3] & 3, arena[(state >> 3) + 1]
    if tag == GLOBAL:
        return COMPUTED_FLAG, -1
    flags, key = 0, -1
    if tag == TUPLE and state >> 3 > 0:
        place = state >> 3
        count = arena[place]
        for item in range(min(count, KEPT + 1)):
            value = arena[place + 1 + item]
            if value & 7 == CELL:
                head = arena[value >> 3]
                if (count == 2 or head >> 4 == 0) and head & 3:
                    flags |= head & 3
                    key = arena[(value >> 3) + 1] if key < 0 else key
            elif count == 2 and value & 7 == GLOBAL:
                flags |= COMPUTED_FLAG
    return flags, key
