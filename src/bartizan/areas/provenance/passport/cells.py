"""The types of the cells of a csv file, which has none: the first of null, integer, boolean, number, text and bytes that all cells fit.

What fits is what Arrow's own reader of csv takes: blanks around numbers do not count, `1`, `true`, `True` and `TRUE` are true.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

EXACT = float(2**53)
"""From here on not every whole number is a number of 64 bits: two different cells could become one value."""

ORDER = (pa.null(), pa.int64(), pa.bool_(), pa.float64(), pa.string(), pa.binary())
"""The types, from the narrowest to the widest."""

_BLANKS = " \t"
_TRUE = pa.array(["1", "True", "TRUE", "true"])
_FALSE = pa.array(["0", "False", "FALSE", "false"])


def settled(cells: Any, kind: Any, *, given: bool = False) -> tuple[Any, Any, Any]:
    """(type, values, text): the first type from `kind` on that all of `cells` (binary, null where empty) fit, their values in it, and the
    cells as text (as bytes where they are no UTF-8). A number of 2^53 or beyond makes a column text, unless its type is `given`."""
    try:
        text = cells.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.binary(), cells, cells
    for candidate in ORDER[ORDER.index(kind) : -1]:
        values = _values(text, candidate)
        if values is not None and (given or not pa.types.is_float64(candidate) or not too_large(values)):
            return candidate, values, text
    return pa.binary(), cells, cells


def too_large(column: Any) -> bool:
    """Does a column of numbers hold one that 64 bits may not hold exactly, such as an id of twenty digits?"""
    numbers = np.abs(column.drop_null().to_numpy())
    return bool((np.isfinite(numbers) & (numbers >= EXACT)).any())


def _values(text: Any, kind: Any) -> Any:
    """The values of `text` as `kind`, or None where one does not fit."""
    if pa.types.is_null(kind):
        return pa.nulls(len(text)) if text.null_count == len(text) else None
    if pa.types.is_string(kind):
        return text
    if pa.types.is_boolean(kind):
        return _booleans(text)
    try:
        return text.cast(kind)
    except pa.ArrowInvalid:
        pass
    bare = pc.ascii_trim(text, _BLANKS)
    if pc.sum(pc.binary_length(bare)).as_py() == pc.sum(pc.binary_length(text)).as_py():
        return None
    try:
        return bare.cast(kind)
    except pa.ArrowInvalid:
        return None


def _booleans(text: Any) -> Any:
    true = pc.is_in(text, value_set=_TRUE)
    known = pc.or_(true, pc.is_in(text, value_set=_FALSE))
    if pc.sum(known).as_py() != len(text) - text.null_count:
        return None
    return pc.if_else(pc.is_valid(text), true, pa.scalar(None, pa.bool_()))
