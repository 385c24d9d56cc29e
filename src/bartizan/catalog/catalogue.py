"""The loaded catalogue: every look-up in it, by id, by former id, by reference, and the predicates of its threats."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from bartizan.catalog import files, predicates
from bartizan.documents import Located
from bartizan.model.errors import InputError, UnknownName
from bartizan.model.threats import ChecklistItem, Clause, Control, Crosswalk, Framework, Reference, Threat


class Frameworks(Mapping[str, Framework]):
    """Frameworks by id, each read from its file when it is first asked for."""

    def __init__(self, unread: Mapping[str, Path], read: Mapping[str, Framework] = MappingProxyType({})) -> None:
        self._unread = dict(unread)
        self._read = dict(read)
        self._ids = tuple(sorted({*unread, *read}))

    def __getitem__(self, id: str) -> Framework:
        if id not in self._read:
            name = f"catalog/frameworks/{id}.yaml"
            framework = files.read_framework(self._unread[id], name)
            if framework.id != id:
                raise InputError(f"framework '{framework.id}' stands in the file of '{id}'", place=name)
            self._read[id] = framework
        return self._read[id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def with_more(self, more: Mapping[str, Framework]) -> Frameworks:
        """These and `more`; what has been read stays read."""
        return Frameworks(self._unread, {**self._read, **more})


@dataclass(frozen=True, eq=False)
class Catalog:
    """Threats, controls, frameworks, crosswalks and the checklist, as loaded from data files.

    `origins` gives for each threat the document that it was read from and its index there; `sources` are the files, by the
    name under which they count in `digest`. The crosswalks and the checklist are read when first asked for.
    """

    threats: Mapping[str, Threat]
    controls: Mapping[str, Control]
    frameworks: Frameworks
    aliases: Mapping[str, str]
    origins: Mapping[str, tuple[Located, int]]
    sources: tuple[tuple[str, Path], ...]
    read_crosswalks: Callable[[], tuple[Crosswalk, ...]]
    read_checklist: Callable[[], tuple[ChecklistItem, ...]]
    _predicates: dict[str, predicates.Predicate] = field(default_factory=dict)

    def threat(self, id: str) -> Threat:
        """The threat with this id, or with this former id. Raises `UnknownName`."""
        found = self.threats.get(id) or self.threats.get(self.aliases.get(id, ""))
        if found is None:
            raise UnknownName("threat", id, tuple(self.threats))
        return found

    def control(self, id: str) -> Control:
        """The control with this id, or with this former id. Raises `UnknownName`."""
        found = self.controls.get(id) or self.controls.get(self.aliases.get(id, ""))
        if found is None:
            raise UnknownName("control", id, tuple(self.controls))
        return found

    def predicate(self, id: str) -> predicates.Predicate:
        """When the threat with this id applies, compiled once. Raises `InputError` with the line of what is wrong in it."""
        if id not in self._predicates:
            threat = self.threat(id)
            document, index = self.origins[threat.id]
            self._predicates[id] = predicates.compile(
                threat.when, threat.against, lambda path: document.place(("threats", index, "when", *path))
            )
        return self._predicates[id]

    def reference(self, text: str) -> tuple[Framework, Clause]:
        """The entry that `framework:id` or `framework:id@version` refers to; a retired entry gives its successor where it has one.

        An id of an earlier version (`owasp-llm:LLM05@2025`) is looked up among the framework's aliases. Raises `InputError` for a text of
        another shape, `UnknownName` for a framework, version or entry that the catalogue lacks.
        """
        parts = reference_of(text)
        if not parts.framework or not parts.id:
            raise InputError(f"'{text}' is no reference", cure="write framework:id or framework:id@version")
        if parts.framework not in self.frameworks:
            raise UnknownName("framework", parts.framework, tuple(self.frameworks))
        framework, id = self.frameworks[parts.framework], parts.id
        if parts.version not in ("", framework.version):
            former = f"{id}@{parts.version}"
            if former not in framework.aliases:
                known = (framework.version, *(alias.partition("@")[2] for alias in framework.aliases if "@" in alias))
                if parts.version in known:
                    raise UnknownName(f"entry of {framework.id}", former, tuple(framework.aliases))
                raise UnknownName(f"version of {framework.id}", parts.version, tuple(dict.fromkeys(known)))
            id = framework.aliases[former]
        return framework, self._successor(framework, id)

    def _successor(self, framework: Framework, id: str) -> Clause:
        """The entry with this id, or the one that stands in its place today."""
        clauses = self._clauses(framework)
        seen = set()
        while id not in seen:
            seen.add(id)
            clause = clauses.get(id) or clauses.get(framework.aliases.get(id, ""))
            if clause is None:
                raise UnknownName(f"entry of {framework.id}", id, tuple(clauses))
            if clause.replaced_by is None:
                return clause
            id = clause.replaced_by
        raise InputError(f"'{id}' of {framework.id} is replaced by itself", place=framework.at)

    def _clauses(self, framework: Framework) -> Mapping[str, Clause]:
        if framework.id not in self._indexes:
            self._indexes[framework.id] = {c.id: c for c in framework.clauses}
        return self._indexes[framework.id]

    @cached_property
    def _indexes(self) -> dict[str, dict[str, Clause]]:
        return {}

    def mitigated_by(self, control: str) -> tuple[Threat, ...]:
        """The threats that the control with this id works against. Raises `UnknownName`."""
        return self._mitigated.get(self.control(control).id, ())

    @cached_property
    def _mitigated(self) -> Mapping[str, tuple[Threat, ...]]:
        found: dict[str, list[Threat]] = {}
        for threat in self.threats.values():
            for control in threat.controls:
                found.setdefault(self.control(control).id, []).append(threat)
        return {control: tuple(threats) for control, threats in found.items()}

    @cached_property
    def crosswalks(self) -> tuple[Crosswalk, ...]:
        """All crosswalks, each from its own source."""
        return self.read_crosswalks()

    @cached_property
    def checklist(self) -> tuple[ChecklistItem, ...]:
        """The items of the implementation checklist, in the order in which they are shown."""
        return self.read_checklist()

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over the names and bytes of all files of this catalogue."""
        total = hashlib.sha256()
        for name, path in self.sources:
            total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return total.hexdigest()


def reference_of(text: str) -> Reference:
    """`framework:id@version` taken apart, without looking it up; what is missing is empty."""
    framework, _, rest = text.partition(":")
    id, _, version = rest.partition("@")
    return Reference(framework=framework, id=id, version=version)
