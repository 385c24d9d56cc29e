"""What a predicate may speak of: every fact and relation of the nodes and flows of a system, as one closed vocabulary.

The fields come from the structs of `model.system`, so a new field is a new fact without a line here; which kinds of asset a trait fits
comes from `TRAIT_KINDS`, which relations there are from `RELATIONS`. Derived facts are those that `threatmodel` computes.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import inspect

from bartizan.model import system as nouns
from bartizan.model.inputs import Constraints, Inference
from bartizan.model.system import Kind
from bartizan.model.traits import RELATIONS, TRAIT_KINDS


class Modality(StrEnum):
    """What a model takes in, told by its task."""

    TABULAR = "tabular"
    IMAGE = "image"
    AUDIO = "audio"
    TEXT = "text"
    OTHER = "other"


class Sort(StrEnum):
    """What values a fact takes."""

    BOOLEAN = "true or false"
    INTEGER = "a whole number"
    NUMBER = "a number"
    TEXT = "a text"
    ENUM = "one of a list"
    DATE = "a date"
    PART = "a group of facts"


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that can be said of a node of `kinds`, or of a flow.

    `fields` is the way to it from the node's struct, empty for a derived fact; `many` marks a tuple; `field` is what the manifest has to
    declare for it to be known. `enum` gives the legal values of sort ENUM, in order where `ordered`.
    """

    name: str
    kinds: frozenset[Kind]
    flow: bool
    fields: tuple[str, ...]
    field: str
    sort: Sort
    many: bool = False
    enum: type[StrEnum] | None = None

    @property
    def ordered(self) -> bool:
        return self.sort in (Sort.INTEGER, Sort.NUMBER, Sort.DATE) or self.enum in ORDERED


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """A way from a node of `kinds` (or from a flow) to others, which are of kinds `to`, or flows.

    `field` is the manifest's field whose absence makes the relation unknown; None where the relation is always known.
    """

    name: str
    kinds: frozenset[Kind]
    flow: bool
    to: frozenset[Kind]
    to_flow: bool
    field: str | None = None


ORDERED: frozenset[type[StrEnum]] = frozenset(
    {
        nouns.Trust,
        nouns.Level,
        nouns.Sensitivity,
        nouns.Autonomy,
        nouns.Memory,
        nouns.Acl,
        nouns.Logging,
        nouns.Oversight,
    }
)
"""Enumerations whose members stand in an order, lowest first, so that `at_least` and `at_most` mean something."""

ALL_KINDS = frozenset(Kind)
NODE_KINDS = ALL_KINDS - {Kind.SYSTEM}
ASSET_KINDS = NODE_KINDS - {Kind.ACTOR, Kind.DATASET}
_PARTS = frozenset(
    {"at", "zones", "actors", "datasets", "assets", "flows", "controls", "appetite", "decisions", "catalogs"},
)
_WHOLE = frozenset({Constraints, Inference})
"""Groups of which a predicate can say that they are declared, no more."""
_SORTS: tuple[tuple[type, Sort], ...] = (
    (inspect.BoolType, Sort.BOOLEAN),
    (inspect.IntType, Sort.INTEGER),
    (inspect.FloatType, Sort.NUMBER),
    (inspect.StrType, Sort.TEXT),
    (inspect.EnumType, Sort.ENUM),
    (inspect.DateType, Sort.DATE),
    (inspect.StructType, Sort.PART),
)


def _sort(declared: inspect.Type) -> tuple[Sort, bool, inspect.Type]:
    """Sort, whether it is a tuple, and the type without None and tuple."""
    many = False
    if isinstance(declared, inspect.UnionType):
        (declared,) = (t for t in declared.types if not isinstance(t, inspect.NoneType))
    if isinstance(declared, inspect.VarTupleType):
        declared, many = declared.item_type, True
    for described, sort in _SORTS:
        if isinstance(declared, described):
            return sort, many, declared
    raise TypeError(f"no fact can be of type {declared}")


