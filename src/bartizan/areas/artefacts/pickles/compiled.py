"""The compiled loop of the fast pickle machine: the opcodes that picklers write; everything else is handed back."""

from __future__ import annotations

from bartizan.areas.artefacts.pickles import opcodes as op
from bartizan.areas.artefacts.pickles.coded import (
    A_LIST,
    A_SET,
    ADD,
    APPEND,
    AT,
    BUILD,
    CALL,
    CALLED,
    CELL,
    COMPUTED_FLAG,
    COMPUTED_STATE,
    CONSTANT,
    CONTINUE,
    COUNT,
    COUNTED,
    DONE,
    DUNDER_FLAG,
    FIXED,
    FRAME,
    GETATTR,
    GLOBAL,
    GROW_ARENA,
    GROW_MARKS,
    GROW_MEMO,
    GROW_STACK,
    KEPT,
    KIND,
    LEAVE,
    LIMIT,
    LINE,
    LOOK_UP,
    LOOK_UP_LINES,
    MADE,
    MAKES,
    MANY,
    MARKS,
    MEMOED,
    NEVER,
    NEW,
    NEW_FLAG,
    NOTE,
    POS,
    POSITIONS,
    PROTOCOL,
    PUSHED,
    SETITEM,
    SP,
    STATE,
    STOPPED,
    TOP,
    TUPLE,
    WHO,
    A,
    Array,
    B,
    Number,
    Tables,
    column,
    compiled,
    constant,
    find_lines,
    find_pair,
    inline,
    mark_keys,
    new_cell,
    new_tuple,
    number,
    remember_pair,
    state_flags,
)


@inline
def straddles(frame: Number, at: Number, code: Number) -> Number:
    """Does an opcode that goes over the end of its frame have one of its pieces cut by it?"""
    if frame == at + 1:
        return False
    if COUNTED[code] > 0:
        return frame != at + 1 + COUNTED[code]
    return True


@inline
def note(reg: Array, kind: Number, who: Number, a: Number, b: Number) -> Number:
    """Asks for a use to be noted."""
    reg[KIND] = kind
    reg[WHO] = who
    reg[A] = a
    reg[B] = b
    return NOTE


@inline
def change(reg: Array, arena: Array, table: Array, target: Number, kind: Number) -> Number:
    """Items are put into `target`."""
    tag = target & 7
    if tag == GLOBAL:
        return LEAVE
    if tag == CELL:
        origin = (arena[target >> 3] >> 4) - 1
        if origin >= 0 and table[origin, DONE + kind] == 0:
            return note(reg, kind, origin, 0, -1)
    return CONTINUE


@inline
def call(data: Array, reg: Array, arena: Array, tables: Tables, target: Number, args: Number, kind: Number) -> Number:
    """What comes out of a call, in `reg[B]`, and what is to be done: nothing, a note, or leave."""
    if target & 7 != GLOBAL:
        return LEAVE
    who = target >> 3
    table, pairs = tables[0], tables[1]
    row = table[who]
    row[CALLED] += 1
    if row[GETATTR]:
        return LEAVE
    made = who
    if row[MAKES] >= 0:
        place = args >> 3
        if args & 7 != TUPLE or place == 0 or row[MAKES] >= min(arena[place], KEPT) or arena[place + 1 + row[MAKES]] & 7 != GLOBAL:
            return LEAVE
        made = arena[place + 1 + row[MAKES]] >> 3
    flags = 0 if args == TUPLE else COMPUTED_FLAG
    if kind == NEW and made == who:
        flags |= NEW_FLAG
    reg[MADE] = new_cell(reg, arena, made, flags)
    if row[POSITIONS] == 0:
        return CONTINUE if row[DONE + kind] else note(reg, kind, who, args, -1)
    if row[MANY]:
        return note(reg, kind, who, args, -1)
    first = column(data, arena, row, args, 0)
    second = column(data, arena, row, args, 1)
    third = column(data, arena, row, args, 2)
    if find_pair(pairs, who * 16 + kind, first, second, third) >= 0:
        return CONTINUE
    remember_pair(pairs, who * 16 + kind, first, second, third, 1)
    return note(reg, kind, who, args, -1)


@inline
def build(reg: Array, arena: Array, table: Array, target: Number, state: Number) -> Number:
    """A state is put into `target`."""
    tag = target & 7
    if tag == GLOBAL:
        return LEAVE
    if tag != CELL:
        return CONTINUE
    origin = (arena[target >> 3] >> 4) - 1
    if origin < 0:
        return CONTINUE
    flags, key = state_flags(arena, state)
    if flags == 3:
        return LEAVE
    if flags & DUNDER_FLAG:
        return note(reg, BUILD, origin, state, key)
    kind = COMPUTED_STATE if flags else BUILD
    if table[origin, DONE + kind] and (flags or table[origin, STATE] == 0):
        return CONTINUE
    return note(reg, kind, origin, state, -1)


