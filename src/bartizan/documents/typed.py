"""From the nodes of a document to msgspec structs, with an error that names the line, the key and its owner.

The reader of a type is built once from its annotations: structs, enums, text, numbers, booleans, dates, tuples, dicts of text and unions of
a scalar with one container. Text keeps the spelling of the document (`revision: 1.10` is "1.10"); where a list is expected a single value
stands for a list of one.
"""

from __future__ import annotations

import datetime as dt
import types
import typing
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, TypeAlias, TypeVar

import msgspec
import yaml

from bartizan.documents.located import Located, _value, key_of
from bartizan.documents.scalars import (
    ANSWERS,
    DATE,
    INTEGER,
    NOT_FINITE,
    NULLS,
    NUMBER,
    TRUTHS,
    UnfitError,
    check_tag,
    date,
    integer,
    is_null,
    is_plain,
    number,
    text_of,
)
from bartizan.model.errors import InputError, Place, UnknownName, one_line

T = TypeVar("T")
Reader: TypeAlias = Callable[[yaml.Node, str], Any]
"""Reads a node of the document with this name. Raises `UnfitError` for the node itself, `InputError` for what lies deeper."""


def convert(located: Located, type: type[T], path: tuple[str | int, ...] = ()) -> T:
    """The part of the document at `path` as `type`. Fields called `at` receive the place of their struct.

    Raises `UnknownName` for a key or enum value that does not exist, `InputError` for a missing key, a duplicate key or a wrong type.
    """
    node = located.node(path)
    if node is None:
        raise InputError(f"there is no '{'.'.join(map(str, path))}'", place=located.place(path), cure="add it")
    try:
        result: T = reader(typing.cast(Any, type))(node, located.name)
    except UnfitError as bad:
        owner = f"'{path[-1]}'" if path else "the document"
        raise _error(bad, owner, located.name, str(path[-1]) if path else "value", "") from None
    return result


@cache
def reader(wanted: Any) -> Reader:
    """The reader of `wanted`. Raises `TypeError` for a type that no document can hold: a mistake of the programmer."""
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        return _union(typing.get_args(wanted))
    if origin in (tuple, list, frozenset):
        return _sequence(reader(typing.get_args(wanted)[0]), origin)
    if origin is dict:
        return _mapping(reader(typing.get_args(wanted)[1]))
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return _struct(wanted)
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return _enum(wanted)
    if wanted in _LEAVES:
        return _LEAVES[wanted]
    raise TypeError(f"no reader for {wanted!r}")


def _shape(node: yaml.Node) -> str:
    """What a node is, for the end of 'must be ..., not ...'."""
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    return "empty" if is_null(node) else f"'{one_line(node.value, 60)}'"


def _scalar(node: yaml.Node, wanted: str) -> str:
    """The text of a scalar that says something. Raises `UnfitError` for anything else."""
    if node.tag is not None:
        check_tag(node)
    if not isinstance(node, yaml.ScalarNode) or (node.value in NULLS and is_plain(node)):
        raise UnfitError(node, f"must be {wanted}, not {_shape(node)}")
    return text_of(node)


def _text(node: yaml.Node, _name: str) -> str:
    text = _scalar(node, "text")
    if text in TRUTHS and is_plain(typing.cast(yaml.ScalarNode, node)):
        raise UnfitError(node, f"must be text, not {text.lower()}", cure=f'write "{text}" in quotes if that is the text')
    return text


def _integer(node: yaml.Node, _name: str) -> int:
    text = _scalar(node, "a whole number")
    if not is_plain(typing.cast(yaml.ScalarNode, node)) or not INTEGER.fullmatch(text):
        raise UnfitError(node, f"must be a whole number, not {_shape(node)}", cure=_digits(node))
    return integer(node, text)


