"""What a report says, as data: renderers turn it into pages, tables and machine formats and compute nothing."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from bartizan.model.findings import Finding
from bartizan.model.risks import Evidence, Risk
from bartizan.model.system import System
from bartizan.model.threats import ChecklistItem, Clause, Control, Framework, Threat, ThreatModel


class Support(StrEnum):
    """How far a control, checklist item or clause is backed.

    `verified`: every applicable check of it passed on current evidence. `failing`: a check found it wanting. `open`: checked, but
    inconclusive or not run. `declared`: only claimed in the manifest. `none`: nothing. `not-applicable`: nothing declared it concerns.
    """

    VERIFIED = "verified"
    FAILING = "failing"
    OPEN = "open"
    DECLARED = "declared"
    NONE = "none"
    NOT_APPLICABLE = "not-applicable"


class ControlState(msgspec.Struct, frozen=True, kw_only=True):
    """A control with what backs it: sequence numbers of evidence, and one line that says why."""

    control: Control
    support: Support
    evidence: tuple[int, ...] = ()
    checks: tuple[str, ...] = ()
    why: str = ""


class ChecklistRow(msgspec.Struct, frozen=True, kw_only=True):
    """One item of the implementation checklist and what backs it."""

    item: ChecklistItem
    support: Support
    evidence: tuple[int, ...] = ()
    why: str = ""


class ClauseRow(msgspec.Struct, frozen=True, kw_only=True):
    """One clause of a framework and what backs it."""

    clause: Clause
    support: Support
    controls: tuple[str, ...] = ()
    evidence: tuple[int, ...] = ()


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence for `supported` of `total` clauses of a framework: never a claim of compliance.

    `supported` counts clauses with current passing evidence; `mapped` those that any control of ours speaks to; `total` is the number
    of clauses listed, which is the whole framework only where `framework.complete`.
    """

    framework: Framework
    rows: tuple[ClauseRow, ...]
    supported: int
    mapped: int
    total: int


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the evidence chain that a report was made from."""

    entries: int
    head: str
    root: str
    key: str
    verified: bool
    problems: tuple[str, ...] = ()


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A threat that applies and for which no check has run, with what would close it."""

    threat: str
    asset: str
    why: str
    command: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a renderer needs. `generated` is RFC 3339 UTC; `manifest` is the manifest's file name, without folders of the machine.

    `pictures` are the bytes of the findings' artefacts that are pictures, by digest, as far as they are at hand.
    """

    title: str
    manifest: str
    generated: str
    version: str
    system: System
    model: ThreatModel
    threats: dict[str, Threat]
    controls: tuple[ControlState, ...]
    risks: tuple[Risk, ...]
    evidence: tuple[Evidence, ...]
    findings: tuple[Finding, ...]
    checklist: tuple[ChecklistRow, ...]
    coverage: tuple[Coverage, ...]
    gaps: tuple[Gap, ...]
    chain: Chain
    pictures: dict[str, bytes] = {}
