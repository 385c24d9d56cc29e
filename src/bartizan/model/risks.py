"""Evidence and risks: what was recorded, and what follows from it."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any

import msgspec

from bartizan.model.findings import Finding, Job
from bartizan.model.system import Decision, Level


class Subject(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What a piece of evidence is about: a name and the SHA-256 (hex) of its content."""

    name: str
    sha256: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One signed record of the chain: one job and one of its outcomes.

    `seq` counts from 1; `collected` is when the check finished, `received` when the store took it (RFC 3339, UTC);
    `previous` and `digest` are SHA-256 hex; `signature` is base64 of the DSSE signature by key `key`.
    """

    seq: int
    collected: str
    received: str
    subjects: tuple[Subject, ...]
    job: Job
    findings: tuple[Finding, ...]
    environment: dict[str, str]
    environment_digest: str
    previous: str
    digest: str
    signature: str
    key: str


class Status(StrEnum):
    """Where a risk stands. `open`: beyond appetite or not measured; `within`: measured within tolerance; `accepted`, `transferred`,
    `avoided`: decided, and the decision still holds."""

    OPEN = "open"
    WITHIN = "within"
    ACCEPTED = "accepted"
    TRANSFERRED = "transferred"
    AVOIDED = "avoided"


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Probability of at least one loss within a year: mean and central interval, and the ordinal level with the impact."""

    mean: float
    low: float
    high: float
    level: Level


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One bar of the waterfall from inherent to residual: what moved the estimate, and to what.

    `evidence` are sequence numbers of the records that moved it; empty for what was only declared.
    """

    label: str
    mean: float
    level: Level
    evidence: tuple[int, ...] = ()
    note: str = ""


class Risk(msgspec.Struct, frozen=True, kw_only=True):
    """A threat to an asset as a number. `state` is the digest of everything the residual was computed from; `certain` is False while the
    threat itself hangs on a fact that nobody declared."""

    id: str
    threat: str
    asset: str
    impact: Level
    inherent: Estimate
    residual: Estimate
    status: Status
    owner: str | None
    decision: Decision | None
    due: str | None
    evidence: tuple[int, ...]
    stale: tuple[int, ...]
    steps: tuple[Step, ...]
    why: str
    next_step: str
    state: str
    void_decision: Decision | None = None
    certain: bool = True


def risk_id(threat: str, asset: str) -> str:
    """The stable id of the risk of `threat` to `asset`: `R-` and ten hex digits."""
    return "R-" + hashlib.sha256(f"{threat}\0{asset}".encode()).hexdigest()[:10]


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of a struct's or plain value's deterministic JSON. For identity within bartizan; what is signed is RFC 8785."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()
