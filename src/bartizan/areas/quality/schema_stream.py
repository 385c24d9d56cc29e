"""Judges a table by its schema while it passes in batches, in a reading that others take part in.

Each rule is computed on each batch. Where all of them hold, that is the verdict. Where one may be broken, or cannot be judged in parts
(an SQL rule with an aggregate in it), the table is read again by `gate`, which counts and shows the rows.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from bartizan.areas.quality.schema import Schema
from bartizan.areas.quality.schema_gate import Plan, Verdict, gate, planned, said, size_of, sums_of, values_of, within
from bartizan.areas.quality.schema_profile import framed
from bartizan.areas.quality.schema_rules import RowRule
from bartizan.areas.quality.schema_scan import SUFFIXES, as_said, polars
from bartizan.areas.quality.unique_values import Distinct, Room
from bartizan.methods.one_pass import Batch, Form
from bartizan.model.errors import InputError

_BY_ROW = frozenset(
    {
        "abs", "and", "between", "cast", "ceil", "char_length", "coalesce", "concat", "day", "else", "ends_with", "exp", "extract",
        "floor", "greatest", "hour", "ifnull", "in", "least", "left", "length", "like", "ln", "log", "log10", "lower", "ltrim",
        "minute", "mod", "month", "not", "nullif", "octet_length", "or", "pow", "power", "regexp_like", "replace", "right", "round",
        "rtrim", "second", "sign", "sqrt", "starts_with", "strpos", "substr", "then", "trim", "try_cast", "upper", "when", "year",
    }
)  # fmt: skip
"""Words before a bracket in SQL that look at one row alone."""

_CALL = re.compile(r"([A-Za-z_]\w*)\s*\(")


class Gate:
    """Takes part in a reading and judges its table by `schema`. Raises `MissingExtra` without Polars."""

    def __init__(self, schema: Schema) -> None:
        self._schema, self._pl = schema, polars()
        self._parts: list[_Part] = []
        self._room = Room()
        self._now: _Part | None = None
        self._again = not all(_by_row(rule.holds) for rule in schema.rules)
        self.read_again = False
        """Whether the verdict needed another reading."""

    def begin(self, place: Path, form: Form, schema: Any) -> None:
        """A file begins; what is no table is left out."""
        if self._now is not None:
            self._now.forget()
        self._now = None
        if form is Form.TABLE and not place.name.startswith(".") and any(s.lower() in SUFFIXES for s in place.suffixes[-2:]):
            self._now = _Part(self._schema, tuple(schema.names), self._room)

    def take(self, batch: Batch) -> None:
        """The next rows."""
        if self._now is None or self._again:
            return
        text = batch.cells is not None
        errors = self._pl.exceptions
        try:
            self._again = not self._now.take(framed(batch), text)
        except (errors.PolarsError, errors.PanicException):
            self._again = True

    def finish(self) -> None:
        """The end of a file."""
        if self._now is not None:
            self._parts.append(self._now)
        self._now = None

    def kept(self) -> None:
        """Nothing: where an earlier run read files, the table is read again."""

    def restore(self, place: Path, kept: bytes | None) -> None:  # noqa: ARG002 - nothing was kept
        """A file that was read by an earlier run."""
        self._again = True

    def verdict(self, path: Path) -> Verdict:
        """The verdict on the table at `path`, which was read; without values of its cells. Raises what `gate` raises."""
        found = None if self._again or len({(p.names, p.text) for p in self._parts}) != 1 else self._held()
        self.read_again = found is None
        return found or gate(path, self._schema, values=False)

    def _held(self) -> Verdict | None:
        """The verdict where every rule holds."""
        whole = self._parts[0]
        for part in self._parts[1:]:
            whole.merge(part)
        return whole.held()


class _Part:
    """The sums over a file so far."""

    def __init__(self, schema: Schema, names: tuple[str, ...], room: Room) -> None:
        self.names, self.text, self._room = names, False, room
        self._schema = schema
        self._plan: Plan | None = None
        self._sums: dict[str, float] = {}
        self._distinct: dict[str, Distinct] = {}

    def take(self, frame: Any, text: bool) -> bool:
        """Judge a batch. False where something may be wrong."""
        pl = polars()
        if self._plan is None:
            if text and any(kind != pl.String for kind in frame.dtypes):
                return False
            self.text = text
            try:
                self._plan = planned(self._schema, dict(frame.schema), text)
            except InputError:
                return False
            self._distinct = {w.id: Distinct(self._room) for w in self._plan.whole if w.keys}
        plan = self._plan
        if text:
            frame = as_said(frame, self._schema.columns, list(self.names))
        bad = [rule.bad.sum().alias(f"bad:{i}") for i, rule in enumerate(plan.rows) if rule.share]
        parts = [e.alias(f"sum:{i}:{n}") for i, w in enumerate(plan.whole) for n, e in enumerate(w.sums)]
        found = frame.select(*sums_of(plan, self._schema), *bad, *parts).row(0, named=True)
        for name, value in found.items():
            self._sums[name] = self._sums.get(name, 0) + (value or 0)
        for rule in plan.whole:
            if rule.keys:
                self._distinct[rule.id].add(_hashes(frame, rule.keys))
        strict = all(not self._sums[f"row:{i}"] or rule.share for i, rule in enumerate(plan.rows))
        return not plan.violations and strict and all(d.open for d in self._distinct.values())

    def merge(self, other: _Part) -> None:
        """Take in the sums over another file with the same columns."""
        if self._plan is None:
            self._plan, self._distinct, self.text = other._plan, {}, other.text
        for name, value in other._sums.items():
            self._sums[name] = self._sums.get(name, 0) + value
        for name, distinct in other._distinct.items():
            if name in self._distinct:
                self._distinct[name].merge(distinct)
            else:
                self._distinct[name] = distinct

    def forget(self) -> None:
        """What was taken is read again."""
        for distinct in self._distinct.values():
            distinct.forget()

    def held(self) -> Verdict | None:
        """The verdict where every rule holds, else None."""
        plan, found = self._plan, self._sums
        if plan is None or any(found[f"row:{i}"] and not self._allowed(rule, i) for i, rule in enumerate(plan.rows)):
            return None
        if any(d.twice is not False for d in self._distinct.values()) or size_of(self._schema, found, plan.kinds):
            return None
        for i, rule in enumerate(plan.whole):
            if rule.of is not None:
                value = rule.of([found[f"sum:{i}:{n}"] for n in range(len(rule.sums))])
                if value is None or not math.isfinite(value) or not within(value, rule.span):
                    return None
        return said(self._schema, plan, int(found["rows"]), ())

    def _allowed(self, rule: RowRule, number: int) -> bool:
        """Is a rule broken by no more values than it allows?"""
        return rule.share > 0 and self._sums[f"bad:{number}"] <= rule.share * values_of(rule, number, self._sums)


def _by_row(rule: str) -> bool:
    """Can a rule be judged row by row, without aggregates or windows?"""
    return all(found[1].lower() in _BY_ROW for found in _CALL.finditer(rule)) and not re.search(r"(?i)\b(over|select)\b", rule)


def _hashes(frame: Any, keys: tuple[str, ...]) -> Any:
    pl = polars()
    values = frame.get_column(keys[0]).drop_nulls() if len(keys) == 1 else frame.select(pl.struct(*keys)).to_series()
    return values.hash(0).to_numpy()
