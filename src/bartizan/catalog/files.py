"""Reading one file of the catalogue: which shape it has, and its threats, controls, framework, crosswalk or checklist items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from bartizan import documents
from bartizan.documents import Located
from bartizan.model.errors import InputError, UnknownName
from bartizan.model.threats import ChecklistItem, Control, Crosswalk, Framework, Threat

SUFFIXES = (".yaml", ".yml", ".json")
"""Which files of a folder belong to a catalogue (JSON is YAML)."""
SHAPES = ("threats", "controls", "clauses", "links", "items")
"""The keys that tell what a file holds."""


class ThreatFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file with threats, controls or both; `family` is that of every threat that names none."""

    family: str | None = None
    threats: tuple[Threat, ...] = ()
    controls: tuple[Control, ...] = ()


class ChecklistFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file with items of the implementation checklist."""

    items: tuple[ChecklistItem, ...]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one file contributes. `document` gives the lines of the predicates in it."""

    document: Located
    threats: tuple[Threat, ...] = ()
    controls: tuple[Control, ...] = ()
    frameworks: tuple[Framework, ...] = ()
    crosswalks: tuple[Crosswalk, ...] = ()
    checklist: tuple[ChecklistItem, ...] = ()


def read_threats(path: Path, name: str) -> Part:
    """The threats and controls of one file. Raises `InputError`."""
    return _threats(documents.read(path, name=name))


def read_framework(path: Path, name: str) -> Framework:
    """The framework in one file. Raises `InputError`."""
    return documents.convert(documents.read(path, name=name), Framework)


def read_crosswalk(path: Path, name: str) -> Crosswalk:
    """The crosswalk in one file. Raises `InputError`."""
    return documents.convert(documents.read(path, name=name), Crosswalk)


def read_checklist(path: Path, name: str) -> tuple[ChecklistItem, ...]:
    """The checklist items in one file. Raises `InputError`."""
    return documents.convert(documents.read(path, name=name), ChecklistFile).items


def read_any(path: Path) -> Part:
    """The contribution of a user's file of any shape. Raises `InputError` where no key says which shape it has."""
    document = documents.read(path)
    shapes = {key for key in SHAPES if document.node((key,)) is not None}
    if "clauses" in shapes:
        return Part(document=document, frameworks=(documents.convert(document, Framework),))
    if "links" in shapes:
        return Part(document=document, crosswalks=(documents.convert(document, Crosswalk),))
    if "items" in shapes:
        return Part(document=document, checklist=documents.convert(document, ChecklistFile).items)
    if shapes:
        return _threats(document)
    first = next(iter(document.value), "")
    raise UnknownName("key of a catalogue file", str(first), SHAPES, place=document.place((first,)))


def expand(paths: Iterable[Path]) -> Iterator[Path]:
    """The files at `paths`: a folder stands for all catalogue files below it, in the order of their names. Raises `InputError`."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
        if not found:
            raise InputError("no catalogue file in this folder", place=str(path), cure=f"expected a file ending in {' or '.join(SUFFIXES)}")
        yield from found


def _threats(document: Located) -> Part:
    file = documents.convert(document, ThreatFile)
    threats = []
    for threat in file.threats:
        family = threat.family or file.family
        if not family:
            cure = "add 'family: ...' to it, or once at the top of the file"
            raise InputError(f"threat '{threat.id}' has no 'family'", place=threat.at, cure=cure)
        threats.append(threat if threat.family else msgspec.structs.replace(threat, family=family))
    return Part(document=document, threats=tuple(threats), controls=file.controls)
