"""What stands in place of a value, as Polars expressions: computed while the table is read, before anybody can ask about it."""

from __future__ import annotations

import hashlib
from typing import Any

from bartizan.areas.access.policy import Column, Mask
from bartizan.areas.access.tables import polars
from bartizan.model.errors import InputError, one_line

HASH_BYTES = 16
"""Bytes of a keyed hash (BLAKE2b): at 10 million different values two agree with a chance of 2e-25."""

SHORTEST_KEY = 16
"""Bytes of a key: with fewer, or none at all, whoever sees hashes tries out the keys."""


def masked(name: str, column: Column, dtype: Any, key: bytes | None) -> Any:
    """The expression that masks the column `name` of type `dtype` as `column` says. What is empty stays empty.

    Raises `InputError` for a mask that does not fit the type, or a keyed hash without a `key`.
    """
    pl = polars()
    cell = pl.col(name)
    match column.mask:
        case Mask.EMPTY:
            return pl.lit(None, dtype=dtype).alias(name)
        case Mask.CONSTANT:
            return pl.lit(column.value).alias(name)
        case Mask.KEYED:
            if key is None:
                raise InputError(
                    f"column '{one_line(name, 60)}' is masked by a keyed hash",
                    place=column.at,
                    cure="give its key: --key FILE, or key= in Python",
                )
            if not SHORTEST_KEY <= len(key) <= hashlib.blake2b.MAX_KEY_SIZE:
                said = f"the key of keyed hashes has {len(key)} bytes, not {SHORTEST_KEY} to {hashlib.blake2b.MAX_KEY_SIZE}"
                raise InputError(said, place=column.at, cure="take 32 random bytes")
            if dtype.is_nested() or dtype == pl.Binary:
                raise _unfit(name, column, dtype)
            return cell.cast(pl.String).map_batches(_Hash(name, key), return_dtype=pl.String, is_elementwise=True).alias(name)
        case Mask.PREFIX:
            if dtype != pl.String and not dtype.is_integer():
                raise _unfit(name, column, dtype)
            text = cell.cast(pl.String)
            return pl.when(text.str.len_chars() > column.keep).then(text.str.slice(0, column.keep)).otherwise(None).alias(name)
        case Mask.YEAR:
            if dtype == pl.Date or isinstance(dtype, pl.Datetime):
                return cell.dt.year().alias(name)
            if dtype == pl.String:
                return cell.str.extract(r"^(\d{4})-\d{2}-\d{2}(?:\D|$)").cast(pl.Int32, strict=False).alias(name)
            raise _unfit(name, column, dtype)
        case Mask.BUCKET:
            return _bucket(name, column, dtype)


def _bucket(name: str, column: Column, dtype: Any) -> Any:
    pl = polars()
    width = column.width or 1.0
    if dtype.is_integer() and width == int(width):
        return (pl.col(name).cast(pl.Int64, strict=False).floordiv(int(width)) * int(width)).alias(name)
    if dtype.is_numeric():
        number = pl.col(name).cast(pl.Float64, strict=False)
        return pl.when(number.is_finite()).then((number / width).floor() * width).otherwise(None).alias(name)
    raise _unfit(name, column, dtype)


def _unfit(name: str, column: Column, dtype: Any) -> InputError:
    cure = "empty, constant and keyed fit every type of single values"
    return InputError(
        f"column '{one_line(name, 60)}' holds {dtype}, which the mask '{column.mask}' does not fit", place=column.at, cure=cure
    )


class _Hash:
    """Keyed hashes of text, each different one of a batch computed once. One column, one domain: equal values of two columns differ."""

    def __init__(self, name: str, key: bytes) -> None:
        own = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=key, digest_size=32).digest()
        self._keyed = hashlib.blake2b(key=own, digest_size=HASH_BYTES)

    def __call__(self, cells: Any) -> Any:
        pl = polars()
        unique = cells.unique().drop_nulls()
        hashed = pl.Series([self._one(text) for text in unique.to_list()], dtype=pl.String)
        return cells.replace_strict(unique, hashed, return_dtype=pl.String, default=None)

    def _one(self, text: str) -> str:
        held = self._keyed.copy()  # the key has been taken in already
        held.update(text.encode())
        return held.hexdigest()
