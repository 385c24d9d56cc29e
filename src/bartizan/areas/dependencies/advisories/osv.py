"""One advisory as the Open Source Vulnerability format writes it (OSV schema 1.7), cut to what deciding needs."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from packaging.utils import canonicalize_name

from bartizan.model.errors import InputError, one_line

PYPI = "PyPI"


class Package(msgspec.Struct, frozen=True):
    """Whose advisory it is: an ecosystem (`PyPI`, `Debian:12`) and a name in it."""

    ecosystem: str
    name: str


class Range(msgspec.Struct, frozen=True):
    """Half-open intervals, written as events: `introduced`, `fixed`, `last_affected`, `limit`."""

    type: str
    events: tuple[dict[str, str], ...] = ()


class Affected(msgspec.Struct, frozen=True):
    """One package that an advisory is about: affected where a version is listed or lies in one of the ranges."""

    package: Package | None = None
    ranges: tuple[Range, ...] = ()
    versions: tuple[str, ...] = ()


class Rating(msgspec.Struct, frozen=True):
    """A severity as a vector, such as CVSS_V3."""

    type: str = ""
    score: str = ""


class Advisory(msgspec.Struct, frozen=True):
    """One advisory. `aliases` name the same weakness in other databases; a withdrawn one no longer counts."""

    id: str
    modified: str
    published: str = ""
    withdrawn: str | None = None
    aliases: tuple[str, ...] = ()
    summary: str = ""
    details: str = ""
    severity: tuple[Rating, ...] = ()
    affected: tuple[Affected, ...] = ()

    @property
    def title(self) -> str:
        """The summary, or the beginning of the details where there is none."""
        return one_line(self.summary or self.details, 160)


_DECODER = msgspec.json.Decoder(Advisory)


def parse(data: bytes, name: str) -> Advisory:
    """The advisory in `data`. Raises `InputError`, naming `name`, where it is none."""
    try:
        found = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"is no OSV advisory: {error}", place=name) from None
    return checked(found, name)


def convert(value: Any, name: str) -> Advisory:
    """The advisory that plain data, such as a YAML document, describes."""
    try:
        return checked(msgspec.convert(value, Advisory, strict=False), name)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(f"is no OSV advisory: {error}", place=name) from None


def checked(advisory: Advisory, name: str) -> Advisory:
    """`advisory` itself where its id and times can be used, else `InputError`."""
    if not advisory.id or len(advisory.id) > 200:
        raise InputError("has no usable id", place=name)
    moment(advisory.modified, name)
    return advisory


def moment(text: str, name: str) -> datetime:
    """The instant that RFC 3339 `text` names, in UTC. Raises `InputError`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"'{one_line(text, 40)}' is no time", place=name) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


@lru_cache(maxsize=65_536)
def normal_name(ecosystem: str, name: str) -> str:
    """The form under which names are compared: PEP 503 for PyPI, as written elsewhere."""
    return canonicalize_name(name) if ecosystem == PYPI else name
