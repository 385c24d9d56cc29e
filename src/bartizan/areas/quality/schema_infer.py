"""A first schema out of a table as it is, for people to review: types, ranges, categories, empty cells, uniqueness, drift bounds.

What is observed becomes the bound; a reviewer widens it to what is allowed. Patterns and rules over several columns are left to people.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bartizan.areas.quality.schema import Column, Drift, Schema, Span, Type
from bartizan.areas.quality.schema_scan import cast, failed, is_text, polars, scan
from bartizan.model.errors import InputError

CATEGORIES = 30
"""Most different texts of a column that are taken for categories."""

SPREAD = 0.5
"""By how many standard deviations the mean may move."""


def infer(path: Path, *, name: str | None = None) -> Schema:
    """The schema of the table at `path` as it is. Raises `InputError` where it cannot be read or has no row, `MissingExtra`."""
    pl = polars()
    try:
        frame = scan(path)
        kinds = dict(frame.collect_schema())
        if is_text(path):
            frame, kinds = _typed(frame, list(kinds))
        facts = frame.select(pl.len().alias("rows"), *(e for n, k in kinds.items() for e in _facts(n, k))).collect(engine="streaming")
        found = facts.row(0, named=True)
        if not found["rows"]:
            raise InputError("has no row to infer a schema from", place=str(path))
        columns = {n: _column(frame, n, k, found) for n, k in kinds.items()}
    except (pl.exceptions.PolarsError, OSError) as error:
        raise failed(path, error) from None
    return Schema(format=1, name=name or path.name.partition(".")[0], columns=columns)


def _typed(frame: Any, names: list[str]) -> tuple[Any, dict[str, Any]]:
    """The scan of a text file with each column cast to the narrowest type that all of its cells fit."""
    pl = polars()
    wanted = [pl.Int64, pl.Float64, pl.Boolean, pl.Date, pl.Datetime("us")]
    tests = [cast(n, kind).count().alias(f"{i}:{n}") for n in names for i, kind in enumerate(wanted)]
    filled = [pl.col(n).count().alias(f"all:{n}") for n in names]
    found = frame.select(*tests, *filled).collect(engine="streaming").row(0, named=True)
    kinds = {}
    for n in names:
        cells = found[f"all:{n}"]
        kinds[n] = next((k for i, k in enumerate(wanted) if cells and found[f"{i}:{n}"] == cells), pl.String)
    return frame.with_columns(*(cast(n, k) for n, k in kinds.items() if k != pl.String)), kinds


def _facts(name: str, kind: Any) -> list[Any]:
    pl = polars()
    value = pl.col(name)
    facts = [value.null_count().alias(f"nulls:{name}")]
    if kind.is_nested() or kind in (pl.Binary, pl.Null):
        return facts
    facts.append(value.approx_n_unique().alias(f"unique:{name}"))
    if kind.is_numeric():
        number = value.cast(pl.Float64)
        clean = pl.when(number.is_finite()).then(number)
        facts += [value.min().alias(f"min:{name}"), value.max().alias(f"max:{name}")]
        facts += [clean.mean().alias(f"mean:{name}"), clean.std().alias(f"std:{name}"), clean.count().alias(f"finite:{name}")]
    elif kind.is_temporal():
        facts += [value.min().alias(f"min:{name}"), value.max().alias(f"max:{name}")]
    elif kind == pl.String:
        size = value.str.len_chars()
        facts += [size.min().alias(f"min:{name}"), size.max().alias(f"max:{name}")]
    return facts


class Facts(NamedTuple):
    """What is known of a column of `rows` rows, `nulls` of them empty, whose values are of the Polars type `kind`.

    `low` and `high` are the least and the greatest number or moment, for text its lengths; `finite` numbers have this `mean` and this
    standard deviation (`spread`). `shares` are the categories of a text with few of them and how often each stands there.
    """

    kind: Any
    rows: int
    nulls: int
    low: Any = None
    high: Any = None
    finite: int = 0
    mean: float | None = None
    spread: float | None = None
    unique: bool = False
    shares: Mapping[str, float] | None = None


def column_of(facts: Facts) -> Column:
    """The first rule for a column, out of what was observed."""
    pl = polars()
    kind, rows, nulls = facts.kind, facts.rows, facts.nulls
    if nulls == rows:
        return Column(type=Type.ANY, nulls=1.0, empty=True)
    said: dict[str, Any] = {"type": _type(kind), "nulls": math.ceil(nulls / rows * 1000) / 1000, "unique": facts.unique}
    if kind.is_numeric():
        said |= {"min": _number(facts.low), "max": _number(facts.high), "finite": facts.finite == rows - nulls}
        said["drift"] = None if facts.unique else _mean_drift(facts.mean, facts.spread, rows)
    elif kind.is_temporal() and kind in (pl.Date, pl.Datetime):
        said |= {"min": _moment(facts.low), "max": _moment(facts.high)}
    elif kind == pl.String and facts.shares is not None:
        said |= {"among": tuple(sorted(facts.shares)), "drift": Drift(shares=dict(facts.shares))}
    elif kind == pl.String:
        said["length"] = Span(min=facts.low, max=facts.high)
    return Column(**said)


def may_be_unique(kind: Any, rows: int, nulls: int) -> bool:
    """Is it worth saying of such a column that no value stands twice?"""
    return rows > 100 and not nulls and not kind.is_float() and not kind.is_nested() and kind not in (polars().Boolean, polars().Binary)


def shares_of(counts: Mapping[str, int], filled: int) -> dict[str, float]:
    """How often each category stands there, the most frequent first."""
    return {value: round(n / filled, 4) for value, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))}


def _column(frame: Any, name: str, kind: Any, found: dict[str, Any]) -> Column:
    pl = polars()
    rows, nulls = found["rows"], found[f"nulls:{name}"]
    few = found.get(f"unique:{name}", CATEGORIES * 10)
    unique = few > 0.9 * (rows - nulls) and may_be_unique(kind, rows, nulls)
    if unique:
        unique = frame.select(pl.col(name).n_unique()).collect(engine="streaming").item() == rows
    shares = _shares(frame, name, few, rows - nulls) if kind == pl.String and nulls < rows else None
    numbers = (found.get(f"{fact}:{name}") for fact in ("min", "max", "finite", "mean", "std"))
    low, high, finite, mean, spread = numbers
    return column_of(Facts(kind, rows, nulls, low, high, finite or 0, mean, spread, unique, shares))


def _shares(frame: Any, name: str, few: int, filled: int) -> dict[str, float] | None:
    pl = polars()
    if few > CATEGORIES * 1.2 or few * 10 > filled:
        return None
    counts = frame.select(pl.col(name).drop_nulls()).group_by(name).len().collect(engine="streaming")
    found = dict(zip(counts[name].to_list(), counts["len"].to_list(), strict=True))
    return shares_of(found, filled) if len(found) <= CATEGORIES else None


def _mean_drift(mean: float | None, spread: float | None, rows: int) -> Drift | None:
    if mean is None or spread is None or rows < 30 or not math.isfinite(mean) or not math.isfinite(spread):
        return None
    step = max(SPREAD * spread, 1e-12)
    return Drift(mean=Span(min=float(f"{mean - step:.6g}"), max=float(f"{mean + step:.6g}")))


def _number(value: Any) -> Any:
    if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return None if isinstance(value, float) else float(value)


def _moment(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.datetime) else value


def _type(kind: Any) -> Type:
    pl = polars()
    if kind.is_integer():
        return Type.INTEGER
    if kind.is_numeric():
        return Type.NUMBER
    for known, name in (
        (pl.Boolean, Type.BOOLEAN), (pl.Date, Type.DATE), (pl.Datetime, Type.DATETIME), (pl.Time, Type.TIME), (pl.Binary, Type.BINARY),
        (pl.List, Type.LIST), (pl.Array, Type.LIST), (pl.Struct, Type.STRUCT),
    ):  # fmt: skip
        if kind == known:
            return name
    return Type.TEXT if kind in (pl.String, pl.Categorical, pl.Enum) else Type.ANY
