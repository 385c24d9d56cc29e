"""The check that no row is kept longer than it may be, counted in the data itself."""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bartizan.adapters.files import files_below, local_path, shown
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError, MissingExtra, Place, one_line
from bartizan.model.findings import Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.system import Dataset, Kind, Phase, Sensitivity, Subject, System

if TYPE_CHECKING:
    from bartizan.areas.access.retention import Expiry

CAP = 0.1
"""Chance that data is kept too long all the same, at most, while the check passes: copies and backups are not looked at."""

SHOWN = 20
LOOKED_AT = 2000
"""Rows from which a column of dates is proposed."""


class _Found(msgspec.Struct):
    """What the files hold together: rows, expired, undated; expired rows by file; files that were not judged, with the reason."""

    rows: int = 0
    expired: int = 0
    undated: int = 0
    files: dict[str, int] = {}
    unread: list[str] = []


def _has_limit(node: Dataset, system: System) -> bool:  # noqa: ARG001 - the planner calls every predicate with (node, system)
    return node.retention is not None or node.retention_column is not None


@check(
    "access.expired_rows",
    threats=["excess-retention"],
    controls=["retention-limit"],
    kinds={Kind.DATASET},
    phases={Phase.DATA, Phase.OPERATION},
    cost=Cost.FAST,
    extra="data",
    applies=_has_limit,
    valid_days=1,
)
def expired_rows(job: Job, target: Dataset, *, undated_expired: bool = False, date_format: str = "") -> Iterator[Finding]:
    """Rows that are kept longer than the declared retention.

    Counts, in every table of the data set, the rows whose `retention_column` lies more than `retention` days ago, in UTC; a date without a
    time counts as the whole day. Without `retention` the column itself says when a row expires. One expired row fails. Rows whose cell is
    empty or no date are counted by themselves: nobody can say that they may be kept, so they leave the verdict inconclusive. Without a
    declared column the finding is unknown and names the columns that look like dates. Backups, copies and exports are not looked at.

    undated_expired: whether a row without a date counts as expired
    date_format: how the text of the column is written (strptime, such as %d/%m/%Y), where that is not ISO 8601
    """
    if target.uri is None:
        raise InputError(f"data set '{target.id}' has no uri", place=target.at, cure="declare where it lies")
    path = local_path(job.root, target.uri, target.at)
    if target.retention_column is None:
        found, outcome = _Found(), _undeclared(job, target, path)
    else:
        retention = _room("retention")
        expiry = retention.Expiry(column=target.retention_column, days=target.retention, shape=date_format or None)
        found = _counted(job, path, expiry, dt.datetime.now(dt.UTC))
        outcome = _judged(target, found, undated_expired)
    verdict, title, why, remedy = outcome
    worst = (
        Severity.HIGH
        if (target.sensitivity or Sensitivity.PUBLIC).rank >= 2 or Subject.CHILD in (target.subjects or ())
        else Severity.MEDIUM
    )
    for threat, asset in about_of(job):
        yield Finding(
            check=job.check,
            asset=asset,
            threat=threat,
            verdict=verdict,
            severity=worst if verdict is Verdict.FAIL else Severity.INFO,
            title=title,
            why=why,
            remedy=remedy,
            measures=_measures(found),
            places=tuple(Place(name) for name in list(found.files)[:SHOWN]) or ((target.at,) if target.at is not None else ()),
            details={"rows": found.rows, "expired": found.expired, "undated": found.undated, "unread": found.unread[:SHOWN]}
            | ({"probability_cap": CAP} if verdict is Verdict.PASS else {}),
        )


def _room(name: str) -> Any:
    try:
        return importlib.import_module(f"bartizan.areas.access.{name}")
    except ModuleNotFoundError as error:
        raise MissingExtra("data", error.name) from None


def _tables(job: Job, path: Path) -> Iterator[tuple[str, Path]]:
    for file in files_below(job.root, path):
        yield (shown(job.root, file), file)


