"""Loading the catalogue: the shipped data files once for the process, a user's files on top, and what dangles in the whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from bartizan.catalog import files
from bartizan.catalog.catalogue import Catalog, Frameworks
from bartizan.catalog.files import Part
from bartizan.documents import Located
from bartizan.model.errors import InputError, Place
from bartizan.model.threats import ChecklistItem, Control, Crosswalk, Framework, Threat

DATA = Path(__file__).parent / "data"
"""Where the shipped data files lie."""

Named = TypeVar("Named", Threat, Control, Framework, Crosswalk, ChecklistItem)


def load(extra: Sequence[Path] = ()) -> Catalog:
    """The shipped catalogue, with the threats, controls, frameworks, crosswalks and checklist items of the files and folders `extra`.

    The shipped part is read once and shared. Every predicate of an added threat is checked here. Raises `InputError`, with file and
    line, for whatever in a file is not as the package's docstring says, and for an id that is taken.
    """
    shipped = _shipped()
    if not extra:
        return shipped
    paths = tuple(files.expand(extra))
    catalog = _merged(shipped, paths, tuple(files.read_any(path) for path in paths))
    for id in catalog.threats:
        if id not in shipped.threats:
            catalog.predicate(id)
    return catalog


def problems(catalog: Catalog) -> list[str]:
    """Every reference in the catalogue that leads nowhere, as a line each; empty for a sound one."""
    return [
        *_dangling(catalog, "threat", catalog.threats.values()),
        *_dangling(catalog, "control", catalog.controls.values()),
        *(line for framework in catalog.frameworks.values() for line in _dangling_in_framework(catalog, framework)),
        *(line for crosswalk in catalog.crosswalks for line in _dangling(catalog, f"link of {crosswalk.id}", crosswalk.links)),
        *_dangling(catalog, "checklist item", catalog.checklist),
    ]


@cache
def _shipped() -> Catalog:
    """What lies in `DATA`."""
    parts = [
        files.read_threats(path, f"catalog/{folder}/{path.name}")
        for folder in ("threats", "controls")
        for path in sorted((DATA / folder).glob("*.yaml"))
    ]
    crosswalks = tuple(sorted((DATA / "crosswalks").glob("*.yaml")))
    everything = sorted(p for p in DATA.rglob("*.yaml"))
    return Catalog(
        threats=_index("threat", (t for part in parts for t in part.threats)),
        controls=_index("control", (c for part in parts for c in part.controls)),
        frameworks=Frameworks({path.stem: path for path in sorted((DATA / "frameworks").glob("*.yaml"))}),
        aliases=_aliases(parts),
        origins=_origins(parts),
        sources=tuple((p.relative_to(DATA).as_posix(), p) for p in everything),
        read_crosswalks=lambda: tuple(files.read_crosswalk(p, f"catalog/crosswalks/{p.name}") for p in crosswalks),
        read_checklist=lambda: files.read_checklist(DATA / "checklist.yaml", "catalog/checklist.yaml"),
    )


def _merged(base: Catalog, paths: Sequence[Path], parts: Sequence[Part]) -> Catalog:
    """`base` and what the files at `paths` add to it."""
    frameworks = _index("framework", (f for part in parts for f in part.frameworks))
    for framework in frameworks.values():
        if framework.id in base.frameworks:
            raise _taken("framework", framework, base.frameworks[framework.id].at)
    crosswalks = tuple(c for part in parts for c in part.crosswalks)
    items = tuple(i for part in parts for i in part.checklist)
    if crosswalks:
        _index("crosswalk", (*base.crosswalks, *crosswalks))
    if items:
        _index("checklist item", (*base.checklist, *items))
    return Catalog(
        threats=_index("threat", (*base.threats.values(), *(t for part in parts for t in part.threats))),
        controls=_index("control", (*base.controls.values(), *(c for part in parts for c in part.controls))),
        frameworks=base.frameworks.with_more(frameworks),
        aliases=_aliases(parts, base),
        origins={**base.origins, **_origins(parts)},
        sources=(*base.sources, *((f"extra/{path.name}", path) for path in paths)),
        read_crosswalks=lambda: (*base.crosswalks, *crosswalks),
        read_checklist=lambda: (*base.checklist, *items),
    )


def _index(what: str, found: Iterable[Named]) -> Mapping[str, Named]:
    """`found` by id. Raises `InputError` where an id comes twice."""
    index: dict[str, Named] = {}
    for one in found:
        if one.id in index:
            raise _taken(what, one, index[one.id].at)
        index[one.id] = one
    return index


def _taken(what: str, one: Named, by: Place | None) -> InputError:
    return InputError(f"{what} '{one.id}' is already declared at {by}", place=one.at, cure="give it another id")


def _aliases(parts: Sequence[Part], base: Catalog | None = None) -> Mapping[str, str]:
    """Former ids of threats and controls, each with its successor. Raises `InputError` where one is still in use or given twice."""
    aliases = dict(base.aliases) if base else {}
    live: dict[str, Place | None] = {}
    if base:
        live = {one.id: one.at for one in _entries(base.threats.values(), base.controls.values())}
    added = [one for part in parts for one in _entries(part.threats, part.controls)]
    for one in added:
        if one.id in aliases:
            raise InputError(f"'{one.id}' is a former id of '{aliases[one.id]}'", place=one.at, cure="give it another id")
        live[one.id] = one.at
    for one in added:
        for alias in one.aliases:
            taken = f"in use at {live[alias]}" if alias in live else f"a former id of '{aliases[alias]}'" if alias in aliases else None
            if taken:
                raise InputError(f"alias '{alias}' of '{one.id}' is {taken}", place=one.at, cure="remove the alias")
            aliases[alias] = one.id
    return aliases


def _entries(threats: Iterable[Threat], controls: Iterable[Control]) -> Iterator[Threat | Control]:
    yield from threats
    yield from controls


def _origins(parts: Sequence[Part]) -> Mapping[str, tuple[Located, int]]:
    return {threat.id: (part.document, index) for part in parts for index, threat in enumerate(part.threats)}


def _dangling(catalog: Catalog, what: str, entries: Iterable[object]) -> Iterator[str]:
    """What the controls, clauses and references of these entries miss."""
    for entry in entries:
        where = f"{getattr(entry, 'at', None)}: {what} '{getattr(entry, 'id', '')}'"
        for control in getattr(entry, "controls", ()):
            if control not in catalog.controls and control not in catalog.aliases:
                yield f"{where}: unknown control '{control}'"
        for reference in (*getattr(entry, "refs", ()), *getattr(entry, "clauses", ())):
            try:
                catalog.reference(reference)
            except InputError as error:
                yield f"{where}: {error}"


def _dangling_in_framework(catalog: Catalog, framework: Framework) -> Iterator[str]:
    yield from _dangling(catalog, f"entry of {framework.id}", framework.clauses)
    targets = [(c.id, c.replaced_by) for c in framework.clauses if c.replaced_by] + list(framework.aliases.items())
    for id, target in targets:
        try:
            catalog.reference(f"{framework.id}:{target}")
        except InputError as error:
            yield f"{framework.at}: successor of '{id}': {error}"
