"""The canonical bytes of rows and columns: equal for equal values under one schema, however a file encodes, chunks or compresses them.

A row is the byte 0 (the leaf's domain in RFC 9162), then for each column one byte that says whether there is a value and its bytes at a
fixed width (little endian; zeros where there is none), then the bytes of all texts and nested values in the order of the columns. What has
no fixed width stands in the first part with its length in 4 bytes, so no two different rows have the same bytes. Dictionary encoding,
32- or 64-bit offsets, views, time units and the payload of NaN make no difference; the width of a number does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bartizan.model.errors import InputError

Bytes = npt.NDArray[np.uint8]

MAX_DEPTH = 32
"""Deepest nesting of a column's type."""

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FLOATS = {
    16: ("<u2", 0x7C00, 0x03FF, 0x7E00),
    32: ("<u4", 0x7F800000, 0x7FFFFF, 0x7FC00000),
    64: ("<u8", 0x7FF << 52, (1 << 52) - 1, 0x7FF8 << 48),
}


class Column(NamedTuple):
    """The canonical parts of a column of n rows: `fixed` is (n, width), `rest` holds what has no fixed width (large_binary) or is None."""

    fixed: Bytes
    rest: Any


def type_name(kind: Any, depth: int = 0) -> str:
    """The canonical name of an Arrow type; types that differ in encoding alone have the same. Raises `InputError` for others."""
    if depth > MAX_DEPTH:
        raise InputError(f"a column is nested deeper than {MAX_DEPTH} levels")
    t = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return type_name(kind.storage_type, depth + 1)
    if t.is_dictionary(kind) or t.is_run_end_encoded(kind):
        return type_name(kind.value_type, depth + 1)
    if t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind):
        return "string"
    if t.is_binary(kind) or t.is_large_binary(kind) or t.is_binary_view(kind):
        return "binary"
    if t.is_map(kind):
        return f'list<struct<"key":{type_name(kind.key_type, depth + 1)},"value":{type_name(kind.item_type, depth + 1)}>>'
    if _is_list(kind):
        return f"list<{type_name(kind.value_type, depth + 1)}>"
    if t.is_struct(kind):
        return "struct<" + ",".join(f"{json.dumps(f.name)}:{type_name(f.type, depth + 1)}" for f in kind) + ">"
    if t.is_timestamp(kind):
        return f"timestamp[{kind.tz}]" if kind.tz else "timestamp"
    if t.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    for is_kind, name in (
        (t.is_date, "date"),
        (t.is_time, "time"),
        (t.is_duration, "duration"),
        (t.is_fixed_size_binary, f"binary[{_width(kind)}]"),
    ):
        if is_kind(kind):
            return name
    if t.is_null(kind) or t.is_boolean(kind) or t.is_integer(kind) or t.is_floating(kind):
        return {"halffloat": "float16", "float": "float32", "double": "float64"}.get(str(kind), str(kind))
    raise InputError(f"holds a column of type {kind}", cure="convert it to numbers, text, dates, lists or structs")


def columns_of(arrays: Sequence[Any]) -> list[Column]:
    """The canonical parts of Arrow arrays of the same length."""
    return [_column(array) for array in arrays]


def rows_of(columns: Sequence[Column], length: int) -> Any:
    """The canonical bytes of each row of `columns`, as an Arrow array (large_binary, no nulls)."""
    width = 1 + sum(c.fixed.shape[1] for c in columns)
    head = np.zeros((length, width), np.uint8)
    at = 1
    for column in columns:
        head[:, at : at + column.fixed.shape[1]] = column.fixed
        at += column.fixed.shape[1]
    offsets = np.arange(length + 1, dtype=np.int64) * width
    heads = pa.LargeBinaryArray.from_buffers(pa.large_binary(), length, [None, pa.py_buffer(offsets), pa.py_buffer(head)])
    rest = [c.rest for c in columns if c.rest is not None]
    return pc.binary_join_element_wise(heads, *rest, pa.scalar(b"", pa.large_binary())) if rest else heads


def slices(rows: Any) -> tuple[memoryview, list[int]]:
    """The bytes of an array that `rows_of` made, and where each row starts, with the end of the last."""
    if not len(rows):
        return memoryview(b""), [0]
    offsets = np.frombuffer(rows.buffers()[1], np.int64)[rows.offset : rows.offset + len(rows) + 1]
    data = rows.buffers()[2]
    return memoryview(data if data is not None else b""), offsets.tolist()


def content(rest: Any) -> memoryview:
    """The bytes of all values of a large_binary array without nulls, one after the other."""
    if not len(rest):
        return memoryview(b"")
    offsets = np.frombuffer(rest.buffers()[1], np.int64)[rest.offset : rest.offset + len(rest) + 1]
    data = rest.buffers()[2]
    return memoryview(data)[int(offsets[0]) : int(offsets[-1])] if data is not None else memoryview(b"")


def _column(array: Any) -> Column:
    array = _plain(array)
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return _variable(array, array.cast(pa.large_binary()))
    if pa.types.is_map(kind) or _is_list(kind):
        return _variable(array, _lists(array))
    if pa.types.is_struct(kind):
        fields = [_column(field) for field in array.flatten()]
        return _variable(array, rows_of(fields, len(array)))
    values = _fixed(array)
    valid = _valid(array)
    if array.null_count and values.shape[1]:
        values = np.where(valid[:, None].astype(bool), values, np.uint8(0))
    return Column(np.concatenate([valid[:, None], values], axis=1), None)