@inline
def containers(data: Array, reg: Array, stack: Array, marks: Array, arena: Array, tables: Tables, code: Number) -> Number:
    """The opcodes that take everything above the mark."""
    if reg[MARKS] == 0:
        return LEAVE
    first = marks[reg[MARKS] - 1]
    reg[MARKS] -= 1
    fence = marks[reg[MARKS] - 1] if reg[MARKS] > 0 else 0
    count = reg[SP] - first
    done = CONTINUE
    if code == op.TUPLE:
        value = new_tuple(reg, stack, arena, first)
    elif code == op.LIST:
        value = A_LIST
    elif code == op.FROZENSET:
        value = A_SET
    elif code == op.DICT:
        value = new_cell(reg, arena, -1, 0)
        if count % 2 or not mark_keys(data, stack, arena, value >> 3, first, reg[SP], 2):
            return LEAVE
    elif code == op.POP_MARK:
        reg[SP] = first
        return CONTINUE
    else:
        if first - 1 < fence:
            return LEAVE
        target = stack[first - 1]
        kind = APPEND if code == op.APPENDS else (ADD if code == op.ADDITEMS else SETITEM)
        done = change(reg, arena, tables[0], target, kind)
        if kind == SETITEM and target & 7 == CELL and not mark_keys(data, stack, arena, target >> 3, first, reg[SP], 2):
            return LEAVE
        reg[SP] = first
        return done
    stack[first] = value
    reg[SP] = first + 1
    return done


@inline
def objects(data: Array, reg: Array, stack: Array, arena: Array, tables: Tables, code: Number, fence: Number) -> Number:
    """The opcodes that make and fill objects."""
    sp = reg[SP]
    if code == op.REDUCE or code == op.NEWOBJ:
        if sp - 2 < fence:
            return LEAVE
        done = call(data, reg, arena, tables, stack[sp - 2], stack[sp - 1], CALL if code == op.REDUCE else NEW)
        stack[sp - 2] = reg[MADE]
        reg[SP] = sp - 1
        return done
    if code == op.BUILD:
        if sp - 2 < fence:
            return LEAVE
        reg[SP] = sp - 1
        return build(reg, arena, tables[0], stack[sp - 2], stack[sp - 1])
    if code == op.APPEND:
        if sp - 2 < fence:
            return LEAVE
        reg[SP] = sp - 1
        return change(reg, arena, tables[0], stack[sp - 2], APPEND)
    if code == op.SETITEM:
        if sp - 3 < fence:
            return LEAVE
        target = stack[sp - 3]
        if target & 7 == CELL and not mark_keys(data, stack, arena, target >> 3, sp - 2, sp - 1, 1):
            return LEAVE
        reg[SP] = sp - 2
        return change(reg, arena, tables[0], target, SETITEM)
    return LEAVE


@inline
def names(data: Array, reg: Array, stack: Array, tables: Tables, code: Number, at: Number, fence: Number) -> Number:
    """GLOBAL and STACK_GLOBAL."""
    sp = reg[SP]
    table, pairs, lines = tables
    if code == op.STACK_GLOBAL:
        if sp - 2 < fence or stack[sp - 2] & 7 != CONSTANT or stack[sp - 1] & 7 != CONSTANT:
            return LEAVE
        reg[A], reg[B] = stack[sp - 2] >> 3, stack[sp - 1] >> 3
        reg[SP] = sp - 2
        reg[POS] = at + 1
        found = find_pair(pairs, -2, reg[A], reg[B], 0) if reg[PROTOCOL] >= 3 else -1
        if found < 0:
            return LOOK_UP
    else:
        end = at + 1
        for _ in range(2):
            while end < len(data) and data[end] != 10:
                end += 1
            end += 1
        if end > len(data):
            return LEAVE
        found = find_lines(data, lines, at + 1, end, reg[PROTOCOL] < 3)
        reg[POS] = end
        if found < 0:
            return LOOK_UP_LINES
    table[found, PUSHED] += 1
    stack[reg[SP]] = found * 8 + GLOBAL
    reg[SP] += 1
    return CONTINUE


@inline
def recall(data: Array, reg: Array, stack: Array, memo: Array, table: Array, at: Number, size: Number) -> Number:
    """BINGET and LONG_BINGET."""
    index = number(data, at + 1, size)
    if index < 0 or index >= len(memo) or memo[index] < 0:
        return LEAVE
    value = memo[index]
    if value & 7 == GLOBAL:
        table[value >> 3, PUSHED] += 1
    stack[reg[SP]] = value
    reg[SP] += 1
    reg[POS] = at + 1 + size
    return CONTINUE


@inline
def keep(reg: Array, stack: Array, memo: Array, index: Number, fence: Number) -> Number:
    """MEMOIZE, BINPUT and LONG_BINPUT."""
    if index < 0 or reg[SP] <= fence or index > 4 * reg[COUNT] + 1024:
        return LEAVE
    if index >= len(memo):
        return GROW_MEMO
    if memo[index] < 0:
        reg[MEMOED] += 1
    memo[index] = stack[reg[SP] - 1]
    return CONTINUE