def _declared(struct: type, kinds: frozenset[Kind], skip: frozenset[str] = frozenset()) -> list[Fact]:
    """A fact for each field of `struct`, and one with a dotted name for each field of a group such as `quota`, but those of `_WHOLE`."""
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    facts = []
    for field in described.fields:
        if field.name in _PARTS or field.name in skip:
            continue
        fits = TRAIT_KINDS.get(field.name, kinds) if struct is nouns.Asset else kinds
        sort, many, plain = _sort(field.type)
        enum: Any = plain.cls if isinstance(plain, inspect.EnumType) else None
        common: dict[str, Any] = {"kinds": fits, "flow": struct is nouns.Flow, "field": field.name}
        facts.append(Fact(name=field.name, fields=(field.name,), sort=sort, many=many, enum=enum, **common))
        if isinstance(plain, inspect.StructType) and plain.cls not in _WHOLE:
            for inner in plain.fields:
                inner_sort, inner_many, _ = _sort(inner.type)
                common["field"] = f"{field.name}.{inner.name}"
                facts.append(Fact(name=common["field"], fields=(field.name, inner.name), sort=inner_sort, many=inner_many, **common))
    return facts


def _derived(name: str, kinds: frozenset[Kind], field: str, enum: type[StrEnum] | None = None, *, flow: bool = False) -> Fact:
    sort = Sort.BOOLEAN if enum is None else Sort.ENUM
    return Fact(name=name, kinds=kinds, flow=flow, fields=(), field=field, sort=sort, enum=enum)


def _facts() -> dict[str, Fact]:
    found: dict[str, Fact] = {}
    declared = [
        *_declared(nouns.System, frozenset({Kind.SYSTEM})),
        *_declared(nouns.Actor, frozenset({Kind.ACTOR})),
        *_declared(nouns.Dataset, frozenset({Kind.DATASET})),
        *_declared(nouns.Asset, ASSET_KINDS, frozenset({"kind"})),
        *_declared(nouns.Flow, frozenset(), frozenset({"source", "target"})),
    ]
    for fact in declared:
        other = found.get(fact.name)
        if other is not None:
            assert (other.sort, other.many, other.enum) == (fact.sort, fact.many, fact.enum), f"'{fact.name}' has two types"
            fact = msgspec.structs.replace(fact, kinds=fact.kinds | other.kinds, flow=fact.flow or other.flow)
        found[fact.name] = fact
    system = frozenset({Kind.SYSTEM})
    for fact in (
        _derived("kind", ALL_KINDS, "kind", Kind),
        _derived("trust", NODE_KINDS, "zone", nouns.Trust),
        _derived("exposed", NODE_KINDS, "zone"),
        _derived("modality", frozenset({Kind.MODEL}), "task", Modality),
        _derived("personal_data", frozenset({Kind.DATASET}), "subjects"),
        _derived("outside_writers", frozenset({Kind.DATASET}), "writers"),
        _derived("crosses_boundary", frozenset(), "zone", flow=True),
        *(_derived(name, system, "assets") for name in ("has_ai", "has_llm", "has_agent")),
    ):
        found[fact.name] = fact
    return found


def _relations() -> dict[str, Relation]:
    found: dict[str, Relation] = {}
    for field, (forward, inverse) in RELATIONS.items():
        kinds = TRAIT_KINDS.get(field, frozenset({Kind.DATASET}))
        found[forward] = Relation(name=forward, kinds=kinds, flow=False, to=NODE_KINDS, to_flow=False, field=field)
        found[inverse] = Relation(name=inverse, kinds=NODE_KINDS, flow=False, to=kinds, to_flow=False)
    system = frozenset({Kind.SYSTEM})
    for name, kinds, to in (
        ("assets", system, ASSET_KINDS),
        ("datasets", system, frozenset({Kind.DATASET})),
        ("actors", system, frozenset({Kind.ACTOR})),
        ("system", NODE_KINDS, system),
    ):
        found[name] = Relation(name=name, kinds=kinds, flow=False, to=to, to_flow=False)
    for name in ("inflows", "outflows"):
        found[name] = Relation(name=name, kinds=NODE_KINDS, flow=False, to=frozenset(), to_flow=True)
    for name in ("sender", "receiver"):
        found[name] = Relation(name=name, kinds=frozenset(), flow=True, to=ALL_KINDS, to_flow=False)
    return found


FACTS: MappingProxyType[str, Fact] = MappingProxyType(_facts())
"""Every fact by name. A dotted name reaches into a group: `quota.requests_per_minute`, `budget.queries_per_day`."""

CONNECTIONS: MappingProxyType[str, Relation] = MappingProxyType(_relations())
"""Every relation by name."""
