"""Packages judged by current advisories: what is vulnerable, what cannot be said, what is excused and why, what to install instead.

Nothing passes for want of knowledge: without advisories, or with ones that are too old, there is an error; a package whose version or
ecosystem cannot be judged is listed as such and keeps the result from being clean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bartizan.areas.dependencies.advisories.database import MAX_AGE, About, Database, NoAdvisories
from bartizan.areas.dependencies.advisories.matching import Match, matches, upgrades
from bartizan.areas.dependencies.advisories.versions import Status
from bartizan.areas.dependencies.inventory import Installed
from bartizan.areas.dependencies.reachability import Imports
from bartizan.areas.dependencies.typosquats import Suspect, suspects
from bartizan.areas.dependencies.vex import Statement, excused


@dataclass(frozen=True)
class Judged:
    """What was found. `vulnerable` and `unknown` hold one match per weakness and package; `unjudged` counts packages per ecosystem without
    advisories; `aged` says why nothing may pass although nothing was found; `imported` per vulnerable package: yes, no, cannot be said."""

    packages: tuple[Installed, ...]
    vulnerable: tuple[Match, ...]
    unknown: tuple[Match, ...]
    excused: tuple[tuple[Match, Statement], ...]
    unjudged: Mapping[str, int]
    suspects: tuple[Suspect, ...]
    about: tuple[About, ...]
    aged: NoAdvisories | None = None
    upgrades: Mapping[str, str | None] = field(default_factory=dict)
    imported: Mapping[str, bool | None] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether everything was judged, by current advisories, and nothing was found."""
        return not (self.vulnerable or self.unknown or self.unjudged or self.suspects or self.aged)


def judge(
    packages: Sequence[Installed],
    *,
    base: Path | None = None,
    max_age: timedelta = MAX_AGE,
    statements: Sequence[Statement] = (),
    imports: Imports | None = None,
    known_names: Iterable[str] = (),
    now: datetime | None = None,
) -> Judged:
    """Judge `packages` by the advisories kept in `base` (the user's folder by default).

    `statements` excuse weaknesses (VEX), `imports` says what the serving code imports, `known_names` are packages whose likeness to a
    popular name is intended. Raises `NoAdvisories` where there are none for any of the packages.
    """
    kinds = sorted({package.ecosystem.partition(":")[0] for package in packages})
    found: list[Match] = []
    about: list[About] = []
    unjudged: dict[str, int] = {}
    better: dict[str, str | None] = {}
    aged: NoAdvisories | None = None
    missing: NoAdvisories | None = None
    for kind in kinds:
        own = [package for package in packages if package.ecosystem.partition(":")[0] == kind]
        try:
            database = Database(kind, base)
        except NoAdvisories as error:
            missing, unjudged[kind] = error, len(own)
            continue
        with database:
            about.append(database.about)
            try:
                database.demand_current(max_age, now or datetime.now(UTC))
            except NoAdvisories as error:
                aged = error
            here = matches(own, database)
            better |= upgrades(here, database)
            found += here
    if missing is not None and not about:
        raise missing
    kept, gone = excused(found, statements)
    vulnerable = tuple(match for match in kept if match.status is Status.AFFECTED)
    allowed = set(known_names)
    return Judged(
        packages=tuple(packages),
        vulnerable=vulnerable,
        unknown=tuple(match for match in kept if match.status is Status.UNKNOWN),
        excused=tuple(gone),
        unjudged=unjudged,
        suspects=tuple(s for s in suspects(p.name for p in packages if p.ecosystem == "PyPI") if s.name not in allowed),
        about=tuple(about),
        aged=aged,
        upgrades=better,
        imported={m.package.name: imports.reaches(m.package.name)[0] for m in vulnerable} if imports is not None else {},
    )
