"""The SQLite file of the evidence: schema, connections, transactions, and SQLite's errors told in one line.

Write-ahead log and `synchronous = FULL`: an entry is durable when `COMMIT` returns, and whole or absent whenever the process dies.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from bartizan.model.errors import EvidenceError

VERSION = 1
APPLICATION = 0x42415254
"""`BART`: marks the file as ours for `file` and for SQLite's tools."""

BUSY_SECONDS = 30.0
"""How long a writer waits for another one."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS keys (id TEXT PRIMARY KEY, der BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS entries (
  seq INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  topic TEXT NOT NULL,
  collected TEXT NOT NULL,
  received TEXT NOT NULL,
  key TEXT NOT NULL,
  payload BLOB NOT NULL,
  signature BLOB NOT NULL,
  previous TEXT NOT NULL,
  digest TEXT NOT NULL,
  leaf BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS entries_by_topic ON entries (kind, topic, seq);
CREATE TABLE IF NOT EXISTS checkpoints (size INTEGER NOT NULL, time TEXT NOT NULL, envelope BLOB NOT NULL, PRIMARY KEY (size, time)) STRICT;
"""
"""`topic` is what an entry is looked up by: the digest of the job, the id of the risk, the id of the new key."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes; the file and its schema are made where they lack. Raises `EvidenceError`."""
    _check_plain(path)
    with told(path):
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _check_version(connection, path)
            _use_log(connection)
            connection.execute("PRAGMA synchronous = FULL")
            _harden(connection)
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                with transaction(connection):
                    for statement in SCHEMA.split(";\n"):
                        connection.execute(statement)
                    connection.execute("INSERT OR IGNORE INTO meta VALUES ('origin', lower(hex(randomblob(16))))")
                    connection.execute(f"PRAGMA application_id = {APPLICATION}")
                    connection.execute(f"PRAGMA user_version = {VERSION}")
        except BaseException:
            connection.close()
            raise
    return connection


def connect_reading(path: Path) -> sqlite3.Connection:
    """A connection that only reads; works in a folder that is read-only too. Raises `EvidenceError`."""
    if not path.exists():
        raise EvidenceError("no evidence here", place=str(path), cure="run `bartizan assess` first")
    _check_plain(path)
    with told(path):
        connection = _open_reading(path)
        try:
            _check_version(connection, path)
            _harden(connection)
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:  # died before the schema was there
                connection.close()
                connection = sqlite3.connect(":memory:", isolation_level=None)
                connection.executescript(SCHEMA)
        except BaseException:
            connection.close()
            raise
    return connection


def _open_reading(path: Path) -> sqlite3.Connection:
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        log = path.with_name(path.name + "-wal")
        connection.close()
        if log.exists() and log.stat().st_size:
            raise
        # a read-only folder has no place for the log's index; nobody writes there, so the file alone is the whole truth
        connection = sqlite3.connect(address + "&immutable=1", uri=True, isolation_level=None, check_same_thread=False)
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and alone among writers from its first statement on."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the file `path` into one line each."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise EvidenceError("another process holds the evidence", place=str(path), cure="let it finish and try again") from error
        raise EvidenceError(f"cannot be used: {error}", place=str(path), cure="check the path, its permissions and the disk") from error
    except sqlite3.DatabaseError as error:
        raise EvidenceError(f"the database is damaged: {error}", place=str(path), cure="restore it from a backup") from error


def _check_plain(path: Path) -> None:
    """SQLite would wait for ever for the other end of a named pipe."""
    if path.exists() and not path.is_file():
        raise EvidenceError("not a plain file", place=str(path), cure="restore it from a backup")


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise EvidenceError(f"written by a newer bartizan (format {version})", place=str(path), cure="update bartizan")


def _harden(connection: sqlite3.Connection) -> None:
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")


def _use_log(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; SQLite does not wait for its lock here, so we do."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
