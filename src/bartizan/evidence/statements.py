"""What the chain says: in-toto Statements v1, one predicate type for each kind of entry, written and read back.

The predicate of a check result holds the whole job (check, version, threats, parameters, seed, budget), the environment, the times, the
collector and every finding with its attacker and its measures (value, interval, n, k, clusters, limit): the inputs of the verdict, so that
it can be judged again without running anything. The folder the job ran in is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec

from bartizan import __version__
from bartizan.evidence.canonical import canonical, parse, plain, sha256
from bartizan.evidence.signing import PublicKey
from bartizan.evidence.times import moment, stamp
from bartizan.model.access import Access, Purge
from bartizan.model.errors import EvidenceError
from bartizan.model.findings import Finding, Job, Outcome
from bartizan.model.risks import Evidence, Risk, Subject
from bartizan.model.system import Actor, Asset, Dataset, Decision, System

STATEMENT = "https://in-toto.io/Statement/v1"


class Entry(StrEnum):
    """The kinds of entries; each has the predicate type `urn:bartizan:<kind>/v1`."""

    CHECK_RESULT = "check-result"
    DECISION = "decision"
    RISK_STATE = "risk-state"
    ACCESS = "access"
    PURGE = "purge"
    ROTATION = "rotation"

    @property
    def predicate_type(self) -> str:
        return f"urn:bartizan:{self.value}/v1"


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """The place of an entry in its chain: inside the signature, so that no entry can be moved or dropped.

    `origin` is the random id of the store, `previous` the digest of the entry before (64 zeros before the first).
    """

    origin: str
    seq: int
    previous: str
    received: str


class Collector(msgspec.Struct, frozen=True, kw_only=True):
    """Who recorded the entry: the program, its version, the id of the key that signs."""

    tool: str
    version: str
    key: str


class _Digest(msgspec.Struct, frozen=True):
    sha256: str


class _Subject(msgspec.Struct, frozen=True):
    name: str
    digest: _Digest


class _Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node of the system under the name of its type: exactly one field is set."""

    system: System | None = None
    actor: Actor | None = None
    dataset: Dataset | None = None
    asset: Asset | None = None

    def __post_init__(self) -> None:
        if len([n for n in (self.system, self.actor, self.dataset, self.asset) if n is not None]) != 1:
            raise ValueError("a job needs one node here")

    def value(self) -> Any:
        return self.system or self.actor or self.dataset or self.asset


class _Job(Job, frozen=True, kw_only=True):
    """A job as it is recorded: its nodes say of which type they are, and its folder is left out."""

    subject: _Node  # type: ignore[assignment]
    related: tuple[_Node, ...] = ()  # type: ignore[assignment]

    def job(self) -> Job:
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__struct_fields__}
        fields["subject"] = self.subject.value()
        fields["related"] = tuple(node.value() for node in self.related)
        return Job(**fields)


class CheckResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The predicate `check-result/v1`. `late` is the stated reason for recording long after collecting, or empty."""

    chain: Link
    collector: Collector
    job: _Job
    started: str
    finished: str
    cpu_seconds: float
    environment: dict[str, str]
    environment_digest: _Digest
    findings: tuple[Finding, ...]
    late: str = ""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """The predicate `decision/v1`."""

    chain: Link
    collector: Collector
    decision: Decision


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """The predicate `risk-state/v1`: a risk as it was computed `at` a time."""

    chain: Link
    collector: Collector
    at: str
    risk: Risk


class Accessed(msgspec.Struct, frozen=True, kw_only=True):
    """The predicate `access/v1`: somebody asked for data, and this was decided or given."""

    chain: Link
    collector: Collector
    access: Access


class Rotated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The predicate `rotation/v1`, signed by the old key: from the next entry on, `new_key` alone signs. `der` is base64."""

    chain: Link
    collector: Collector
    new_key: str
    der: bytes


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """The predicate `purge/v1`: rows were deleted from a data set."""

    chain: Link
    collector: Collector
    purge: Purge


Predicate = TypeVar("Predicate", CheckResult, Decided, Noted, Accessed, Purged, Rotated)


class Statement(msgspec.Struct, Generic[Predicate], frozen=True, kw_only=True, rename={"type": "_type", "predicate_type": "predicateType"}):
    """An in-toto Statement v1 with one of our predicates."""

    type: str
    subject: tuple[_Subject, ...]
    predicate_type: str
    predicate: Predicate


