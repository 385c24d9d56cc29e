"""One declared dependency and how firmly it is tied to one artefact."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from bartizan.model.errors import Place, one_line

MAX_LINE = 16_384
"""Longest requirement, in characters, that is parsed."""

STRONG_HASH = re.compile(r"(?:sha256[:=][0-9a-fA-F]{64}|sha384[:=][0-9a-fA-F]{96}|sha512[:=][0-9a-fA-F]{128})(?![0-9a-fA-F])")
_COMMIT = re.compile(r"@[0-9a-f]{40}(?:[0-9a-f]{24})?(?=[#?]|$)")


class Hold(StrEnum):
    """How firmly a dependency is tied: to one artefact, to one version, to nothing; `local` is code of this project."""

    HASHED = "hashed"
    PINNED = "pinned"
    LOOSE = "loose"
    LOCAL = "local"


@dataclass(frozen=True)
class Dependency:
    """One line of a requirements file or one package of a lock. `why` says what is missing, `version` is the one version it names."""

    name: str
    hold: Hold
    place: Place
    why: str = ""
    version: str | None = None


def hold_of(text: str, hashes: int, place: Place, constraints: dict[str, Dependency] | None = None) -> Dependency:
    """The dependency that the requirement specifier `text` (PEP 508) declares; `hashes` is how many strong hashes stand beside it.

    A version named by `constraints` counts as if it stood here.
    """
    try:
        if len(text) > MAX_LINE:
            raise InvalidRequirement("line too long")
        requirement = Requirement(text)
    except (InvalidRequirement, RecursionError):
        return Dependency(one_line(text, 60), Hold.LOOSE, place, "cannot be read as a requirement")
    name = canonicalize_name(requirement.name)
    if requirement.url:
        return _from_url(name, requirement.url, hashes, place)
    pins = [s for s in requirement.specifier if s.operator in ("==", "===") and not s.version.endswith(".*")]
    if pins:
        return _pinned(name, pins[0].version, hashes, place)
    constrained = (constraints or {}).get(name)
    if constrained is not None and constrained.hold is not Hold.LOOSE:
        return Dependency(name, Hold.HASHED if hashes else constrained.hold, place, constrained.why, constrained.version)
    asked = str(requirement.specifier)
    return Dependency(name, Hold.LOOSE, place, f"accepts {asked}" if asked else "accepts any version")


def _pinned(name: str, version: str, hashes: int, place: Place) -> Dependency:
    return Dependency(name, Hold.HASHED, place, "", version) if hashes else Dependency(name, Hold.PINNED, place, "has no hash", version)


def _from_url(name: str, url: str, hashes: int, place: Place) -> Dependency:
    """A direct reference: firm where it names a hash or a full commit."""
    if url.startswith(("file:", ".", "/")):
        return Dependency(name, Hold.LOCAL, place)
    if hashes or STRONG_HASH.search(url.partition("#")[2]):
        return Dependency(name, Hold.HASHED, place)
    if re.match(r"(?:git|hg|bzr|svn)\+", url):
        path = url.partition("#")[0]
        if _COMMIT.search(path):
            return Dependency(name, Hold.HASHED, place)
        return Dependency(name, Hold.LOOSE, place, "follows a branch or tag, not a commit")
    return Dependency(name, Hold.LOOSE, place, "whatever the address serves is taken")
