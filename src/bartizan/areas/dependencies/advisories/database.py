"""Advisories of one ecosystem in one SQLite file: written whole or not at all, asked by package name, dated."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

import msgspec

from bartizan.areas.dependencies.advisories.osv import Advisory, Affected, moment, normal_name
from bartizan.areas.dependencies.advisories.versions import canonical
from bartizan.model.errors import BartizanError, InputError, one_line

FOLDER = "BARTIZAN_ADVISORIES"
"""The environment variable that names the folder of the databases."""

MAX_AGE = timedelta(days=7)
"""Age from which advisories are too old to let anything pass: new ones appear daily."""

FORMAT = "1"
_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Advisory)
_SCHEMA = """
create table about (key text primary key, value text not null);
create table advisory (number integer primary key, record blob not null);
create table affects (name text not null, number integer not null);
"""
_UPDATE = "fetch them: bartizan advisories update"


class NoAdvisories(BartizanError):
    """There are no advisories to decide by, or they are too old to decide by."""


class About(msgspec.Struct, frozen=True):
    """Where advisories came from. `newest` is when the latest of them was changed: their age, whatever the day of the download."""

    ecosystem: str
    source: str
    fetched: str
    newest: str
    count: int
    withdrawn: int

    def age(self, now: datetime) -> timedelta:
        """Time since the newest advisory changed."""
        return now - moment(self.newest, "advisories")


def folder() -> Path:
    """Where advisories are kept: `$BARTIZAN_ADVISORIES`, or below the user's data folder (XDG Base Directory Specification)."""
    named = os.environ.get(FOLDER)
    if named:
        return Path(named)
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "bartizan" / "advisories"


def path_of(ecosystem: str, base: Path | None = None) -> Path:
    """The file that holds the advisories of `ecosystem` (`Debian:12` lies in that of `Debian`)."""
    kind = ecosystem.partition(":")[0]
    if not kind.replace(" ", "").replace("-", "").replace(".", "").isalnum():
        raise InputError(f"'{one_line(ecosystem, 40)}' is no ecosystem of OSV", cure="for Python packages: PyPI")
    return (base or folder()) / f"{kind.replace(' ', '_')}.db"


def write(path: Path, advisories: Iterable[Advisory], ecosystem: str, source: str, now: datetime | None = None) -> About:
    """Write `advisories` as the database `path`, replacing it at once when all are in. Raises `InputError` where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        with closing(sqlite3.connect(name, isolation_level=None)) as connection:
            connection.executescript("pragma journal_mode=off; pragma synchronous=off;" + _SCHEMA)
            connection.execute("begin")
            about = _fill(connection, advisories, ecosystem, source, now or datetime.now(UTC))
            connection.execute("create index by_name on affects (name)")
            connection.execute("commit")
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
    return about


def _fill(connection: sqlite3.Connection, advisories: Iterable[Advisory], ecosystem: str, source: str, now: datetime) -> About:
    kind, newest, count, withdrawn, named = ecosystem.partition(":")[0], "", 0, 0, 0
    latest: datetime | None = None
    for number, advisory in enumerate(advisories):
        mine = tuple(_kept(a) for a in advisory.affected if a.package is not None and a.package.ecosystem.partition(":")[0] == kind)
        changed = moment(advisory.modified, advisory.id)
        if changed <= now and (latest is None or changed > latest):  # a slip in one date must not make old advisories look new
            latest, newest = changed, advisory.modified
        count += 1
        withdrawn += advisory.withdrawn is not None
        record = msgspec.structs.replace(advisory, affected=mine, details="", summary=advisory.title)
        connection.execute("insert into advisory values (?, ?)", (number, _ENCODER.encode(record)))
        names = {normal_name(a.package.ecosystem, a.package.name) for a in mine if a.package is not None}
        connection.executemany("insert into affects values (?, ?)", [(name, number) for name in sorted(names)])
        named += len(names)
    if not named or latest is None:
        raise InputError(f"holds no advisory for {kind}", place=source, cure="name an archive or folder of OSV records")
    about = About(kind, source, now.isoformat(timespec="seconds"), newest, count, withdrawn)
    rows = [(key, str(value)) for key, value in msgspec.structs.asdict(about).items()]
    connection.executemany("insert into about values (?, ?)", [*rows, ("format", FORMAT)])
    return about


def _kept(affected: Affected) -> Affected:
    """An entry with its listed versions in one spelling."""
    assert affected.package is not None
    ecosystem = affected.package.ecosystem
    return msgspec.structs.replace(affected, versions=tuple(sorted({canonical(ecosystem, v) for v in affected.versions})))


class Database:
    """The advisories of one ecosystem, open for questions. A context manager.

    Raises `NoAdvisories` where they were never fetched, `InputError` where the file is not ours.
    """

    def __init__(self, ecosystem: str = "PyPI", base: Path | None = None) -> None:
        self._path = path_of(ecosystem, base)
        if not self._path.is_file():
            raise NoAdvisories(f"there are no advisories for {ecosystem}", place=self._path.name, cure=_UPDATE)
        self._connection = sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            values = dict(self._connection.execute("select key, value from about"))
            if values.pop("format") != FORMAT:
                raise InputError("was written by another version of bartizan", place=self._path.name, cure=_UPDATE)
            self.about = msgspec.convert(values, About, strict=False)
        except (sqlite3.DatabaseError, KeyError, msgspec.ValidationError):
            self._connection.close()
            raise InputError("is no database of advisories", place=self._path.name, cure=_UPDATE) from None
        except InputError:
            self._connection.close()
            raise

    def __enter__(self) -> Database:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def of(self, names: Sequence[str]) -> Iterator[tuple[str, Advisory]]:
        """Each advisory about one of `names` (in normal form), withdrawn ones left out, with the name it was found by."""
        query = "select record from affects join advisory using (number) where name = ? order by number"
        try:
            for name in names:
                for (record,) in self._connection.execute(query, (name,)):
                    advisory = _DECODER.decode(record)
                    if advisory.withdrawn is None:
                        yield name, advisory
        except (sqlite3.DatabaseError, msgspec.DecodeError):
            raise InputError("is damaged", place=self._path.name, cure=_UPDATE) from None

    def demand_current(self, max_age: timedelta, now: datetime) -> None:
        """Raise `NoAdvisories` where the newest advisory is older than `max_age`."""
        age = self.about.age(now)
        if age > max_age:
            what = f"the newest advisory is {age.days} days old, more than {max_age.days} allow"
            raise NoAdvisories(what, place=f"advisories for {self.about.ecosystem}", cure=_UPDATE)
