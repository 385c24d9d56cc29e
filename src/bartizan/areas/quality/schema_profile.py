"""A first schema out of a table that passes in batches, for a reading that others take part in; what it says is what `infer` says.

The cells of a csv file are text: each type that all of them fit so far stays possible, and its facts are kept until one does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bartizan.areas.quality.schema import Schema
from bartizan.areas.quality.schema_infer import CATEGORIES, Facts, column_of, may_be_unique, shares_of
from bartizan.areas.quality.schema_scan import cast, failed, polars
from bartizan.areas.quality.unique_values import Distinct, Room
from bartizan.methods.one_pass import Batch, Form


class Profiler:
    """Takes part in a reading and infers a schema of each kind of table that comes by. Raises `MissingExtra` without Polars."""

    def __init__(self) -> None:
        self._pl = polars()
        self._tables: dict[tuple[str, ...], tuple[Path, _Table]] = {}
        self._room = Room()
        self.empty: list[Path] = []
        self.partial = False
        """Were files left out, because an earlier run had read them?"""
        self._now: tuple[Path, _Table] | None = None

    def begin(self, place: Path, form: Form, schema: Any) -> None:
        """A file begins; what is no table is left out."""
        if self._now is not None:
            self._now[1].forget()
        self._now = (place, _Table(tuple(schema.names), self._room)) if form is Form.TABLE and schema is not None else None

    def take(self, batch: Batch) -> None:
        """The next rows. Raises `InputError` where Polars has no type for a column."""
        if self._now is None:
            return
        errors = self._pl.exceptions
        try:
            self._now[1].take(framed(batch), batch.cells is not None)
        except (errors.PolarsError, errors.PanicException) as error:
            raise failed(self._now[0], error) from None

    def finish(self) -> None:
        """The end of a file: its rows join those of other tables with the same columns."""
        if self._now is None:
            return
        place, table = self._now
        self._now = None
        if not table.rows:
            self.empty.append(place)
            return
        _, before = self._tables.setdefault(table.key, (place, table))
        if before is not table:
            before.merge(table)

    def kept(self) -> None:
        """Nothing: see `partial`."""

    def restore(self, place: Path, kept: bytes | None) -> None:  # noqa: ARG002 - nothing was kept
        """A file that was read by an earlier run."""
        self.partial = True

    def schemas(self) -> dict[Path, Schema]:
        """A schema for each kind of table, by the first file of that kind; those without a row, which are in `empty`, have none."""
        return {place: table.schema(place) for place, table in self._tables.values()}


def framed(batch: Batch) -> Any:
    """The cells of a batch, else its values, as a frame of Polars: words in place of codes, floats in place of decimals of 256 bits."""
    pl = polars()
    rows = batch.typed if batch.cells is None else batch.cells
    for number, field in enumerate(rows.schema):
        if str(field.type).startswith("decimal256"):
            rows = rows.set_column(number, field.name, rows.column(number).cast("float64"))
    frame = pl.from_arrow(rows)
    coded = [name for name, kind in frame.schema.items() if kind in (pl.Categorical, pl.Enum)]
    return frame.with_columns(pl.col(coded).cast(pl.String)) if coded else frame


class _Numbers(NamedTuple):
    """The range of numbers, and of the `finite` ones how many there are, their mean and the sum of squared differences."""

    low: Any = None
    high: Any = None
    finite: int = 0
    mean: float = 0.0
    square: float = 0.0

    def joined(self, other: _Numbers) -> _Numbers:
        """Both together (Chan, Golub and LeVeque 1979)."""
        count = self.finite + other.finite
        low, high = _ends(self, other)
        if not count:
            return _Numbers(low, high)
        step = other.mean - self.mean
        mean = self.mean + step * other.finite / count
        return _Numbers(low, high, count, mean, self.square + other.square + step * step * self.finite * other.finite / count)

    def spread(self) -> float | None:
        return math.sqrt(self.square / (self.finite - 1)) if self.finite > 1 else None


class _Range(NamedTuple):
    low: Any = None
    high: Any = None

    def joined(self, other: _Range) -> _Range:
        return _Range(*_ends(self, other))


def _ends(one: _Numbers | _Range, other: _Numbers | _Range) -> tuple[Any, Any]:
    lows = [end for end in (one.low, other.low) if end is not None and end == end]
    highs = [end for end in (one.high, other.high) if end is not None and end == end]
    return min(lows, default=None), max(highs, default=None)


class _Column:
    """A column so far. `kinds` are the types that all its values fit, the first of them its type."""

    def __init__(self, kinds: Sequence[Any], room: Room) -> None:
        self.kinds = list(kinds)
        self.rows = self.nulls = 0
        self.numbers = _Numbers()
        self.moments: dict[Any, _Range] = {}
        self.sizes = _Range()
        self.counts: dict[str, int] | None = {}
        self.distinct: Distinct | None = Distinct(room)
        self.exact = True  # no two texts of whole numbers that are the same number

    def drop(self, kind: Any) -> None:
        """A value does not fit `kind`."""
        self.kinds.remove(kind)
        if kind == polars().Int64 and not self.exact:
            self.forget()

    def forget(self) -> None:
        """No longer find out whether a value stands twice."""
        if self.distinct is not None:
            self.distinct.forget()
        self.distinct = None

    def count(self, found: dict[str, int]) -> None:
        if self.counts is not None:
            for value, n in found.items():
                self.counts[value] = self.counts.get(value, 0) + n
            if len(self.counts) > CATEGORIES:
                self.counts = None

    def merge(self, other: _Column) -> None:
        """Take in the same column of another table."""
        for kind in [kind for kind in self.kinds if kind not in other.kinds]:
            self.drop(kind)
        self.rows += other.rows
        self.nulls += other.nulls
        self.numbers = self.numbers.joined(other.numbers)
        self.sizes = self.sizes.joined(other.sizes)
        self.moments = {kind: span.joined(other.moments.get(kind, _Range())) for kind, span in (other.moments | self.moments).items()}
        self.exact = self.exact and other.exact
        if self.distinct is not None and other.distinct is not None:
            self.distinct.merge(other.distinct)
        else:
            self.forget()
            other.forget()
        if other.counts is None:
            self.counts = None
        else:
            self.count(other.counts)

    def facts(self) -> Facts:
        pl = polars()
        kind = self.kinds[0] if self.kinds and self.nulls < self.rows else pl.String
        unique = may_be_unique(kind, self.rows, self.nulls) and self.distinct is not None and self.distinct.twice is False
        found = Facts(kind, self.rows, self.nulls, unique=unique)
        if kind.is_numeric():
            n = self.numbers
            low, high = (end if end is None or kind.is_integer() or not isinstance(end, int) else float(end) for end in (n.low, n.high))
            return found._replace(low=low, high=high, finite=n.finite, mean=n.mean if n.finite else None, spread=n.spread())
        if kind == pl.String:
            filled = self.rows - self.nulls
            few = self.counts if self.counts is not None and len(self.counts) * 10 <= filled else None
            shares = shares_of(few, filled) if few else None
            return found._replace(low=self.sizes.low, high=self.sizes.high, shares=shares)
        span = self.moments.get(kind, _Range())
        return found._replace(low=span.low, high=span.high)


class _Table:
    """All tables with the same columns so far."""

    def __init__(self, names: tuple[str, ...], room: Room) -> None:
        self.names, self.rows = names, 0
        self._room = room
        self._columns: dict[str, _Column] = {}
        self.key: tuple[str, ...] = names

    def take(self, frame: Any, text: bool) -> None:
        """The next rows; with `text` their types are to be found."""
        pl = polars()
        if not self._columns:
            tried = [pl.Int64, pl.Float64, pl.Boolean, pl.Date, pl.Datetime("us")] if text else []
            self._columns = {n: _Column([*tried, k] if k == pl.String else [k], self._room) for n, k in frame.schema.items()}
            self.key = (*self.names, "", *(() if text else map(str, frame.dtypes)))
        self.rows += frame.height
        for name, column in self._columns.items():
            column.rows += frame.height
            column.nulls += frame[name].null_count()
        typed = self._cast(frame)
        self._facts(frame, typed)
        for name, column in self._columns.items():
            values = frame[name]
            if values.dtype == pl.String and column.counts is not None:
                counted = values.drop_nulls().rename("value").value_counts(name="n")
                column.count(dict(zip(counted["value"].to_list(), counted["n"].to_list(), strict=True)))
            self._hash(column, values, typed.get((name, pl.Int64)))

    def merge(self, other: _Table) -> None:
        """Take in another table with the same columns."""
        self.rows += other.rows
        for name, column in other._columns.items():
            self._columns[name].merge(column)

    def forget(self) -> None:
        """What was taken is read again."""
        for column in self._columns.values():
            column.forget()

    def schema(self, place: Path) -> Schema:
        return Schema(
            format=1, name=place.name.partition(".")[0], columns={name: column_of(c.facts()) for name, c in self._columns.items()}
        )

    def _cast(self, frame: Any) -> dict[tuple[str, Any], Any]:
        """The columns of text in each type that they may still be of; a type that a cell does not fit is dropped."""
        pl = polars()
        typed = {}
        for rank in range(2):
            asked = [(name, kind) for name, c in self._columns.items() for kind in _tried(c.kinds, rank) if (name, kind) not in typed]
            made = frame.select(*(cast(name, kind).alias(str(i)) for i, (name, kind) in enumerate(asked)))
            for i, (name, kind) in enumerate(asked):
                values = made.to_series(i)
                if values.null_count() > frame[name].null_count():
                    self._columns[name].drop(kind)
                else:
                    typed[name, kind] = values
        for name, column in self._columns.items():
            if len(column.kinds) == 1 and column.kinds[0] != pl.String:
                typed[name, column.kinds[0]] = frame[name]
        return typed

    def _facts(self, frame: Any, typed: dict[tuple[str, Any], Any]) -> None:
        """Take in ranges, means and lengths."""
        pl = polars()
        asked: list[tuple[_Column, Any, Any]] = []
        for (name, kind), values in typed.items():
            column = self._columns[name]
            leads = kind.is_numeric() and kind == next((k for k in column.kinds if k.is_numeric()), None)
            if leads or kind.is_temporal():
                asked.append((column, kind, values))
        for column, kind, values in asked:
            if kind.is_numeric():
                column.numbers = column.numbers.joined(_numbers(values, kind))
            else:
                column.moments[kind] = column.moments.get(kind, _Range()).joined(_Range(values.min(), values.max()))
        texts = [name for name, kind in frame.schema.items() if kind == pl.String]
        if texts:
            sizes = frame.select(*(pl.col(n).str.len_chars().alias(str(i)) for i, n in enumerate(texts)))
            for i, name in enumerate(texts):
                of = sizes.to_series(i)
                self._columns[name].sizes = self._columns[name].sizes.joined(_Range(of.min(), of.max()))

    def _hash(self, column: _Column, values: Any, whole: Any) -> None:
        pl = polars()
        if column.distinct is None or not column.distinct.open:
            return
        kind = column.kinds[0] if column.kinds else pl.String
        if column.nulls or kind.is_float() or kind.is_nested() or kind in (pl.Boolean, pl.Binary, pl.Null):
            column.forget()
            return
        if whole is not None and values.dtype == pl.String:
            said = whole.cast(pl.String)
            column.exact = column.exact and bool((said == values).all())
            values = said
        column.distinct.add(values.hash(0).to_numpy())


def _tried(kinds: Sequence[Any], rank: int) -> list[Any]:
    """The types that a column of text is cast to: numbers with a fraction only once it holds no whole ones alone (`rank` 1)."""
    pl = polars()
    if len(kinds) < 2:
        return []
    whole = pl.Int64 in kinds
    return [kind for kind in kinds if kind != pl.String and (rank == 0 or kind == pl.Float64) and not (whole and kind == pl.Float64)]


def _numbers(values: Any, kind: Any) -> _Numbers:
    pl = polars()
    numbers = values.cast(pl.Float64).drop_nulls()
    finite = numbers if kind.is_integer() else numbers.filter(numbers.is_finite())
    count = len(finite)
    low, high = values.min(), values.max()
    if not count:
        return _Numbers(low, high)
    return _Numbers(low, high, count, finite.mean(), finite.var(ddof=0) * count)
