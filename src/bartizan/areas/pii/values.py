"""The values of a column as texts with their counts, whatever holds them: lists, arrays of numpy, pandas, polars and Arrow."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Whole: TypeAlias = "NDArray[np.signedinteger[Any] | np.unsignedinteger[Any]]"

LARGEST_FLOAT = 1e16
"""Whole floats below this are read as numbers without a decimal point; beyond it they no longer hold every digit."""
_NESTED = (Mapping, list, tuple, set, frozenset, np.ndarray)
_DEPTH = 4  # levels of lists and mappings inside a value that are read


def whole_numbers(values: Any) -> tuple[Whole, int] | None:
    """The whole numbers of a column of numbers as an array, and the rows of the column; None where it is not one of numbers.

    Fractions, infinities and empty values are left out: they hold no identifier.
    """
    array, rows = _array(values)
    if array is None or array.dtype.kind not in "iuf":
        return None
    if array.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            array = array[(np.abs(array) < LARGEST_FLOAT) & (array == np.floor(array))].astype(np.int64)
    return array, rows


def _array(values: Any) -> tuple[Any, int]:
    """`values` as an array without empty places where that costs little, and the number of rows."""
    if isinstance(values, list):
        kinds = set(map(type, values))
        if kinds != {int} and kinds != {float}:
            return None, 0
        try:
            return np.array(values, np.int64 if kinds == {int} else np.float64), len(values)
        except OverflowError:
            return None, 0
    if isinstance(values, np.ndarray):
        return values, len(values)
    if hasattr(values, "drop_null"):  # Arrow
        filled = values.drop_null() if _arrow_number(str(values.type)) else None
        return (None if filled is None else filled.to_numpy(zero_copy_only=False) if _one_piece(filled) else filled.to_numpy()), len(values)
    if getattr(getattr(values, "dtype", None), "kind", "") in ("i", "u", "f"):  # pandas; with empty places the array holds objects
        return np.asarray(values), len(values)
    return None, 0


def _arrow_number(name: str) -> bool:
    return name in ("float", "double", "halffloat") or name.lstrip("u").removeprefix("int").isdigit()


def _one_piece(values: Any) -> bool:
    return not hasattr(values, "num_chunks")


def counted(values: Iterable[Any]) -> tuple[dict[str, int], int]:
    """The different values as text with their counts, in the order of their first row, and the number of rows."""
    pairs, rows = _pairs(values)
    if isinstance(pairs, dict):  # of texts alone
        return pairs, rows
    texts: dict[str, int] = {}
    for value, count in pairs:
        text = as_text(value)
        if text is not None:
            texts[text] = texts.get(text, 0) + count
    return texts, rows


def _pairs(values: Any) -> tuple[Iterable[tuple[Any, int]], int]:
    if hasattr(values, "to_arrow"):  # polars
        values = values.to_arrow()
    if hasattr(values, "drop_null"):
        return _arrow_pairs(values), len(values)
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        values = values.astype("datetime64[us]")  # finer ones would become plain numbers
    plain = values if isinstance(values, list) else values.tolist() if hasattr(values, "tolist") else list(values)
    try:
        return Counter(plain).items(), len(plain)
    except TypeError:  # lists and mappings cannot be counted
        return ((value, 1) for value in plain), len(plain)


def _arrow_pairs(values: Any) -> Iterable[tuple[Any, int]]:
    """Of an Arrow array; the values of a dictionary become Python objects once, however many rows point at them."""
    kind = str(values.type)
    if kind.startswith(("list", "large_list", "fixed_size_list", "struct", "map", "union", "extension")):
        return ((value, 1) for value in values.to_pylist())
    if hasattr(values, "combine_chunks"):
        values = values.combine_chunks()
        if hasattr(values, "chunks"):  # some releases of Arrow keep an empty or long array in chunks
            return Counter(value for chunk in values.chunks for value in chunk.to_pylist()).items()
    if kind.startswith("dictionary"):
        indices = values.indices.drop_null().to_numpy(zero_copy_only=False)
        used, first, counts = np.unique(indices, return_index=True, return_counts=True)
        order = np.argsort(first)
        return zip(values.dictionary.take(_like(values.indices, used[order])).to_pylist(), counts[order].tolist(), strict=True)
    table = values.value_counts()
    pairs = zip(table.field("values").to_pylist(), table.field("counts").to_pylist(), strict=True)
    return {text: count for text, count in pairs if text} if kind in ("string", "large_string", "string_view") else pairs


def _like(example: Any, indices: Any) -> Any:
    """`indices` as an Arrow array, made without importing Arrow here: `example` brings its type's module."""
    from importlib import import_module

    return import_module(type(example).__module__.partition(".")[0]).array(indices)


def as_text(value: Any) -> str | None:
    """What a scan reads of a value; None for an empty one, for a fraction and for bytes that are no text."""
    if isinstance(value, str):
        return value or None
    if value is None:
        return None
    if isinstance(value, bytes | bytearray | memoryview):
        return _decoded(bytes(value))
    if isinstance(value, _NESTED):
        return ", ".join(_parts(value, 0)) or None
    if isinstance(value, float | np.floating):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < LARGEST_FLOAT else None
    if isinstance(value, dt.date | dt.time | int):
        return str(value) if value == value else None
    return None if _missing(value) else str(value) or None


def _missing(value: Any) -> bool:
    """Is it one of the marks for an empty place that are not equal to themselves, or that do not say whether they are?"""
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return True


def _decoded(data: bytes) -> str | None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text[:4096] else text or None


def _parts(value: Any, depth: int) -> Iterable[str]:
    """The texts inside lists and mappings, a key before its value."""
    for key, item in value.items() if isinstance(value, Mapping) else ((None, item) for item in value):
        if isinstance(item, _NESTED):
            text: str | None = ", ".join(_parts(item, depth + 1)) if depth < _DEPTH else None
        else:
            text = as_text(item)
        if text:
            yield f"{key}: {text}" if key is not None else text
