"""Figures over groups of rows, given only where a group is large enough, and where what is left out cannot be had by subtraction.

A group is hidden where fewer than k of its rows hold a value, or where one row makes up nearly all of a sum, and with it as many others as
it takes that it cannot be had from totals over fewer of the same columns by subtraction (`hiding`).
Not covered: totals over other columns or for another purpose, figures of several people or of two days put together, what somebody knows
of other rows, a value that all rows of a group share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from bartizan.areas.access.hiding import hidden_groups
from bartizan.areas.access.tables import polars
from bartizan.model.errors import InputError, UnknownName, one_line

MOST_COLUMNS = 3
"""Columns by which rows may be grouped at once."""

MOST_GROUPS = 100_000


class Measure(StrEnum):
    """What is computed over the rows of a group. Smallest and largest are not: each is the value of one row."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """`frame`: a row for each shown group with its columns, `rows` and the figures; how many groups and rows were `hidden`."""

    frame: Any
    hidden_groups: int
    hidden_rows: int


def figures(frame: Any, by: Sequence[str], measures: Mapping[str, tuple[Measure, str]], smallest: int) -> Figures:
    """The figures over the groups of `frame` (lazy; the columns of `by` as they are seen, the measured ones as they are).

    `measures` maps a new name to what is computed of which column, a number or true or false. Raises `InputError`.
    """
    pl = polars()
    if len(by) > MOST_COLUMNS:
        raise InputError(f"rows are grouped by at most {MOST_COLUMNS} columns")
    schema = frame.collect_schema()
    measured = list(dict.fromkeys(column for _, column in measures.values()))
    for column in measured:
        if not (schema[column].is_numeric() or schema[column] == pl.Boolean):
            raise InputError(f"'{one_line(column.partition(chr(0))[0], 60)}' holds {schema[column]}, of which nothing is computed")
    keys = [pl.col(name).alias(f"g{n}") for n, name in enumerate(by)]
    values = [_number(column).alias(f"m{n}") for n, column in enumerate(measured)]
    grouped = frame.with_columns(pl.lit(0).alias("\0one")).select(*keys, *values, "\0one")  # so that no columns at all are rows too
    parts = [pl.len().alias("rows")]
    for n in range(len(measured)):
        cell = pl.col(f"m{n}")
        parts += [cell.count().alias(f"n{n}"), cell.sum().alias(f"s{n}"), cell.abs().max().alias(f"x{n}"), cell.abs().sum().alias(f"a{n}")]
    names = [f"g{n}" for n in range(len(by))]
    table = (grouped.group_by(names).agg(parts) if by else grouped.select(parts)).head(MOST_GROUPS + 1).collect(engine="streaming")
    if len(table) > MOST_GROUPS:
        raise InputError(f"makes more than {MOST_GROUPS} groups", cure="group by fewer columns")
    table = table.sort(names) if by else table
    hidden = hidden_groups(table, [f"g{list(by).index(name)}" for name in sorted(by)], len(measured), smallest)
    shown = table.filter(~hidden)
    columns = [pl.col(f"g{n}").alias(name) for n, name in enumerate(by)] + [pl.col("rows")]
    columns += [_figure(kind, measured.index(column)).alias(name) for name, (kind, column) in measures.items()]
    return Figures(frame=shown.select(columns), hidden_groups=int(hidden.sum()), hidden_rows=int(table.filter(hidden)["rows"].sum()))


def _number(column: str) -> Any:
    """Finite numbers; what is none is empty."""
    pl = polars()
    number = pl.col(column).cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number).otherwise(None)


def _figure(kind: Measure, n: int) -> Any:
    pl = polars()
    return {Measure.COUNT: pl.col(f"n{n}"), Measure.SUM: pl.col(f"s{n}"), Measure.MEAN: pl.col(f"s{n}") / pl.col(f"n{n}")}[kind]


def measure(kind: str) -> Measure:
    """The measure of this name. Raises `UnknownName`."""
    if kind not in list(Measure):
        raise UnknownName("measure", kind, [str(known) for known in Measure])
    return Measure(kind)
