"""Attempts to see what a policy hides, made on real rows: raw SQL, stars, joins, aggregates of one row, regular expressions, copies.

What ought to be hidden is known here by a second way: cell by cell, in plain Python. A value counts as seen where it is shown although its
mask is another one and no mask of the column happens to be the same.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from bartizan.areas.access.compiling import Shown, View
from bartizan.areas.access.policy import Column, Mask
from bartizan.areas.access.queries import Limits
from bartizan.areas.access.reading import Reader
from bartizan.areas.access.rows import name_in_sql
from bartizan.model.errors import BartizanError

MOST_VALUES = 40
"""Different values of a column that are looked for."""

DISTINCT = 5
"""Characters from which a value is telling enough to be looked for in other columns and in messages."""

THIN = 0.9
"""Share of the different values that a mask may leave apart; a keyed hash leaves all apart, and shows none."""

_LIMITS = Limits(seconds=20, memory=512)
_RAW = (
    "SELECT * FROM read_parquet('{path}')", "SELECT * FROM read_csv('{path}')", "SELECT * FROM read_text('{path}')",
    "SELECT * FROM '{path}'", "SELECT * FROM glob('{folder}/*')", "COPY {name} TO '{folder}/.bartizan-attempt.csv'",
    "ATTACH '{folder}/.bartizan-attempt.db' AS x", "SET enable_external_access = true", "PRAGMA database_list",
    "SELECT * FROM duckdb_tables()", "INSTALL httpfs", "SELECT * FROM query('SELECT 1')", "SELECT 1; SELECT 2",
)  # fmt: skip


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one way brought to light: of `tried` looks `hits` saw something; `said` is that in words, without a value."""

    way: str
    tried: int
    hits: int = 0
    said: str = ""


class Hidden(msgspec.Struct, frozen=True, kw_only=True):
    """A column that is not seen clear: the `values` (as text) that nobody may find, and whether it is seen at all."""

    name: str
    values: tuple[str, ...]
    masked: bool


def attempts(reader: Reader, made: View) -> tuple[Seen, ...]:
    """All attempts on what `reader` hands out of `made`, which are of the same table, principal and purpose."""
    now = dt.datetime.now(dt.UTC)
    names = [d.column for d in made.decisions if d.shown is not Shown.CLEAR]
    raw = made.rows(now).select(names).collect() if names else None
    hidden = [] if raw is None or not len(raw) else [_hidden(raw[name], made, name) for name in names]
    found = [_raw(reader, made, hidden)]
    if not any(column.values for column in hidden) or not made.visible:
        return tuple(found)
    shown = [column for column in hidden if column.masked and column.values]
    found += [_star(reader, hidden), _join(reader, shown), _one_row(reader, made, shown), _expression(reader, shown)]
    found += [_copies(raw, reader, made, hidden), _thin(raw, reader, made)]
    return tuple(seen for seen in found if seen.tried)


def _hidden(cells: Any, made: View, name: str) -> Hidden:
    masked = name in made.visible
    column = made.policy.columns.get(name, Column())
    unique = cells.unique(maintain_order=True).drop_nulls().head(20 * MOST_VALUES).to_list()
    masks = {str(masked_cell(value, column)) for value in unique} if masked else set()
    kept = [str(value) for value in unique if str(value) and str(value) not in masks and len(str(value)) <= 200 and "\0" not in str(value)]
    return Hidden(name=name, values=tuple(kept[:MOST_VALUES]), masked=masked)


def masked_cell(value: Any, column: Column) -> Any:
    """What ought to be shown for `value`, but for the keyed hash (None: no value is its own)."""
    match column.mask:
        case Mask.CONSTANT:
            return column.value
        case Mask.PREFIX:
            return str(value)[: column.keep] if len(str(value)) > column.keep else None
        case Mask.YEAR:
            found = re.match(r"(\d{4})-\d{2}-\d{2}(?!\d)", str(value))
            return int(found[1]) if found else None
        case Mask.BUCKET:
            low = value // column.width * column.width if column.width else None
            return int(low) if isinstance(value, int) and low is not None and column.width == int(column.width or 0) else low
    return None


def _raw(reader: Reader, made: View, hidden: Sequence[Hidden]) -> Seen:
    path = str(made.table.path).replace("'", "''")
    folder = str(made.table.path.parent).replace("'", "''")
    answered = []
    for text in _RAW:
        try:
            reader.sql(text.format(path=path, folder=folder, name=name_in_sql(reader.name)), _LIMITS)
            answered.append(text.split("(")[0].split("'")[0].strip())
        except BartizanError as error:
            if _telling(str(error), hidden):
                answered.append("a message that holds a value")
    return Seen(way="raw SQL", tried=len(_RAW), hits=len(answered), said=f"answered: {', '.join(answered[:3])}" if answered else "")


def _star(reader: Reader, hidden: Sequence[Hidden]) -> Seen:
    answer = reader.sql(_select("*", name_in_sql(reader.name)), _LIMITS)
    hits = [c.name for c in hidden if c.name in answer.columns and {str(v) for v in answer[c.name].to_list()} & set(c.values)]
    return Seen(way="star", tried=sum(len(c.values) for c in hidden), hits=len(hits), said=_columns(hits))