@inline
def plain(reg: Array, stack: Array, arena: Array, code: Number, fence: Number) -> Number:
    """The opcodes without an argument that push or turn what is on top."""
    sp = reg[SP]
    if code == op.EMPTY_LIST or code == op.EMPTY_SET:
        stack[sp] = A_LIST if code == op.EMPTY_LIST else A_SET
    elif code == op.EMPTY_TUPLE:
        stack[sp] = TUPLE
    elif code == op.EMPTY_DICT:
        stack[sp] = new_cell(reg, arena, -1, 0)
    elif code == op.TUPLE1 or code == op.TUPLE2 or code == op.TUPLE3:
        first = sp - 1 - (code - op.TUPLE1)
        if first < fence:
            return LEAVE
        stack[first] = new_tuple(reg, stack, arena, first)
        sp = first
    elif code == op.POP and sp > fence:
        reg[SP] = sp - 1
        return CONTINUE
    else:
        return LEAVE
    reg[SP] = sp + 1
    return CONTINUE


@compiled
def framed(data: Array, reg: Array, at: Number) -> Number:
    """FRAME: the new end of the frame, if it begins where none is open."""
    length = number(data, at + 1, 8)
    end = at + 9 + length
    if length < 0 or end > len(data) or reg[FRAME] != NEVER:
        return LEAVE
    reg[POS], reg[FRAME] = at + 9, end
    return CONTINUE


@inline
def step(
    data: Array, reg: Array, stack: Array, marks: Array, memo: Array, arena: Array, tables: Tables, code: Number, at: Number
) -> Number:
    """One opcode that is no constant; `reg[POS]` is behind it."""
    fence = marks[reg[MARKS] - 1] if reg[MARKS] > 0 else 0
    reg[POS] = at + 1
    if code == op.MEMOIZE:
        return keep(reg, stack, memo, reg[MEMOED], fence)
    if code == op.BINGET:
        return recall(data, reg, stack, memo, tables[0], at, 1)
    if code == op.BINPUT or code == op.LONG_BINPUT:
        size = 1 if code == op.BINPUT else 4
        reg[POS] = at + 1 + size
        return keep(reg, stack, memo, number(data, at + 1, size), fence)
    if code == op.LONG_BINGET:
        return recall(data, reg, stack, memo, tables[0], at, 4)
    if code == op.MARK:
        if reg[MARKS] >= len(marks):
            return GROW_MARKS
        marks[reg[MARKS]] = reg[SP]
        reg[MARKS] += 1
        return CONTINUE
    done = plain(reg, stack, arena, code, fence)
    if done == CONTINUE:
        return done
    if code == op.REDUCE or code == op.BUILD or code == op.NEWOBJ or code == op.APPEND or code == op.SETITEM:
        return objects(data, reg, stack, arena, tables, code, fence)
    if code == op.GLOBAL or code == op.STACK_GLOBAL:
        return names(data, reg, stack, tables, code, at, fence)
    if code == op.PROTO and at + 1 < len(data):
        reg[PROTOCOL], reg[POS] = data[at + 1], at + 2
        return CONTINUE
    if code == op.FRAME:
        return framed(data, reg, at)
    if code == op.STOP:
        return STOPPED if reg[SP] > fence else LEAVE
    if code == op.TUPLE or code == op.LIST or code == op.DICT or code == op.FROZENSET or code == op.POP_MARK:
        return containers(data, reg, stack, marks, arena, tables, code)
    if code == op.APPENDS or code == op.SETITEMS or code == op.ADDITEMS:
        return containers(data, reg, stack, marks, arena, tables, code)
    return LEAVE


@compiled
def run(data: Array, reg: Array, stack: Array, marks: Array, memo: Array, arena: Array, tables: Tables, spans: Array) -> Number:
    """Reads on from `reg[POS]` until STOP, or until something is to be done outside; says which."""
    pos, frame, size = reg[POS], reg[FRAME], len(data)
    while True:
        at = pos
        if at >= frame:
            frame = NEVER
            reg[FRAME] = NEVER
        reg[AT] = at
        if at >= size or reg[COUNT] >= reg[LIMIT]:
            return LEAVE
        if reg[SP] + 2 > len(stack):
            reg[POS] = at
            return GROW_STACK
        if reg[TOP] + 12 > len(arena):
            reg[POS] = at
            return GROW_ARENA
        code = data[at]
        if FIXED[code] >= 0:
            pos = at + 1 + FIXED[code]
            stack[reg[SP]] = at * 8
            reg[SP] += 1
            done = CONTINUE
        elif COUNTED[code] > 0 or LINE[code]:
            pos = constant(data, reg, spans, at, code)
            if pos < 0:
                return LEAVE
            stack[reg[SP]] = at * 8
            reg[SP] += 1
            done = CONTINUE
        else:
            done = step(data, reg, stack, marks, memo, arena, tables, code, at)
            pos = reg[POS]
            frame = reg[FRAME]
        if pos > size or (pos > frame and straddles(frame, at, code)):
            return LEAVE
        if pos > frame:
            frame = NEVER
            reg[FRAME] = NEVER
        if done in (GROW_MEMO, GROW_MARKS):
            reg[POS] = at
            return done
        reg[COUNT] += 1
        if done != CONTINUE:
            return done
