"""Threats, controls, frameworks and the links between them, as the catalogue's data files declare them."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any

import msgspec

from bartizan.model.errors import Place
from bartizan.model.system import Kind, Phase


class Stride(StrEnum):
    """The letter a threat stands under (Microsoft STRIDE)."""

    SPOOFING = "S"
    TAMPERING = "T"
    REPUDIATION = "R"
    INFORMATION_DISCLOSURE = "I"
    DENIAL_OF_SERVICE = "D"
    ELEVATION_OF_PRIVILEGE = "E"


class Maturity(StrEnum):
    """How far a threat has been seen in the world; it sets the prior of its success (DESIGN 4)."""

    THEORETICAL = "theoretical"
    DEMONSTRATED = "demonstrated"
    COMMON = "common"


class Reference(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """An entry of a framework at one version: `atlas` `AML.T0020` `2026.07`."""

    framework: str
    id: str
    version: str


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that the manifest does not say and a predicate needs: which field of which node, and how to ask for it."""

    element: str
    field: str
    text: str
    at: Place | None = None


class Threat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A way in which a kind of asset can come to harm. `when` is a data-only predicate (see `catalog.predicates`).

    `family` may be left out of a threat in a file that names one for all of its threats; a loaded catalogue always has it.
    """

    id: str
    title: str
    family: str = ""
    ai: bool
    stride: tuple[Stride, ...]
    against: tuple[Kind, ...]
    when: Any
    summary: str
    example: str
    question: str
    mitigations: tuple[str, ...]
    controls: tuple[str, ...]
    refs: tuple[str, ...] = ()
    maturity: Maturity = Maturity.DEMONSTRATED
    gap: str | None = None
    aliases: tuple[str, ...] = ()
    at: Place | None = None


class Control(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A measure against threats. Which threats it mitigates is said by the threats; which checks verify it, by the checks."""

    id: str
    title: str
    phases: tuple[Phase, ...]
    summary: str
    clauses: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    at: Place | None = None


class Clause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of a framework: an article, a subcategory, a technique. `title` is absent where it is not ours to print."""

    id: str
    title: str | None = None
    applies_from: dt.date | None = None
    retired: bool = False
    replaced_by: str | None = None
    note: str | None = None
    controls: tuple[str, ...] = ()
    at: Place | None = None


class Framework(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A standard, law or list at one version, with the entries that we refer to. `complete` says whether all are listed."""

    id: str
    title: str
    version: str
    publisher: str
    published: dt.date | None = None
    url: str | None = None
    note: str | None = None
    complete: bool = False
    clauses: tuple[Clause, ...] = ()
    aliases: dict[str, str] = {}
    at: Place | None = None


class Relation(StrEnum):
    """How far one side of a crosswalk carries the other."""

    SUPPORTS = "supports"
    PARTIAL = "partial"


class Link(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One pairing of a crosswalk; `refs` are written `framework:id`."""

    id: str
    refs: tuple[str, ...]
    evidence: str
    controls: tuple[str, ...]
    relation: Relation
    at: Place | None = None


class Crosswalk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A set of pairings from one source, never merged with another's."""

    id: str
    source: str
    reviewer: str
    reviewed: dt.date
    note: str | None = None
    links: tuple[Link, ...] = ()
    at: Place | None = None


class ChecklistItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One item of the implementation checklist, answered by the evidence for its controls."""

    id: str
    title: str
    group: str
    controls: tuple[str, ...]
    how: str
    at: Place | None = None


class ThreatInstance(msgspec.Struct, frozen=True, kw_only=True):
    """A threat that fires, or may fire, against one node.

    `certain` is False while a fact is unknown; then `questions` ask for it. `because` are the facts in words, `path` the ids of the
    nodes along the flows by which an attacker reaches it, `priority` the rank (higher first).
    """

    threat: str
    element: str
    certain: bool
    because: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    priority: float = 0.0


class ThreatModel(msgspec.Struct, frozen=True, kw_only=True):
    """All threats to a system, ranked; the certain first, then those that hang on a question."""

    system: str
    instances: tuple[ThreatInstance, ...]
    questions: tuple[Question, ...]

    @property
    def certain(self) -> tuple[ThreatInstance, ...]:
        return tuple(i for i in self.instances if i.certain)

    @property
    def possible(self) -> tuple[ThreatInstance, ...]:
        return tuple(i for i in self.instances if not i.certain)
