"""A policy compiled for one principal and one purpose: which columns, how, and which rows, as expressions over a lazy scan."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from bartizan.areas.access import rows
from bartizan.areas.access.cedar import Rules
from bartizan.areas.access.conditions import row_condition
from bartizan.areas.access.masks import masked
from bartizan.areas.access.policy import Column, Policy
from bartizan.areas.access.retention import expired
from bartizan.areas.access.tables import polars, scan, types_of
from bartizan.model.errors import InputError, UnknownName


class Shown(StrEnum):
    """How a column is seen: as it is, masked, or not at all."""

    CLEAR = "clear"
    MASKED = "masked"
    ABSENT = "absent"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided about one column. `aggregate`: its values may enter figures over groups. `by` are the rules that permitted it,
    `why` says what makes it absent."""

    column: str
    shown: Shown
    aggregate: bool = False
    mask: str = ""
    by: tuple[str, ...] = ()
    why: str = ""


class View:
    """What one principal sees of one table for one purpose. Nothing is read before `frame` is collected.

    `extra` is a further boolean Polars expression over the columns as they are in the file; a row where it is not true is absent
    everywhere. So are rows that the policy's `retention` says have expired, or whose age cannot be told.
    """

    def __init__(self, rules: Rules, table: Table, principal: str, purpose: str, *, key: bytes | None = None, extra: Any = None) -> None:
        self.policy, self.table = rules.policy, table
        self.principal, self.purpose = principal, purpose
        self.decisions = tuple(_decision(rules.policy, c, ruled) for c, ruled in rules.decide(principal, purpose).items())
        self.condition = row_condition(rules, table.types, principal, purpose)
        self._key = key
        self._extra = extra

    def columns(self, *shown: Shown) -> tuple[str, ...]:
        """The names of the columns that are seen so, in the order of the table."""
        return tuple(d.column for d in self.decisions if d.shown in shown)

    @property
    def visible(self) -> tuple[str, ...]:
        return self.columns(Shown.CLEAR, Shown.MASKED)

    @property
    def aggregated(self) -> tuple[str, ...]:
        return tuple(d.column for d in self.decisions if d.aggregate)

    def rows(self, now: dt.datetime) -> Any:
        """A lazy scan of the rows that are seen, all columns as they are in the table: never to be handed out."""
        frame = self.table.frame
        retention = self.policy.retention
        if retention is not None:
            if retention.column not in self.table.types:
                raise UnknownName("column", retention.column, list(self.table.types), of="the retention", place=self.policy.at)
            frame = frame.filter(~expired(retention, now))
        if self._extra is not None:
            frame = frame.filter(self._extra)
        return frame.filter(rows.to_polars(self.condition))

    def frame(self, names: Sequence[str], now: dt.datetime) -> Any:
        """A lazy scan of the columns `names` as they are seen. Raises `UnknownName` for one that is not seen."""
        return self.rows(now).with_columns(self.expression(name) for name in names).select(names)  # a constant alone would be one row

    def expression(self, name: str) -> Any:
        """The column `name` as it is seen, under its own name. Raises `UnknownName` where it is not."""
        shown = {d.column: d.shown for d in self.decisions if d.shown is not Shown.ABSENT}
        if name not in shown:
            raise UnknownName("column", name, list(shown), of=f"'{self.policy.name}' for {self.principal}")
        if shown[name] is Shown.CLEAR:
            return polars().col(name)
        return masked(name, self.policy.columns.get(name, Column()), self.table.types[name], self._key)


class Table:
    """The table at `path`, scanned lazily with the types that `columns` gives to the cells of a text file; its first `most` rows alone
    where that is given."""

    def __init__(self, path: Path, columns: Mapping[str, Column], *, most: int | None = None) -> None:
        self.path = path
        self.frame = scan(path, columns) if most is None else scan(path, columns).head(most)
        self.types = types_of(self.frame, path)
        if not self.types:
            raise InputError("holds no columns", place=str(path))


def view(policy: Policy, path: Path, principal: str, purpose: str, *, key: bytes | None = None, extra: Any = None) -> View:
    """`policy` compiled for the table at `path`; the rest as `View` says. Raises `InputError`, `UnknownName`, `MissingExtra`."""
    policy.principal(principal)
    policy.purpose(purpose)
    table = Table(path, policy.columns)
    return View(Rules(policy, table.types), table, principal, purpose, key=key, extra=extra)


def _decision(policy: Policy, column: str, ruled: Mapping[str, Any]) -> Decision:
    errors = [one.error for one in ruled.values() if one.error]
    if errors:
        return Decision(column=column, shown=Shown.ABSENT, why=f"a rule errs: {errors[0]}")
    read, mask, aggregate = ruled["read"], ruled["mask"], ruled["aggregate"]
    by = read if read.allowed else mask if mask.allowed else aggregate
    if not by.allowed:
        return Decision(column=column, shown=Shown.ABSENT, why="no rule permits it")
    if read.allowed or mask.allowed:
        kind = "" if read.allowed else str(policy.columns.get(column, Column()).mask)
        shown = Shown.CLEAR if read.allowed else Shown.MASKED
        return Decision(column=column, shown=shown, aggregate=aggregate.allowed, mask=kind, by=by.by)
    return Decision(column=column, shown=Shown.ABSENT, aggregate=True, by=by.by, why="in figures over groups alone")
