"""The JSON Schema (draft 2020-12) of the manifest, for editors: made from the structs, so that it says what `load` accepts.

It is a little more lenient than `load`: that references resolve and ids are unique is beyond a schema.
"""

from __future__ import annotations

import datetime as dt
import inspect
import types
import typing
from enum import Enum
from typing import Any

import msgspec

from bartizan.manifest.rules import DIGEST_PATTERN, ID_PATTERN
from bartizan.manifest.sections import VERSION, Manifest
from bartizan.model.system import ActorBudget, Appetite, Asset, Dataset, Kind, Node, Quota
from bartizan.model.traits import TRAIT_KINDS

_TEXT = {"type": ["string", "number"]}  # text is taken as written, so that 1.10 need not be quoted
_LEAVES: dict[Any, dict[str, Any]] = {
    str: _TEXT,
    int: {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    float: {"type": "number"},
    bool: {"anyOf": [{"type": "boolean"}, {"enum": ["yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF"]}]},
    dt.date: {"type": "string", "format": "date"},
}
_DECLARABLE = [kind for kind in Kind if kind not in (Kind.SYSTEM, Kind.ACTOR, Kind.DATASET)]


def schema() -> dict[str, Any]:
    """The schema of the whole manifest. Objects are closed; every optional value may also be null, which means unknown."""
    definitions: dict[str, Any] = {}
    root = _struct(Manifest, definitions)
    root["properties"]["bartizan"] = {"const": VERSION, "description": "Version of the manifest."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "bartizan manifest",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _of(shape: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of values of the annotation `shape`."""
    origin, arms = typing.get_origin(shape), typing.get_args(shape)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [{"type": "null"} if arm is types.NoneType else _of(arm, definitions) for arm in arms]}
    if origin is tuple:
        entry = _of(arms[0], definitions)
        many = {"type": "array", "items": entry}
        single = isinstance(arms[0], type) and not issubclass(arms[0], msgspec.Struct)
        return {"anyOf": [many, entry]} if single else many
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(arms[1], definitions)}
    if shape in _LEAVES:
        return dict(_LEAVES[shape])
    if shape.__name__ not in definitions:
        definitions[shape.__name__] = {}  # taken before it is filled, so that a struct may contain itself
        definitions[shape.__name__] = _enum(shape) if issubclass(shape, Enum) else _struct(shape, definitions)
    return {"$ref": f"#/$defs/{shape.__name__}"}


def _enum(shape: type[Enum]) -> dict[str, Any]:
    return {"description": _description(shape), "enum": [member.value for member in shape]}


def _struct(shape: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(shape)
    fields = [field for field in msgspec.structs.fields(shape) if field.name != "at"]
    properties = {}
    for field in fields:
        value = _limits(shape, field.name, _of(hints[field.name], definitions))
        properties[field.encode_name] = value if field.required or _nullable(value) else {"anyOf": [value, {"type": "null"}]}
    result: dict[str, Any] = {
        "description": _description(shape),
        "type": "object",
        "properties": properties,
        "required": [field.encode_name for field in fields if field.required],
        "additionalProperties": False,
    }
    if shape is Asset:
        result["properties"]["kind"] = {"description": _description(Kind), "enum": [str(kind) for kind in _DECLARABLE]}
        result["allOf"] = _fitting()
    return result


def _nullable(value: dict[str, Any]) -> bool:
    return {"type": "null"} in value.get("anyOf", ())


def _limits(shape: Any, field: str, value: dict[str, Any]) -> dict[str, Any]:
    """`value` with the range or pattern that the rules ask of the field."""
    if issubclass(shape, Node) and field == "id":
        return {**value, "pattern": f"^{ID_PATTERN}$"}
    if shape in (Asset, Dataset) and field == "digest":
        return {"anyOf": [{"type": "string", "pattern": f"^{DIGEST_PATTERN}$"}, {"type": "null"}]}
    if shape in (Quota, ActorBudget) or (shape is Dataset and field == "retention"):
        return {"anyOf": [{**value["anyOf"][0], "minimum": 0}, {"type": "null"}]}
    if shape is Appetite and field == "confidence":
        return {**value, "exclusiveMinimum": 0.5, "exclusiveMaximum": 1}
    return value


def _fitting() -> list[dict[str, Any]]:
    """For every kind of asset, the traits that must stay unsaid."""
    rules = []
    for kind in _DECLARABLE:
        unfit = {trait: {"type": "null"} for trait, kinds in TRAIT_KINDS.items() if kind not in kinds}
        rules.append({"if": {"properties": {"kind": {"const": str(kind)}}, "required": ["kind"]}, "then": {"properties": unfit}})
    return rules


def _description(shape: Any) -> str:
    """The docstring of a struct or enum as one paragraph."""
    return " ".join((inspect.getdoc(shape) or "").split())
