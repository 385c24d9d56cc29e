"""Judges a table by its schema in one streaming pass, and goes back for the rows only where a rule is broken.

The first pass computes one number for each rule over the lazy scan. Where that says that a rule may be broken, a second one counts the rows
that break it and shows the first of them. A rule that could not be computed is an error, never a pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bartizan.areas.quality.schema import Schema, Span
from bartizan.areas.quality.schema_rules import RowRule, WholeRule, fits, row_rules, whole_rules
from bartizan.areas.quality.schema_scan import as_said, failed, is_text, polars, scan
from bartizan.model.errors import InputError, one_line

SHOWN = 5
"""Rows that are shown for each broken rule."""


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that the table breaks. `count` is how many rows do (None: the rule is about the whole), `rows` the first of them, from 0,
    `values` what stands in the column there."""

    rule: str
    column: str
    text: str
    count: int | None = None
    rows: tuple[int, ...] = ()
    values: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate found. `rules` is how many rules were judged, `notes` what people should know all the same."""

    schema: str
    version: int
    rows: int
    rules: int
    violations: tuple[Violation, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.violations


def gate(path: Path, schema: Schema, *, shown: int = SHOWN, values: bool = True) -> Verdict:
    """Judge the table at `path`; without `values` the verdict holds nothing of its cells.

    Raises `InputError` where it cannot be read or a rule cannot be computed, `MissingExtra`.
    """
    pl = polars()
    try:
        frame = scan(path)
        found = judge(frame, schema, text=is_text(path) or (path.is_dir() and _texts(path)), shown=shown)
    except pl.exceptions.NoDataError:
        return _nothing(schema)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise failed(path, error) from None
    bare = tuple(msgspec.structs.replace(v, values=()) for v in found.violations)
    return found if values else msgspec.structs.replace(found, violations=bare)


def judge(frame: Any, schema: Schema, *, text: bool = False, shown: int = SHOWN) -> Verdict:
    """Judge a polars LazyFrame (or DataFrame); with `text` its cells are text that is cast to what the schema says."""
    frame = frame.lazy()
    kinds = dict(frame.collect_schema())
    if not kinds:
        return _nothing(schema)
    plan = planned(schema, kinds, text)
    violations = list(plan.violations)
    if text:
        frame = as_said(frame, schema.columns, list(kinds))
    rows, whole, usable = plan.rows, plan.whole, plan.kinds
    values = [w.value.alias(f"whole:{i}") for i, w in enumerate(whole)]
    found = frame.select(*sums_of(plan, schema), *values).collect(engine="streaming").row(0, named=True)
    violations += size_of(schema, found, usable)
    violations += _broken(frame, rows, found, shown)
    violations += [v for i, w in enumerate(whole) if (v := _whole(frame, w, found[f"whole:{i}"], shown)) is not None]
    return said(schema, plan, found["rows"], violations)


class Plan(msgspec.Struct, frozen=True):
    """How a table with certain columns is judged: the usable columns with their types, the rules, and what is wrong with the columns."""

    kinds: dict[str, Any]
    rows: tuple[RowRule, ...]
    whole: tuple[WholeRule, ...]
    violations: tuple[Violation, ...]


def planned(schema: Schema, kinds: dict[str, Any], text: bool) -> Plan:
    """The plan for columns of these types; with `text` they are cast as `as_said` does. Raises `InputError`."""
    pl = polars()
    names = list(kinds)
    violations = _columns(schema, names, kinds, text)
    cast: frozenset[str] = frozenset()
    if text:
        made = as_said(pl.LazyFrame(schema=kinds), schema.columns, names).collect_schema()
        cast = frozenset(name for name in names if f"text:{name}" in made)
        kinds = {name: kind for name, kind in made.items() if not name.startswith("text:")}
    usable = {name: kind for name, kind in kinds.items() if name not in schema.columns or fits(schema.columns[name], kind)}
    rows, whole = tuple(row_rules(schema, usable, cast)), tuple(whole_rules(schema, usable))
    _known(schema, usable, violations)
    return Plan(usable, rows, whole, tuple(violations))


def sums_of(plan: Plan, schema: Schema) -> list[Any]:
    """What is computed over the table, or over each batch of it: rows, values and what may be wrong."""
    pl = polars()
    values = [pl.col(n).count().alias(f"count:{n}") for n in plan.kinds if n in schema.columns]
    screens = [r.screen.alias(f"row:{i}") for i, r in enumerate(plan.rows)]
    out_of = [r.out_of.alias(f"of:{i}") for i, r in enumerate(plan.rows) if r.out_of is not None]
    return [pl.len().alias("rows"), *values, *screens, *out_of]


def said(schema: Schema, plan: Plan, rows: int, violations: Sequence[Violation]) -> Verdict:
    """The verdict on a table of so many rows."""
    notes = () if schema.reviewed is not None else ("nobody has reviewed this schema yet: add reviewed: {by: ..., on: ...}",)
    judged = len(plan.rows) + len(plan.whole) + len(schema.columns) + 1
    return Verdict(schema=schema.name, version=schema.version, rows=rows, rules=judged, violations=tuple(violations), notes=notes)


def _texts(folder: Path) -> bool:
    return any(is_text(path) for path in folder.rglob("*") if path.is_file())


def _nothing(schema: Schema) -> Verdict:
    broken = Violation(rule="rows", column="", text="there is nothing in it: no column, no row")
    return Verdict(schema=schema.name, version=schema.version, rows=0, rules=1, violations=(broken,))


def _columns(schema: Schema, names: Sequence[str], kinds: dict[str, Any], text: bool) -> list[Violation]:
    """What is wrong with the columns themselves."""
    found = []
    for name, column in schema.columns.items():
        if name not in kinds:
            if column.required:
                found.append(Violation(rule=f"{name}.there", column=name, text="the column is missing"))
        elif not text and not fits(column, kinds[name]):
            wanted = column.dtype or column.type
            found.append(Violation(rule=f"{name}.type", column=name, text=f"is {kinds[name]}, not {wanted}"))
    if not schema.extra:
        extra = [name for name in names if name not in schema.columns]
        found += [Violation(rule="extra", column=name, text="the schema does not know this column") for name in extra if schema.columns]
    order = [name for name in schema.columns if name in kinds]
    if schema.ordered and order != [name for name in names if name in schema.columns]:
        found.append(Violation(rule="ordered", column="", text="the columns stand in another order"))
    return found


def _known(schema: Schema, kinds: dict[str, Any], violations: list[Violation]) -> None:
    """Rules over several columns need those columns: where one is missing or of another type, the rule counts as broken."""
    for rule in schema.rules:
        pl = polars()
        missing = [name for name in pl.sql_expr(rule.holds).meta.root_names() if name not in kinds]
        if missing:
            known = {v.column for v in violations}
            text = f"needs the column {', '.join(missing)}"
            if not known & set(missing):
                raise InputError(f"rule '{one_line(rule.name, 80)}' {text}, which is not there", place=rule.at, cure="correct the rule")


def size_of(schema: Schema, found: dict[str, Any], kinds: dict[str, Any]) -> list[Violation]:
    violations = []
    rows = found["rows"]
    if not within(rows, schema.rows):
        violations.append(Violation(rule="rows", column="", text=f"there are {rows} rows; {_bounds(schema.rows)} are expected"))
    for name, column in schema.columns.items():
        if name in kinds and rows and not found[f"count:{name}"] and not column.empty:
            violations.append(Violation(rule=f"{name}.empty", column=name, text="the column has not one value", count=rows))
    return violations


def _broken(frame: Any, rules: Sequence[RowRule], found: dict[str, Any], shown: int) -> list[Violation]:
    """The rules that are broken by more rows than they allow, with the first rows: one look back over the scan for all of them."""
    pl = polars()
    suspects = [(i, rule) for i, rule in enumerate(rules) if found[f"row:{i}"]]
    numbered = frame.with_row_index("row:number")
    queries = [_first(numbered.filter(rule.bad), rule, shown) for _, rule in suspects]
    answers = pl.collect_all(queries, engine="streaming") if queries else []
    violations = []
    for (i, rule), answer in zip(suspects, answers, strict=True):
        count, rows, values = answer.row(0)
        if count <= rule.share * values_of(rule, i, found):
            continue
        allowed = f" (at most {rule.share:.2%} may not)" if rule.share else ""
        text = f"not every value {rule.text}{allowed}" if rule.column else f"'{rule.text}' does not hold{allowed}"
        seen = tuple(one_line(str(v), 60) for v in values) if rule.column else ()
        violations.append(Violation(rule=rule.id, column=rule.column, text=text, count=count, rows=tuple(rows), values=seen))
    return violations


def values_of(rule: RowRule, number: int, found: dict[str, Any]) -> int:
    """How many values a rule is about: those that are there, or all rows where the rule is that they are there."""
    if rule.out_of is not None:
        return int(found[f"of:{number}"])
    return int(found["rows"] if rule.id == f"{rule.column}.nulls" else found.get(f"count:{rule.column}", found["rows"]))


def _first(broken: Any, rule: RowRule, shown: int) -> Any:
    """How many rows break a rule, and of the first the numbers and what stands there, as one row."""
    pl = polars()
    raw = pl.col(f"text:{rule.column}") if rule.id == f"{rule.column}.type" else pl.col(rule.column or "row:number")
    return broken.select(pl.len(), pl.col("row:number").head(shown).implode(), raw.head(shown).implode().alias("value"))


def _whole(frame: Any, rule: WholeRule, value: Any, shown: int) -> Violation | None:
    if value is not None and within(float(value), rule.span):
        return None
    if rule.id.endswith(".unique"):
        pl = polars()
        twice = frame.select(rule.column).with_row_index("row:number").filter(
            pl.col(rule.column).is_not_null() & pl.col(rule.column).is_duplicated()
        ).head(shown).collect(engine="streaming")  # fmt: skip
        values = tuple(one_line(str(v), 60) for v in twice[rule.column].to_list())
        rows = tuple(twice["row:number"].to_list())
        return Violation(rule=rule.id, column=rule.column, text="a value stands twice", count=int(value), rows=rows, values=values)
    if rule.id.startswith("unique("):
        return Violation(rule=rule.id, column=rule.column, text=f"not: {rule.text}", count=int(value))
    shown_value = "nothing" if value is None else f"{float(value):.6g}"
    return Violation(rule=rule.id, column=rule.column, text=f"not: {rule.text}: it is {shown_value}; {_bounds(rule.span)} is expected")


def within(value: float, span: Span) -> bool:
    if isinstance(value, float) and math.isnan(value):
        return False
    return (span.min is None or value >= span.min) and (span.max is None or value <= span.max)


def _bounds(span: Span) -> str:
    if span.min is not None and span.max is not None:
        return f"{span.min:g} to {span.max:g}"
    return f"at least {span.min:g}" if span.min is not None else f"at most {span.max:g}" if span.max is not None else "any number"