_DECODERS: dict[Entry, msgspec.json.Decoder[Any]] = {
    Entry.CHECK_RESULT: msgspec.json.Decoder(Statement[CheckResult]),
    Entry.DECISION: msgspec.json.Decoder(Statement[Decided]),
    Entry.RISK_STATE: msgspec.json.Decoder(Statement[Noted]),
    Entry.ACCESS: msgspec.json.Decoder(Statement[Accessed]),
    Entry.PURGE: msgspec.json.Decoder(Statement[Purged]),
    Entry.ROTATION: msgspec.json.Decoder(Statement[Rotated]),
}


def check_result(outcome: Outcome, findings: tuple[Finding, ...], link: Link, key: str, late: str) -> bytes:
    """The statement about `outcome`, whose `findings` hold no artefact data any more."""
    job = _job(outcome.job)
    environment = plain(outcome.environment)
    predicate = {
        **_place(link, key),
        "job": job,
        "started": stamp(moment(outcome.started)),
        "finished": stamp(moment(outcome.finished)),
        "cpuSeconds": plain(outcome.cpu_seconds),
        "environment": environment,
        "environmentDigest": {"sha256": sha256(canonical(environment))},
        "findings": [_finding(finding) for finding in findings],
        "late": plain(late),
    }
    return _statement(Entry.CHECK_RESULT, subjects_of(job), predicate)


def decided(decision: Decision, link: Link, key: str) -> bytes:
    """The statement that `decision` was taken."""
    subject = (f"risk:{decision.risk}", _as_digest(decision.state))
    return _statement(Entry.DECISION, [subject], {**_place(link, key), "decision": _pruned(plain(decision))})


def noted(risk: Risk, at: str, link: Link, key: str) -> bytes:
    """The statement that `risk` stood like this."""
    predicate = {**_place(link, key), "at": plain(at), "risk": plain(risk)}
    return _statement(Entry.RISK_STATE, [(f"risk:{risk.id}", _as_digest(risk.state))], predicate)


def accessed(access: Access, link: Link, key: str) -> bytes:
    """The statement that data was asked for, under this policy, and what came of it."""
    about = [(f"policy:{access.dataset}", _as_digest(access.policy)), (f"data:{access.dataset}", _as_digest(access.data))]
    return _statement(Entry.ACCESS, about, {**_place(link, key), "access": plain(access)})


def purged(purge: Purge, link: Link, key: str) -> bytes:
    """The statement that rows were deleted; its subjects are the passports before and after, and the certificate."""
    about = [(f"before:{purge.dataset}", purge.before), (f"after:{purge.dataset}", purge.after), ("certificate", purge.certificate)]
    told = [(name, _as_digest(digest)) for name, digest in about]
    return _statement(Entry.PURGE, told, {**_place(link, key), "purge": plain(purge)})


def rotated(new: PublicKey, link: Link, key: str) -> bytes:
    """The statement by which the key with id `key` hands over to `new`."""
    predicate = {**_place(link, key), "newKey": new.id, "der": plain(new.der)}
    return _statement(Entry.ROTATION, [(f"key:{new.id}", new.id)], predicate)


def read(kind: Entry, payload: bytes) -> Statement[Any]:
    """The statement in `payload`. Raises `EvidenceError` where it is none of this kind."""
    try:
        statement: Statement[Any] = parse(payload, _DECODERS[kind], _free)
    except (msgspec.DecodeError, RecursionError) as error:
        raise EvidenceError(f"not a statement of kind '{kind}': {error}", cure="a newer bartizan may have written it") from error
    if statement.type != STATEMENT or statement.predicate_type != kind.predicate_type:
        raise EvidenceError(f"the statement is of type '{statement.predicate_type}', not '{kind.predicate_type}'")
    return statement


def kind_of(payload: bytes) -> Entry:
    """The kind of the statement in `payload`, from its predicate type. Raises `EvidenceError`."""
    try:
        wanted = _TYPE.decode(payload).predicate_type
    except (msgspec.DecodeError, RecursionError) as error:
        raise EvidenceError(f"not a statement: {error}") from error
    for kind in Entry:
        if kind.predicate_type == wanted:
            return kind
    raise EvidenceError(f"a statement of unknown type '{wanted}'", cure="a newer bartizan may have written it")


