"""Verification of a store where it lies: no network, no private key, and no trust in anything that is not signed."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bartizan.evidence import checkpoints, dsse
from bartizan.evidence.artefacts import Artefacts
from bartizan.evidence.checkpoints import Checkpoint
from bartizan.evidence.database import connect_reading, told
from bartizan.evidence.files import open_regular
from bartizan.evidence.signing import PublicKey
from bartizan.evidence.store import DATABASE
from bartizan.evidence.verification import NOTHING, Columns, Present, Record, Trust, Verification, Walk
from bartizan.model.errors import EvidenceError

_ROWS = "SELECT seq, kind, topic, collected, received, key, payload, signature, previous, digest, leaf FROM entries ORDER BY seq"
_TYPES = (int, str, str, str, str, str, bytes, bytes, str, str, bytes)


_LARGEST_KEY = 1 << 16
"""Bytes of a key file that are read, whatever it is: a pipe may give one, an endless device must not fill the memory."""


def verify_store(
    folder: Path,
    key: Path | bytes | None = None,
    checkpoint: Path | None = None,
    *,
    root: Path | None = None,
    subjects: Mapping[str, Path | str] | None = None,
) -> Verification:
    """Verify the store in `folder` (a `.bartizan` folder, or the project above it).

    `key` is the public key that you trust, a PEM file or its bytes: the first key of the chain or a later one. `checkpoint` is a file that
    you kept elsewhere. With `root` (the project's folder) or `subjects` (by name, a path or a SHA-256) the newest evidence of every check
    must be about the files as they are now. Raises `EvidenceError` where there is no store, or the key or checkpoint cannot be read; what
    is wrong with the store itself is in the answer, a damaged database too.
    """
    path = _database(Path(folder))
    anchor = load_key(key)
    kept = checkpoints.load(Path(checkpoint)) if checkpoint is not None else None
    try:
        connection = connect_reading(path)
    except EvidenceError as error:
        return failed(str(error))
    artefacts = Artefacts(path.parent / "artefacts")
    try:
        with told(path):
            connection.execute("BEGIN")  # one state of the store, whoever appends meanwhile
            offered, own, problems = _offers(connection)
            row = connection.execute("SELECT value FROM meta WHERE name = 'origin'").fetchone()
            now = subjects_now(root, subjects) if root is not None or subjects else None
            trust = Trust(anchor=anchor, offered=offered, own=own, kept=kept, now=now)
            walk = Walk(trust, artefacts.problem, row[0] if row else None)
            for problem in problems:
                walk.say(problem)
            return walk.run(_records(connection, walk.say))
    except EvidenceError as error:
        return failed(str(error))
    finally:
        connection.close()


def load_key(key: Path | bytes | None) -> PublicKey | None:
    """The public key in a file or in bytes. Raises `EvidenceError`."""
    if key is None or isinstance(key, bytes):
        return PublicKey.load(key) if key is not None else None
    try:
        with Path(key).open("rb") as file:
            return PublicKey.load(file.read(_LARGEST_KEY), str(key))
    except OSError as error:
        raise EvidenceError(f"cannot be read: {error.strerror}", place=str(key)) from error


def subjects_now(root: Path | None, subjects: Mapping[str, Path | str] | None) -> Callable[[str], Present]:
    """What digest each subject has at present: as `subjects` says, else of the file of that name below `root`."""
    given = subjects or {}

    def now(name: str) -> Present:
        if name in given:
            value = given[name]
            return _file_now(value) if isinstance(value, Path) else Present(sha256=value.removeprefix("sha256:"))
        if root is None or name.startswith("declaration:"):
            return Present()
        return _file_now(Path(root) / name)

    return now


def failed(problem: str) -> Verification:
    """The answer where nothing could be verified at all."""
    return Verification(ok=False, problems=(problem,), warnings=(), entries=0, head=NOTHING, root="", key="")


def _database(folder: Path) -> Path:
    for place in (folder / DATABASE, folder / ".bartizan" / DATABASE, folder):
        if place.is_file():
            return place
    raise EvidenceError("no evidence store here", place=str(folder), cure="name a project, its .bartizan folder or a bundle")


def _file_now(path: Path) -> Present:
    if path.is_dir():
        return Present(unknown="it is a folder: give its digest by name")
    try:
        with open_regular(path) as file:
            return Present(sha256=hashlib.file_digest(file, "sha256").hexdigest())
    except (OSError, ValueError) as error:
        return Present(unknown=f"it cannot be read here ({getattr(error, 'strerror', None) or error})")


def _offers(connection: sqlite3.Connection) -> tuple[dict[str, PublicKey], list[Checkpoint], list[str]]:
    """The keys and checkpoints that a store holds, and what is wrong with them and with the database's own pages."""
    problems = [f"the database is damaged: {line}" for (line,) in connection.execute("PRAGMA integrity_check(5)") if line != "ok"]
    offered: dict[str, PublicKey] = {}
    for id, der in connection.execute("SELECT id, der FROM keys").fetchall():
        try:
            key = PublicKey.load(der)
        except EvidenceError as error:
            problems.append(f"the stored key {id[:12]}: {error}")
            continue
        if key.id != id:
            problems.append(f"the stored key {id[:12]} is another one: the row was edited")
        offered[key.id] = key
    own = []
    for size, time, envelope in connection.execute("SELECT size, time, envelope FROM checkpoints ORDER BY size, time").fetchall():
        try:
            found = checkpoints.decode(envelope)
        except EvidenceError as error:
            problems.append(f"the store's checkpoint of size {size}: {error}")
            continue
        if (found.size, found.time) != (size, time):
            problems.append(f"the store's checkpoint of size {size}: the row says another size or time than the checkpoint: it was edited")
        own.append(found)
    return offered, own, problems


def _records(connection: sqlite3.Connection, say: Callable[[str], None]) -> Iterator[Record]:
    for row in connection.execute(_ROWS):
        if tuple(map(type, row)) != _TYPES:
            say(f"entry {row[0]}: a column holds another type than it should: the row was edited")
            continue
        seq, kind, topic, collected, received, key, payload, signature, previous, digest, leaf = row
        envelope = dsse.Envelope(payload_type=dsse.IN_TOTO, payload=payload, key=key, signature=signature)
        columns = Columns(
            seq=seq, kind=kind, topic=topic, collected=collected, received=received, previous=previous, digest=digest, leaf=leaf
        )
        yield Record(envelope=envelope, columns=columns)