def _number(node: yaml.Node, _name: str) -> float:
    text = _scalar(node, "a number")
    if NOT_FINITE.fullmatch(text):
        raise UnfitError(node, "must be a finite number")
    if not is_plain(typing.cast(yaml.ScalarNode, node)) or not NUMBER.fullmatch(text):
        raise UnfitError(node, f"must be a number, not {_shape(node)}", cure=_digits(node))
    return number(node, text)


def _digits(node: yaml.Node) -> str | None:
    """The way out for a number that is quoted or grouped."""
    bare = str(node.value).replace("_", "").replace(",", "").replace(" ", "").rstrip("%")
    return f"write {bare.lstrip('0') or '0'}" if INTEGER.fullmatch(bare.lstrip("0") or "0") and bare and "%" not in node.value else None


def _boolean(node: yaml.Node, _name: str) -> bool:
    text = _scalar(node, "true or false")
    if text not in ANSWERS or not is_plain(typing.cast(yaml.ScalarNode, node)):
        cure = f"write {str(ANSWERS[text]).lower()} without quotes" if text in ANSWERS else "leave it out if it is not known"
        raise UnfitError(node, f"must be true or false, not {_shape(node)}", cure=cure)
    return ANSWERS[text]


def _date(node: yaml.Node, _name: str) -> dt.date:
    text = _scalar(node, "a date")
    if not DATE.fullmatch(text):
        raise UnfitError(node, f"must be a date, not {_shape(node)}", cure="write YYYY-MM-DD")
    return date(node, text)


def _any(node: yaml.Node, name: str) -> Any:
    return _value(node, name)


_LEAVES: dict[Any, Reader] = {str: _text, int: _integer, float: _number, bool: _boolean, dt.date: _date, Any: _any}


def _enum(wanted: Any) -> Reader:
    members = {str(member.value): member for member in wanted}
    known = tuple(members)

    def read(node: yaml.Node, _name: str) -> Any:
        if node.tag is None and isinstance(node, yaml.ScalarNode):
            member = members.get(node.value)
            if member is not None:
                return member
        text = _scalar(node, "one of " + ", ".join(known))
        if text in members:
            return members[text]
        raise UnfitError(node, text, known=known)

    return read


def _sequence(entry: Reader, container: Callable[[Any], Any]) -> Reader:
    def read(node: yaml.Node, name: str) -> Any:
        if node.tag is not None:
            check_tag(node)
        if isinstance(node, yaml.SequenceNode):
            return container([entry(part, name) for part in node.value])
        if isinstance(node, yaml.ScalarNode) and not is_null(node):
            return container([entry(node, name)])
        raise UnfitError(node, f"must be a list, not {_shape(node)}", cure="start every entry with '- '")

    return read


def _mapping(entry: Reader) -> Reader:
    def read(node: yaml.Node, name: str) -> dict[str, Any]:
        if node.tag is not None:
            check_tag(node)
        if not isinstance(node, yaml.MappingNode):
            raise UnfitError(node, f"must be a mapping, not {_shape(node)}", cure="write 'key: value' lines below it")
        result: dict[str, Any] = {}
        for key, value in node.value:
            text = key_of(key, result, name)
            try:
                result[text] = entry(value, name)
            except UnfitError as bad:
                raise _error(bad, f"'{one_line(text, 80)}'", name, text, "") from None
        return result

    return read


def _union(arms: tuple[Any, ...]) -> Reader:
    """One scalar arm at most (the first that fits), one list arm, one mapping arm; None where the node says nothing."""
    optional = types.NoneType in arms
    scalars = [reader(a) for a in arms if a in _LEAVES or (isinstance(a, type) and issubclass(a, Enum))]
    lists = [reader(a) for a in arms if typing.get_origin(a) in (tuple, list, frozenset)]
    mappings = [reader(a) for a in arms if typing.get_origin(a) is dict or (isinstance(a, type) and issubclass(a, msgspec.Struct))]

    def read(node: yaml.Node, name: str) -> Any:
        if optional and is_null(node):
            return None
        if isinstance(node, yaml.MappingNode):
            fitting = mappings or lists or scalars
        elif isinstance(node, yaml.SequenceNode):
            fitting = lists or scalars or mappings
        else:
            fitting = scalars or lists or mappings
        for attempt in fitting[:-1]:
            try:
                return attempt(node, name)
            except UnfitError:
                continue
        return fitting[-1](node, name)

    return read


