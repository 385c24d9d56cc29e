"""The pickles of joblib, in which the bytes of an array stand in the stream behind its description.

joblib's unpickler (in Python) reads those bytes when an object of `joblib.numpy_pickle.NumpyArrayWrapper` gets its state: a byte with the
length of a padding and the padding (from joblib 1.2 on), then the array; an array of objects is a pickle of its own. The layout is that of
`joblib/numpy_pickle.py`, that of a type description that of `numpy.dtype.__setstate__`.
"""

from __future__ import annotations

import re

from bartizan.areas.artefacts.pickles.analysis import Buffer, Limits, Watch
from bartizan.areas.artefacts.pickles.machine import Machine, Stuck
from bartizan.areas.artefacts.pickles.opcodes import BUILD
from bartizan.areas.artefacts.pickles.stream import NEVER
from bartizan.areas.artefacts.pickles.values import KEPT, Cell, Value, integer_of, text_of
from bartizan.areas.artefacts.safety import UseKind

WRAPPER = "NumpyArrayWrapper"
_WRAPPER_MODULES = ("joblib.numpy_pickle", "sklearn.externals.joblib.numpy_pickle")
_CODE = re.compile(r"[|<>=]?([?a-zA-Z])(\d*)")
_HAS_OBJECT = 0x01
_MAX_ITEM = 1 << 31


class JoblibMachine(Machine):
    """The reading that joblib takes: where an array is described, its bytes are skipped, or its objects read as a pickle."""

    def __init__(self, data: Buffer, start: int, limits: Limits, watch: Watch, depth: int = 0) -> None:
        super().__init__(data, start, limits, watch)
        self.depth = depth
        self.tracking = True

    def _call(self, target: Value, args: Value, pos: int, kind: UseKind) -> Value:
        cell = super()._call(target, args, pos, kind)
        if isinstance(cell, Cell) and cell.origin is not None and (cell.origin.module, cell.origin.name) == ("numpy", "dtype"):
            cell.parts = {"*": args}
        return cell

    def _build(self, pos: int) -> int:
        state, target = self.stack[-1], self.stack[-2]
        after = super()._build(pos)
        if not isinstance(target, Cell) or target.origin is None:
            return after
        if target.origin.name == WRAPPER and target.origin.module in _WRAPPER_MODULES:
            target.parts = (target.parts or {}) | (state.parts or {} if isinstance(state, Cell) else {})
            return self._array(target.parts, after)
        if target.parts is not None:
            target.parts["="] = state
        return after

    def _array(self, parts: dict[str, Value], pos: int) -> int:
        """Skips or reads the array behind `pos`, the end of the BUILD that made joblib turn to it."""
        if self.frame > pos and self.frame < self.size:
            self.hidden.append(pos)
            self.problems.append(f"the frame around byte {pos} holds more than the description of an array")
        self.frame = NEVER
        self.stack[-1] = Cell(self._global("numpy", "ndarray"))
        size = self._item_size(parts.get("dtype"))
        count = self._count(parts.get("shape"))
        if size is None or count is None:
            self.hidden.append(pos)
            self.problems.append(f"the array at byte {pos} has a size that cannot be told")
            raise Stuck("the array's size cannot be told")
        if size == 0:
            return self._objects(pos)
        start = pos
        alignment = parts.get("numpy_array_alignment_bytes")
        if isinstance(alignment, int) and integer_of(self.data, alignment) is not None:
            start += 1 + self.data[pos]
        end = start + size * count
        if end > self.size:
            raise IndexError(end)
        self.arrays.append((start, end))
        return end

    def _objects(self, pos: int) -> int:
        """An array of objects: a pickle of its own, read without joblib's arrays."""
        if self.depth:
            raise Stuck("arrays of objects are nested")
        inner = Machine(self.data, pos, self.limits, self.watch)
        inner.run(self.limits.opcodes - self.count)
        found = inner.analysis()
        self.count += found.opcodes
        known = set(self.uses)
        self.uses.extend(use for use in found.uses if use not in known)
        self.problems.extend(found.problems)
        self.hidden.extend(found.hidden)
        if not found.complete:
            self.end = found.end
            raise Stuck("the objects of an array cannot be read to their end")
        return found.end

    def _count(self, shape: Value | None) -> int | None:
        """The number of items in an array; None where its shape is no tuple of small numbers."""
        if not isinstance(shape, tuple) or len(shape) > KEPT:
            return None
        total = 1
        for length in shape:
            number = integer_of(self.data, length)
            if number is None or number < 0:
                return None
            total *= number
        return total if total < 1 << 62 else None

    def _item_size(self, dtype: Value | None) -> int | None:
        """Bytes of one item, 0 for objects; None where it cannot be told."""
        if not isinstance(dtype, Cell) or dtype.parts is None:
            return None
        args, state = dtype.parts.get("*"), dtype.parts.get("=")
        code = text_of(self.data, args[0], 20) if isinstance(args, tuple) and args and isinstance(args[0], int) else None
        match = _CODE.fullmatch(code) if code is not None else None
        if match is None:
            return None
        kind, digits = match.groups()
        size = int(digits or 1) * (4 if kind == "U" else 1)
        flags = 0
        if isinstance(state, tuple) and len(state) >= 8:
            declared, flags = integer_of(self.data, state[5]) or -1, integer_of(self.data, state[7]) or 0
            size = declared if declared > 0 else size
        if kind == "O" or flags & _HAS_OBJECT:
            return 0
        return size if 0 < size < _MAX_ITEM else None


JoblibMachine.handlers = {**Machine.handlers, BUILD: JoblibMachine._build}
