"""The schema of a table: what its columns must be, reviewed and versioned in a YAML file that people read.

    schema: 1
    name: loans
    version: 3
    reviewed: {by: data team, on: 2026-11-02}
    columns:
      age: {type: integer, min: 18, max: 120}
      purpose: {type: text, in: [car, house]}
      note: {type: text, nulls: 1.0, empty: true}
    rules:
      - {name: paid, holds: "paid <= amount OR state = 'open'"}

A missing bound bounds nothing; a missing `nulls` allows none. A table without rows does not pass unless `rows: {min: 0}` says so, a column
without one value not unless `empty: true`. Rules are SQL expressions over the columns; one that is null for a row is not broken by it.
"""

from __future__ import annotations

import datetime as dt
import re
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import yaml

from bartizan.documents import convert, read
from bartizan.model.errors import InputError, Place, one_line

FORMAT = 1


class Type(StrEnum):
    """What the values of a column are; `any` is not judged."""

    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    BINARY = "binary"
    LIST = "list"
    STRUCT = "struct"
    ANY = "any"


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A range, both ends allowed; a missing end is open."""

    min: float | None = None
    max: float | None = None


class Drift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a column as a whole may move: the mean, the share of empty cells, and the population stability index against
    `shares` (`psi`, 0.25 unless said)."""

    mean: Span | None = None
    nulls: Span | None = None
    shares: dict[str, float] | None = None
    psi: float | None = None


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"among": "in"}):
    """A column. `nulls` and `tolerance` are shares from 0 to 1: how many rows may be empty, how many values may break each rule;
    `above` and `below` are bounds that are not allowed themselves; `length` is in characters."""

    type: Type = Type.ANY
    dtype: str | None = None
    required: bool = True
    nulls: float = 0.0
    empty: bool = False
    min: Any = None
    max: Any = None
    above: Any = None
    below: Any = None
    among: tuple[Any, ...] | None = None
    not_in: tuple[Any, ...] | None = None
    matches: str | None = None
    not_matches: str | None = None
    length: Span | None = None
    unique: bool = False
    finite: bool = True
    tolerance: float = 0.0
    drift: Drift | None = None
    at: Place | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule over several columns: an SQL expression that must not be false for more than `tolerance` of the rows."""

    name: str
    holds: str
    tolerance: float = 0.0
    at: Place | None = None


class Review(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who looked at the schema, and when."""

    by: str
    on: dt.date


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"format": "schema"}):
    """What a table must be. `extra` says whether other columns may be there, `ordered` whether the order counts."""

    format: int
    name: str = "data"
    version: int = 1
    reviewed: Review | None = None
    rows: Span = Span(min=1)
    extra: bool = False
    ordered: bool = False
    columns: dict[str, Column] = {}
    unique: tuple[tuple[str, ...], ...] = ()
    rules: tuple[Rule, ...] = ()
    at: Place | None = None


def load(path: Path) -> Schema:
    """The schema in the file `path`: ours, a Great Expectations suite (.json) or a pandera schema (.yaml, .json).

    Raises `InputError` with the line for what is no schema, contradicts itself, or says something that we do not judge.
    """
    from bartizan.areas.quality import schema_foreign

    if path.suffix.lower() == ".json":
        return checked(schema_foreign.of_json(path), str(path))
    located = read(path)
    if "schema" not in located.value and schema_foreign.is_pandera(located.value):
        return checked(schema_foreign.of_pandera(located.value, str(path)), str(path))
    found = convert(located, Schema)
    if found.format != FORMAT:
        raise InputError(f"is a schema of format {found.format}", place=located.place(("schema",)), cure=f"this version reads {FORMAT}")
    return checked(found, str(path))


def checked(schema: Schema, name: str) -> Schema:
    """The schema, once it does not contradict itself. Raises `InputError`."""
    if not schema.columns and not schema.rules:
        raise InputError("the schema asks for nothing", place=schema.at or name, cure="name columns, or let bartizan infer them")
    for column, rule in schema.columns.items():
        _check_column(column, rule, rule.at or Place(name))
    for keys in schema.unique:
        for key in keys:
            if key not in schema.columns and not schema.extra:
                raise InputError(
                    f"'unique' names the column '{one_line(key, 80)}', which the schema does not have", place=schema.at or name
                )
    return schema


def _check_column(name: str, rule: Column, place: Place) -> None:
    shown = one_line(name, 80)
    for share in (rule.nulls, rule.tolerance):
        if not 0 <= share <= 1:
            raise InputError(f"column '{shown}': {share} is no share", place=place, cure="give a number from 0 to 1, such as 0.05")
    for pattern in (rule.matches, rule.not_matches):
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise InputError(f"column '{shown}': the pattern is none: {error}", place=place) from None
    if rule.min is not None and rule.max is not None:
        try:
            wrong = rule.min > rule.max
        except TypeError:
            wrong = True
        if wrong:
            raise InputError(f"column '{shown}': no value lies from {rule.min} to {rule.max}", place=place, cure="exchange min and max")
    if rule.among is not None and not rule.among:
        raise InputError(f"column '{shown}': 'in' allows nothing", place=place, cure="list what is allowed, or leave it out")


def dump(schema: Schema) -> str:
    """The schema as YAML, as `load` reads it; what says nothing is left out."""
    plain: dict[str, Any] = msgspec.to_builtins(schema, builtin_types=(dt.date, dt.datetime, dt.time))
    defaults: dict[str, Any] = msgspec.to_builtins(Column(), builtin_types=(dt.date,))
    columns = {name: _said(column, defaults) for name, column in plain.pop("columns").items()}
    head = _said(plain, {"extra": False, "ordered": False, "rows": {"min": 1.0, "max": None}, "unique": [], "rules": [], "reviewed": None})
    text = yaml.safe_dump({k: v for k, v in head.items() if k != "rules"}, sort_keys=False, allow_unicode=True)
    lines = [text, "columns:\n"]
    for name, column in columns.items():
        flow = yaml.safe_dump(column, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000).strip()
        key = yaml.safe_dump(name, allow_unicode=True, default_style='"' if not re.fullmatch(r"[A-Za-z_]\w*", name) else None)
        lines.append(f"  {key.splitlines()[0]}: {flow}\n")
    rules = [_said(rule, {"tolerance": 0.0}) for rule in plain["rules"]]
    return "".join(lines) + (yaml.safe_dump({"rules": rules}, sort_keys=False, allow_unicode=True) if rules else "")


def _said(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in values.items() if k != "at" and v not in (None, [], ()) and (k not in defaults or v != defaults[k])}
    return {k: {a: b for a, b in v.items() if b is not None} if isinstance(v, dict) else v for k, v in kept.items()}
