"""Does a version lie in an advisory's ranges: yes, no, or it cannot be said (PEP 440; OSV schema, 'Evaluation').

An advisory compares with releases: the local part of an installed version (`2.4.0+cpu`) is left out unless the advisory itself writes
one, else `2.4.0+cpu` would count as later than a last affected `2.4.0`. Distribution packages (Debian, Alpine) are compared by `univers`
where it is installed; elsewhere they are unknown.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable
from enum import Enum
from functools import lru_cache
from typing import Any

from packaging.utils import canonicalize_version
from packaging.version import InvalidVersion, Version

from bartizan.areas.dependencies.advisories.osv import PYPI, Affected, Range

LONGEST = 200
"""Most characters of a version that are parsed."""


_RELEASE = re.compile(r"\s*[vV]?((?:\d+!)?\d+(?:\.\d+)*)[-_.+ ][A-Za-z]")


_BEGINNING = ("introduced", "0")
"""The event that lies below every version, even `0a1` (OSV schema, 'introduced')."""


class Status(Enum):
    """What an advisory means for a version."""

    AFFECTED = "affected"
    NOT_AFFECTED = "not affected"
    UNKNOWN = "unknown"


class Unreadable(ValueError):
    """A version that its ecosystem's rules cannot read."""


@lru_cache(maxsize=262_144)
def _version(text: str) -> Version:
    if len(text) > LONGEST:
        raise Unreadable(text[:40])
    try:
        return Version(text)
    except InvalidVersion:
        raise Unreadable(text) from None


@lru_cache(maxsize=262_144)
def canonical(ecosystem: str, text: str) -> str:
    """One spelling for equal versions (`1.0` and `1.0.0`); what cannot be read stays as it is."""
    if ecosystem != PYPI or len(text) > LONGEST:
        return text
    try:
        return canonicalize_version(_version(text))
    except Unreadable:
        return text


@lru_cache(maxsize=65_536)
def _bound(text: str) -> tuple[Version, bool]:
    """A version that an advisory names, and whether it was read whole. Of one such as `2.6.0-NA` the release at least can be told."""
    try:
        return _version(text), True
    except Unreadable:
        release = _RELEASE.match(text) if len(text) <= LONGEST else None
        if release is None:
            raise
        return Version(release[1]), False


def _release(version: Version) -> tuple[int, ...]:
    numbers = [version.epoch, *version.release]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _pypi(installed: str) -> Callable[[str], int]:
    """Compares `installed` with a version of an advisory: below, at or above zero.

    Where only the release of that version can be read, it decides if the releases differ; if they are the same nothing can be said.
    """
    whole = _version(installed)
    public = Version(whole.public)

    def compare(other: str) -> int:
        bound, exact = _bound(other)
        if not exact and _release(bound) == _release(public):
            raise Unreadable(other)
        own = whole if bound.local else public
        return (own > bound) - (own < bound)

    return compare


def _distribution(kind: str, installed: str) -> Callable[[str], int]:
    """The comparison of Debian's or Alpine's versions."""
    try:
        classes = importlib.import_module("univers.versions")
    except ImportError:
        raise Unreadable(installed) from None
    type_of: Any = classes.DebianVersion if kind == "Debian" else classes.AlpineLinuxVersion

    def read(text: str) -> Any:
        try:
            return type_of(text)
        except (ValueError, TypeError) as error:  # univers' InvalidVersion is a ValueError
            raise Unreadable(text) from error

    own = read(installed)

    def compare(other: str) -> int:
        bound = read(other)
        return int(own > bound) - int(own < bound)

    return compare


def comparison(ecosystem: str, installed: str) -> Callable[[str], int]:
    """How `installed` compares with others of its ecosystem. Raises `Unreadable`."""
    kind = ecosystem.partition(":")[0]
    if kind == PYPI:
        return _pypi(installed)
    if kind in ("Debian", "Alpine"):
        return _distribution(kind, installed)
    raise Unreadable(installed)


def status(affected: Affected, ecosystem: str, installed: str) -> Status:
    """What one entry of an advisory means for the version `installed`.

    Listed versions decide alone; a range is read by its events in ascending order. Where a range cannot be read, or there is neither a
    list nor a range that versions can be compared with, the answer is unknown.
    """
    if {canonical(ecosystem, installed), canonical(ecosystem, installed.partition("+")[0])} & set(affected.versions):
        return Status.AFFECTED
    ranges = [found for found in affected.ranges if found.type != "GIT"]
    if not ranges:
        return Status.NOT_AFFECTED if affected.versions and _readable(ecosystem, installed) else Status.UNKNOWN
    try:
        compare = comparison(ecosystem, installed)
    except Unreadable:
        return Status.UNKNOWN
    answers = [_within(found, ecosystem, compare) for found in ranges]
    if Status.AFFECTED in answers:
        return Status.AFFECTED
    return Status.UNKNOWN if Status.UNKNOWN in answers else Status.NOT_AFFECTED


def _readable(ecosystem: str, installed: str) -> bool:
    try:
        comparison(ecosystem, installed)
    except Unreadable:
        return False
    return True


def _within(found: Range, ecosystem: str, compare: Callable[[str], int]) -> Status:
    """Whether the version lies in one range."""
    try:
        events = [(kind, bound) for event in found.events for kind, bound in event.items()]
        limits = [bound for kind, bound in events if kind == "limit" and bound != "*"]
        if limits and all(compare(bound) >= 0 for bound in limits):
            return Status.NOT_AFFECTED
        if not any(kind == "introduced" for kind, _ in events):
            return Status.UNKNOWN
        return Status.AFFECTED if _last(_passed(events, compare), ecosystem) == "introduced" else Status.NOT_AFFECTED
    except Unreadable:
        return Status.UNKNOWN


def _passed(events: Iterable[tuple[str, str]], compare: Callable[[str], int]) -> list[tuple[str, str]]:
    """The events that lie behind the version."""
    passed = []
    for kind, bound in events:
        if kind == "limit":
            continue
        distance = 1 if (kind, bound) == _BEGINNING else compare(bound)
        if (kind in ("introduced", "fixed") and distance >= 0) or (kind == "last_affected" and distance > 0):
            passed.append((kind, bound))
    return passed


def _last(passed: list[tuple[str, str]], ecosystem: str) -> str:
    """The kind of the highest event, whatever order they are written in; at one version an end outranks a beginning."""
    best = _BEGINNING
    for event in passed:
        order = (event != _BEGINNING) - (best != _BEGINNING)
        order = order if _BEGINNING in (event, best) else _order(ecosystem, event[1], best[1])
        if order > 0 or (order == 0 and event[0] != "introduced"):
            best = event
    return best[0] if passed else ""


def _order(ecosystem: str, one: str, other: str) -> int:
    """Order of two versions of an advisory."""
    if ecosystem == PYPI:
        a, b = _bound(one)[0], _bound(other)[0]
        return (a > b) - (a < b)
    return comparison(ecosystem, one)(other)


def fixed_versions(affected: Affected, ecosystem: str, installed: str) -> tuple[str, ...]:
    """The versions above `installed` in which the weakness was repaired, as the advisory writes them."""
    try:
        compare = comparison(ecosystem, installed)
        return tuple(
            bound
            for found in affected.ranges
            if found.type != "GIT"
            for event in found.events
            if (bound := event.get("fixed")) is not None and compare(bound) < 0
        )
    except Unreadable:
        return ()