def _join(reader: Reader, hidden: Sequence[Hidden]) -> Seen:
    parts = []
    for c in hidden:
        known = ", ".join(f"({_text(value)})" for value in c.values)
        joined = f"AS l JOIN (VALUES {known}) AS known(value) ON CAST(l.{name_in_sql(c.name)} AS VARCHAR) = known.value"
        parts.append(_select("count(*)", name_in_sql(reader.name), joined))
    return _counted(reader, "join", hidden, parts)


def _expression(reader: Reader, hidden: Sequence[Hidden]) -> Seen:
    parts = []
    for c in hidden:
        pattern = "^(" + "|".join(re.sub(r"([^\w])", r"\\\1", value) if value.isascii() else re.escape(value) for value in c.values) + ")$"
        held = f"WHERE regexp_matches(CAST({name_in_sql(c.name)} AS VARCHAR), {_text(pattern)})"
        parts.append(_select("count(*)", name_in_sql(reader.name), held))
    return _counted(reader, "regular expression", hidden, parts)


def _counted(reader: Reader, way: str, hidden: Sequence[Hidden], parts: Sequence[str]) -> Seen:
    if not parts:
        return Seen(way=way, tried=0)
    counts = reader.sql("SELECT " + ", ".join(f"({part}) AS c{n}" for n, part in enumerate(parts)), _LIMITS).row(0)
    hits = [c.name for c, count in zip(hidden, counts, strict=True) if count]
    return Seen(way=way, tried=sum(len(c.values) for c in hidden), hits=len(hits), said=_columns(hits))


def _one_row(reader: Reader, made: View, hidden: Sequence[Hidden]) -> Seen:
    figures = [f"{kind}({name_in_sql(c.name)})" for c in hidden for kind in ("min", "max", "any_value")]
    one = f"({_select('*', name_in_sql(reader.name), 'LIMIT 1')})"
    row = reader.sql(_select(", ".join(figures), one), _LIMITS).row(0) if figures else ()
    hits = [c.name for n, c in enumerate(hidden) if {str(v) for v in row[3 * n : 3 * n + 3]} & set(c.values)]
    tried = len(figures)
    measured = [name for name in made.aggregated if made.table.types[name].is_numeric()][:3]
    for key in made.columns(Shown.CLEAR)[:3] if measured else ():
        found = reader.aggregate([key], {f"f{n}": ("mean", name) for n, name in enumerate(measured)}).frame
        tried += 1
        if len(found) and found["rows"].min() < made.policy.smallest_group:
            hits.append(key)
    return Seen(way="aggregate of one row", tried=tried, hits=len(hits), said=_columns(hits))


def _copies(raw: Any, reader: Reader, made: View, hidden: Sequence[Hidden]) -> Seen:
    """Values of a hidden column that stand in the same row of a clear one."""
    clear = reader.frame(made.columns(Shown.CLEAR)) if made.columns(Shown.CLEAR) else None
    hits, tried = [], 0
    for column in hidden:
        cells = [str(v) if v is not None and len(str(v)) >= DISTINCT else None for v in raw[column.name].to_list()]
        telling = sum(cell is not None for cell in cells)
        if clear is None or not telling or len(set(cells)) < 0.1 * telling:
            continue
        for other in clear.columns:
            tried += 1
            texts = (str(value) for value in clear[other].to_list())
            both = sum(cell is not None and _holds(text, cell) for cell, text in zip(cells, texts, strict=True))
            if both > max(1, 0.01 * telling):
                hits.append(f"'{column.name}' in the clear column '{other}'")
    return Seen(way="copies in other columns", tried=tried, hits=len(hits), said=f"values of {', '.join(hits[:5])}" if hits else "")


def _holds(text: str, cell: str) -> bool:
    at = text.find(cell)
    if at < 0:
        return False
    end = at + len(cell)
    return not (at and text[at - 1].isalnum()) and not (end < len(text) and text[end].isalnum())


def _thin(raw: Any, reader: Reader, made: View) -> Seen:
    """Masks that leave nearly all values apart from one another: to know the mask is to know the row."""
    names = [d.column for d in made.decisions if d.mask in (Mask.PREFIX, Mask.YEAR, Mask.BUCKET)]
    if not names or len(raw) < 100:
        return Seen(way="thin masks", tried=0)
    shown = reader.frame(names)
    hits = [name for name in names if raw[name].n_unique() > 20 and shown[name].n_unique() > THIN * raw[name].n_unique()]
    return Seen(
        way="thin masks", tried=len(names), hits=len(hits), said=f"the masks of {_columns(hits)} hide nearly nothing" if hits else ""
    )


def _telling(text: str, hidden: Sequence[Hidden]) -> bool:
    words = set(re.findall(r"[\w@.+-]+", text))
    return any(value in words for column in hidden for value in column.values if len(value) >= DISTINCT)


def _columns(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:5])


def _select(what: str, table: str, rest: str = "") -> str:
    return " ".join(("SELECT", what, "FROM", table, rest))


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
