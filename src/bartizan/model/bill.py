"""The nouns of a bill of materials: what a system is made of, from what, and what was found about it."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class PartKind(StrEnum):
    """What a part is, in the words that CycloneDX has for components and services."""

    MODEL = "machine-learning-model"
    DATA = "data"
    LIBRARY = "library"
    APPLICATION = "application"
    CONTAINER = "container"
    PLATFORM = "platform"
    SERVICE = "service"


class FileHash(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A file by its path relative to the manifest, its size in bytes and its SHA-256 in hexadecimal digits."""

    path: str
    size: int
    sha256: str


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One measured figure with its interval, and the check that measured it."""

    name: str
    value: float
    low: float
    high: float
    check: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One component or service. `ref` is unique in the bill; `needs`, `ancestors`, `trained_on` and `tested_on` name other parts.

    `facts` is what else is declared, by its name in the manifest.
    """

    ref: str
    kind: PartKind
    name: str
    version: str = ""
    title: str = ""
    purl: str = ""
    licence: str = ""
    owner: str = ""
    source: str = ""
    url: str = ""
    task: str = ""
    sensitivity: str = ""
    files: tuple[FileHash, ...] = ()
    needs: tuple[str, ...] = ()
    ancestors: tuple[str, ...] = ()
    trained_on: tuple[str, ...] = ()
    tested_on: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    facts: dict[str, str] = {}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """How parts are made: a pipeline with what goes in and what comes out."""

    ref: str
    name: str
    code: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


class Attested(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found about a part in view of a threat: `holds` for a pass, `counters` for a failure; `evidence` is its digest."""

    threat: str
    title: str
    part: str
    check: str
    holds: bool
    text: str
    evidence: str


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """The bill of one system. `made` is when, in RFC 3339, and no part of what is compared."""

    system: str
    version: str = ""
    purpose: str = ""
    owner: str = ""
    tool: str = ""
    made: str = ""
    parts: tuple[Part, ...] = ()
    steps: tuple[Step, ...] = ()
    attested: tuple[Attested, ...] = ()

    def part(self, ref: str) -> Part | None:
        """The part called `ref`, or None."""
        return next((part for part in self.parts if part.ref == ref), None)
