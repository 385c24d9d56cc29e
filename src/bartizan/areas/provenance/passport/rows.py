"""The rows of one file as they go by: the tree over their hashes, the running digest and the profile of each column."""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from bartizan.areas.provenance.passport import encoding
from bartizan.areas.provenance.passport.statement import Profile
from bartizan.areas.provenance.passport.trees import BlockTree
from bartizan.model.errors import MissingExtra


class Column:
    """The running digest and profile of one column."""

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind
        self._fixed, self._rest = _blake3(), _blake3()
        self._nulls = self._count = 0
        self._mean = self._square = 0.0

    def add(self, column: encoding.Column, array: Any) -> None:
        self._fixed.update(column.fixed.tobytes())
        if column.rest is not None:
            self._rest.update(encoding.content(column.rest))
        self._nulls += array.null_count
        if self.kind.startswith(("int", "uint", "float")) and array.null_count < len(array):
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows has no mean, see `profile`
                self._add_numbers(array)

    def _add_numbers(self, array: Any) -> None:
        values = (array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array).drop_null()
        numbers = np.asarray(values.cast(pa.float64(), safe=False))
        numbers = numbers[np.isfinite(numbers)]
        if not numbers.size:
            return
        mean, count = float(numbers.mean()), self._count + numbers.size
        shift = mean - self._mean
        self._square += float(((numbers - mean) ** 2).sum()) + shift * shift * self._count * numbers.size / count
        self._mean += shift * numbers.size / count
        self._count = count

    def profile(self) -> Profile:
        digest = _blake3()
        digest.update(self._fixed.digest() + self._rest.digest())
        known = self._count > 0 and math.isfinite(self._mean) and math.isfinite(self._square)
        return Profile(
            name=self.name,
            type=self.kind,
            digest=digest.digest().hex(),
            nulls=self._nulls,
            mean=_rounded(self._mean) if known else None,
            deviation=_rounded(math.sqrt(self._square / self._count)) if known else None,
        )


class Rows:
    """What was found of the rows of one file with these columns, [name, canonical type] each."""

    def __init__(self, fields: list[list[str]]) -> None:
        self.tree = BlockTree()
        self.columns = [Column(*field) for field in fields]

    def add(self, batch: Any) -> bytes:
        """Take in a batch; returns the hashes of its rows, one after the other."""
        parts = encoding.columns_of(batch.columns)
        for column, part, array in zip(self.columns, parts, batch.columns, strict=True):
            column.add(part, array)
        joined = row_hashes(parts, batch.num_rows)
        self.tree.add(joined)
        return joined


def row_hashes(parts: list[encoding.Column], length: int) -> bytes:
    """The leaf hashes of the rows with these columns, one after the other."""
    data, offsets = encoding.slices(encoding.rows_of(parts, length))
    new, packed = hashlib.sha256, bytes(data)
    return b"".join([new(packed[a:b]).digest() for a, b in pairwise(offsets)])


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _blake3() -> Any:
    try:
        from blake3 import blake3
    except ImportError:
        raise MissingExtra("data", "blake3") from None
    return blake3()
