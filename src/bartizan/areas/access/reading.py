"""Reading data through its policy: whoever opens it gets what the policy gives, masked and filtered while it is read, and on record.

This binds programs that read through it, and people who get what it hands out. It cannot bind a hostile program in the same process: that
opens the file itself. There the permissions of the file are the wall, or a masked copy that somebody else hands out (`bartizan data read`).
Who `principal` really is has to be known before: nothing here asks for a password.
"""

from __future__ import annotations

import datetime as dt
import json
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from bartizan.areas.access import groups
from bartizan.areas.access import policy as policies
from bartizan.areas.access.compiling import Decision, Shown, View, view
from bartizan.areas.access.policy import Policy
from bartizan.areas.access.queries import Limits, Query
from bartizan.areas.access.rows import Always
from bartizan.areas.access.tables import files_of, fingerprint, polars, unreadable
from bartizan.evidence import Keyring, Store
from bartizan.evidence.canonical import sha256
from bartizan.model.access import Access
from bartizan.model.errors import BartizanError, Refused, UnknownName, one_line

STATE = ".bartizan"
MANIFEST = "bartizan.yaml"


def open(
    dataset: Path | str,
    principal: str,
    purpose: str,
    *,
    policy: Path | str | None = None,
    key: bytes | None = None,
    log: Path | str | None = None,
    extra: Any = None,
) -> Reader:
    """The table at `dataset`, a file or a folder of files, as `principal` sees it for `purpose`. Close the reader, or use it in a `with`.

    `policy` is its policy, by default `DATASET.access.yaml` beside it; `key` the key of keyed hashes; `log` the `.bartizan` folder whose
    chain records who asked, by default the one beside the nearest `bartizan.yaml` above the policy, else beside the policy; `extra` a
    further boolean Polars expression that every row must meet. Reads the columns' names and types; no row.

    Raises `Refused` where nothing is permitted, `UnknownName`, `InputError` for a policy that does not hold, `EvidenceError` where it
    cannot be recorded: what is not on record is not given.
    """
    path = Path(dataset)
    files_of(path)
    place = Path(policy) if policy is not None else policies.beside(path)
    rules = policies.load(place)
    journal = Journal(rules, path, principal, purpose, Path(log) if log is not None else _log(place))
    try:
        made = view(rules, path, principal, purpose, key=key, extra=extra)
        permitted(made)
        made.frame(made.visible, dt.datetime.now(dt.UTC))  # a mask that does not fit is said now
        journal.opened(made)
    except BartizanError as error:
        journal.refused(error)
        journal.close()
        raise
    except BaseException:
        journal.close()
        raise
    return Reader(made, journal)


class Journal:
    """What is written to the chain in the folder `log` about one reader; nothing without one, for a check that hands nothing out."""

    def __init__(self, policy: Policy, path: Path, principal: str, purpose: str, log: Path | None) -> None:
        data = fingerprint(path)
        self._about = Access(
            principal=one_line(principal, 200),
            purpose=one_line(purpose, 200),
            dataset=policy.name,
            source=path.name,
            policy=policy.digest,
            data=data,
        )
        self._store = Store.open(log, key=Keyring(log / "keys").signer()) if log is not None else None
        self._opened: int | None = None

    def opened(self, made: View) -> None:
        """The decision on every column."""
        denied = tuple(d.column for d in made.decisions if d.shown is Shown.ABSENT and not d.aggregate)
        seen = {"clear": made.columns(Shown.CLEAR), "masked": made.columns(Shown.MASKED), "aggregated": made.aggregated}
        self._opened = self._note(msgspec.structs.replace(self._about, denied=denied, **seen))

    def refused(self, error: BartizanError) -> None:
        """Nothing was given, and why."""
        self._note(msgspec.structs.replace(self._about, act="refused", why=str(error), opened=self._opened))

    def given(self, act: str, query: str, made: View, columns: Sequence[str], measured: Sequence[str], rows: int | None) -> None:
        """What was given, or is about to be."""
        clear = tuple(c for c in made.columns(Shown.CLEAR) if c in columns)
        masked = tuple(c for c in made.columns(Shown.MASKED) if c in columns)
        said = {"query": sha256(query.encode("utf-8", "surrogatepass")), "clear": clear, "masked": masked, "aggregated": tuple(measured)}
        self._note(msgspec.structs.replace(self._about, act=act, rows=rows, opened=self._opened, **said))

    def close(self) -> None:
        """Sign a checkpoint over what was recorded."""
        if self._store is not None:
            self._store.close()

    def _note(self, access: Access) -> int | None:
        return self._store.note_access(access) if self._store is not None else None