def subjects_of(job: dict[str, Any]) -> list[tuple[str, str]]:
    """What a recorded job is about: (name, SHA-256) of each input that was there, and of the node's declaration itself."""
    found = {i["uri"]: i["digest"].removeprefix("sha256:") for i in job.get("inputs", ()) if i["digest"] is not None}
    for node in job["subject"].values():
        found[f"declaration:{node.get('id', 'system')}"] = sha256(canonical(_without_places(node)))
    return list(found.items())


def held_in(payload: bytes) -> tuple[list[tuple[str, str]], str]:
    """The subjects and the digest of the environment that the job and the environment recorded in `payload` call for."""
    predicate = msgspec.json.decode(payload)["predicate"]
    return subjects_of(predicate["job"]), sha256(canonical(predicate["environment"]))


def evidence_of(statement: Statement[CheckResult], digest: str, signature: str, key: str) -> Evidence:
    """The record as the rest of bartizan sees it. `signature` is base64."""
    result = statement.predicate
    return Evidence(
        seq=result.chain.seq,
        collected=result.finished,
        received=result.chain.received,
        subjects=tuple(Subject(name=s.name, sha256=s.digest.sha256) for s in statement.subject),
        job=result.job.job(),
        findings=result.findings,
        environment=result.environment,
        environment_digest=result.environment_digest.sha256,
        previous=result.chain.previous,
        digest=digest,
        signature=signature,
        key=key,
    )


def digests_in(finding: Finding) -> Iterator[str]:
    """The digests of the artefacts that back `finding`."""
    return (artefact.digest for artefact in finding.artefacts if artefact.digest)


def _free(statement: Statement[Any]) -> Iterator[dict[str, Any]]:
    """What a statement holds without a declared type."""
    if isinstance(statement.predicate, CheckResult):
        yield statement.predicate.job.parameters
        yield from (finding.details for finding in statement.predicate.findings)


class _Type(msgspec.Struct, rename={"predicate_type": "predicateType"}):
    predicate_type: str


_TYPE = msgspec.json.Decoder(_Type)


def _statement(kind: Entry, subjects: list[tuple[str, str]], predicate: dict[str, Any]) -> bytes:
    return canonical(
        {
            "_type": STATEMENT,
            "subject": [{"name": plain(name), "digest": {"sha256": digest}} for name, digest in subjects],
            "predicateType": kind.predicate_type,
            "predicate": predicate,
        }
    )


def _place(link: Link, key: str) -> dict[str, Any]:
    """What every predicate begins with."""
    return {"chain": plain(link), "collector": plain(Collector(tool="bartizan", version=__version__, key=key))}


def _job(job: Job) -> dict[str, Any]:
    """The job as it is recorded: without its folder, and with what is not declared left out of its nodes."""
    known = tuple(msgspec.structs.replace(artefact, data=None) for artefact in job.earlier)
    recorded: dict[str, Any] = plain(msgspec.structs.replace(job, earlier=known))
    del recorded["root"]
    recorded["subject"] = _node(job.subject)
    recorded["related"] = [_node(node) for node in job.related]
    recorded["parameters"] = plain(job.parameters, exact=True)
    return recorded


def _finding(finding: Finding) -> dict[str, Any]:
    return {**plain(finding), "details": plain(finding.details, exact=True)}


def _node(node: System | Actor | Dataset | Asset) -> dict[str, Any]:
    return {type(node).__name__.lower(): _pruned(plain(node))}


def _pruned(value: Any) -> Any:
    """`value` without the fields that are None, at every depth: a field that a later version adds changes no digest."""
    if isinstance(value, dict):
        return {k: _pruned(v) for k, v in value.items() if v is not None}
    return [_pruned(v) for v in value] if isinstance(value, list) else value


def _without_places(value: Any) -> Any:
    """`value` without the lines of the manifest."""
    if isinstance(value, dict):
        return {k: _without_places(v) for k, v in value.items() if k != "at"}
    return [_without_places(v) for v in value] if isinstance(value, list) else value


def _as_digest(state: str) -> str:
    """`state` where it is a SHA-256 already, its SHA-256 otherwise."""
    return state if len(state) == 64 and set(state) <= set("0123456789abcdef") else sha256(state.encode())