def _counted(job: Job, path: Path, expiry: Expiry, now: dt.datetime) -> _Found:
    """The rows of all tables below `path`. A file that is no table, or lacks the column, is not judged."""
    columns, retention = _room("columns"), _room("retention")
    cutoff, found = expiry.cutoff(now), _Found()
    for name, file in _tables(job, path):
        if columns.table_kind(file) is None:
            found.unread.append(f"{name} is no table")
            continue
        try:
            if expiry.column not in columns.names(file):
                found.unread.append(f"{name} has no column '{one_line(expiry.column, 60)}'")
                continue
        except InputError as error:
            found.unread.append(str(error))
            continue
        gone = 0
        for cells in columns.cells(file, expiry.column):
            past = retention.before(cells, cutoff, expiry.shape)
            found.rows += len(past)
            found.undated += past.null_count()
            gone += past.sum() or 0
        found.expired += gone
        if gone:
            found.files[name] = gone
    return found


def _judged(target: Dataset, found: _Found, undated_expired: bool) -> tuple[Verdict, str, str, str]:
    column, name = one_line(target.retention_column or "", 60), target.id
    limit = f"{target.retention} days after '{column}'" if target.retention is not None else f"by '{column}'"
    cure = "--before " + dt.datetime.now(dt.UTC).date().isoformat() if target.retention is None else f"--retention {target.retention}"
    remedy = f"Delete them with proof: bartizan data purge {target.uri} {cure} --column {column} --key KEY -o NEW"
    undated = f" {found.undated} rows name no date." if found.undated else ""
    unread = f" Not judged: {'; '.join(found.unread[:4])}." if found.unread else ""
    gone = found.expired + (found.undated if undated_expired else 0)
    if gone:
        listed = ", ".join(f"{count} in {file}" for file, count in list(found.files.items())[:6])
        why = f"{found.expired} of {found.rows} rows expired {limit}{f' ({listed})' if listed else ''}.{undated}{unread}"
        return Verdict.FAIL, f"{gone} of {found.rows} rows of {name} are kept too long", why, remedy
    if found.undated or found.unread or not found.rows:
        why = f"None of {found.rows} rows is known to have expired {limit}.{undated}{unread}"
        cure = f"Date them, say how '{column}' is written (date_format), or delete them: {remedy.partition(': ')[2]} --undated remove"
        if not found.undated:
            cure = "Declare a narrower uri, or give every table the column."
        verdict = Verdict.INCONCLUSIVE if found.rows else Verdict.UNKNOWN
        return verdict, f"Not every row of {name} can be dated", why, cure
    why = f"None of {found.rows} rows has expired {limit}. Backups and copies were not looked at."
    return Verdict.PASS, f"No row of {name} is kept too long", why, ""


def _undeclared(job: Job, target: Dataset, path: Path) -> tuple[Verdict, str, str, str]:
    dated = _candidates(job, path)
    listed = ", ".join(f"'{one_line(one, 40)}'" for one in dated[:8])
    why = f"Rows may be kept for {target.retention} days, but which column dates them is not declared, so none could be counted."
    seen = f" These look like dates: {listed}." if dated else " No column looks like dates."
    remedy = f"Declare on '{target.id}': retention_column: {one_line(dated[0], 40) if dated else 'NAME'}"
    return Verdict.UNKNOWN, f"Which column dates the rows of {target.id} is not declared", why + seen, remedy


def _candidates(job: Job, path: Path) -> list[str]:
    """The columns of the first table whose cells look like dates, by its first rows."""
    columns, retention = _room("columns"), _room("retention")
    table = next((file for _, file in _tables(job, path) if columns.table_kind(file) is not None), None)
    if table is None:
        return []
    found = []
    for name in columns.names(table):
        first = next(iter(columns.cells(table, name)), None)
        if first is not None and retention.looks_dated(first.head(LOOKED_AT)):
            found.append(name)
    return found


def _measures(found: _Found) -> tuple[Measure, ...]:
    if not found.rows:
        return ()
    share = found.expired / found.rows
    method = "every row counted"
    return (
        Measure(
            name="expired rows", value=share, low=share, high=share, confidence=1.0, n=found.rows, k=found.expired, limit=0.0, method=method
        ),
    )
