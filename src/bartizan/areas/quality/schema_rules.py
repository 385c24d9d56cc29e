"""The rules of a schema as Polars expressions: for each rule one that is true for the rows that break it, and a cheap one over the scan."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from bartizan.areas.quality.schema import Column, Schema, Span, Type
from bartizan.areas.quality.schema_scan import polars
from bartizan.model.errors import InputError, one_line

PSI = 0.25
"""Population stability index beyond which a distribution counts as another, unless the schema says so: the usual rule of thumb."""


class RowRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule on rows. `bad` is true for a row that breaks it, `screen` (over the whole column) false only where none does.

    `share` is how many of the values may break it, `out_of` how many values there are (None: all rows).
    """

    id: str
    text: str
    column: str
    bad: Any
    screen: Any
    share: float = 0.0
    out_of: Any = None


class WholeRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule on a column as a whole: `value` must lie within `span`.

    For a table in batches: `sums` add up over them, and `of` them the value is made; or no two rows may share `keys`.
    """

    id: str
    text: str
    column: str
    value: Any
    span: Span
    sums: tuple[Any, ...] = ()
    of: Callable[[Sequence[float]], float | None] | None = None
    keys: tuple[str, ...] = ()


def row_rules(schema: Schema, kinds: Mapping[str, Any], text: frozenset[str]) -> Iterator[RowRule]:
    """The rules on rows for a scan with these types by column; `text` are the columns that were cast from text."""
    for name, column in schema.columns.items():
        if name in kinds:
            yield from _column(name, column, kinds[name], name in text)
    pl = polars()
    for rule in schema.rules:
        try:
            holds = pl.sql_expr(rule.holds)
        except pl.exceptions.PolarsError as error:
            raise InputError(f"rule '{one_line(rule.name, 80)}' is no SQL expression: {one_line(str(error), 160)}", place=rule.at) from None
        known = holds.cast(pl.Boolean)
        bad = known.not_().fill_null(False)
        yield RowRule(
            id=f"rule.{rule.name}", text=rule.holds, column="", bad=bad, screen=bad.sum(), share=rule.tolerance, out_of=known.count()
        )


def whole_rules(schema: Schema, kinds: Mapping[str, Any]) -> Iterator[WholeRule]:
    """The rules on whole columns: uniqueness and drift."""
    pl = polars()
    for name, column in schema.columns.items():
        if name not in kinds:
            continue
        if column.unique:
            twice = pl.col(name).drop_nulls().len() - pl.col(name).drop_nulls().n_unique()
            yield WholeRule(id=f"{name}.unique", text="no value stands twice", column=name, value=twice, span=Span(max=0), keys=(name,))
        if column.drift is not None:
            yield from _drift(name, column, kinds[name])
    for keys in schema.unique:
        if all(key in kinds for key in keys):
            twice = pl.len() - pl.struct(*keys).n_unique()
            shown = ", ".join(keys)
            text = f"no two rows share {shown}"
            yield WholeRule(id=f"unique({shown})", text=text, column=keys[0], value=twice, span=Span(max=0), keys=tuple(keys))


def fits(column: Column, kind: Any) -> bool:
    """Whether the type of a column in the data is what the schema says."""
    pl = polars()
    if column.dtype is not None:
        exact = getattr(pl, column.dtype, None)
        return bool(exact is not None and kind == exact)
    texts = (pl.String, pl.Categorical, pl.Enum)
    tests: dict[Type, bool] = {
        Type.ANY: True,
        Type.INTEGER: kind.is_integer(),
        Type.NUMBER: kind.is_numeric(),
        Type.TEXT: kind in texts or isinstance(kind, pl.Categorical | pl.Enum),
        Type.BOOLEAN: kind == pl.Boolean,
        Type.DATE: kind == pl.Date,
        Type.DATETIME: kind == pl.Datetime,
        Type.TIME: kind == pl.Time,
        Type.BINARY: kind == pl.Binary,
        Type.LIST: kind == pl.List or kind == pl.Array,
        Type.STRUCT: kind == pl.Struct,
    }
    return tests[column.type]


def _column(name: str, rule: Column, kind: Any, cast: bool) -> Iterator[RowRule]:
    pl = polars()
    value = pl.col(name)
    share = rule.tolerance
    if cast:
        text = pl.col(f"text:{name}")
        bad = value.is_null() & text.is_not_null()
        yield RowRule(
            id=f"{name}.type",
            text=f"is of type {rule.type}",
            column=name,
            bad=bad,
            screen=value.null_count() - text.null_count(),
        )
        nulls, bad_null = text.null_count(), text.is_null()
    else:
        nulls, bad_null = value.null_count(), value.is_null()
    if rule.nulls < 1.0:
        yield RowRule(id=f"{name}.nulls", text="is there", column=name, bad=bad_null, screen=nulls, share=rule.nulls)
    if kind.is_float() and rule.finite:
        bad = value.is_finite().not_().fill_null(False)
        yield RowRule(id=f"{name}.finite", text="is a finite number", column=name, bad=bad, screen=bad.any())
    for word, bound, breaks in _bounds(rule):
        limit = _literal(bound, kind, name)
        screen = breaks((value.min() if word in ("min", "above") else value.max()), limit)
        yield RowRule(
            id=f"{name}.{word}",
            text=f"{_WORDS[word]} {bound}",
            column=name,
            bad=breaks(value, limit).fill_null(False),
            screen=screen,
            share=share,
        )
    if rule.among is not None:
        bad = value.is_in([_plain(v, kind) for v in rule.among]).not_().fill_null(False)
        yield RowRule(id=f"{name}.in", text=f"is one of {_listed(rule.among)}", column=name, bad=bad, screen=bad.any(), share=share)
    if rule.not_in is not None:
        bad = value.is_in([_plain(v, kind) for v in rule.not_in]).fill_null(False)
        yield RowRule(id=f"{name}.not_in", text=f"is none of {_listed(rule.not_in)}", column=name, bad=bad, screen=bad.any(), share=share)
    yield from _texts(name, rule, kind)


def _texts(name: str, rule: Column, kind: Any) -> Iterator[RowRule]:
    pl = polars()
    asked = rule.matches is not None or rule.not_matches is not None or rule.length is not None
    if not asked:
        return
    value = pl.col(name) if kind == pl.String else pl.col(name).cast(pl.String)
    share = rule.tolerance
    if rule.matches is not None:
        bad = value.str.contains(rule.matches).not_().fill_null(False)
        yield RowRule(id=f"{name}.matches", text=f"matches {rule.matches}", column=name, bad=bad, screen=bad.any(), share=share)
    if rule.not_matches is not None:
        bad = value.str.contains(rule.not_matches).fill_null(False)
        yield RowRule(
            id=f"{name}.not_matches", text=f"does not match {rule.not_matches}", column=name, bad=bad, screen=bad.any(), share=share
        )
    if rule.length is not None:
        size = value.str.len_chars()
        low, high = rule.length.min or 0, rule.length.max if rule.length.max is not None else math.inf
        bad = ((size < low) | (size > high)).fill_null(False)
        text = f"has {low:g} to {high:g} characters"
        yield RowRule(id=f"{name}.length", text=text, column=name, bad=bad, screen=bad.any(), share=share)


_WORDS = {"min": "is at least", "max": "is at most", "above": "is above", "below": "is below"}


def _bounds(rule: Column) -> Iterator[tuple[str, Any, Any]]:
    if rule.min is not None:
        yield "min", rule.min, lambda x, limit: x < limit
    if rule.max is not None:
        yield "max", rule.max, lambda x, limit: x > limit
    if rule.above is not None:
        yield "above", rule.above, lambda x, limit: x <= limit
    if rule.below is not None:
        yield "below", rule.below, lambda x, limit: x >= limit


def _drift(name: str, column: Column, kind: Any) -> Iterator[WholeRule]:
    pl = polars()
    drift = column.drift
    assert drift is not None
    if drift.mean is not None and (kind.is_numeric() or kind == pl.Boolean):
        value = pl.col(name)
        sums = (value.cast(pl.Float64).sum(), value.count())
        yield WholeRule(
            id=f"{name}.drift.mean", text="the mean stays", column=name, value=value.mean(), span=drift.mean, sums=sums, of=_share
        )
    if drift.nulls is not None:
        sums = (pl.col(name).null_count(), pl.len())
        text, share = "the share of empty cells stays", sums[0] / sums[1]
        yield WholeRule(id=f"{name}.drift.nulls", text=text, column=name, value=share, span=drift.nulls, sums=sums, of=_share)
    if drift.shares:
        text = "the population stability index against the recorded shares stays"
        hits = tuple(_hits(pl.col(name).cast(pl.String), drift.shares))
        yield WholeRule(
            id=f"{name}.drift.shares",
            text=text,
            column=name,
            value=_psi(hits, drift.shares),
            span=Span(max=drift.psi if drift.psi is not None else PSI),
            sums=hits,
            of=partial(_psi_of, list(drift.shares.values())),
        )


_FLOOR = 1e-4
"""Share that stands under each category, so that one that is empty has a logarithm."""


def _share(sums: Sequence[float]) -> float | None:
    return sums[0] / sums[1] if sums[1] else None


def _hits(value: Any, shares: Mapping[str, float]) -> Iterator[Any]:
    """How many values there are, how many in each category, and in none of them."""
    yield value.count()
    yield from ((value == category).sum() for category in shares)
    yield value.is_in(list(shares)).not_().sum()


def _psi(sums: Sequence[Any], shares: Mapping[str, float]) -> Any:
    """Sum over categories of (now - then) * ln(now / then), with a floor of 0.0001 under both; what is in no category is one of its own."""
    pl = polars()
    total, parts = sums[0].cast(pl.Float64), []
    for hits, then in zip(sums[1:], (*shares.values(), 1.0 - sum(shares.values())), strict=True):
        now = pl.max_horizontal(hits / total, pl.lit(_FLOOR))
        before = max(then, _FLOOR)
        parts.append((now - before) * (now / before).log())
    return pl.sum_horizontal(parts)


def _psi_of(shares: Sequence[float], sums: Sequence[float]) -> float | None:
    """The same of numbers."""
    if not sums[0]:
        return None
    found = 0.0
    for hits, then in zip(sums[1:], (*shares, 1.0 - sum(shares)), strict=True):
        now, before = max(hits / sums[0], _FLOOR), max(then, _FLOOR)
        found += (now - before) * math.log(now / before)
    return found


def _literal(bound: Any, kind: Any, name: str) -> Any:
    pl = polars()
    try:
        plain = _plain(bound, kind)
    except ValueError:
        what = f"column '{one_line(name, 80)}' holds dates, and its bound is '{one_line(str(bound), 60)}'"
        raise InputError(what, cure="write YYYY-MM-DD") from None
    if kind.is_numeric() and (isinstance(plain, bool) or not isinstance(plain, int | float)):
        raise InputError(
            f"column '{one_line(name, 80)}' holds numbers, and its bound is '{one_line(str(bound), 60)}'", cure="give a number"
        )
    return pl.lit(plain)


def _plain(value: Any, kind: Any) -> Any:
    """A value of the schema as the column's type wants it: dates may stand there as text."""
    pl = polars()
    if isinstance(value, str) and kind == pl.Date:
        return dt.date.fromisoformat(value)
    if kind == pl.Datetime and isinstance(value, str | dt.date) and not isinstance(value, dt.datetime):
        moment = dt.datetime.fromisoformat(str(value))
        zone = getattr(kind, "time_zone", None)
        return moment.replace(tzinfo=dt.UTC) if zone and moment.tzinfo is None else moment
    if kind == pl.String and not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def _listed(values: tuple[Any, ...]) -> str:
    shown = ", ".join(one_line(str(v), 30) for v in values[:8])
    return shown + (f" and {len(values) - 8} more" if len(values) > 8 else "")
