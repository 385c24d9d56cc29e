"""The store of evidence: append, decide, note, read back; one writer at a time, any number of readers.

Every entry is a DSSE envelope around an in-toto Statement that names its place in the chain, and is chained and signed inside one
transaction. Reading needs no private key.
"""

from __future__ import annotations

import base64
import datetime as dt
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from bartizan.evidence import checkpoints, dsse, statements
from bartizan.evidence.artefacts import Artefacts
from bartizan.evidence.canonical import sha256
from bartizan.evidence.checkpoints import Checkpoint
from bartizan.evidence.database import connect, connect_reading, told, transaction
from bartizan.evidence.merkle import leaf_hash, root_of
from bartizan.evidence.signing import PublicKey, Signer
from bartizan.evidence.statements import Entry, Link, Noted
from bartizan.evidence.times import dating_problem, moment, now, stamp
from bartizan.evidence.verification import NOTHING
from bartizan.model.access import Access, Purge
from bartizan.model.errors import EvidenceError
from bartizan.model.findings import Outcome
from bartizan.model.report import Chain
from bartizan.model.risks import Evidence, Risk
from bartizan.model.system import Decision

DATABASE = "evidence.db"
CHECKPOINT = "checkpoint.json"
_OF_KIND = "SELECT seq, kind, key, payload, signature, digest FROM entries WHERE kind = ? ORDER BY seq"
_OF_TOPIC = "SELECT seq, kind, key, payload, signature, digest FROM entries WHERE kind = ? AND topic = ? ORDER BY seq"
_NEWEST = "SELECT seq, kind, key, payload, signature, digest FROM entries WHERE kind = ? AND topic = ? ORDER BY seq DESC LIMIT 1"
_ONE = "SELECT seq, kind, key, payload, signature, digest FROM entries WHERE seq = ?"
_NEWEST_OF_ALL = (
    "SELECT seq, kind, key, payload, signature, digest FROM entries "
    "WHERE seq IN (SELECT max(seq) FROM entries WHERE kind = ? GROUP BY topic) ORDER BY seq"
)