class Reader:
    """Data as one principal sees it for one purpose; made by `open`. Every answer is on record before it is given."""

    def __init__(self, made: View, journal: Journal) -> None:
        self._view = made
        self._journal = journal
        self._close = weakref.finalize(self, journal.close)

    @property
    def name(self) -> str:
        """The name of the table in `sql`."""
        return self._view.policy.name

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was decided about each column."""
        return self._view.decisions

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are seen, clear or masked."""
        return self._view.visible

    def frame(self, columns: Sequence[str] | None = None) -> Any:
        """The rows and columns that are seen, or some `columns` of them, as a Polars DataFrame; what is not asked for is not read.

        Not a LazyFrame: the filter of a caller would be run before ours, over rows that are not seen.
        """
        with self._refusals():
            names = self._names(columns)
            found = self._collected(self._scan(names))
        self._journal.given("frame", json.dumps(names), self._view, names, (), len(found))
        return found

    def batches(self, columns: Sequence[str] | None = None, *, rows: int = 65_536) -> Iterator[Any]:
        """The same in DataFrames of about `rows` rows, at least one, in constant memory. Recorded when it begins, and when it ends with the
        number of rows."""
        with self._refusals():
            names = self._names(columns)
        self._journal.given("batches", json.dumps(names), self._view, names, (), None)
        pl, given = polars(), 0
        scan = self._scan(names)
        try:
            for batch in scan.collect_batches(chunk_size=rows, maintain_order=True):
                given += len(batch)
                yield batch
            if not given:
                yield self._collected(scan.head(0))
        except pl.exceptions.PolarsError as error:
            raise unreadable(self._view.table.path, error) from None
        finally:
            self._journal.given("done", json.dumps(names), self._view, names, (), given)

    def sql(self, text: str, limits: Limits | None = None) -> Any:
        """The answer to one SELECT over the table `name`, as a Polars DataFrame. The table holds masked values alone, so that no filter,
        join, order, cast or expression sees others. Raises `Refused`, `InputError`, `UnknownName`; a refused query is on record too."""
        with self._refusals():
            query = Query(text, self.name, self.columns)
            found = query.answer(self._collected(self._scan(query.columns)), limits or Limits())
        self._journal.given("sql", text, self._view, query.columns, (), len(found))
        return found

    def aggregate(self, by: Sequence[str], measures: Mapping[str, tuple[str, str]]) -> groups.Figures:
        """Figures over groups: `measures` maps a name to (count, sum or mean; column). Groups are made by columns as they are seen;
        measured are columns that are permitted for `aggregate`, or clear. What is hidden, `groups` says. Raises `UnknownName`."""
        with self._refusals():
            keys, measured, found = self._figures(by, measures)
        query = json.dumps([keys, {name: list(asked) for name, asked in measures.items()}])
        self._journal.given("aggregate", query, self._view, keys, measured, len(found.frame))
        return found

    def _figures(self, by: Sequence[str], measures: Mapping[str, tuple[str, str]]) -> tuple[list[str], list[str], groups.Figures]:
        kinds = {name: (groups.measure(kind), column) for name, (kind, column) in measures.items()}
        permitted = {*self._view.aggregated, *self._view.columns(Shown.CLEAR)}
        for _, column in kinds.values():
            if column not in permitted:
                raise UnknownName("column", column, sorted(permitted), of="what may be aggregated")
        keys = self._names(by) if by else []
        measured = list(dict.fromkeys(column for _, column in kinds.values()))
        raw = {column: f"{column}\0measured" for column in measured}
        pl = polars()
        scan = self._view.rows(dt.datetime.now(dt.UTC)).with_columns(
            *(pl.col(column).alias(name) for column, name in raw.items()), *(self._view.expression(name) for name in keys)
        )
        asked = {name: (kind, raw[column]) for name, (kind, column) in kinds.items()}
        try:
            found = groups.figures(scan, keys, asked, self._view.policy.smallest_group)
        except pl.exceptions.PolarsError as error:
            raise unreadable(self._view.table.path, error) from None
        return keys, measured, found

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """What is refused is on record too."""
        try:
            yield
        except BartizanError as error:
            self._journal.refused(error)
            raise

    def close(self) -> None:
        """Sign a checkpoint over what was recorded."""
        self._close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _names(self, columns: Sequence[str] | None) -> list[str]:
        names = list(self.columns if columns is None else dict.fromkeys(columns))
        for name in names:
            if name not in self.columns:
                raise UnknownName("column", name, list(self.columns), of=f"'{self.name}' for {self._view.principal}")
        return names

    def _scan(self, names: Sequence[str]) -> Any:
        return self._view.frame(names, dt.datetime.now(dt.UTC))

    def _collected(self, frame: Any) -> Any:
        pl = polars()
        try:
            return frame.collect(engine="streaming")
        except (pl.exceptions.PolarsError, OSError) as error:
            raise unreadable(self._view.table.path, error) from None


def permitted(made: View) -> None:
    """Raises `Refused` where no column is permitted, or no row."""
    who = f"'{made.principal}' for '{made.purpose}'"
    if not made.visible and not made.aggregated:
        why = next((d.why for d in made.decisions if d.why.startswith("a rule errs")), "no rule permits any column")
        raise Refused(f"{who} sees nothing of '{made.policy.name}': {why}", place=made.policy.first)
    if made.condition == Always(False):
        cure = 'permit (principal, action == Action::"rows", resource);'
        raise Refused(f"{who} sees no row of '{made.policy.name}': no rule permits any", place=made.policy.first, cure=cure)


def _log(policy: Path) -> Path:
    """The state folder of the project that the policy lies in, else one beside the policy."""
    folder = policy.resolve().parent
    for above in (folder, *folder.parents):
        if (above / MANIFEST).is_file():
            return above / STATE
    return folder / STATE
