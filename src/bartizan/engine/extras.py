"""Optional installs: what an extra of a distribution names, and what of it is missing here. Nothing is imported."""

from __future__ import annotations

from functools import cache
from importlib import metadata


def command(distribution: str, extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install '{distribution}[{extra}]'"


def offered(distribution: str = "bartizan") -> dict[str, tuple[str, ...]]:
    """The extras of `distribution`, each with the distributions it asks for; empty where it is not installed."""
    try:
        names = metadata.metadata(distribution).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return {}
    return {name: libraries(distribution, name) for name in sorted(names)}


@cache
def libraries(distribution: str, extra: str) -> tuple[str, ...]:
    """The distributions that `extra` of `distribution` asks for on this platform, extras of extras resolved, sorted.

    Empty where the distribution is not installed or has no such extra.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        lines = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return ()
    found: set[str] = set()
    for line in lines:
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            continue
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}) or not wanted.marker.evaluate({"extra": extra}):
            continue
        if wanted.name.lower() == distribution.lower():
            for inner in wanted.extras - {extra}:
                found.update(libraries(distribution, inner))
        else:
            found.add(wanted.name)
    return tuple(sorted(found, key=str.lower))


def version(distribution: str) -> str | None:
    """The installed version of `distribution`, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def missing(distribution: str, extra: str | None) -> tuple[str, ...]:
    """The distributions of an extra that are not installed; empty where all are, or where no extra is asked for."""
    return tuple(name for name in libraries(distribution, extra) if version(name) is None) if extra else ()
