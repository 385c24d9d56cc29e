"""Which packages are known to be vulnerable: packages and advisories to matches, one per weakness and package."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bartizan.areas.dependencies.advisories.osv import PYPI, Advisory, normal_name
from bartizan.areas.dependencies.advisories.versions import Status, Unreadable, comparison, fixed_versions, status

if TYPE_CHECKING:
    from bartizan.areas.dependencies.advisories.database import Database
    from bartizan.areas.dependencies.inventory import Installed


MAX_STEPS = 50
"""Most candidates that are tried in search of a version without weaknesses."""


@dataclass(frozen=True)
class Match:
    """One weakness of one package. `ids` are its names in all databases, the advisory's own first; `fixed` the versions that repair it."""

    package: Installed
    ids: tuple[str, ...]
    title: str
    status: Status
    fixed: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()
    why: str = ""


def matches(packages: Iterable[Installed], database: Database) -> list[Match]:
    """The weaknesses that `database` knows of `packages`, and where it cannot be said.

    A package without a version is unknown for every advisory of its name, as one match that says how many there are.
    """
    wanted: dict[str, list[Installed]] = {}
    for package in packages:
        wanted.setdefault(normal_name(package.ecosystem, package.name), []).append(package)
    found: dict[str, list[Advisory]] = {}
    for name, advisory in database.of(sorted(wanted)):
        found.setdefault(name, []).append(advisory)
    return [match for name in sorted(wanted) for package in wanted[name] for match in _of_package(package, found.get(name, []))]


def _of_package(package: Installed, advisories: Sequence[Advisory]) -> list[Match]:
    if not advisories:
        return []
    if package.version is None:
        return [_unknown(package, advisories, "no version is named")]
    try:
        comparison(package.ecosystem, package.version)
    except Unreadable:
        listed = [m for a in advisories if (m := _judged(package, a)) is not None and m.status is Status.AFFECTED]
        return [*_merged(listed), _unknown(package, advisories, f"version '{package.version}' cannot be compared")]
    return _merged([m for a in advisories if (m := _judged(package, a)) is not None])


def _unknown(package: Installed, advisories: Sequence[Advisory], why: str) -> Match:
    ids = tuple(a.id for a in advisories[:5])
    more = f", and {len(advisories) - 5} more" if len(advisories) > 5 else ""
    text = f"{why}, and {len(advisories)} advisories speak of {package.name}: {', '.join(ids)}{more}"
    return Match(package, ids, "cannot be judged", Status.UNKNOWN, why=text)


def _judged(package: Installed, advisory: Advisory) -> Match | None:
    """What `advisory` means for `package`; None where it is not affected."""
    assert package.version is not None
    name = normal_name(package.ecosystem, package.name)
    entries = [
        entry
        for entry in advisory.affected
        if entry.package is not None
        and normal_name(entry.package.ecosystem, entry.package.name) == name
        and (package.ecosystem == PYPI or entry.package.ecosystem == package.ecosystem)
    ]
    answers = [status(entry, package.ecosystem, package.version) for entry in entries]
    if Status.AFFECTED not in answers and Status.UNKNOWN not in answers:
        return None
    verdict = Status.AFFECTED if Status.AFFECTED in answers else Status.UNKNOWN
    fixed = tuple(dict.fromkeys(v for entry in entries for v in fixed_versions(entry, package.ecosystem, package.version or "")))
    why = "" if verdict is Status.AFFECTED else "the advisory names no range that versions can be compared with"
    vectors = tuple(rating.score for rating in advisory.severity)
    return Match(package, (advisory.id, *advisory.aliases), advisory.title, verdict, fixed, vectors, why)


def _merged(found: Sequence[Match]) -> list[Match]:
    """One match per weakness: advisories that share a name, directly or through others, are the same; affected outranks unknown."""
    group_of: dict[str, int] = {}
    groups: dict[int, list[Match]] = {}
    for number, match in enumerate(found):
        touched = sorted({group_of[id] for id in match.ids if id in group_of})
        joined = [m for group in touched for m in groups.pop(group)] + [match]
        groups[number] = joined
        group_of.update({id: number for m in joined for id in m.ids})
    return [_one(members) for members in groups.values()]


def _one(members: Sequence[Match]) -> Match:
    first = min(members, key=lambda m: m.status is not Status.AFFECTED)
    return Match(
        first.package,
        tuple(dict.fromkeys(id for m in (first, *members) for id in m.ids)),
        next((m.title for m in (first, *members) if m.title), ""),
        first.status,
        tuple(dict.fromkeys(v for m in members if m.status is first.status for v in m.fixed)),
        tuple(dict.fromkeys(v for m in members for v in m.vectors)),
        first.why,
    )


def upgrades(found: Iterable[Match], database: Database) -> dict[str, str | None]:
    """Per affected package the lowest version above its own that no advisory speaks of; None where there is no such repair.

    What repairs one weakness may have others, and may lie above the last version with a third: each candidate is matched again, until
    one has none.
    """
    of: dict[str, list[Match]] = {}
    for match in found:
        if match.status is Status.AFFECTED:
            of.setdefault(match.package.name, []).append(match)
    return {name: _upgrade(known, database) for name, known in of.items()}


def _upgrade(known: Sequence[Match], database: Database) -> str | None:
    package = known[0].package
    for _ in range(MAX_STEPS):
        lowest = [_lowest(match.fixed, package.ecosystem) for match in known]
        repaired = [version for version in lowest if version is not None]
        if not repaired:
            return None
        candidate = _highest(repaired, package.ecosystem)
        known = [m for m in matches([replace(package, version=candidate)], database) if m.status is Status.AFFECTED]
        if not known:
            return candidate
    return None


def _lowest(versions: Sequence[str], ecosystem: str) -> str | None:
    best: str | None = None
    for version in versions:
        if best is None or comparison(ecosystem, version)(best) < 0:
            best = version
    return best


def _highest(versions: Sequence[str], ecosystem: str) -> str:
    best = versions[0]
    for version in versions[1:]:
        if comparison(ecosystem, version)(best) > 0:
            best = version
    return best
