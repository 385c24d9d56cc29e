"""What a check says: measures with intervals, a verdict, why, and what to do; and the job that produced it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from bartizan.model.errors import Place
from bartizan.model.system import Actor, Asset, Dataset, System


class Verdict(StrEnum):
    """The outcome of a check for one threat on one asset.

    `pass`: the bound is within tolerance. `fail`: the bound is beyond it. `inconclusive`: more trials are needed, the
    finding says how many. `unknown`: it was not run; the finding says how to make it run. `unknown` never improves a score.
    """

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """How bad a failure is by itself, before the system's impact is considered."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class Knowledge(StrEnum):
    """What an attacker knows of the target (NIST AI 100-2)."""

    WHITE_BOX = "white-box"
    GREY_BOX = "grey-box"
    BLACK_BOX = "black-box"


class Attacker(msgspec.Struct, frozen=True, kw_only=True):
    """The attacker that a check plays: without it a robustness or privacy number means nothing.

    `queries` is the largest number of model queries spent on one target; `budget` holds further limits by name
    (for instance `{"linf": 0.03}` or `{"poison_fraction": 0.01}`).
    """

    knowledge: Knowledge
    queries: int | None = None
    budget: dict[str, float] = {}


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A number with its interval and its count.

    `value` is the point estimate, `low` and `high` bound it at `confidence`; `k` successes in `n` trials, drawn from
    `clusters` independent groups where trials hang together. `limit` is the tolerance it was judged against and
    `higher_is_worse` the side on which it fails. `null` is the same measure on the control, where theory gives chance. `role` is
    `attack-success` on the one measure whose `k` of `n` are attacker trials that succeeded: only those counts move a probability.
    """

    name: str
    value: float
    low: float
    high: float
    confidence: float
    n: int
    k: int | None = None
    clusters: int | None = None
    unit: str = ""
    limit: float | None = None
    higher_is_worse: bool = True
    null: float | None = None
    method: str = ""
    role: str = ""


EXAMPLES = "application/vnd.bartizan.examples+zip"
"""Media type of artefacts that hold adversarial examples: the next run of the same check on the same node gets them in `Job.earlier`."""


class Artefact(msgspec.Struct, frozen=True, kw_only=True):
    """A file that backs a finding. `data` is set by the check; the store keeps it under `digest` and clears it here."""

    name: str
    media_type: str
    digest: str = ""
    size: int = 0
    data: bytes | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check says about one threat to one asset.

    `title` is the outcome in one line, `why` the reasoning from the numbers, `remedy` the next step. `needed` is how many
    more trials an inconclusive verdict asks for. A configuration check that passes may say in `details["probability_cap"]` how likely a
    campaign is to succeed nevertheless, at most.
    """

    check: str
    asset: str
    threat: str
    verdict: Verdict
    title: str
    why: str = ""
    remedy: str = ""
    severity: Severity = Severity.INFO
    measures: tuple[Measure, ...] = ()
    attacker: Attacker | None = None
    needed: int | None = None
    places: tuple[Place, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    details: dict[str, Any] = {}


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What a job may spend: wall seconds, MiB of memory above the start, model queries."""

    seconds: float = 600.0
    memory_mib: int = 4096
    queries: int | None = None


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder that a job reads: the declared uri, and the SHA-256 of what was there when planned.

    `digest` is `sha256:<hex>`; None where nothing is there.
    """

    uri: str
    digest: str | None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one check on one node: pure data, picklable, the same on every executor.

    `subject` is the node; `system` is the declared system reduced to what the check reads. `root` is the folder that
    relative uris start from; it takes no part in `digest`, so that a moved project keeps its cache. `about` are the
    (threat, asset) pairs that the findings must answer; empty means each threat against the subject (see `about_of`). `earlier` are
    examples that earlier runs of the check kept, newest first, to be tried again; they take no part in `digest` and are recorded by their
    digests alone. One without data could not be read.
    """

    check: str
    version: str
    threats: tuple[str, ...]
    subject: System | Actor | Dataset | Asset
    related: tuple[Actor | Dataset | Asset, ...] = ()
    parameters: dict[str, Any] = {}
    confidence: float = 0.95
    seed: int = 0
    budget: Budget = Budget()
    inputs: tuple[Input, ...] = ()
    root: str = "."
    digest: str = ""
    about: tuple[tuple[str, str], ...] = ()
    earlier: tuple[Artefact, ...] = ()


def about_of(job: Job) -> tuple[tuple[str, str], ...]:
    """The (threat, asset) pairs that the findings of `job` must answer."""
    return job.about or tuple((threat, job.subject.id) for threat in job.threats)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What running a job gave: its findings, when (RFC 3339, UTC), on what, at what cost."""

    job: Job
    findings: tuple[Finding, ...]
    started: str
    finished: str
    cpu_seconds: float
    environment: dict[str, str]
    cached: bool = False
