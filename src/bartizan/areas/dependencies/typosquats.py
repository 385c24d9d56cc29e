"""Names that look like a popular package's without being one: what a slip of the finger or of a language model installs.

A name is suspect where one slip turns it into one of the `TARGETS` most downloaded names: a letter left out, doubled, exchanged or swapped
with its neighbour (restricted Damerau-Levenshtein distance of one), look-alikes (0 for o, 1 for l), separators dropped or parts turned
round, `python-` or `py` put before or behind it. Names that are themselves among the 10,000 most downloaded are never suspect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from packaging.utils import canonicalize_name

TARGETS = 1_500
"""How many of the most downloaded names are worth imitating."""

SHORTEST = 5
"""Names below this length have too many honest neighbours for a distance of one."""

_LOOK = str.maketrans({"0": "o", "1": "l", "3": "e", "5": "s"})
_AFFIXES = ("python", "python3", "py", "py3", "lib")


@dataclass(frozen=True)
class Suspect:
    """`name` looks like the popular `target`; `how` says by what slip."""

    name: str
    target: str
    how: str


@cache
def popular() -> dict[str, int]:
    """The most downloaded names with their rank from 0."""
    text = files("bartizan.areas.dependencies").joinpath("data/popular_names.txt").read_text(encoding="utf-8")
    names = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {canonicalize_name(name): rank for rank, name in enumerate(names)}


@cache
def _slips() -> dict[str, tuple[str, str]]:
    """Every form that one slip makes of a target, by what is left of a name when the slip is undone; best rank first."""
    forms: dict[str, tuple[str, str]] = {}
    for name, rank in popular().items():
        if rank >= TARGETS:
            break
        for form, how in _shapes(name):
            forms.setdefault(form, (name, how))
    return forms


def _shapes(name: str) -> Iterator[tuple[str, str]]:
    """Forms of a target under which a name that differs more than by one letter would still be taken for it."""
    parts = name.split("-")
    if len(name) >= SHORTEST:
        yield "".join(parts), "the separators differ"
        yield name.translate(_LOOK), "look-alike characters"
    if len(parts) == 2:
        yield "-".join(reversed(parts)), "its parts are turned round"
    for affix in _AFFIXES:
        if parts[0] == affix and len(parts) > 1 and len(rest := "-".join(parts[1:])) >= SHORTEST:
            yield rest, f"without '{affix}-'"
        if len(name) >= SHORTEST:
            yield f"{affix}-{name}", f"'{affix}' put before it"
            yield f"{name}-{affix}", f"'{affix}' put behind it"
            yield f"{affix}{name}", f"'{affix}' put before it"


@cache
def _deletions() -> dict[str, tuple[str, ...]]:
    """Targets by each form with one character left out, so that neighbours at distance one are found without comparing all names."""
    found: dict[str, list[str]] = {}
    for name, rank in popular().items():
        if rank >= TARGETS:
            break
        if len(name) >= SHORTEST:
            for form in {name, *_shorter(name)}:
                found.setdefault(form, []).append(name)
    return {form: tuple(names) for form, names in found.items()}


def _shorter(name: str) -> Iterator[str]:
    return (name[:i] + name[i + 1 :] for i in range(len(name)))


def suspects(names: Iterable[str]) -> list[Suspect]:
    """Those of `names` that look like a popular package's, each with the most downloaded name that it resembles."""
    return [found for name in dict.fromkeys(map(canonicalize_name, names)) if (found := _suspect(name)) is not None]


def _suspect(name: str) -> Suspect | None:
    if name in popular() or len(name) < 3:
        return None
    for form in (name, "".join(name.split("-")), name.translate(_LOOK)):
        if form in _slips() and _slips()[form][0] != name:
            target, how = _slips()[form]
            return Suspect(name, target, how)
        if form in popular() and popular()[form] < TARGETS and len(form) >= SHORTEST:
            return Suspect(name, form, "the separators differ" if "-" in name else "look-alike characters")
    return _one_slip(name)


def _one_slip(name: str) -> Suspect | None:
    if len(name) < SHORTEST:
        return None
    near = {target for form in (name, *_shorter(name)) for target in _deletions().get(form, ()) if _distance_one(name, target)}
    if not near:
        return None
    target = min(near, key=lambda known: popular()[known])
    return Suspect(name, target, "one letter differs")


def _distance_one(one: str, other: str) -> bool:
    """Whether one insertion, deletion, substitution or swap of neighbours turns one text into the other."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    a, b = one[start:], other[start:]
    if len(one) == len(other):
        return a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
    return a[1:] == b if len(a) > len(b) else a == b[1:]
