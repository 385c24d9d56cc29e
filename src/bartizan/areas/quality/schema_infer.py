"""A first schema out of a table as it is, for people to review: types, ranges, categories, empty cells, uniqueness, drift bounds.

What is observed becomes the bound; a reviewer widens it to what is allowed. Patterns and rules over several columns are left to people.
"""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import Any

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


def _column(frame: Any, name: str, kind: Any, found: dict[str, Any]) -> Column:
    pl = polars()
    rows, nulls = found["rows"], found[f"nulls:{name}"]
    share = math.ceil(nulls / rows * 1000) / 1000
    said: dict[str, Any] = {"type": _type(kind), "nulls": share}
    if nulls == rows:
        return Column(type=Type.ANY, nulls=1.0, empty=True)
    few = found.get(f"unique:{name}", CATEGORIES * 10)
    if few > 0.9 * (rows - nulls) and rows > 100 and not kind.is_float() and not nulls and kind != pl.Boolean:
        said["unique"] = frame.select(pl.col(name).n_unique()).collect(engine="streaming").item() == rows
    low, high = found.get(f"min:{name}"), found.get(f"max:{name}")
    if kind.is_numeric():
        said |= {"min": _number(low), "max": _number(high), "finite": found[f"finite:{name}"] == rows - nulls}
        said["drift"] = None if said.get("unique") else _mean_drift(found[f"mean:{name}"], found[f"std:{name}"], rows)
    elif kind.is_temporal() and kind in (pl.Date, pl.Datetime):
        said |= {"min": _moment(low), "max": _moment(high)}
    elif kind == pl.String:
        said |= _text(frame, name, few, rows - nulls, (low, high))
    return Column(**said)


def _text(frame: Any, name: str, few: int, filled: int, sizes: tuple[Any, Any]) -> dict[str, Any]:
    pl = polars()
    if few <= CATEGORIES * 1.2 and few * 10 <= filled:
        counts = (
            frame.select(pl.col(name).drop_nulls())
            .group_by(name)
            .len()
            .sort("len", name, descending=[True, False])
            .collect(engine="streaming")
        )
        values = counts[name].to_list()
        if len(values) <= CATEGORIES:
            shares = {v: round(n / filled, 4) for v, n in zip(values, counts["len"].to_list(), strict=True)}
            return {"among": tuple(sorted(values)), "drift": Drift(shares=shares)}
    return {"length": Span(min=sizes[0], max=sizes[1])}


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
