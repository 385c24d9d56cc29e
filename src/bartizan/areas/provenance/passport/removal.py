"""Rows that leave a data set: read as they were recorded, hashed, told apart, and proved to be gone from what is left.

Nothing here writes data. Each file is read once more under the types of its record, so that a row has the hash that it had; its bytes are
compared with the record first, and what stays is hashed in its order, so that the file which somebody writes without the rows can be
compared row for row.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bartizan.areas.provenance.passport import encoding
from bartizan.areas.provenance.passport.proving import Absence
from bartizan.areas.provenance.passport.reading import Table, Widened
from bartizan.areas.provenance.passport.recording import TREE, arrow_type
from bartizan.areas.provenance.passport.row_set import RowSet, bits_for, bucket_of
from bartizan.areas.provenance.passport.rows import row_hashes
from bartizan.areas.provenance.passport.statement import FileRecord
from bartizan.areas.provenance.signing.hashing import digests_of
from bartizan.areas.provenance.signing.names import WHOLE
from bartizan.areas.provenance.signing.opening import stamp
from bartizan.evidence.merkle import node_hash
from bartizan.model.errors import Refused

Mask: TypeAlias = npt.NDArray[np.bool_]
Choose: TypeAlias = Callable[[Any, bytes], Mask]
"""Told a batch of rows and their hashes, one after the other: which of them go."""

_CSV = {"int64": "int64", "float64": "float64", "bool": "bool", "string": "string", "binary": "binary", "null": "null"}


class Removed:
    """The rows that go: how many, their hashes as a set, and a sample of them by schema: the `sample` least hashes, which no row can
    choose to be among. `with` removes temporary files."""

    def __init__(self, sample: int) -> None:
        self.rows = RowSet()
        self._limit = sample
        self._held: dict[str, list[bytes]] = {}

    def __enter__(self) -> Removed:
        return self

    def __exit__(self, *said: object) -> None:
        self.rows.__exit__(None, None, None)

    def __len__(self) -> int:
        return self.rows.size

    def add(self, joined: bytes, schema: str) -> None:
        """Take in row hashes, one after the other."""
        if not joined:
            return
        self.rows.add(joined)
        held = self._held.get(schema, [])
        worst = held[-1] if held and len(held) >= self._limit else b"\xff" * 33
        new = {one for one in np.frombuffer(joined, "V32").tolist() if one < worst}
        if new and self._limit:
            self._held[schema] = sorted({*held, *new})[: self._limit]

    def sample(self) -> list[tuple[bytes, str]]:
        """(hash, schema) of the sample, each different row once."""
        return sorted((one, schema) for schema, held in self._held.items() for one in held)[: self._limit]

    def digest(self, salt: bytes) -> str:
        """HMAC-SHA256 of the set of the rows under `salt`: who has not the salt cannot try whose rows they were."""
        return hmac.new(salt, self.rows.root() + str(self.rows.size).encode(), hashlib.sha256).hexdigest()


class Pass:
    """One file read again. `masks` says which rows go; once it is through, `kept_root` and `kept` describe what stays."""

    def __init__(self, record: FileRecord, place: Path, choose: Choose, removed: Removed, left: RowSet) -> None:
        self._record, self._place, self._choose, self._removed, self._left = record, place, choose, removed, left
        self._order = InOrder()
        self.gone = self.kept = 0
        self._schema: Any = None

    def masks(self) -> Iterator[Mask]:
        """Which rows go, batch by batch; at the end raises `Refused` where the rows are not those of the record."""
        digest = digests_of({WHOLE: self._place}, tree=TREE, follow=True)[WHOLE]
        if digest.hex != self._record.sha256:
            raise changed(self._record.name)
        kind, _, packed = self._record.format.partition("+")
        schema = self._record.schema
        self._left.mark()
        table = Table(self._place, kind, packed or None, types_of(self._record))
        for batch in table.batches():
            joined = row_hashes(encoding.columns_of(batch.columns), batch.num_rows)
            mask = self._choose(batch, joined)
            hashes = np.frombuffer(joined, "V32")
            kept = hashes[~mask].tobytes() if mask.any() else joined
            self._removed.add(hashes[mask].tobytes(), schema)
            self._left.add(kept)
            self._order.add(kept)
            self.gone += int(mask.sum())
            self.kept += len(kept) // 32
            yield mask
        if self.gone + self.kept != self._record.rows or stamp(self._place.stat()) != digest.stamp:
            raise changed(self._record.name)
        self._schema = table.schema

    def table(self, written: Path) -> Table:
        """The new file, to be read under the columns and types of the old one, whatever types its own values would have."""
        kind, _, packed = self._record.format.partition("+")
        table = Table(written, kind, packed or None, types_of(self._record))
        if kind != "jsonl" or self._schema is None:
            return table
        return table.again(Widened({field.name: field.type for field in self._schema}))

    def stayed(self) -> str:
        """A digest of the rows that stay, in their order: that of an `InOrder` which the new file was read into."""
        return self._order.hex()


class InOrder(RowSet):
    """Takes row hashes as a set does, and keeps nothing but a digest of them in their order: for reading a file back."""

    def __init__(self) -> None:
        super().__init__()
        self._sum = hashlib.sha256()

    def add(self, joined: bytes) -> None:
        """Take in row hashes, one after the other."""
        self._sum.update(joined)

    def rewind(self) -> None:
        """Begin again: a file is read into it alone."""
        self._sum = hashlib.sha256()

    def hex(self) -> str:
        """The digest."""
        return self._sum.hexdigest()


def changed(name: str) -> Refused:
    """The file `name` is not what its passport says."""
    return Refused("is not what the passport says", place=name, cure="see what changed with bartizan data verify, then record it anew")


def types_of(record: FileRecord) -> dict[str, Any]:
    """The Arrow types under which the file of `record` is read into the same rows again."""
    kind = record.format.partition("+")[0]
    types = {c.name: arrow_type(_CSV[c.type]) for c in record.columns if c.type in _CSV} if kind in ("csv", "tsv") else {}
    return types | {column: arrow_type(given) for column, given in record.types.items()}


def absences(statement: bytes, rows: RowSet, wanted: Iterable[tuple[bytes, str]]) -> Iterator[tuple[bytes, Absence | None]]:
    """For each (hash, schema) in the order of the hashes: the proof that no row of `rows`, the data set that the signed line `statement`
    describes, has it; None where one has."""
    bits = bits_for(rows.size)
    levels = _levels(b"".join(rows.leaves()))
    waiting = sorted(wanted)
    at = 0
    for number, bucket in enumerate(rows.buckets(bits)):
        while at < len(waiting) and bucket_of(waiting[at][0], bits) == number:
            leaf, schema = waiting[at]
            at += 1
            if leaf in {bucket[n : n + 32] for n in range(0, len(bucket), 32)}:
                yield leaf, None
                continue
            yield (
                leaf,
                Absence(
                    passport=statement.decode(),
                    leaf=leaf.hex(),
                    schema=schema,
                    bucket=base64.b64encode(bucket).decode(),
                    steps=tuple(step.hex() for step in _steps(levels, number)),
                ),
            )


def _levels(leaves: bytes) -> list[list[bytes]]:
    """All levels of the tree over leaves given by their hashes, one after the other; from the leaves up."""
    level = [leaves[n : n + 32] for n in range(0, len(leaves), 32)]
    found = [level]
    while len(level) > 1:
        pairs = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
        found.append(level)
    return found


def _steps(levels: list[list[bytes]], index: int) -> Iterator[bytes]:
    for level in levels[:-1]:
        if index ^ 1 < len(level):
            yield level[index ^ 1]
        index //= 2


__all__ = ["Choose", "InOrder", "Mask", "Pass", "Removed", "absences", "changed", "types_of"]
