"""Which rows are to go: by age, by comparisons, by whose they are. A row goes where all that is asked for is true of it.

What is neither true nor false, since a cell is empty or names no moment, is counted by itself and stays, unless undated rows are to go.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bartizan.areas.access import retention, rows
from bartizan.areas.access.retention import Expiry
from bartizan.model.errors import InputError, UnknownName, one_line

_SIGNS = {"==": "eq", "!=": "ne", "<=": "le", ">=": "ge", "<": "lt", ">": "gt"}
_CLAUSE = re.compile(r"\s*(?:`([^`]+)`|\"([^\"]+)\"|(.+?))\s*(==|!=|<=|>=|<|>)\s*(.*?)\s*\Z", re.S)


class Undated(StrEnum):
    """What happens to a row whose age nobody knows: it is counted and stays, it stays on purpose, or it goes."""

    REPORT = "report"
    KEEP = "keep"
    REMOVE = "remove"


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """`column` compared with `value` as the user wrote it; `op` is a name of `rows.OPERATORS`."""

    column: str
    op: str
    value: str


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to go. `before` (RFC 3339) is a moment before which rows go, or with `expiry.days` the time from which they count back.

    `subjects` are values by column: a row of one of them goes.
    """

    expiry: Expiry | None = None
    before: str | None = None
    clauses: tuple[Clause, ...] = ()
    subjects: dict[str, tuple[str, ...]] = {}
    undated: Undated = Undated.REPORT

    def __post_init__(self) -> None:
        if self.expiry is not None and self.before is None:
            raise InputError("an age needs a time to count from")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are looked at."""
        named = [self.expiry.column] if self.expiry is not None else []
        return tuple(dict.fromkeys([*named, *(c.column for c in self.clauses), *self.subjects]))

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the wish is made of, in words that name nobody."""
        said = {"age": self.expiry is not None, "comparison": bool(self.clauses), "subject": bool(self.subjects)}
        return tuple(name for name, there in said.items() if there)


class Seen(msgspec.Struct):
    """What a `Chooser` met: rows that go, rows without a date, rows of which a comparison is neither true nor false, and rows of a subject
    written with other capitals or spaces, which stay."""

    gone: int = 0
    undated: int = 0
    undecided: int = 0
    similar: int = 0


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A file that still holds something: rows that are removed rows by the `shared` columns or by the wish, or mentions of a subject."""

    file: Path
    rows: int
    shared: tuple[str, ...] = ()
    mentions: bool = False


class Copies(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found: files read, copies, files that were not looked into (with the reason), and rows that share their columns with
    rows that stayed, so that nobody can tell whose they are."""

    files: int
    places: tuple[Copy, ...]
    unread: tuple[str, ...]
    unclear: int = 0

    @property
    def found(self) -> int:
        return sum(place.rows for place in self.places)


