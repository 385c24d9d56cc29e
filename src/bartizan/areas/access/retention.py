"""When a row expires: the moment that a cell names, in UTC, and whether it lies too far back.

A cell may be a date, a moment (without a zone: UTC), text, or a number that counts from 1970. A date without a time means the whole day: it
is over when the day is, so nothing is deleted a day early. Text is read where it can mean one thing alone: ISO 8601, `2024/01/31`,
`31.01.2024`, `20240131`; `03/04/2024` can mean two days and is no date unless the format is given. Numbers are seconds, milli-, micro- or
nanoseconds since 1970 by their size (10^8 to 10^11 are seconds, which is 1973 to 5138), or `20240131`. Whatever is none of this is
undated. An undated row is never taken for a young one: it is counted by itself, and whoever purges says what happens to it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from bartizan.model.errors import InputError, MissingExtra, one_line

if TYPE_CHECKING:
    import polars as pl

Reader: TypeAlias = Callable[[Any], Any]
"""Series of text to series of microseconds."""

_DAY = 86_400 * 10**6
_WITH_OFFSET = ("%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z")
_WITHOUT = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")
_DAYS = ("%Y-%m-%d", "%d.%m.%Y")
_LOWEST, _HIGHEST = -62_135_596_800 * 10**6, 253_402_300_800 * 10**6 + 1
"""Microseconds from 1970 to the beginning of the year 1 and the end of 9999: what lies beyond is undated."""


class Expiry(msgspec.Struct, frozen=True, kw_only=True):
    """`column` says when a row was made, and it expires `days` later; with no `days` the column says itself when it expires. `shape` is
    how its text is written (strptime), where that is not ISO 8601."""

    column: str
    days: int | None = None
    shape: str | None = None

    def cutoff(self, now: dt.datetime) -> dt.datetime:
        """A row whose moment lies before this has expired at `now`. Raises `InputError` where no calendar reaches so far back."""
        try:
            return now - dt.timedelta(days=self.days or 0)
        except OverflowError:
            raise InputError(f"{self.days} days reach back beyond the year 1") from None


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Rows, how many of them have expired, and how many name no moment."""

    rows: int
    expired: int
    undated: int


def polars() -> Any:
    """The module polars. Raises `MissingExtra` where it is not installed."""
    try:
        import polars as pl
    except ImportError:
        raise MissingExtra("data", "polars") from None
    return pl


def ends(cells: pl.Series, shape: str | None = None) -> pl.Series:
    """The moment at which what each cell names is over: microseconds since 1970 in UTC (int64), null where it names none.

    A date is over at its midnight, a moment one microsecond later; so a row lies before a moment t exactly where its end is <= t.
    `cells` may be dates, datetimes, text, categories, integers, floats or decimals; of other types every cell is undated.
    """
    pl = polars()
    kind = cells.dtype
    if kind == pl.Date:
        found = (cells.cast(pl.Int64) + 1) * _DAY
    elif isinstance(kind, pl.Datetime):
        found = cells.cast(pl.Datetime("us", kind.time_zone)).cast(pl.Int64) + 1
    elif kind.is_numeric():
        found = _of_numbers(cells)
    elif isinstance(kind, pl.String | pl.Categorical | pl.Enum):
        found = _of_text(cells.cast(pl.String), shape)
    else:
        found = pl.Series(cells.name, [None], dtype=pl.Int64).new_from_index(0, len(cells))
    inside = found.is_between(_LOWEST, _HIGHEST)
    return found.zip_with(inside.fill_null(False), pl.Series([None], dtype=pl.Int64).new_from_index(0, len(cells)))


def before(cells: pl.Series, cutoff: dt.datetime, shape: str | None = None) -> pl.Series:
    """Which cells name a moment before `cutoff` (with a zone): true, false, or null where they name none."""
    return ends(cells, shape) <= microseconds(cutoff)


def expired(expiry: Expiry, now: dt.datetime) -> Any:
    """A lazy Polars expression: whether a row has expired at `now`; null for an undated row.

    In a filter a null keeps nothing, so `~expired(...)` leaves out undated rows as well.
    """
    pl = polars()
    cutoff = expiry.cutoff(now)
    return pl.col(expiry.column).map_batches(
        lambda cells: before(cells, cutoff, expiry.shape), return_dtype=pl.Boolean, is_elementwise=True
    )


