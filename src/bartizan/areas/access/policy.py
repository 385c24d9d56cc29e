"""The policy of a data set: who there is, what for, what its columns are, and the rules in Cedar, in one YAML file.

    access: 1
    name: loans
    purposes: [training, billing]
    roles: {staff: [], scientist: [staff]}
    principals:
      alice: {roles: [scientist], attributes: {region: north}}
    columns:
      amount: {tags: [feature]}
      zip: {tags: [quasi], mask: prefix, keep: 2}
    retention: {column: created, days: 365}
    smallest_group: 10
    policies: |
      permit (principal in Role::"scientist", action == Action::"read", resource in Tag::"feature")
      when { context.purpose == Purpose::"training" };

What nobody permits is denied. Whether the rules hold together with the data is judged in `cedar`.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from bartizan.areas.access.retention import Expiry
from bartizan.documents import convert, parse
from bartizan.model.errors import InputError, Place, UnknownName, one_line

FORMAT = 1

LARGEST = 1 << 20
"""Bytes of a policy file."""

LONGEST_PREFIX, WIDEST, LARGEST_GROUP = 1000, 1e15, 10**9

SUFFIX = ".access.yaml"
"""Where a policy is looked for: beside the data, under its name and this."""


class Mask(StrEnum):
    """What stands in place of a value: nothing, a fixed text, a keyed hash (one value, one hash, in one column under one key), the first
    characters, the year of a date, or the lower end of an interval of equal width."""

    EMPTY = "empty"
    CONSTANT = "constant"
    KEYED = "keyed"
    PREFIX = "prefix"
    YEAR = "year"
    BUCKET = "bucket"


class Type(StrEnum):
    """What the cells of a text file (csv) are read as; a cell that does not fit reads as empty. Other formats say it themselves."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column: its tags, and its mask where it may be seen masked (`keep` characters, `width` of a bucket, `value` of a constant)."""

    tags: tuple[str, ...] = ()
    mask: Mask = Mask.EMPTY
    type: Type = Type.TEXT
    keep: int = 1
    width: float | None = None
    value: str = "-"
    at: Place | None = None


class Principal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody, or a program, who reads. `attributes` are texts, whole numbers, true or false, or lists of texts."""

    roles: tuple[str, ...] = ()
    attributes: dict[str, Any] = {}
    at: Place | None = None


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"format": "access"}):
    """Who may read what for which purpose. `digest` is the SHA-256 (hex) of the file, `first` where the text of `policies` begins."""

    format: int
    name: str
    policies: str
    purposes: tuple[str, ...]
    principals: dict[str, Principal]
    roles: dict[str, tuple[str, ...]] = {}
    columns: dict[str, Column] = {}
    retention: Expiry | None = None
    smallest_group: int = 10
    at: Place | None = None
    digest: str = ""
    first: Place = Place("policy")

    def principal(self, name: str) -> Principal:
        """The principal of this name. Raises `UnknownName` with the nearest."""
        if name not in self.principals:
            raise UnknownName("principal", name, list(self.principals), of=f"policy '{self.name}'")
        return self.principals[name]

    def purpose(self, name: str) -> str:
        """The purpose of this name. Raises `UnknownName` with the nearest."""
        if name not in self.purposes:
            raise UnknownName("purpose", name, list(self.purposes), of=f"policy '{self.name}'")
        return name

    @property
    def tags(self) -> frozenset[str]:
        return frozenset(tag for column in self.columns.values() for tag in column.tags)


def load(path: Path) -> Policy:
    """The policy in the file `path`. Raises `InputError` with the line for what is none, or contradicts itself."""
    try:
        if path.exists() and not path.is_file():
            raise InputError("is no plain file", place=str(path), cure="give the policy of the data")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", place=str(path), cure="give the policy of the data") from None
    except UnicodeDecodeError:
        raise InputError("is no text in UTF-8", place=str(path)) from None
    if len(data) > LARGEST:
        raise InputError(f"is larger than {LARGEST} bytes", place=str(path))
    located = parse(text, str(path))
    found = convert(located, Policy)
    place = located.place(("policies",))
    policy = msgspec.structs.replace(found, digest=hashlib.sha256(data).hexdigest(), first=Place(str(path), place.line + 1))
    if policy.format != FORMAT:
        raise InputError(f"is a policy of format {policy.format}", place=located.place(("access",)), cure=f"this version reads {FORMAT}")
    _check_names(policy, str(path))
    for name, column in policy.columns.items():
        _check_column(name, column)
    return policy


def _check_names(policy: Policy, file: str) -> None:
    place = policy.at or Place(file)
    if not policy.name.isidentifier():
        raise InputError(f"'{one_line(policy.name, 60)}' is no name for a table", place=place, cure="letters, digits and _ alone")
    if not 2 <= policy.smallest_group <= LARGEST_GROUP:
        raise InputError("a group of one is one person, and the largest is a billion", place=place, cure="smallest_group: 10")
    for role, above in policy.roles.items():
        for name in above:
            if name not in policy.roles:
                raise UnknownName("role", name, list(policy.roles), of=f"role '{role}'", place=place)
    for name in policy.roles:
        if name in ancestors(policy.roles, policy.roles[name]):
            raise InputError(f"role '{name}' is above itself", place=place)
    for who, principal in policy.principals.items():
        for name in principal.roles:
            if name not in policy.roles:
                raise UnknownName("role", name, list(policy.roles), of=f"principal '{who}'", place=principal.at)
        for attribute, value in principal.attributes.items():
            if not _is_attribute(value):
                cure = "give a text, a whole number, true, false or a list of texts"
                raise InputError(f"attribute '{one_line(attribute, 60)}' of '{who}' is none of these", place=principal.at, cure=cure)


def _is_attribute(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(one, str) for one in value)
    return isinstance(value, str | bool) or (isinstance(value, int) and -(2**63) <= value < 2**63)


def _check_column(name: str, column: Column) -> None:
    shown = one_line(name, 80)
    if column.mask is Mask.PREFIX and not 1 <= column.keep <= LONGEST_PREFIX:
        cure = f"1 to {LONGEST_PREFIX}, or mask: empty, which shows nothing"
        raise InputError(f"column '{shown}': a prefix of {column.keep} characters", place=column.at, cure=cure)
    if column.mask is Mask.BUCKET and not (column.width is not None and 0 < column.width <= WIDEST):
        raise InputError(f"column '{shown}': a bucket without a width", place=column.at, cure="width: 1000")


def ancestors(roles: dict[str, tuple[str, ...]], start: tuple[str, ...]) -> frozenset[str]:
    """`start` and all roles above them."""
    found: set[str] = set()
    open_ones = list(start)
    while open_ones:
        name = open_ones.pop()
        if name not in found:
            found.add(name)
            open_ones.extend(roles.get(name, ()))
    return frozenset(found)


def beside(data: Path) -> Path:
    """Where the policy of `data` is looked for when none is named."""
    return data.with_name(data.name + SUFFIX)
