"""The language in which a threat says when it applies: parsed, checked against the vocabulary, never evaluated here.

A predicate is data, read from YAML or JSON. It is true, false or unknown for a node of the kinds it is compiled against:

    always                                              true
    {all: [P, ...]}  {any: [P, ...]}  {not: P}          Kleene's strong three-valued connectives
    {kind: [model, agent]}                              the kind of the node
    {fact: F, is: V}  {fact: F, in: [V, ...]}           a fact with one value; texts compare without regard to case
    {fact: F, contains: V}  {fact: F, contains_any: [V, ...]}   a fact with several values
    {fact: F, empty: true}                              whether the list of a fact with several values is declared empty
    {fact: F, at_least: V}  {fact: F, at_most: V}       numbers, dates and ordered enumerations (`vocabulary.ORDERED`)
    {fact: F, declared: true}                           whether the manifest says it at all: never unknown
    {some: R, where: P}  {every: R, where: P}  {none: R, where: P}   the nodes or flows that relation R leads to; no `where` means `always`
    {reachable: {from: P, through: P}}                  a path of flows leads here from such a node, `through` such another one (optional)

Facts and relations are those of `catalog.vocabulary`. Beyond the fields of the node itself there are dotted facts
(`quota.requests_per_day`) and the relation `system`, which leads from any node to the system. A comparison that could be true for no node
in its place is an error, as is whatever else a slip of the pen could turn into "no threat".
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeAlias

import msgspec

from bartizan.catalog.vocabulary import CONNECTIONS, FACTS, Fact, Relation, Sort
from bartizan.model.errors import InputError, Place, UnknownName, one_line
from bartizan.model.system import Kind

MAX_DEPTH = 20
"""Deepest nesting of operators."""
MAX_SIZE = 400
"""Most operators in one predicate."""
MAX_VALUES = 100
"""Most values in one list."""

Value: TypeAlias = str | int | float | bool | dt.date
Path: TypeAlias = tuple[str | int, ...]
Locate: TypeAlias = Callable[[Path], Place]


class Quantifier(StrEnum):
    """How many of the related nodes have to fulfil the condition."""

    SOME = "some"
    EVERY = "every"
    NONE = "none"


class Test(StrEnum):
    """How a known fact is compared. Comparisons of ordered enumerations become IN."""

    __test__ = False  # not a test case of pytest

    IN = "in"
    CONTAINS = "contains"
    EMPTY = "empty"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"


class Always(msgspec.Struct, frozen=True):
    """True."""


class All(msgspec.Struct, frozen=True):
    """Every part is true."""

    parts: tuple[Predicate, ...]


class Any(msgspec.Struct, frozen=True):
    """At least one part is true."""

    parts: tuple[Predicate, ...]


class Not(msgspec.Struct, frozen=True):
    """The part is false."""

    part: Predicate


class IsKind(msgspec.Struct, frozen=True):
    """The node is of one of the kinds."""

    kinds: frozenset[Kind]


class Compare(msgspec.Struct, frozen=True):
    """A fact stands in relation `test` to `values`; false for a node that cannot have the fact, unknown where it is not declared."""

    fact: Fact
    test: Test
    values: tuple[Value, ...]


class Declared(msgspec.Struct, frozen=True):
    """The manifest says (or, with `said` false, does not say) the fact of a node that can have it."""

    fact: Fact
    said: bool


class Related(msgspec.Struct, frozen=True):
    """Some, every or none of the nodes or flows that the relation leads to fulfil `where`."""

    quantifier: Quantifier
    relation: Relation
    where: Predicate


class Reachable(msgspec.Struct, frozen=True):
    """A path of flows leads here from another node that fulfils `source`, by way of a third that fulfils `through`."""

    source: Predicate
    through: Predicate | None


Predicate: TypeAlias = Always | All | Any | Not | IsKind | Compare | Declared | Related | Reachable

_TESTS = ("is", "in", "contains", "contains_any", "empty", "at_least", "at_most", "declared")
_ALLOWED: dict[str, frozenset[str]] = {
    "all": frozenset(),
    "any": frozenset(),
    "not": frozenset(),
    "kind": frozenset(),
    "fact": frozenset(_TESTS),
    "some": frozenset({"where"}),
    "every": frozenset({"where"}),
    "none": frozenset({"where"}),
    "reachable": frozenset(),
}
_KNOWN = sorted({*_ALLOWED, *_TESTS, "where"})


class _Scope(msgspec.Struct, frozen=True):
    """What a predicate is about at its place: nodes of these kinds, or flows."""

    kinds: frozenset[Kind]
    flow: bool = False

    def __str__(self) -> str:
        return "flow" if self.flow else ", ".join(sorted(self.kinds)) if len(self.kinds) <= 4 else "node"


def _nowhere(_path: Path) -> Place:
    return Place("predicate")


def compile(raw: object, against: Iterable[Kind], place: Locate = _nowhere) -> Predicate:
    """The predicate that `raw` (plain data) writes, checked for nodes of the kinds `against`.

    `place` maps a path within `raw` to its line. Raises `UnknownName` for a name outside the vocabulary and `InputError` for anything else
    that is not a predicate, each with the place.
    """
    scope = _Scope(frozenset(Kind(k) for k in against))
    if not scope.kinds:
        raise InputError("a predicate needs at least one kind to apply to", place=place(()))
    return _Parser(place).parse(raw, scope, (), 1)


class _Parser:
    """One pass over the data, counting operators; a method for each form."""

    def __init__(self, place: Locate) -> None:
        self.place = place
        self.size = 0

    def parse(self, raw: object, scope: _Scope, path: Path, depth: int) -> Predicate:
        self.size += 1
        if depth > MAX_DEPTH:
            raise self.wrong(f"predicate nested more than {MAX_DEPTH} deep", path)
        if self.size > MAX_SIZE:
            raise self.wrong(f"predicate of more than {MAX_SIZE} operators", path)
        if isinstance(raw, str):
            if raw != "always":
                raise UnknownName("predicate", raw, ["always"], place=self.place(path))
            return Always()
        if not isinstance(raw, dict):
            raise self.wrong(f"a predicate is 'always' or a mapping with one operator, not {_sort_of(raw)}", path)
        head = self.head(raw, path)
        body, at = raw[head], (*path, head)
        match head:
            case "all" | "any":
                parts = self.items(body, at, "a list of predicates")
                parsed = tuple(self.parse(p, scope, (*at, i), depth + 1) for i, p in enumerate(parts))
                return All(parsed) if head == "all" else Any(parsed)
            case "not":
                return Not(self.parse(body, scope, at, depth + 1))
            case "kind":
                return self.kind(body, scope, at)
            case "fact":
                return self.fact(raw, scope, path)
            case "reachable":
                return self.reachable(body, scope, at, depth)
            case _:
                return self.related(raw, Quantifier(head), scope, path, depth)

    def head(self, raw: dict[object, object], path: Path) -> str:
        """The one operator of a mapping, after every key of it has been found to belong to it."""
        for key in raw:
            if not isinstance(key, str):
                raise self.wrong(f"an operator is a word, not {_sort_of(key)}", path)
            if key not in _KNOWN:
                raise UnknownName("operator", key, _KNOWN, place=self.place((*path, key)))
        heads = [key for key in raw if isinstance(key, str) and key in _ALLOWED]
        if not heads:
            raise self.wrong("a mapping without operator", path, "write one of " + ", ".join(_ALLOWED))
        if len(heads) > 1:
            names = " and ".join(f"'{h}'" for h in heads[:3])
            raise self.wrong(f"{names} in one mapping", (*path, heads[1]), "write one operator in a mapping, joined by 'all' or 'any'")
        for key in raw:
            if key != heads[0] and key not in _ALLOWED[heads[0]]:
                raise self.wrong(f"'{key}' does not go with '{heads[0]}'", (*path, str(key)))
        return heads[0]

    def kind(self, body: object, scope: _Scope, path: Path) -> Predicate:
        names = [body] if isinstance(body, str) else self.items(body, path, "a list of kinds")
        kinds = set()
        for name in names:
            if not isinstance(name, str):
                raise self.wrong(f"a kind is a word, not {_sort_of(name)}", path)
            if name not in set(Kind):
                raise UnknownName("kind", name, list(Kind), place=self.place(path))
            kinds.add(Kind(name))
        if scope.flow or not kinds & scope.kinds:
            raise self.wrong(f"what stands here ({scope}) is never of kind {', '.join(sorted(kinds))}", path)
        return IsKind(frozenset(kinds))

    def fact(self, raw: dict[str, object], scope: _Scope, path: Path) -> Predicate:
        fact = self.named_fact(raw["fact"], scope, (*path, "fact"))
        tests = [key for key in raw if key in _TESTS]
        if len(tests) != 1:
            problem = f"{len(tests)} comparisons" if tests else "no comparison"
            raise self.wrong(f"{problem} for fact '{fact.name}'", (*path, "fact"), f"write one of {', '.join(_TESTS)}")
        test, body, at = tests[0], raw[tests[0]], (*path, tests[0])
        if test == "declared":
            if not isinstance(body, bool):
                raise self.wrong(f"'declared' takes true or false, not {_sort_of(body)}", at)
            if not fact.fields:
                raise self.wrong(f"'{fact.name}' is derived, never declared", at, f"ask whether '{fact.field}' is declared")
            return Declared(fact, body)
        if test == "empty":
            if not (fact.many and isinstance(body, bool)):
                raise self.wrong("'empty' takes true or false, for a fact with several values", at)
            return Compare(fact, Test.EMPTY, (body,))
        self.fits(fact, test, at)
        values = self.items(body, at, "a list of values") if test in ("in", "contains_any") else [body]
        parsed = tuple(dict.fromkeys(self.value(v, fact, at) for v in values))
        if test in ("at_least", "at_most"):
            return _ordered(fact, test, parsed[0])
        return Compare(fact, Test.CONTAINS if fact.many else Test.IN, parsed)

    def named_fact(self, name: object, scope: _Scope, path: Path) -> Fact:
        if not isinstance(name, str):
            raise self.wrong(f"a fact is named by a word, not {_sort_of(name)}", path)
        fitting = [f.name for f in FACTS.values() if (f.flow if scope.flow else f.kinds & scope.kinds)]
        if name in fitting:
            return FACTS[name]
        other = FACTS.get(name)
        if other is None:
            raise UnknownName("fact", name, fitting, place=self.place(path))
        owners = ["flow"] * other.flow + sorted(other.kinds)
        raise self.wrong(f"'{name}' is no fact of {scope}; it belongs to {', '.join(owners[:5])}", path)

    def fits(self, fact: Fact, test: str, path: Path) -> None:
        """Refuse a comparison that the fact's type cannot bear."""
        if fact.sort is Sort.PART:
            inner = ", ".join(f for f in FACTS if f.startswith(f"{fact.name}."))
            raise self.wrong(f"'{fact.name}' is a group", path, f"compare one of {inner}, or ask whether it is declared")
        if fact.many and not test.startswith("contains"):
            raise self.wrong(f"'{fact.name}' holds several values", path, "write 'contains' or 'contains_any'")
        if not fact.many and test.startswith("contains"):
            raise self.wrong(f"'{fact.name}' holds one value", path, "write 'is' or 'in'")
        if test in ("at_least", "at_most") and not fact.ordered:
            raise self.wrong(f"the values of '{fact.name}' have no order", path, "write 'is' or 'in'")

    def value(self, raw: object, fact: Fact, path: Path) -> Value:
        """`raw` as the type of the fact; texts are folded for comparison."""
        match fact.sort:
            case Sort.ENUM if isinstance(raw, str) and fact.enum is not None:
                if raw not in set(fact.enum):
                    raise UnknownName(f"value of {fact.name}", raw, list(fact.enum), place=self.place(path))
                return fact.enum(raw)
            case Sort.BOOLEAN if isinstance(raw, bool):
                return raw
            case Sort.TEXT if isinstance(raw, str) and raw.strip():
                return raw.strip().casefold()
            case Sort.INTEGER if isinstance(raw, int) and not isinstance(raw, bool):
                return raw
            case Sort.NUMBER if isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw):
                return raw
            case Sort.DATE if isinstance(raw, dt.date) and not isinstance(raw, dt.datetime):
                return raw
            case _:
                raise self.wrong(f"'{fact.name}' takes {fact.sort.value}, not {_sort_of(raw)}", path)

    def related(self, raw: dict[str, object], quantifier: Quantifier, scope: _Scope, path: Path, depth: int) -> Predicate:
        name, at = raw[quantifier.value], (*path, quantifier.value)
        if not isinstance(name, str):
            raise self.wrong(f"'{quantifier}' takes the name of a relation, not {_sort_of(name)}", at)
        fitting = [r.name for r in CONNECTIONS.values() if (r.flow if scope.flow else r.kinds & scope.kinds)]
        if name not in CONNECTIONS:
            raise UnknownName("relation", name, fitting, place=self.place(at))
        relation = CONNECTIONS[name]
        if name not in fitting:
            owners = ["flow"] * relation.flow + sorted(relation.kinds)
            raise self.wrong(f"'{name}' is no relation of {scope}; it belongs to {', '.join(owners[:5])}", at)
        inner = _Scope(relation.to, relation.to_flow)
        where = self.parse(raw["where"], inner, (*path, "where"), depth + 1) if "where" in raw else Always()
        return Related(quantifier, relation, where)

    def reachable(self, body: object, scope: _Scope, path: Path, depth: int) -> Predicate:
        if scope.flow or scope.kinds == {Kind.SYSTEM}:
            raise self.wrong(f"no flow leads to {scope}", path)
        if not isinstance(body, dict) or "from" not in body:
            raise self.wrong("'reachable' takes a mapping with 'from' and perhaps 'through'", path)
        for key in body:
            if key not in ("from", "through"):
                raise UnknownName("operator", str(key), ["from", "through"], place=self.place((*path, key)))
        nodes = _Scope(frozenset(Kind) - {Kind.SYSTEM})
        source = self.parse(body["from"], nodes, (*path, "from"), depth + 1)
        through = self.parse(body["through"], nodes, (*path, "through"), depth + 1) if "through" in body else None
        return Reachable(source, through)

    def items(self, body: object, path: Path, what: str) -> list[object]:
        if not isinstance(body, list | tuple):
            raise self.wrong(f"'{path[-1]}' takes {what}, not {_sort_of(body)}", path)
        if not body:
            raise self.wrong(f"'{path[-1]}' of nothing", path, f"give it {what}")
        if len(body) > MAX_VALUES:
            raise self.wrong(f"'{path[-1]}' with more than {MAX_VALUES} entries", path)
        return list(body)

    def wrong(self, what: str, path: Path, cure: str | None = None) -> InputError:
        return InputError(what, place=self.place(path), cure=cure)


def _ordered(fact: Fact, test: str, limit: Value) -> Compare:
    """A comparison with a limit; over an enumeration it is the set of members on that side."""
    if fact.enum is None:
        return Compare(fact, Test(test), (limit,))
    members = list(fact.enum)
    rank = [str(m) for m in members].index(str(limit))
    return Compare(fact, Test.IN, tuple(members[rank:] if test == "at_least" else members[: rank + 1]))


def _sort_of(raw: object) -> str:
    """What kind of value this is, in words, with the value where it is short."""
    names: dict[type, str] = {dict: "a mapping", list: "a list", tuple: "a list", type(None): "nothing"}
    return names.get(type(raw)) or f"'{one_line(str(raw).lower() if isinstance(raw, bool) else str(raw), 40)}'"
