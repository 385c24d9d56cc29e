"""Rules about rows, in Cedar, compiled to one condition over columns, so that no row has to be asked for by itself.

What is known when somebody opens (who, what for) is computed; what the cells of a row decide becomes a `rows.Condition`. Each part is
compiled twice, to when Cedar says true and to when it says false; where neither holds, Cedar errs (a cell is empty). A row is seen where
some permit is true and every forbid is false: unlike in Cedar itself, a forbid that errs hides the row.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from bartizan.areas.access import rows
from bartizan.areas.access.cedar import ROWS, Rules, roles_of
from bartizan.areas.access.policy import ancestors
from bartizan.areas.access.rows import Always, Among, Cell, Compare, Condition, Every, Matches, Missing, Not, Some
from bartizan.model.errors import InputError

MOST_PARTS = 5000
"""Comparisons that the compiled condition may hold."""

_OPPOSITE = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
_ORDER = {"less": "lt", "less_eq": "le", "greater": "gt", "greater_eq": "ge"}
_DATETIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d{3}))?(?:Z|([+-])(\d\d)(\d\d)))?")


class Uid(msgspec.Struct, frozen=True):
    """An entity: its kind and its id."""

    kind: str
    id: str


class Pair(msgspec.Struct, frozen=True):
    """When a part is true and when it is false, and how many comparisons both hold."""

    true: Condition
    false: Condition
    size: int = 1


class _Errs(msgspec.Struct, frozen=True):
    """A part that errs whatever the row holds, such as an attribute that this principal lacks."""


class _Row(msgspec.Struct, frozen=True):
    """The row that is asked for."""


Known: TypeAlias = str | int | bool | dt.datetime | Uid | frozenset[Any]
Part: TypeAlias = Known | Cell | Pair | _Errs | _Row
_ERRS = Pair(Always(False), Always(False), 0)


def row_condition(rules: Rules, types: Mapping[str, Any], principal: str, purpose: str) -> Condition:
    """Which rows of a table with the columns `types` `principal` sees for `purpose`; no rule permits any: `Always(False)`.

    Raises `InputError` with the line for a rule that can only be decided row by row.
    """
    permits: list[Condition] = []
    kept: list[Condition] = []
    size = 0
    for id, rule in rules.rules_for(ROWS):
        compiler = _Compiler(rules, types, principal, purpose, id)
        pair = compiler.rule(rule)
        size += pair.size
        if rule.effect == "permit":
            permits.append(pair.true)
        else:
            kept.append(pair.false)
        if size > MOST_PARTS:
            raise compiler.refused("makes too large a condition")
    return _every(_some(*permits), *kept)


class _Compiler:
    """One rule for one principal and purpose."""

    def __init__(self, rules: Rules, types: Mapping[str, Any], principal: str, purpose: str, id: str) -> None:
        self._rules, self._types, self._id = rules, types, id
        self._user = Uid("User", principal)
        self._purpose = Uid("Purpose", purpose)
        self._attributes = rules.policy.principals[principal].attributes
        self._roles = roles_of(rules.policy, principal)

    def refused(self, why: str) -> InputError:
        return InputError(f"rule '{self._rules.name(self._id)}' {why}", place=self._rules.place(self._id), cure="state it more simply")

    def rule(self, rule: Any) -> Pair:
        """When the whole rule applies: scope and clauses, in Cedar's order."""
        parts = [self._scope(rule.principal, self._user), self._scope(rule.resource, _Row())]
        for clause in rule.clauses:
            pair = self._truth(self._part(clause.expr))
            parts.append(_not(pair) if type(clause).__name__ == "Unless" else pair)
        found = parts[0]
        for part in parts[1:]:
            found = _and(found, part)
        return found

    def _scope(self, scope: Any, who: Uid | _Row) -> Pair:
        match type(scope).__name__:
            case "ScopeAny":
                return _known(True)
            case "ScopeEq":
                return _known(_uid(scope.entity) == who)
            case "ScopeIn":
                return _known(self._within(who, _uid(scope.entity)))
            case "ScopeIs":
                return _known(self._is(who, str(scope.entity_type)))
            case "ScopeIsIn":
                return _known(self._is(who, str(scope.entity_type)) and self._within(who, _uid(scope.entity)))
        raise self.refused("has a scope that is not known here")

    # expressions

    def _part(self, node: Any) -> Part:
        kind = type(node).__name__
        if kind in ("BoolLit", "LongLit", "StringLit"):
            return node.value  # type: ignore[no-any-return]
        found: Callable[[Any], Part] | None = {
            "EntityLit": lambda n: _uid(n.value), "Var": self._variable, "GetAttr": self._attribute, "HasAttr": self._has,
            "Like": self._like, "Is": self._typed, "IfThenElse": self._if, "Set": self._set, "UnaryOp": self._unary,
            "BinaryOp": self._binary,
        }.get(kind)  # fmt: skip
        if found is None:
            raise self.refused(f"uses {kind}, which has no place in a rule about rows")
        return found(node)

    def _variable(self, node: Any) -> Part:
        if node.name == "context":
            raise self.refused("uses the context as a whole")
        known: dict[str, Part] = {"principal": self._user, "action": Uid("Action", ROWS), "resource": _Row()}
        return known[node.name]

    def _attribute(self, node: Any) -> Part:
        if type(node.base).__name__ == "Var" and node.base.name == "context":
            return self._purpose
        base = self._part(node.base)
        if isinstance(base, _Row):
            return Cell(node.attr)
        if base == self._user:
            value = self._attributes.get(node.attr, _Errs())
            return frozenset(value) if isinstance(value, list | tuple) else value
        raise self.refused(f"reads '{node.attr}' of what has no attributes")

    def _has(self, node: Any) -> Part:
        if len(node.attrs) > 1:
            raise self.refused("looks for attributes of attributes")
        if type(node.base).__name__ == "Var" and node.base.name == "context":
            return bool(node.attrs[0] == "purpose")
        base = self._part(node.base)
        if isinstance(base, _Row):
            name = node.attrs[0]
            return Pair(Not(Missing(name)), Missing(name)) if name in self._types else False
        return base == self._user and node.attrs[0] in self._attributes

    def _like(self, node: Any) -> Part:
        parts = [""]
        for element in node.pattern:
            if type(element).__name__ == "Wildcard":
                parts.append("")
            else:
                parts[-1] += element.value
        base = self._part(node.base)
        if isinstance(base, Cell):
            return _both(Matches(base.column, tuple(parts)))
        if isinstance(base, str):
            return bool(re.fullmatch("(?s:.*)".join(map(re.escape, parts)), base))
        return base if isinstance(base, _Errs) else self._cannot("like")

    def _typed(self, node: Any) -> Part:
        base = self._part(node.base)
        if not isinstance(base, Uid | _Row):
            return self._cannot("is")
        held = self._is(base, str(node.entity_type))
        if not held or node.in_expr is None:
            return held
        return self._in(base, self._part(node.in_expr))

    def _if(self, node: Any) -> Part:
        test = self._truth(self._part(node.cond))
        if test == _known(True) or test == _known(False):
            return self._part(node.then_expr if test == _known(True) else node.else_expr)
        then, other = self._truth(self._part(node.then_expr)), self._truth(self._part(node.else_expr))
        size = 2 * test.size + then.size + other.size
        return Pair(
            _some(_every(test.true, then.true), _every(test.false, other.true)),
            _some(_every(test.true, then.false), _every(test.false, other.false)),
            size,
        )

    def _set(self, node: Any) -> Part:
        parts = [self._part(element) for element in node.elements]
        if any(isinstance(part, _Errs) for part in parts):
            return _Errs()
        if any(isinstance(part, Cell | Pair | _Row | frozenset) for part in parts):
            return self._cannot("a set of cells")
        return frozenset(parts)

    def _unary(self, node: Any) -> Part:
        part = self._part(node.arg)
        if node.op == "not":
            return _not(self._truth(part))
        if node.op == "neg" and isinstance(part, int) and not isinstance(part, bool):
            return -part
        if node.op == "datetime" and isinstance(part, str):
            return self._moment(part)
        return part if isinstance(part, _Errs) else self._cannot(node.op)

    def _binary(self, node: Any) -> Part:
        if node.op in ("and", "or"):
            first = self._truth(self._part(node.left))
            decided = _known(node.op == "or")
            if first == decided:
                return decided
            return (_and if node.op == "and" else _or)(first, self._truth(self._part(node.right)))
        left, right = self._part(node.left), self._part(node.right)
        if isinstance(left, _Errs) or isinstance(right, _Errs):
            return _Errs()
        if node.op in ("eq", "not_eq"):
            pair = self._equal(left, right)
            return _not(pair) if node.op == "not_eq" else pair
        if node.op in _ORDER:
            return self._ordered(_ORDER[node.op], left, right)
        if node.op == "in":
            return self._in(left, right)
        if node.op in ("contains", "contains_all", "contains_any"):
            return self._contains(node.op, left, right)
        return self._cannot(node.op)

    def _equal(self, left: Part, right: Part) -> Pair:
        if isinstance(right, Cell) and not isinstance(left, Cell):
            left, right = right, left
        if isinstance(left, Cell) and not isinstance(right, Pair):
            value = right if isinstance(right, Cell) else self._value(left.column, right)
            return _both(Compare(left.column, "eq", value))
        if isinstance(left, Pair) or isinstance(right, Pair):
            a, b = self._truth(left), self._truth(right)
            return Pair(_some(_every(a.true, b.true), _every(a.false, b.false)), _some(_every(a.true, b.false), _every(a.false, b.true)),
                        2 * (a.size + b.size))  # fmt: skip
        return _known(type(left) is type(right) and left == right)

    def _ordered(self, op: str, left: Part, right: Part) -> Part:
        if isinstance(right, Cell) and not isinstance(left, Cell):
            left, right, op = right, left, _OPPOSITE[op]
        if isinstance(left, Cell):
            return _both(Compare(left.column, op, right if isinstance(right, Cell) else self._value(left.column, right)))
        if type(left) is type(right) and isinstance(left, int | dt.datetime):
            return bool(getattr(left, f"__{op}__")(right))
        return self._cannot(op)

    def _contains(self, op: str, left: Part, right: Part) -> Part:
        if not isinstance(left, frozenset):
            return self._cannot(op)
        if op == "contains":
            if isinstance(right, Cell) and not left:
                return Pair(Always(False), Not(Missing(right.column)))  # an empty cell errs in an empty set too
            if isinstance(right, Cell):
                return _both(Among(right.column, tuple(sorted(self._value(right.column, one) for one in left))))
            return any(type(one) is type(right) and one == right for one in left)
        if not isinstance(right, frozenset):
            return self._cannot(op)
        return right <= left if op == "contains_all" else bool(right & left)

    def _in(self, left: Part, right: Part) -> Part:
        targets = right if isinstance(right, frozenset) else (right,)
        if not isinstance(left, Uid | _Row) or not all(isinstance(target, Uid | _Row) for target in targets):
            return self._cannot("in")
        return any(self._within(left, target) for target in targets)

    # what is known

    def _within(self, who: Uid | _Row, target: Any) -> bool:
        if isinstance(who, _Row):
            return bool(target == who or target == Uid("Dataset", self._rules.policy.name))
        if who == self._user and isinstance(target, Uid) and target.kind == "Role":
            return target.id in self._roles
        if who.kind == "Role" and isinstance(target, Uid) and target.kind == "Role":
            policy = self._rules.policy
            return target.id in ancestors(policy.roles, (who.id,))
        return bool(who == target)

    @staticmethod
    def _is(who: Uid | _Row, kind: str) -> bool:
        return kind == ("Row" if isinstance(who, _Row) else who.kind)

    def _value(self, column: str, value: Part) -> rows.Value:
        """`value` as cells of `column` are compared with it."""
        if isinstance(value, dt.datetime):
            zone = getattr(self._types[column], "time_zone", None)
            try:
                return value.astimezone(ZoneInfo(zone)) if zone else value.replace(tzinfo=None)
            except ZoneInfoNotFoundError:
                self._cannot(f"a column in the time zone {zone}")
        if isinstance(value, str | int):
            return value
        return self._cannot("a comparison with a cell")

    def _moment(self, text: str) -> dt.datetime:
        found = _DATETIME.fullmatch(text)
        if found is None:
            raise self.refused(f"names no date: '{text}'")
        year, month, day, hour, minute, second, milli = (int(part or 0) for part in found.groups()[:7])
        offset = dt.timedelta(hours=int(found[9] or 0), minutes=int(found[10] or 0)) * (-1 if found[8] == "-" else 1)
        try:
            return dt.datetime(year, month, day, hour, minute, second, milli * 1000, tzinfo=dt.UTC) - offset
        except (ValueError, OverflowError):
            raise self.refused(f"names no date: '{text}'") from None

    def _truth(self, part: Part) -> Pair:
        if isinstance(part, Pair):
            return part
        if isinstance(part, bool):
            return _known(part)
        if isinstance(part, Cell):
            return _both(Compare(part.column, "eq", True))
        return _ERRS if isinstance(part, _Errs) else self._cannot("what is neither true nor false")

    def _cannot(self, what: str) -> NoReturn:
        raise self.refused(f"cannot be compiled to a filter ({what})")


def _uid(entity: Any) -> Uid:
    return Uid(str(entity.type), entity.id)


def _known(value: bool) -> Pair:
    return Pair(Always(value), Always(not value), 0)


def _both(condition: Condition) -> Pair:
    """A comparison: true where it holds, false where it does not; neither where a cell is empty."""
    return Pair(condition, Not(condition))


def _not(pair: Pair) -> Pair:
    return Pair(pair.false, pair.true, pair.size)


def _and(left: Pair, right: Pair) -> Pair:
    return Pair(_every(left.true, right.true), _some(left.false, _every(left.true, right.false)), 2 * left.size + right.size)


def _or(left: Pair, right: Pair) -> Pair:
    return Pair(_some(left.true, _every(left.false, right.true)), _every(left.false, right.false), 2 * left.size + right.size)


def _every(*parts: Condition) -> Condition:
    found = [part for part in parts if part != Always(True)]
    if Always(False) in found:
        return Always(False)
    return found[0] if len(found) == 1 else Every(tuple(found)) if found else Always(True)


def _some(*parts: Condition) -> Condition:
    found = [part for part in parts if part != Always(False)]
    if Always(True) in found:
        return Always(True)
    return found[0] if len(found) == 1 else Some(tuple(found)) if found else Always(False)
