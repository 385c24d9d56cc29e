"""Scans the files of a data set as they pass in batches, in a reading that others take part in; what it finds is what `scan_file` finds.

Numbers of a csv file that are written with zeros in front are read as they are written: an identifier has them, a number has not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bartizan.adapters.files import shown
from bartizan.areas.pii.columns import Column, ColumnScan
from bartizan.areas.pii.files import LINES
from bartizan.methods.one_pass import Batch, Form

if TYPE_CHECKING:
    from bartizan.areas.pii.reading import Reader

LONG = 1 << 20
"""Characters of a line beyond which it is read in pieces, cut between words where there are some."""


class FilesScan:
    """Takes part in a reading: `maps` are the columns of each file by its name below `root`, `skipped` the files that hold no text.

    `finder` reads texts for names, within its budget for all files together.
    """

    def __init__(self, root: str | Path, *, finder: Reader | None = None) -> None:
        self.maps: dict[str, dict[str, Column]] = {}
        self.skipped: list[str] = []
        self._root, self._finder = root, finder
        self._last: dict[str, Column] | None = None
        self._now: tuple[str, Form, ColumnScan] | None = None

    def begin(self, place: Path, form: Form, schema: Any) -> None:  # noqa: ARG002 - the columns are in the batches
        """A file begins."""
        self._now = (shown(self._root, place), form, ColumnScan(finder=self._finder))

    def take(self, batch: Batch) -> None:
        """The next rows."""
        assert self._now is not None
        _, form, scan = self._now
        if form is Form.LINES:
            scan.take({"": _lines(batch.typed.column(0))})
        else:
            scan.take({name.strip(): _values(batch, i) for i, name in enumerate(batch.typed.schema.names)})

    def finish(self) -> None:
        """The end of a file."""
        assert self._now is not None
        name, form, scan = self._now
        self._now = None
        found = scan.finish() if form is not Form.OPAQUE else None
        self._note(name, {LINES: found[""]} if found is not None and form is Form.LINES and "" in found else found)

    def _note(self, name: str, columns: dict[str, Column] | None) -> None:
        self._last = columns
        if columns is None:
            self.skipped.append(name)
        else:
            self.maps[name] = columns

    def kept(self) -> bytes:
        """The columns of the file that came to its end just now; no value is in them."""
        return msgspec.json.encode(self._last)

    def restore(self, place: Path, kept: bytes | None) -> None:
        """A file that was read by an earlier run. Raises `ValueError` where that kept nothing."""
        if kept is None:
            raise ValueError("an earlier run kept nothing of a file")
        self._note(shown(self._root, place), msgspec.json.decode(kept, type=dict[str, Column] | None))


def _values(batch: Batch, number: int) -> Any:
    """The values of a column; as text where they are numbers with zeros in front."""
    values = batch.typed.column(number)
    if batch.cells is None or str(values.type) != "int64":
        return values
    import pyarrow.compute as pc

    cells = batch.cells.column(number)
    padded = pc.any(pc.match_substring_regex(cells, "^0[0-9]")).as_py()
    return cells if padded else values


def _lines(values: Any) -> list[str | None]:
    """The lines as text, without what ends them."""
    texts: list[str | None] = []
    for value in values.to_pylist():
        text = value.decode("utf-8", errors="replace").rstrip("\r")
        texts += [text] if len(text) <= LONG else _pieces(text)
    return texts


def _pieces(text: str) -> list[str]:
    pieces, start = [], 0
    while len(text) - start > LONG:
        end = text.rfind(" ", start + LONG // 2, start + LONG) + 1 or start + LONG
        pieces.append(text[start:end])
        start = end
    return [*pieces, text[start:]]
