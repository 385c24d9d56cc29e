"""The check that no details that identify persons go into training unnoticed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bartizan.adapters.files import local_path
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import clopper_pearson
from bartizan.model.system import Dataset, Kind, Phase, Sensitivity, Subject

if TYPE_CHECKING:
    from bartizan.areas.pii.columns import Column

SHOWN = 30
"""Most columns that a finding lists."""


@check(
    "pii.personal_data",
    threats=["personal-data-in-training"],
    controls=["pii-scan"],
    kinds={Kind.DATASET},
    phases={Phase.DATA},
    extra="data",
    cost=Cost.FAST,
)
def personal_data(job: Job, target: Dataset, *, tolerance: float = 0.0) -> Iterator[Finding]:
    """Identifying details and secrets in the columns and lines of a data set.

    Email, telephone, card, account and IP numbers, more than fifty national identifiers, dates of birth and keys are found by content;
    names, addresses and special categories by the names of columns. Names inside free text are not searched: where a column is free text
    and nothing else was found, the verdict is inconclusive.

    tolerance: the share of rows with an identifying detail that is accepted
    """
    from bartizan.areas.pii.files import scan_file

    if target.uri is None:
        raise InputError(f"data set '{target.id}' has no uri", place=target.at, cure="declare where it lies")
    maps, skipped = scan_file(job.root, local_path(job.root, target.uri, target.at))
    yield from findings(job, target, maps, skipped, tolerance=tolerance)


def findings(
    job: Job, target: Dataset, maps: Mapping[str, Mapping[str, Column]], skipped: Sequence[str], *, tolerance: float = 0.0
) -> Iterator[Finding]:
    """What the columns of each file (`maps`) say of `target`; `skipped` are the files that hold no text. Raises `InputError` where nothing
    could be read."""
    if not any(column.filled for columns in maps.values() for column in columns.values()):
        raise InputError(f"data set '{target.id}' holds no text that can be read", place=target.at, cure="declare a table or text")
    for threat, asset in about_of(job):
        yield _finding(job, target, (threat, asset), maps, (tuple(skipped), tolerance))


def _finding(job: Job, target: Dataset, about: tuple[str, str], maps: Mapping[str, Mapping[str, Column]],
             rest: tuple[tuple[str, ...], float]) -> Finding:  # fmt: skip
    skipped, tolerance = rest
    found = [(file, column) for file, columns in maps.items() for column in columns.values() if column.personal]
    free = [(file, column) for file, columns in maps.items() for column in columns.values() if is_free_text(column)]
    rows = sum(max(column.rows for column in columns.values()) for columns in maps.values() if columns)
    worst = max((share(column) for _, column in found), default=0.0)
    failed = worst > tolerance
    verdict = Verdict.FAIL if failed else Verdict.INCONCLUSIVE if free or skipped else Verdict.PASS
    return Finding(
        check=job.check,
        asset=about[1],
        threat=about[0],
        verdict=verdict,
        severity=_severity(target, [column for _, column in found]) if failed else Severity.INFO,
        title=_title(target, found, verdict),
        why=" ".join(_reasons(target, maps, (found, free), skipped)),
        remedy="" if verdict is Verdict.PASS else _remedy(verdict, target),
        measures=tuple(_measures(job, found, rows, tolerance)),
        places=tuple(sorted({Place(file) for file, _ in found}))[:20],
        details={"columns": _map(maps), "not_read": list(skipped[:SHOWN])} | ({"probability_cap": 0.1} if verdict is Verdict.PASS else {}),
    )


def share(column: Column) -> float:
    """The share of the rows of `column` that hold its most frequent identifying kind; all filled ones where the name says so."""
    counted = max((found.rows for found in column.kinds.values()), default=column.filled if column.personal else 0)
    return counted / column.rows if column.rows else 0.0


def is_free_text(column: Column) -> bool:
    """Are most values different and likely sentences? Names inside them would not be seen."""
    return column.words >= 4 and column.values >= 3


def _title(target: Dataset, found: list[tuple[str, Column]], verdict: Verdict) -> str:
    if not found:
        return f"No identifying detail found in {target.id}" + (
            "; names in free text were not searched" if verdict is not Verdict.PASS else ""
        )
    kinds = sorted({kind for _, column in found for kind in (list(column.kinds) or [column.named or ""])})
    more = f" and {len(kinds) - 4} more kinds" if len(kinds) > 4 else ""
    return f"{len(found)} column{'s' * (len(found) > 1)} of {target.id} hold{'s' * (len(found) == 1)} {', '.join(kinds[:4])}{more}"


def _reasons(target: Dataset, maps: Mapping[str, Mapping[str, Column]],
             seen: tuple[list[tuple[str, Column]], list[tuple[str, Column]]], skipped: tuple[str, ...]) -> Iterator[str]:  # fmt: skip
    found, free = seen
    cells = sum(column.filled for columns in maps.values() for column in columns.values())
    yield f"{cells} cells and lines were read, each different one once."
    for _, column in found[:6]:
        parts = [f"{kind} in {held.rows} of {column.rows} rows" for kind, held in column.kinds.items()]
        yield f"{column.name}: {', '.join(parts) if parts else f'{column.named} by its name'}."
    if found and target.subjects is not None and not {Subject.PERSON, Subject.CHILD} & set(target.subjects):
        yield "The manifest says that this data is not about persons."
    if any(kind.startswith("secret.") or kind == "url_with_credentials" for _, column in found for kind in column.kinds):
        yield "Keys or passwords stand in it: whoever reads the data, or draws it out of a model, can use them."
    if found and target.sensitivity is not None and target.sensitivity.rank < Sensitivity.CONFIDENTIAL.rank:
        yield f"Its declared sensitivity is only {target.sensitivity}."
    if free:
        yield f"Free text in {', '.join(column.name for _, column in free[:4])}: names in it were not searched."
    if skipped:
        yield f"{len(skipped)} files hold no text and were not read."


def _severity(target: Dataset, columns: list[Column]) -> Severity:
    kinds = {kind for column in columns for kind in column.kinds}
    if any(kind.startswith("secret.") or kind == "url_with_credentials" for kind in kinds):
        return Severity.CRITICAL
    undeclared = target.subjects is not None and Subject.PERSON not in target.subjects and Subject.CHILD not in target.subjects
    return Severity.HIGH if undeclared or kinds - {"ip_address", "email"} else Severity.MEDIUM


def _remedy(verdict: Verdict, target: Dataset) -> str:
    if verdict is Verdict.INCONCLUSIVE:
        return "Search the free text for names, or take it out of the training data."
    command = f"bartizan harden anonymise {target.uri} -o a-new-file"
    return f"Leave out what the task does not need: {command}; replace every key that was found."


def _measures(job: Job, found: list[tuple[str, Column]], rows: int, tolerance: float) -> Iterator[Measure]:
    counts = [(f"rows of {column.name} with an identifying detail", round(share(column) * column.rows), column.rows) for _, column in found]
    for name, k, n in counts[:SHOWN] or [("rows with an identifying detail", 0, rows)]:
        low, high = clopper_pearson(k, n, job.confidence)
        yield Measure(
            name=name,
            value=k / n,
            low=low,
            high=high,
            confidence=job.confidence,
            n=n,
            k=k,
            unit="share of rows",
            limit=tolerance,
            method="every value read",
        )


def _map(maps: Mapping[str, Mapping[str, Column]]) -> dict[str, Any]:
    """File, column, and what it holds; never a value."""
    return {
        file: {
            column.name: {"rows": column.rows, "named": column.named, "kinds": {kind: held.rows for kind, held in column.kinds.items()}}
            for column in list(columns.values())
            if column.kinds or column.named
        }
        for file, columns in list(maps.items())[:SHOWN]
    }