class Chooser:
    """Judges tables batch by batch. `seen` counts."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.seen = Seen()
        self._cutoff = wish.expiry.cutoff(retention.moment(wish.before)) if wish.expiry is not None and wish.before else None

    def __call__(self, batch: Any, place: str) -> npt.NDArray[np.bool_]:
        """Which rows of an Arrow batch go. Raises `UnknownName` for a column that lacks, `InputError` for a value of another type."""
        pl = retention.polars()
        for name in self.wish.columns:
            if name not in batch.schema.names:
                raise UnknownName("column", name, list(batch.schema.names), place=place)
        frame = pl.from_arrow(batch.select(list(self.wish.columns))) if self.wish.columns else pl.DataFrame()
        others = [self._compared(frame, clause, place) for clause in self.wish.clauses]
        others += [self._of_subject(frame[column], values) for column, values in self.wish.subjects.items()]
        told = _every([part.fill_null(False) for part in others], batch.num_rows, pl)
        open_ones = _every([part.fill_null(True) for part in others], batch.num_rows, pl)
        self.seen.undecided += int((open_ones & ~told).sum())
        if self.wish.expiry is not None and self._cutoff is not None:
            old = retention.before(frame[self.wish.expiry.column], self._cutoff, self.wish.expiry.shape)
            self.seen.undated += int((old.is_null() & told).sum())
            told &= old.fill_null(self.wish.undated is Undated.REMOVE)
        self.seen.gone += int(told.sum())
        found: npt.NDArray[np.bool_] = told.to_numpy()
        return found

    def _compared(self, frame: Any, clause: Clause, place: str) -> Any:
        value = _typed(frame[clause.column].dtype, clause, place)
        column = retention.polars().col(clause.column)
        if isinstance(value, str):
            frame = frame.with_columns(column.cast(retention.polars().String))
        return frame.select(rows.to_polars(rows.Compare(clause.column, clause.op, value)).alias("told"))["told"]

    def _of_subject(self, cells: Any, values: Sequence[str]) -> Any:
        pl = retention.polars()
        numbers = [n for n in map(_number, values) if n is not None]
        if cells.dtype.is_integer():
            return cells.is_in(pl.Series([int(n) for n in numbers if n == int(n) and -(2**63) <= n < 2**63], dtype=pl.Int64))
        if cells.dtype.is_float():
            return cells.is_in(pl.Series(numbers, dtype=pl.Float64))
        text = cells.cast(pl.String)
        exact = text.is_in(list(values))
        folded = text.str.to_lowercase().str.replace_all(r"\s+", "").is_in(["".join(v.lower().split()) for v in values])
        self.seen.similar += int((folded & ~exact).sum())
        return exact


def clause(text: str) -> Clause:
    """`column OP value` as data, OP one of == != <= >= < >. Quotes around the column or the value may be given. Raises `InputError`."""
    found = _CLAUSE.match(text)
    if found is None:
        cure = "write it as 'column == value'; signs: " + " ".join(_SIGNS)
        raise InputError(f"'{one_line(text, 80)}' compares nothing", cure=cure)
    value = found[5]
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return Clause(column=found[1] or found[2] or found[3], op=_SIGNS[found[4]], value=value)


def _every(parts: Iterable[Any], length: int, pl: Any) -> Any:
    found = pl.Series([True]).new_from_index(0, length)
    for part in parts:
        found = found & part
    return found


def _typed(kind: Any, clause: Clause, place: str) -> rows.Value:
    """The value of a clause as one of the column's type."""
    pl = retention.polars()
    if kind == pl.Null:  # a column without one value
        return clause.value
    if kind.is_numeric():
        number = _number(clause.value)
        if number is None:
            raise _unfit(clause, "numbers", place)
        return number
    if kind == pl.Boolean:
        if clause.value.lower() not in ("true", "false"):
            raise _unfit(clause, "true and false", place)
        return clause.value.lower() == "true"
    if kind == pl.Date or isinstance(kind, pl.Datetime):
        when = retention.moment(clause.value)
        if kind == pl.Date:
            return when.date()
        return when if kind.time_zone else when.replace(tzinfo=None)
    if isinstance(kind, pl.String | pl.Categorical | pl.Enum):
        if clause.op not in ("eq", "ne"):
            cure = "text has no order that fits ages and amounts; for dates give --before, or read it with a type"
            raise InputError(f"'{one_line(clause.column, 60)}' holds text, which is only compared by == and !=", place=place, cure=cure)
        return clause.value
    raise InputError(f"'{one_line(clause.column, 60)}' is a column of type {kind}, which is not compared", place=place)


def _unfit(clause: Clause, holds: str, place: str) -> InputError:
    return InputError(f"'{one_line(clause.column, 60)}' holds {holds}, and '{one_line(clause.value, 60)}' is none", place=place)


def _number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        found = float(text)
    except ValueError:
        return None
    return found if np.isfinite(found) else None


def now_text(now: dt.datetime) -> str:
    """A moment as `Wish.before` has it."""
    return now.astimezone(dt.UTC).isoformat()
