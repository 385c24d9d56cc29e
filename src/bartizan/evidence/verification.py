"""The walk along a chain that finds what was done to it; the same for a store and for a bundle.

Nothing here reads a clock or a network. Each problem is one line: which entry, what is wrong, what that means.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from bartizan.evidence import dsse, statements
from bartizan.evidence.canonical import sha256
from bartizan.evidence.checkpoints import Checkpoint
from bartizan.evidence.merkle import Frontier, leaf_hash
from bartizan.evidence.signing import PublicKey
from bartizan.evidence.statements import CheckResult, Entry, Rotated, Statement
from bartizan.evidence.times import dating_problem, moment, stamp
from bartizan.model.errors import EvidenceError, one_line

MOST_PROBLEMS = 100
"""After so many lines the rest is only counted."""

NOTHING = "0" * 64
"""The `previous` of the first entry, and the head of an empty chain."""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What verification found: `ok` where `problems` is empty.

    `head` is the digest of the last entry, `root` the Merkle root, `key` the id of the key that signs at the end of the chain. Warnings
    say what the proof does not cover.
    """

    ok: bool
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    entries: int
    head: str
    root: str
    key: str


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """What a store says of an entry outside its signature: it must repeat what is inside."""

    seq: int
    kind: str
    topic: str
    collected: str
    received: str
    previous: str
    digest: str
    leaf: bytes


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it was found."""

    envelope: dsse.Envelope
    columns: Columns | None = None


class _Mark(msgspec.Struct, frozen=True):
    """The state of the chain after some entry."""

    root: str
    head: str
    key: str
    received: str


class Present(msgspec.Struct, frozen=True):
    """What lies under the name of a subject at present: its SHA-256 (hex), or why that is unknown; neither where nobody asked."""

    sha256: str = ""
    unknown: str = ""


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """What the verifier brings and what the chain offers.

    `anchor` is the public key the verifier trusts (None: whatever the store says), `offered` the keys found with the chain, `own` its own
    checkpoints, `kept` one that was kept elsewhere; `now(name)` says what digest a subject has at present, or why that is not known.
    """

    anchor: PublicKey | None
    offered: Mapping[str, PublicKey]
    own: Sequence[Checkpoint]
    kept: Checkpoint | None = None
    now: Callable[[str], Present] | None = None


class Walk:
    """One pass over a chain from its first entry to its last."""

    def __init__(self, trust: Trust, artefact: Callable[[str], str | None], origin: str | None = None) -> None:
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self._suppressed = 0
        self._trust = trust
        self._artefact = artefact
        self._origin = origin
        self._keys = dict(trust.offered)
        if trust.anchor is not None:
            self._keys[trust.anchor.id] = trust.anchor
        self._anchored = False
        self._tree = Frontier()
        self._head = NOTHING
        self._key = ""
        self._received = ""
        self._floor: dt.datetime | None = None
        self._checkpoints = sorted([*trust.own, *([trust.kept] if trust.kept else [])], key=lambda c: c.size)
        self._sizes = {c.size for c in self._checkpoints}
        self._marks: dict[int, _Mark] = {}
        self._seen: dict[str, str | None] = {}
        self._newest: dict[tuple[str, str], tuple[int, list[tuple[str, str]]]] = {}

    def say(self, problem: str) -> None:
        """Add a problem."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(one_line(problem))
        else:
            self._suppressed += 1

    def run(self, records: Iterable[Record]) -> Verification:
        """Go along the chain, compare the checkpoints, and say what was found."""
        self._mark()
        for record in records:
            self._entry(record)
            self._mark()
        for checkpoint in self._trust.own:
            self._compare(checkpoint, "the store's checkpoint")
        if self._trust.kept is not None:
            self._compare(self._trust.kept, "the kept checkpoint")
        self._settle_trust()
        self._compare_files()
        if self._suppressed:
            self.problems.append(f"and {self._suppressed} more problems")
        return Verification(
            ok=not self.problems,
            problems=tuple(self.problems),
            warnings=tuple(one_line(w) for w in self.warnings),
            entries=self._tree.size,
            head=self._head,
            root=self._tree.root(),
            key=self._key,
        )

    # entries

    def _entry(self, record: Record) -> None:
        seq = self._tree.size + 1
        envelope = record.envelope
        leaf = envelope.encode()
        digest = sha256(leaf)
        self._check_signature(seq, envelope)
        kind, statement = self._read(seq, envelope.payload)
        if statement is not None:
            self._check_link(seq, statement.predicate)
            if kind is Entry.CHECK_RESULT:
                self._check_result(seq, statement, envelope.payload)
        if record.columns is not None:
            self._check_columns(seq, record.columns, digest, leaf_hash(leaf), kind, statement)
        self._tree.add(leaf_hash(leaf))
        self._head = digest
        if kind is Entry.ROTATION and statement is not None:
            self._rotate(seq, statement.predicate)

    def _check_signature(self, seq: int, envelope: dsse.Envelope) -> None:
        if not self._key:
            self._key = envelope.key
        if envelope.key != self._key:
            self.say(
                f"entry {seq}: wrong key: signed by {_short(envelope.key)} where {_short(self._key)} signs: it was put in by someone else"
            )
        key = self._keys.get(envelope.key)
        if key is None:
            self.say(f"entry {seq}: its public key {_short(envelope.key)} is not known: nothing vouches for it")
        elif not envelope.signed_by(key):
            self.say(f"entry {seq}: the signature does not hold: its content or its signature was edited")
        elif self._trust.anchor is not None and key.id == self._trust.anchor.id:
            self._anchored = True

    def _read(self, seq: int, payload: bytes) -> tuple[Entry | None, Statement[Any] | None]:
        try:
            kind = statements.kind_of(payload)
            return kind, statements.read(kind, payload)
        except EvidenceError as error:
            self.say(f"entry {seq}: cannot be read: {error}")
            return None, None

    def _check_link(self, seq: int, predicate: Any) -> None:
        link: statements.Link = predicate.chain
        if self._origin is None:
            self._origin = link.origin
        if link.origin != self._origin:
            self.say(f"entry {seq}: it belongs to another store ({_short(link.origin)})")
        if link.seq != seq:
            self.say(f"entry {seq}: it says it is number {link.seq}: entries were removed, added or reordered")
        if link.previous != self._head:
            self.say(f"entry {seq}: it does not follow the entry before it: one of them was edited, removed or moved")
        if predicate.collector.key != self._key:
            self.say(f"entry {seq}: it names the collector {_short(predicate.collector.key)}, not the key that signs")
        self._check_received(seq, link.received)

    def _check_received(self, seq: int, received: str) -> None:
        try:
            if stamp(moment(received)) != received:
                self.say(f"entry {seq}: the time '{received}' is not written as bartizan writes it")
        except EvidenceError as error:
            self.say(f"entry {seq}: {error}")
            return
        if received < self._received:
            self.say(f"entry {seq}: back-dated: received {received}, before what came in front of it ({self._received})")
        self._received = max(received, self._received)

    def _check_result(self, seq: int, statement: Statement[CheckResult], payload: bytes) -> None:
        result = statement.predicate
        try:
            wrong = dating_problem(result.started, result.finished, result.chain.received, self._floor, result.late)
        except EvidenceError as error:
            wrong = str(error), False
        if wrong is not None and wrong[1]:
            self.warnings.append(f"entry {seq}: {wrong[0]}; the stated reason: {result.late}")
        elif wrong is not None:
            self.say(f"entry {seq}: {wrong[0]}")
        self._check_subjects(seq, statement, payload)
        for digest in sorted({d for finding in result.findings for d in statements.digests_in(finding)}):
            if digest not in self._seen:
                self._seen[digest] = self._artefact(digest)
            problem = self._seen[digest]
            if problem is not None:
                self.say(f"entry {seq}: {problem}")

    def _check_subjects(self, seq: int, statement: Statement[CheckResult], payload: bytes) -> None:
        result = statement.predicate
        found = [(s.name, s.digest.sha256) for s in statement.subject]
        try:
            due, environment = statements.held_in(payload)
        except EvidenceError as error:
            self.say(f"entry {seq}: {error}")
            return
        if found != due:
            self.say(f"entry {seq}: wrong subject: what it is about is not what its job read: the subjects were taken from another job")
        if result.environment_digest.sha256 != environment:
            self.say(f"entry {seq}: the digest of the environment is not that of the environment it lists")
        self._newest[result.job.check, result.job.subject.value().id] = (seq, found)

    def _check_columns(
        self, seq: int, columns: Columns, digest: str, leaf: bytes, kind: Entry | None, statement: Statement[Any] | None
    ) -> None:
        if (columns.seq, columns.digest, columns.leaf) != (seq, digest, leaf):
            self.say(f"entry {seq}: the stored number, digest or leaf is not that of the entry: the entry or its row was edited")
        if kind is None or statement is None:
            return
        link = statement.predicate.chain
        collected = statement.predicate.finished if kind is Entry.CHECK_RESULT else link.received
        inside = (kind, _topic(kind, statement), collected, link.received, link.previous)
        names = ("kind", "topic", "collected", "received", "previous")
        for name, due in zip(names, inside, strict=True):
            if getattr(columns, name) != due:
                self.say(f"entry {seq}: the column '{name}' is not what the signed statement says ('{due}'): the row was edited")

    def _rotate(self, seq: int, rotation: Rotated) -> None:
        try:
            new = PublicKey.load(rotation.der)
        except EvidenceError as error:
            self.say(f"entry {seq}: {error}")
            return
        if new.id != rotation.new_key:
            self.say(f"entry {seq}: the rotation names {_short(rotation.new_key)} but holds another key")
        self._keys[new.id] = new
        self._key = new.id
        self._raise_floor(rotation.chain.received)

    # checkpoints and trust

    def _mark(self) -> None:
        """Remember the state where a checkpoint is due, and let its time bind what follows."""
        size = self._tree.size
        if size not in self._sizes:
            return
        self._marks[size] = _Mark(self._tree.root(), self._head, self._key, self._received)
        for checkpoint in self._checkpoints:
            if checkpoint.size == size:
                self._raise_floor(checkpoint.time)
                self._received = max(self._received, checkpoint.time)

    def _raise_floor(self, time: str) -> None:
        try:
            reached = moment(time)
        except EvidenceError as error:
            self.say(str(error))
            return
        self._floor = reached if self._floor is None else max(self._floor, reached)

    def _compare(self, checkpoint: Checkpoint, name: str) -> None:
        """Whether the chain still is what `checkpoint` fixed."""
        label = f"{name} of {checkpoint.time} (size {checkpoint.size})"
        envelope = dsse.decode(checkpoint.envelope, dsse.CHECKPOINT)
        key = self._keys.get(checkpoint.key)
        if key is None:
            self.say(f"{label}: wrong key: signed by {_short(checkpoint.key)}, which this chain does not know: this is another chain")
        elif not envelope.signed_by(key):
            self.say(f"{label}: the signature does not hold: the checkpoint was edited")
        elif self._trust.anchor is not None and key.id == self._trust.anchor.id:
            self._anchored = True
        mark = self._marks.get(checkpoint.size)
        if mark is None:
            self.say(f"{label}: the chain has only {self._tree.size} entries: its tail was removed, or an older store was put in its place")
            return
        if (mark.root, mark.head) != (checkpoint.root, checkpoint.head):
            self.say(f"{label}: the first {checkpoint.size} entries are not those it fixed: they were rewritten, or this is another store")
        if self._origin is not None and checkpoint.origin != self._origin:
            self.say(f"{label}: it belongs to another store ({_short(checkpoint.origin)})")
        if mark.key and key is not None and mark.key != key.id:
            self.say(f"{label}: signed by {_short(key.id)} where {_short(mark.key)} signs")
        if checkpoint.time < mark.received:
            self.say(f"{label}: back-dated: it was signed before the last entry it covers was received ({mark.received})")

    def _settle_trust(self) -> None:
        if self._trust.anchor is None:
            if self._tree.size:
                self.warnings.append(
                    "no public key was given: this proves only that the store agrees with itself; "
                    "whoever rewrote all of it with a key of their own passes too"
                )
        elif self._tree.size and not self._anchored:
            trusted = _short(self._trust.anchor.id)
            self.say(f"wrong key: nothing here is signed by {trusted}, the key that you trust: someone else made this record")
        if not self._tree.size:
            self.warnings.append("the store is empty: there is nothing to prove")
        elif self._trust.kept is None:
            self.warnings.append("no kept checkpoint was given: entries removed from the end together with later checkpoints go unseen")

    def _compare_files(self) -> None:
        """The newest evidence of each check on each node must be about the files as they are now."""
        unknown: dict[str, str] = {}
        for seq, subjects in self._newest.values():
            for name, recorded in subjects:
                present = self._trust.now(name) if self._trust.now is not None else Present()
                if present.sha256 and present.sha256 != recorded:
                    self.say(
                        f"entry {seq}: wrong subject: it is about another '{name}' ({_short(recorded)}) "
                        f"than the one that lies here ({_short(present.sha256)})"
                    )
                if present.unknown:
                    unknown[name] = present.unknown
        self.warnings += [f"'{name}' was not compared: {why}" for name, why in sorted(unknown.items())]


def _topic(kind: Entry, statement: Statement[Any]) -> str:
    """What an entry is looked up by."""
    predicate = statement.predicate
    if kind is Entry.CHECK_RESULT:
        return str(predicate.job.digest)
    if kind is Entry.DECISION:
        return str(predicate.decision.risk)
    if kind is Entry.ACCESS:
        return str(predicate.access.principal)
    if kind is Entry.PURGE:
        return str(predicate.purge.dataset)
    return str(predicate.risk.id if kind is Entry.RISK_STATE else predicate.new_key)


def _short(digest: str) -> str:
    return digest[:12]