def count(frame: pl.LazyFrame, expiry: Expiry, now: dt.datetime) -> Counted:
    """How many rows of `frame` have expired at `now`, in one stream over one column."""
    pl = polars()
    seen = frame.select(expired(expiry, now).alias("expired"))
    found = seen.select(
        pl.len().alias("rows"), pl.col("expired").sum().alias("expired"), pl.col("expired").null_count().alias("undated")
    ).collect(engine="streaming")
    return Counted(rows=found["rows"][0], expired=found["expired"][0] or 0, undated=found["undated"][0])


def moment(text: str) -> dt.datetime:
    """What a user wrote as a date or a moment, in UTC where it names no zone. Raises `InputError`."""
    try:
        found = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(f"'{one_line(text, 40)}' is no date", cure="write it as 2024-01-31 or 2024-01-31T12:00:00Z") from None
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)


def microseconds(when: dt.datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (when - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def looks_dated(cells: pl.Series) -> bool:
    """Whether nearly all (95 %) of the filled `cells` name a moment between 1900 and 2200: what is worth proposing as a column of dates."""
    filled = cells.drop_nulls()
    if not len(filled):
        return False
    low, high = microseconds(dt.datetime(1900, 1, 1, tzinfo=dt.UTC)), microseconds(dt.datetime(2200, 1, 1, tzinfo=dt.UTC))
    return int(ends(filled).is_between(low, high).sum()) >= 0.95 * len(filled)


def _of_numbers(cells: Any) -> Any:
    pl = polars()
    exact = cells.cast(pl.Int64, strict=False) if cells.dtype.is_integer() else None
    number = cells.cast(pl.Float64, strict=False)
    frame = pl.DataFrame({"n": number, "i": exact if exact is not None else number.floor().cast(pl.Int64, strict=False)})
    n, i = pl.col("n").abs(), pl.col("i")
    day = i.cast(pl.String).str.to_date("%Y%m%d", strict=False).cast(pl.Int64)
    written = (pl.col("n") == i) & i.is_between(19000101, 21991231) & day.is_not_null()
    found = (
        pl.when(pl.col("n").is_nan())
        .then(None)
        .when(written)
        .then((day + 1) * _DAY)
        .when(n < 10**8)
        .then(None)
        .when(n < 10**11)
        .then((pl.col("n") * 10**6).round().cast(pl.Int64, strict=False) + 1)
        .when(n < 10**14)
        .then((pl.col("n") * 10**3).round().cast(pl.Int64, strict=False) + 1)
        .when(n < 10**17)
        .then(i + 1)
        .otherwise(i.floordiv(10**3) + 1)
    )
    return frame.select(found.cast(pl.Int64).alias("found"))["found"]


def _of_text(cells: Any, shape: str | None) -> Any:
    """Each way to write a date is tried on what no other way has read."""
    pl = polars()
    text = cells.str.strip_chars()
    if shape is not None:
        return _shaped(text, shape)
    found = pl.Series([None], dtype=pl.Int64).new_from_index(0, len(text))
    even = text.str.replace(r"^(\d{4})/(\d{2})/(\d{2})", "$1-$2-$3").str.replace(r"^(\d{4}-\d{2}-\d{2}) +(\d)", "${1}T$2")
    even = even.str.replace(r"(?i)(\d) ?(?:z|utc)$", "$1+00:00").str.replace(r"^(.*T.*[+-]\d{2})$", "$1:00")
    for read in _TRIES:
        open_ones = found.is_null() & even.is_not_null()
        if not open_ones.any():
            break
        found = found.zip_with(~open_ones, read(even.zip_with(open_ones, pl.Series([None], dtype=pl.String))))
    return found


def _days(form: str) -> Reader:
    return lambda text: (text.str.to_date(form, strict=False).cast(polars().Int64) + 1) * _DAY


def _moments(form: str) -> Reader:
    return lambda text: text.str.to_datetime(form, strict=False, time_unit="us").cast(polars().Int64) + 1


def _digits(text: Any) -> Any:
    return _of_numbers(text.str.extract(r"^(\d{8}|\d{10}|\d{13}|\d{16}|\d{19})$").cast(polars().Int64, strict=False))


_TRIES: tuple[Reader, ...] = (*map(_days, _DAYS), *map(_moments, (*_WITHOUT, *_WITH_OFFSET)), _digits)


def _shaped(text: Any, shape: str) -> Any:
    pl = polars()
    try:
        timed = any(part in shape for part in ("%H", "%I", "%T", "%R", "%s", "%c", "%r"))
        return (_moments if timed else _days)(shape)(text)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"'{one_line(shape, 40)}' describes no date: {one_line(str(error), 120)}", cure="for example %d/%m/%Y") from None