def _plain(array: Any) -> Any:
    """The array without dictionary, run-end, extension or view encoding."""
    t = pa.types
    if isinstance(array, pa.ExtensionArray):
        return _plain(array.storage)
    if t.is_dictionary(array.type):
        return _plain(array.dictionary_decode())
    if t.is_run_end_encoded(array.type):
        return _plain(pc.run_end_decode(array))
    if t.is_string_view(array.type):
        return array.cast(pa.large_string())
    return array.cast(pa.large_binary()) if t.is_binary_view(array.type) else array


def _variable(array: Any, rest: Any) -> Column:
    if array.null_count:
        rest = pc.if_else(array.is_valid(), rest, pa.scalar(b"", pa.large_binary()))
    offsets = np.frombuffer(rest.buffers()[1], np.int64)[rest.offset : rest.offset + len(rest) + 1] if len(rest) else np.zeros(1, np.int64)
    lengths = np.diff(offsets)
    if lengths.size and int(lengths.max()) > 0xFFFFFFFF:
        raise InputError("a cell holds more than 4 GiB")
    return Column(np.concatenate([_valid(array)[:, None], _as_bytes(lengths.astype("<u4"))], axis=1), rest)


def _lists(array: Any) -> Any:
    """Each list as the canonical bytes of its elements, one after the other."""
    if pa.types.is_map(array.type):
        kind = pa.list_(pa.struct([("key", array.type.key_type), ("value", array.type.item_type)]))
        array = pa.array([None if row is None else [{"key": k, "value": v} for k, v in row] for row in array.to_pylist()], kind)
    counts = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64()).to_numpy(zero_copy_only=False)
    values = pc.list_flatten(array)
    elements = rows_of([_column(values)], len(values))
    starts = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    ends = np.asarray(slices(elements)[1], np.int64)[starts]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(counts), [None, pa.py_buffer(ends), elements.buffers()[2]])


def _fixed(array: Any) -> Bytes:
    """The values as (n, width) bytes, little endian; what stands where there is no value is left as it is."""
    t, kind = pa.types, array.type
    if t.is_null(kind):
        return np.zeros((len(array), 0), np.uint8)
    if t.is_boolean(kind):
        return _raw(array.cast(pa.uint8()), 1)
    if t.is_floating(kind):
        return _one_nan(_raw(array, kind.bit_width // 8), kind.bit_width)
    if t.is_timestamp(kind) or t.is_duration(kind):
        return _instants(_raw(array, 8), _PER_SECOND[kind.unit])
    if t.is_time(kind):
        ticks = _raw(array, kind.bit_width // 8).view(f"<i{kind.bit_width // 8}").astype("<i8")
        return _as_bytes(ticks.ravel() * (10**9 // _PER_SECOND[kind.unit]))
    if t.is_date64(kind):
        return _raw(array.cast(pa.date32()), 4)
    if t.is_decimal(kind):
        wide = 16 if kind.precision <= 38 else 32
        whole = (pa.decimal128 if wide == 16 else pa.decimal256)(kind.precision, kind.scale)
        return _raw(array.cast(whole), wide)
    return _raw(array, _width(kind))


def _raw(array: Any, width: int) -> Bytes:
    data = array.buffers()[1]
    if data is None or not len(array):
        return np.zeros((len(array), width), np.uint8)
    return np.frombuffer(data, np.uint8)[array.offset * width : (array.offset + len(array)) * width].reshape(len(array), width)


def _one_nan(values: Bytes, bits: int) -> Bytes:
    kind, exponent, mantissa, nan = _FLOATS[bits]
    numbers = np.ascontiguousarray(values).view(kind).ravel()
    nans = ((numbers & exponent) == exponent) & ((numbers & mantissa) != 0)
    if not nans.any():
        return values
    return _as_bytes(np.where(nans, numbers.dtype.type(nan), numbers))


def _instants(values: Bytes, per_second: int) -> Bytes:
    """Seconds (8 bytes) and nanoseconds (4 bytes): the same for every unit that can hold the moment."""
    ticks = np.ascontiguousarray(values).view("<i8").ravel()
    seconds = ticks // per_second
    parts = (ticks - seconds * per_second) * (10**9 // per_second)
    return np.concatenate([_as_bytes(seconds), _as_bytes(parts.astype("<u4"))], axis=1)


def _as_bytes(values: npt.NDArray[Any]) -> Bytes:
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), values.dtype.itemsize)


def _valid(array: Any) -> Bytes:
    if not array.null_count:
        return np.ones(len(array), np.uint8)
    valid: Bytes = array.is_valid().cast(pa.uint8()).to_numpy(zero_copy_only=False)
    return valid


def _width(kind: Any) -> int:
    """Bytes of a value; 0 where they differ."""
    try:
        return int(kind.bit_width) // 8
    except ValueError:
        return 0


def _is_list(kind: Any) -> bool:
    t = pa.types
    return bool(
        t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind) or t.is_list_view(kind) or t.is_large_list_view(kind)
    )