def _struct(wanted: Any) -> Reader:
    # the fields are compiled on first use, so that a struct may contain itself
    names = [f for f in msgspec.structs.fields(wanted) if f.name != "at"]
    places = len(names) < len(msgspec.structs.fields(wanted))
    required = [f.encode_name for f in names if f.required]
    table: dict[str, tuple[str, Reader, bool]] = {}

    def prepare() -> None:
        hints = typing.get_type_hints(wanted)
        table.update({f.encode_name: (f.name, reader(hints[f.name]), not f.required) for f in names})

    def read(node: yaml.Node, name: str) -> Any:
        if not table:
            prepare()
        if node.tag is not None:
            check_tag(node)
        if not isinstance(node, yaml.MappingNode):
            cure = "write its fields as 'key: value'"
            raise UnfitError(node, f"must be a mapping, not {_shape(node)}", cure=cure)
        return _fill(wanted, table, required, places, node, name)

    return read


def _fill(
    wanted: Any, table: dict[str, tuple[str, Reader, bool]], required: list[str], places: bool, node: yaml.MappingNode, name: str
) -> Any:
    """One struct from one mapping node."""
    given: dict[str, Any] = {}
    seen: dict[str, None] = {}
    for key, value in node.value:
        try:
            text = key_of(key, seen, name)
        except UnfitError as bad:
            raise _error(bad, "a key", name, "key", _label(wanted, node)) from None
        seen[text] = None
        entry = table.get(text)
        if entry is None:
            place = Place(name, key.start_mark.line + 1)
            raise UnknownName("key", text, list(table), place=place, of=_label(wanted, node))
        if entry[2] and is_null(value):
            continue
        try:
            given[entry[0]] = entry[1](value, name)
        except UnfitError as bad:
            raise _error(bad, f"'{text}'", name, text, _label(wanted, node)) from None
    if places:
        given["at"] = Place(name, node.start_mark.line + 1)
    try:
        return wanted(**given)
    except TypeError:
        missing = next((key for key in required if table[key][0] not in given), None)
        if missing is None:
            raise
        place = Place(name, node.start_mark.line + 1)
        raise InputError(f"{_label(wanted, node)} has no '{missing}'", place=place, cure=f"add '{missing}: ...'") from None


def _label(wanted: Any, node: yaml.MappingNode) -> str:
    """How errors call a struct: its kind or type, and its id or name where it has one."""
    said = {k.value: v.value for k, v in node.value if isinstance(k, yaml.ScalarNode) and isinstance(v, yaml.ScalarNode)}
    names = {f.encode_name for f in msgspec.structs.fields(wanted)}
    word = wanted.__name__.lower()
    kinds = typing.get_type_hints(wanted).get("kind")
    if isinstance(kinds, type) and issubclass(kinds, Enum) and said.get("kind") in {str(kind.value) for kind in kinds}:
        word = said["kind"]
    name = next((said[key] for key in ("id", "name") if key in names and said.get(key)), None)
    return f"{word} '{one_line(name, 80)}'" if name else word


def _error(bad: UnfitError, subject: str, name: str, key: str, owner: str) -> InputError:
    """The refusal of one value: `subject` is what is wrong, `key` what an enum's values are called, `owner` whose it is."""
    place = Place(name, bad.node.start_mark.line + 1)
    if bad.known is not None:
        return UnknownName(key, bad.what, bad.known, place=place, of=owner)
    of = f" of {owner}" if owner else ""
    return InputError(f"{subject}{of} {bad.what}", place=place, cure=bad.cure)