class Store:
    """The evidence in one `.bartizan` folder. Open it with `Store.open`, as a context manager."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, signer: Signer | None, clock: Callable[[], dt.datetime]) -> None:
        self.folder = folder
        self.path = folder / DATABASE
        self.artefacts = Artefacts(folder / "artefacts")
        self._connection = connection
        self._signer = signer
        self._clock = clock
        self._lock = threading.RLock()
        self._added = False

    @classmethod
    def open(cls, folder: Path, *, create: bool = True, key: Signer | None = None, clock: Callable[[], dt.datetime] = now) -> Store:
        """The store in `folder`. Without `key` it only reads and has to exist; with it, it is made where it lacks and `create` is true.

        Raises `EvidenceError` where it cannot be opened, or where `key` is not the one that signs this chain now.
        """
        folder = Path(folder)
        path = folder / DATABASE
        if key is None or (not create and not path.exists()):
            return cls(folder, connect_reading(path), None, clock)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EvidenceError(f"cannot be made: {error.strerror}", place=str(folder)) from error
        store = cls(folder, connect(path), key, clock)
        try:
            with told(path):
                store._signing_key()
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close the database, after signing a checkpoint where entries were added."""
        try:
            if self._added:
                self.checkpoint()
        finally:
            self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # writing

    def append(self, outcome: Outcome, *, late: str = "") -> Evidence:
        """Record what a check gave, and return the record. The data of its artefacts is moved into the store.

        `late` is the honest reason for recording more than a day after collecting, or what was collected before the newest checkpoint;
        without it such an outcome is refused as back-dated (`times`). Raises `EvidenceError`.
        """
        collected = stamp(moment(outcome.finished))
        findings = tuple(self.artefacts.keep(finding) for finding in outcome.findings)

        def build(link: Link, key: str) -> bytes:
            wrong = dating_problem(outcome.started, outcome.finished, link.received, self._floor(), late)
            if wrong is not None and not wrong[1]:
                cure = "set the clock right, or say why it is late"
                raise EvidenceError(f"the outcome of {outcome.job.check} is refused: {wrong[0]}", cure=cure)
            return statements.check_result(outcome, findings, link, key, late)

        seq = self._add(Entry.CHECK_RESULT, outcome.job.digest, build, collected)
        with self._lock, told(self.path):
            return self._evidence(self._connection.execute(_ONE, (seq,)).fetchone(), None)

    def decide(self, decision: Decision) -> int:
        """Record a decision about a risk; returns the number of its entry."""
        return self._add(Entry.DECISION, decision.risk, lambda link, key: statements.decided(decision, link, key))

    def note_access(self, access: Access) -> int:
        """Record that data was asked for and what came of it; returns the number of its entry. Looked up by the principal."""
        return self._add(Entry.ACCESS, access.principal, lambda link, key: statements.accessed(access, link, key))

    def note_risks(self, risks: Sequence[Risk], at: str) -> int:
        """Record each risk whose state or status differs from its newest record; returns how many that were. `at` is free RFC 3339."""
        changed = [risk for risk in risks if self._standing(risk.id) != (risk.state, risk.status)]
        for risk in changed:
            self._add(Entry.RISK_STATE, risk.id, lambda link, key, risk=risk: statements.noted(risk, at, link, key))  # type: ignore[misc]
        return len(changed)

    def hand_over(self, new: Signer) -> None:
        """Let the present key sign that `new` takes over, then sign a checkpoint with `new`. Nothing happens where it has already."""
        self._writing()
        with told(self.path):
            current = self._current_key()
        if current != new.id:
            if current is None:
                self._signer = new
                return
            self._add(Entry.ROTATION, new.id, lambda link, key: statements.rotated(new.public, link, key))
        self._signer = new
        self.checkpoint()

    def rotate(self) -> PublicKey:
        """Replace the key of this store (`Keyring.rotate`, in the folder `keys` beside the database); returns the new one."""
        from bartizan.evidence.keyring import Keyring

        return Keyring(self.folder / "keys").rotate(self).public

    def note_purge(self, purge: Purge) -> int:
        """Record that rows were deleted from a data set; returns the number of its entry. Looked up by the data set."""
        return self._add(Entry.PURGE, purge.dataset, lambda link, key: statements.purged(purge, link, key))

    def purges(self, dataset: str | None = None) -> tuple[Purge, ...]:
        """What was deleted, oldest first; from one data set where one is named."""
        return tuple(statement.predicate.purge for statement in self._statements(Entry.PURGE, dataset))

    def checkpoint(self) -> Checkpoint:
        """Sign the present state of the chain; the newest one also stands beside the database, to be kept elsewhere.

        Where nothing was added since the last, that one is returned.
        """
        self._writing()
        with self._lock, told(self.path), transaction(self._connection):
            signer = self._signing_key()
            last = self._newest_checkpoint()
            size, head, _ = self._head()
            if last is not None and (last.size, last.head, last.key) == (size, head, signer.id):
                return last
            body: dict[str, str | int] = {"origin": self.origin(), "size": size, "root": self._root(), "head": head, "time": self._time()}
            made = checkpoints.sign(body, signer)
            self._connection.execute("INSERT INTO keys VALUES (?, ?) ON CONFLICT DO NOTHING", (signer.id, signer.public.der))
            self._connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?)", (made.size, made.time, made.envelope))
        made.save(self.folder / CHECKPOINT)
        return made

    # reading

    def evidence(self, verify: bool = False) -> tuple[Evidence, ...]:
        """All check results in the order of the chain.

        Their digests are always compared, their signatures only with `verify` (the whole chain is `verify_store`'s work). Raises
        `EvidenceError` at the first that does not hold.
        """
        keys = self._keys() if verify else None
        with self._lock, told(self.path):
            rows = self._connection.execute(_OF_KIND, (Entry.CHECK_RESULT,))
            return tuple(self._evidence(row, keys) for row in rows)

    def newest(self, job_digest: str) -> Evidence | None:
        """The newest record of the job with this digest, its signature verified, or None."""
        keys = self._keys()
        with self._lock, told(self.path):
            row = self._connection.execute(_NEWEST, (Entry.CHECK_RESULT, job_digest)).fetchone()
            return self._evidence(row, keys) if row else None

    def latest_by_job(self) -> dict[str, Evidence]:
        """The newest record of every job, by the job's digest, signatures verified."""
        keys = self._keys()
        with self._lock, told(self.path):
            rows = self._connection.execute(_NEWEST_OF_ALL, (Entry.CHECK_RESULT,))
            found = [self._evidence(row, keys) for row in rows]
        return {evidence.job.digest: evidence for evidence in found}

    def decisions(self) -> tuple[Decision, ...]:
        """All recorded decisions, oldest first."""
        return tuple(statement.predicate.decision for statement in self._statements(Entry.DECISION, None))

    def history(self, risk_id: str) -> tuple[Noted, ...]:
        """The recorded states of one risk, oldest first: each with `at`, `risk` and its place in `chain`."""
        return tuple(statement.predicate for statement in self._statements(Entry.RISK_STATE, risk_id))

    def accesses(self, principal: str | None = None) -> tuple[Access, ...]:
        """Who asked for data and what came of it, oldest first; of one principal where one is named."""
        return tuple(statement.predicate.access for statement in self._statements(Entry.ACCESS, principal))

    def artefact(self, digest: str) -> bytes:
        """The content of an artefact. Raises `EvidenceError` where it is missing or was changed."""
        return self.artefacts.get(digest)

    def chain(self) -> Chain:
        """The state of the chain, verified against the store's own keys."""
        from bartizan.evidence.verify import verify_store

        found = verify_store(self.folder)
        return Chain(entries=found.entries, head=found.head, root=found.root, key=found.key, verified=found.ok, problems=found.problems)

    def origin(self) -> str:
        """The random id that this store got when it was made."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = 'origin'").fetchone()
        return str(row[0]) if row else ""

    def signer(self) -> Signer:
        """The key that signs now. Raises `EvidenceError` where the store was opened for reading."""
        self._writing()
        with told(self.path):
            return self._signing_key()

    # export

    def public_keys(self) -> list[PublicKey]:
        """The public keys that ever signed here, by id."""
        return [key for _, key in sorted(self._keys().items())]

    def envelopes(self, size: int) -> Iterator[bytes]:
        """The first `size` entries as DSSE envelopes in canonical JSON."""
        with self._lock, told(self.path):
            rows = self._connection.execute("SELECT key, payload, signature FROM entries WHERE seq <= ? ORDER BY seq", (size,))
            for key, payload, signature in rows:
                yield dsse.Envelope(payload_type=dsse.IN_TOTO, payload=payload, key=key, signature=signature).encode()

    def checkpoints(self, size: int) -> list[Checkpoint]:
        """The signed checkpoints over at most `size` entries, oldest first."""
        with self._lock, told(self.path):
            rows = self._connection.execute("SELECT envelope FROM checkpoints WHERE size <= ? ORDER BY size, time", (size,)).fetchall()
        return [checkpoints.decode(envelope) for (envelope,) in rows]

    def artefact_digests(self, size: int) -> list[str]:
        """The digests of the artefacts that the first `size` entries name, sorted."""
        named = {d for e in self.evidence() if e.seq <= size for f in e.findings for d in statements.digests_in(f)}
        return sorted(named)

    # the chain

    def _add(self, kind: Entry, topic: str, build: Callable[[Link, str], bytes], collected: str | None = None) -> int:
        self._writing()
        with self._lock, told(self.path), transaction(self._connection):
            signer = self._signing_key()
            size, head, _ = self._head()
            link = Link(origin=self.origin(), seq=size + 1, previous=head, received=self._time())
            envelope = dsse.seal(dsse.IN_TOTO, build(link, signer.id), signer)
            leaf = envelope.encode()
            row = (
                link.seq, kind, topic, collected or link.received, link.received, signer.id,
                envelope.payload, envelope.signature, head, sha256(leaf), leaf_hash(leaf),
            )  # fmt: skip
            self._connection.execute("INSERT INTO keys VALUES (?, ?) ON CONFLICT DO NOTHING", (signer.id, signer.public.der))
            self._connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            self._added = True
        return link.seq

    def _writing(self) -> None:
        if self._signer is None:
            raise EvidenceError("the evidence was opened for reading only", place=str(self.path), cure="open it with a key")

    def _signing_key(self) -> Signer:
        """Our key if it is the chain's present one, else its successor. Raises `EvidenceError`."""
        signer, current = self._signer, self._current_key()
        if signer is None or current is None or signer.id == current:
            if signer is None:
                raise EvidenceError("the evidence was opened for reading only", place=str(self.path), cure="open it with a key")
            return signer
        successor = signer.successor(current)
        if successor is None:
            raise EvidenceError(
                f"the key {signer.id[:12]} does not sign this chain, {current[:12]} does",
                place=str(self.path),
                cure="restore the key of this store, or start a new store elsewhere",
            )
        self._signer = successor
        return successor

    def _current_key(self) -> str | None:
        row = (
            self._connection.execute("SELECT topic FROM entries WHERE kind = ? ORDER BY seq DESC LIMIT 1", (Entry.ROTATION,)).fetchone()
            or self._connection.execute("SELECT key FROM entries ORDER BY seq LIMIT 1").fetchone()
        )
        return str(row[0]) if row else None

    def _head(self) -> tuple[int, str, str | None]:
        """Number, digest and time of the last entry."""
        row = self._connection.execute("SELECT seq, digest, received FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
        return (row[0], row[1], row[2]) if row else (0, NOTHING, None)

    def _time(self) -> str:
        """The clock's time, or that of the last entry or checkpoint where the clock stands before it."""
        last = self._newest_checkpoint()
        times = [stamp(self._clock()), self._head()[2] or "", last.time if last else ""]
        return max(times)

    def _root(self) -> str:
        return root_of(leaf for (leaf,) in self._connection.execute("SELECT leaf FROM entries ORDER BY seq"))

    def _newest_checkpoint(self) -> Checkpoint | None:
        row = self._connection.execute("SELECT envelope FROM checkpoints ORDER BY size DESC, time DESC LIMIT 1").fetchone()
        return checkpoints.decode(row[0]) if row else None

    def _floor(self) -> dt.datetime | None:
        """The time of the newest checkpoint or rotation: what was collected before it had to be recorded before it."""
        last = self._newest_checkpoint()
        row = self._connection.execute(
            "SELECT received FROM entries WHERE kind = ? ORDER BY seq DESC LIMIT 1", (Entry.ROTATION,)
        ).fetchone()
        times = [moment(text) for text in (last.time if last else None, row[0] if row else None) if text]
        return max(times, default=None)

    # decoding

    def _keys(self) -> dict[str, PublicKey]:
        with self._lock, told(self.path):
            rows = self._connection.execute("SELECT der FROM keys").fetchall()
        keys = [PublicKey.load(der, str(self.path)) for (der,) in rows]
        return {key.id: key for key in keys}

    def _evidence(self, row: tuple[Any, ...], keys: dict[str, PublicKey] | None) -> Evidence:
        statement, envelope = self._opened(row, keys)
        signature = base64.b64encode(envelope.signature).decode("ascii")
        return statements.evidence_of(statement, row[5], signature, envelope.key)

    def _opened(self, row: tuple[Any, ...], keys: dict[str, PublicKey] | None) -> tuple[statements.Statement[Any], dsse.Envelope]:
        seq, kind, key, payload, signature, digest = row
        envelope = dsse.Envelope(payload_type=dsse.IN_TOTO, payload=payload, key=key, signature=signature)
        held = sha256(envelope.encode()) == digest
        if held and keys is not None:
            held = key in keys and envelope.signed_by(keys[key])
        if not held:
            what = f"entry {seq} was edited: its digest or signature does not hold"
            raise EvidenceError(what, place=str(self.path), cure="run `bartizan verify`")
        return statements.read(Entry(kind), payload), envelope

    def _statements(self, kind: Entry, topic: str | None) -> Iterator[statements.Statement[Any]]:
        keys = self._keys()
        with self._lock, told(self.path):
            if topic is None:
                rows = self._connection.execute(_OF_KIND, (kind,)).fetchall()
            else:
                rows = self._connection.execute(_OF_TOPIC, (kind, topic)).fetchall()
        return (self._opened(row, keys)[0] for row in rows)

    def _standing(self, risk_id: str) -> tuple[str, str] | None:
        """State and status of the newest record of a risk."""
        with self._lock, told(self.path):
            row = self._connection.execute(_NEWEST, (Entry.RISK_STATE, risk_id)).fetchone()
        if row is None:
            return None
        risk: Risk = self._opened(row, None)[0].predicate.risk
        return risk.state, risk.status
