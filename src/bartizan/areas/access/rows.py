"""Which rows somebody sees, as data: a condition over columns that becomes a Polars expression or a DuckDB predicate with the same answer.

Logic is three-valued as in SQL: a comparison with an empty cell is neither true nor false, and a row is kept only where the whole condition
is true. So an empty cell opens nothing, under `Not` neither.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from bartizan.model.errors import InputError, MissingExtra, one_line

Value: TypeAlias = str | int | float | bool | dt.date | dt.datetime

OPERATORS = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
"""Names of comparisons, the same as in `operator`, and how SQL writes them."""

WILDCARD = "*"


class Always(msgspec.Struct, frozen=True):
    """Every row, or with `value` false none."""

    value: bool = True


class Compare(msgspec.Struct, frozen=True):
    """`column` stands in the relation `op` (see `OPERATORS`) to `value`, or to another column where `value` is a `Cell`.

    The types must fit: a number with a number, text with text, a date or time (without zone: UTC) with such.
    """

    column: str
    op: str
    value: Value | Cell

    def __post_init__(self) -> None:
        if self.op not in OPERATORS:
            raise InputError(f"'{one_line(self.op, 40)}' compares nothing", cure="known: " + ", ".join(OPERATORS))
        if isinstance(self.value, int) and not -(2**63) <= self.value < 2**63:
            raise InputError(f"{one_line(str(self.value), 40)} does not fit into 64 bits")


class Cell(msgspec.Struct, frozen=True):
    """The value of another column in the same row."""

    column: str


class Among(msgspec.Struct, frozen=True):
    """The value of `column` is one of `values`, all of one type."""

    column: str
    values: tuple[Value, ...]


class Matches(msgspec.Struct, frozen=True):
    """The text in `column` is as in `parts`, with anything (also nothing) between each two of them."""

    column: str
    parts: tuple[str, ...]


class Missing(msgspec.Struct, frozen=True):
    """The cell of `column` is empty. Always true or false."""

    column: str


class Every(msgspec.Struct, frozen=True):
    """All `parts` hold."""

    parts: tuple[Condition, ...]


class Some(msgspec.Struct, frozen=True):
    """At least one of `parts` holds."""

    parts: tuple[Condition, ...]


class Not(msgspec.Struct, frozen=True):
    """`part` is false. An empty cell makes it neither."""

    part: Condition


Condition: TypeAlias = Always | Compare | Among | Matches | Missing | Every | Some | Not


def columns_of(condition: Condition) -> frozenset[str]:
    """The names of all columns that `condition` reads."""
    return frozenset(_names(condition))


def _names(condition: Condition) -> Iterator[str]:
    match condition:
        case Every(parts) | Some(parts):
            for part in parts:
                yield from _names(part)
        case Not(part):
            yield from _names(part)
        case Compare(column, _, value):
            yield column
            if isinstance(value, Cell):
                yield value.column
        case Among(column) | Matches(column) | Missing(column):
            yield column


def to_polars(condition: Condition) -> Any:
    """The condition as a boolean Polars expression, for `filter`, which keeps a row only where it is true. Raises `MissingExtra`."""
    try:
        import polars as pl
    except ImportError:
        raise MissingExtra("access", "polars") from None
    match condition:
        case Always(value):
            return pl.lit(value)
        case Compare(column, op, value):
            return getattr(pl.col(column), op)(pl.col(value.column) if isinstance(value, Cell) else pl.lit(value))
        case Among(column, values):
            return pl.col(column).is_in(list(values)) if values else pl.lit(False)
        case Matches(column, parts):
            return pl.col(column).str.contains(r"(?s)\A" + ".*".join(map(re.escape, parts)) + r"\z")
        case Missing(column):
            return pl.col(column).is_null()
        case Every(parts):
            return _folded([to_polars(part) for part in parts], pl.lit(True), every=True)
        case Some(parts):
            return _folded([to_polars(part) for part in parts], pl.lit(False), every=False)
        case Not(part):
            return ~to_polars(part)


def _folded(parts: list[Any], empty: Any, *, every: bool) -> Any:
    found = parts[0] if parts else empty
    for part in parts[1:]:
        found = found & part if every else found | part
    return found


def to_sql(condition: Condition) -> str:
    """The condition as an expression for DuckDB's WHERE. Names and values are quoted."""
    match condition:
        case Always(value):
            return "TRUE" if value else "FALSE"
        case Compare(column, op, value):
            return f"({name_in_sql(column)} {OPERATORS[op]} {name_in_sql(value.column) if isinstance(value, Cell) else _literal(value)})"
        case Among(column, values):
            return f"({name_in_sql(column)} IN ({', '.join(map(_literal, values))}))" if values else "FALSE"
        case Matches(column, parts):
            pattern = "%".join(re.sub(r"([\\%_])", r"\\\1", part) for part in parts)
            return f"({name_in_sql(column)} LIKE {_literal(pattern)} ESCAPE '\\')"
        case Missing(column):
            return f"({name_in_sql(column)} IS NULL)"
        case Every(parts):
            return f"({' AND '.join(map(to_sql, parts))})" if parts else "TRUE"
        case Some(parts):
            return f"({' OR '.join(map(to_sql, parts))})" if parts else "FALSE"
        case Not(part):
            return f"(NOT {to_sql(part)})"


def name_in_sql(column: str) -> str:
    """The name of a column as DuckDB reads it whatever it holds. Raises `InputError` for a zero byte."""
    return f'"{_plain(column).replace(chr(34), chr(34) * 2)}"'


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, dt.datetime):
        zoned = value.astimezone(dt.UTC).isoformat(sep=" ", timespec="microseconds") if value.tzinfo else None
        return f"TIMESTAMPTZ '{zoned}'" if zoned else f"TIMESTAMP '{value.isoformat(sep=' ', timespec='microseconds')}'"
    if isinstance(value, dt.date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, float):
        return f"CAST('{value!r}' AS DOUBLE)"
    return str(value) if isinstance(value, int) else f"'{_plain(value).replace(chr(39), chr(39) * 2)}'"


def _plain(text: str) -> str:
    if "\0" in text:
        raise InputError("a zero byte stands in a condition")
    return text
