"""What takes part in one reading of a data set: whoever hashes, profiles, judges or scans is handed the same batches, one after the other.

A reader calls `begin` for a file, `take` for each batch of its rows and `finish` at its end. Where it learns late how a file must be read
(a column of a csv file proves to hold text after a million numbers) it starts again: `begin` for a file that was not finished means that
all that was taken of it is to be forgotten. Memory must not grow with the rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bartizan.model.errors import BartizanError


class Form(StrEnum):
    """How a file is handed on: a table with its columns; lines of text, as one column `line` of bytes; or not at all, as with pictures."""

    TABLE = "table"
    LINES = "lines"
    OPAQUE = "opaque"


class Batch(NamedTuple):
    """Rows of a file as Arrow record batches of the same length: `typed` with the types of the values, and for csv and tsv, which have
    none, `cells`, each cell as the bytes that stand there (empty cells without quotes are null)."""

    typed: Any
    cells: Any = None


class Progress(NamedTuple):
    """How far a reading is: the file that is read, its number from 0 and how many there are; rows and bytes done, and bytes in all
    (0 where nobody counted them); `known` bytes of those done were not read, because an earlier run had read them."""

    name: str
    number: int
    files: int
    rows: int
    done: int = 0
    size: int = 0
    known: int = 0


Listener = Callable[[Progress], None]
"""Told of progress after each batch."""


class Consumer(Protocol):
    """One that takes part in the reading."""

    def begin(self, place: Path, form: Form, schema: Any) -> None:
        """The file at `place` begins, or begins again. `schema` is the Arrow schema of `typed`, None for what is opaque."""

    def take(self, batch: Batch) -> None:
        """The next rows of that file. Never called for what is opaque."""

    def finish(self) -> None:
        """That file is at its end."""

    def kept(self) -> bytes | None:
        """What is known of the file that came to its end just now, for `restore`; None where that cannot be written down."""

    def restore(self, place: Path, kept: bytes | None) -> None:
        """Instead of the other three: the file at `place` was read by an earlier run that was stopped, and `kept` is what was known."""


class Guarded:
    """A consumer that may fail without ending the reading for the others: what it raised stands in `error`, and it is handed nothing more.

    `late` says that it took more than `seconds` of processor time.
    """

    _FAILURES = (BartizanError, ArithmeticError, LookupError, TypeError, ValueError, RuntimeError)

    def __init__(self, consumer: Consumer, seconds: float = float("inf")) -> None:
        self.error: Exception | None = None
        self.late = False
        self._consumer, self._left = consumer, seconds

    @property
    def ok(self) -> bool:
        """Did it see all there was?"""
        return self.error is None and not self.late

    def begin(self, place: Path, form: Form, schema: Any) -> None:
        self._call(lambda: self._consumer.begin(place, form, schema))

    def take(self, batch: Batch) -> None:
        self._call(lambda: self._consumer.take(batch))

    def finish(self) -> None:
        self._call(self._consumer.finish)

    def kept(self) -> bytes | None:
        return self._consumer.kept() if self.ok else None

    def restore(self, place: Path, kept: bytes | None) -> None:
        self._call(lambda: self._consumer.restore(place, kept))

    def _call(self, step: Callable[[], None]) -> None:
        if not self.ok:
            return
        began = time.process_time()
        try:
            step()
        except self._FAILURES as error:
            self.error = error
        self._left -= time.process_time() - began
        self.late = self._left < 0


class Together:
    """Several consumers as one."""

    def __init__(self, consumers: Iterable[Consumer]) -> None:
        self.consumers = tuple(consumers)

    def __bool__(self) -> bool:
        return bool(self.consumers)

    def begin(self, place: Path, form: Form, schema: Any) -> None:
        for consumer in self.consumers:
            consumer.begin(place, form, schema)

    def take(self, batch: Batch) -> None:
        for consumer in self.consumers:
            consumer.take(batch)

    def finish(self) -> None:
        for consumer in self.consumers:
            consumer.finish()

    def kept(self) -> tuple[bytes | None, ...]:
        """What each keeps of the file that came to its end just now."""
        return tuple(consumer.kept() for consumer in self.consumers)

    def restore(self, place: Path, kept: Sequence[bytes | None]) -> None:
        for consumer, one in zip(self.consumers, kept, strict=True):
            consumer.restore(place, one)
