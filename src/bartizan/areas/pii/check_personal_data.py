"""The check that no details that identify persons go into training unnoticed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bartizan.adapters.files import local_path
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError, Place, UnknownName
from bartizan.model.findings import Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import clopper_pearson
from bartizan.model.system import Dataset, Kind, Phase, Sensitivity, Subject

if TYPE_CHECKING:
    from bartizan.areas.pii.columns import Column
    from bartizan.areas.pii.reading import Reader

WORDS = 500
"""Words of free text that are read for names in a second of the budget: a twentieth of what a processor reads in it."""
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
    version="2",
)
def personal_data(job: Job, target: Dataset, *, tolerance: float = 0.0, names: str = "auto") -> Iterator[Finding]:
    """Identifying details and secrets in the columns and lines of a data set.

    Email, telephone, card, account and IP numbers, more than fifty national identifiers, dates of birth and keys are found by content;
    names, addresses and special categories by the names of columns. Names inside free text are read by a tagger where the extra `names` is
    installed, as many texts as the budget allows; where it is not, and nothing else was found, the verdict is inconclusive.

    tolerance: the share of rows with an identifying detail that is accepted
    names: names in free text: auto (where the extra is installed), off, strict (every sentence, also without a sign of a name)
    """
    from bartizan.areas.pii.files import scan_file

    if target.uri is None:
        raise InputError(f"data set '{target.id}' has no uri", place=target.at, cure="declare where it lies")
    finder = reader_of(names, job.budget.seconds)
    maps, skipped = scan_file(job.root, local_path(job.root, target.uri, target.at), finder=finder)
    yield from findings(job, target, maps, skipped, tolerance=tolerance, names=names)


def reader_of(names: str, seconds: float) -> Reader | None:
    """What reads free text for names within a budget of `seconds`; None where `names` is off, or auto without the extra.

    Raises `InputError` for another word than auto, off and strict, `MissingExtra` for strict without the extra.
    """
    from bartizan.areas.pii.masking import Names, finder_of
    from bartizan.areas.pii.reading import Reader

    if names not in list(Names):
        raise UnknownName("treatment of names", names, [str(known) for known in Names])
    finder = finder_of(Names(names), threads=1)
    return None if finder is None else Reader(finder, round(WORDS * seconds))


def findings(
    job: Job,
    target: Dataset,
    maps: Mapping[str, Mapping[str, Column]],
    skipped: Sequence[str],
    *,
    tolerance: float = 0.0,
    names: str = "auto",
) -> Iterator[Finding]:
    """What the columns of each file (`maps`) say of `target`; `skipped` are the files that hold no text, `names` how names in free
    text were searched. Raises `InputError` where nothing could be read."""
    if not any(column.filled for columns in maps.values() for column in columns.values()):
        raise InputError(f"data set '{target.id}' holds no text that can be read", place=target.at, cure="declare a table or text")
    for threat, asset in about_of(job):
        yield _finding(job, target, (threat, asset), maps, (tuple(skipped), tolerance, names))


def _finding(job: Job, target: Dataset, about: tuple[str, str], maps: Mapping[str, Mapping[str, Column]],
             rest: tuple[tuple[str, ...], float, str]) -> Finding:  # fmt: skip
    skipped, tolerance, names = rest
    columns = [(file, column) for file, held in maps.items() for column in held.values()]
    found = [(file, column) for file, column in columns if column.personal]
    open_ones = [column for _, column in columns if unsettled(column)]
    rows = sum(max(column.rows for column in held.values()) for held in maps.values() if held)
    failed = max((share(column) for _, column in found), default=0.0) > tolerance
    verdict = Verdict.FAIL if failed else Verdict.INCONCLUSIVE if open_ones or skipped else Verdict.PASS
    from bartizan.areas.pii.map_picture import personal_data_map

    return Finding(
        check=job.check,
        asset=about[1],
        threat=about[0],
        verdict=verdict,
        severity=_severity(target, [column for _, column in found]) if failed else Severity.INFO,
        title=_title(target, found, open_ones, verdict),
        why=" ".join(_reasons(target, maps, (found, open_ones), skipped)),
        remedy="" if verdict is Verdict.PASS else _remedy(verdict, _to_clean(target, maps, found), open_ones, names),
        measures=tuple(_measures(job, found, (rows, columns), tolerance)),
        needed=sum(column.reading.of - column.reading.values for column in open_ones if column.reading) or None,
        places=tuple(sorted({Place(file) for file, _ in found}))[:20],
        artefacts=personal_data_map(target.id, maps),
        details={"columns": _map(maps), "not_read": list(skipped[:SHOWN])} | ({"probability_cap": 0.1} if verdict is Verdict.PASS else {}),
    )


def share(column: Column) -> float:
    """The share of the rows of `column` that hold its most frequent identifying kind; all filled ones where the name says so."""
    counted: float = max((found.rows for found in column.kinds.values()), default=column.filled if column.named_personal else 0)
    if column.holds_names and column.reading is not None:
        counted = max(counted, column.filled * column.reading.sure_rows / max(column.reading.rows, 1))
    return counted / column.rows if column.rows else 0.0


def unsettled(column: Column) -> bool:
    """May free text in `column` hold names that nobody saw: it was not read, or not all of it, or a few words in it look like names?"""
    if not column.free_text or column.holds_names:
        return False
    return column.reading is None or not column.reading.complete or column.reading.sure > 0


def _title(target: Dataset, found: list[tuple[str, Column]], open_ones: list[Column], verdict: Verdict) -> str:
    if not found:
        end = "" if verdict is Verdict.PASS else "; names in free text were not searched"
        if open_ones and all(column.reading is not None for column in open_ones):
            end = "; whether its free text holds names is open"
        return f"No identifying detail found in {target.id}" + (end if open_ones else "")
    kinds = sorted({kind for _, column in found for kind in _kinds(column)})
    more = f" and {len(kinds) - 4} more kind{'s' * (len(kinds) > 5)}" if len(kinds) > 4 else ""
    return f"{len(found)} column{'s' * (len(found) > 1)} of {target.id} hold{'s' * (len(found) == 1)} {', '.join(kinds[:4])}{more}"


def _kinds(column: Column) -> list[str]:
    """What a column holds, by content, else by its name."""
    return [*column.kinds, *(["person_name"] if column.holds_names else [])] or [column.named or ""]


def _reasons(target: Dataset, maps: Mapping[str, Mapping[str, Column]],
             seen: tuple[list[tuple[str, Column]], list[Column]], skipped: tuple[str, ...]) -> Iterator[str]:  # fmt: skip
    found, open_ones = seen
    cells = sum(column.filled for columns in maps.values() for column in columns.values())
    yield f"{cells} cells and lines were read, each different one once."
    for _, column in found[:6]:
        parts = [f"{kind} in {held.rows} of {column.rows} rows" for kind, held in column.kinds.items()]
        parts += (
            [f"names of persons in {column.reading.sure} of {column.reading.values} texts"] if column.holds_names and column.reading else []
        )
        yield f"{column.name or 'the lines'}: {', '.join(parts) if parts else f'{column.named} by its name'}."
    if found and target.subjects is not None and not {Subject.PERSON, Subject.CHILD} & set(target.subjects):
        yield "The manifest says that this data is not about persons."
    if any(kind.startswith("secret.") or kind == "url_with_credentials" for _, column in found for kind in column.kinds):
        yield "Keys or passwords stand in it: whoever reads the data, or draws it out of a model, can use them."
    if found and target.sensitivity is not None and target.sensitivity.rank < Sensitivity.CONFIDENTIAL.rank:
        yield f"Its declared sensitivity is only {target.sensitivity}."
    unread = [column.name or "the lines" for column in open_ones if column.reading is None]
    if unread:
        yield f"Free text in {', '.join(unread[:4])}: names in it were not searched."
    for column in [column for column in open_ones if column.reading is not None][:4]:
        yield _open(column)
    read = [column for columns in maps.values() for column in columns.values() if column.reading is not None]
    if read and not found and not open_ones:
        texts = sum(column.reading.values for column in read if column.reading)
        yield f"{texts} texts were read for names; the tagger misses about one in eight."
    if skipped:
        yield f"{len(skipped)} files hold no text and were not read."


def _open(column: Column) -> str:
    """Why it is open whether a column that was read holds names."""
    from bartizan.areas.pii.reading import FALSE_ALARMS

    reading = column.reading
    assert reading is not None
    text = f"{column.name or 'the lines'}: {reading.sure} of {reading.values} texts seem to hold a person's name"
    if reading.sure:
        text += f", which may be false alarms: text without names gives up to {FALSE_ALARMS:.0%}"
    if not reading.complete:
        text += f"; of about {reading.of} texts {reading.values} were read, so up to {reading.at_most():.1%} may"
    return f"{text}."


def _severity(target: Dataset, columns: list[Column]) -> Severity:
    kinds = {kind for column in columns for kind in _kinds(column) if kind in column.kinds or column.holds_names}
    if any(kind.startswith("secret.") or kind == "url_with_credentials" for kind in kinds):
        return Severity.CRITICAL
    undeclared = target.subjects is not None and Subject.PERSON not in target.subjects and Subject.CHILD not in target.subjects
    return Severity.HIGH if undeclared or kinds - {"ip_address", "email"} else Severity.MEDIUM


def _to_clean(target: Dataset, maps: Mapping[str, Mapping[str, Column]], found: list[tuple[str, Column]]) -> tuple[str, int]:
    """The first file that is to be cleaned, and how many more: those with something in them, else those with open questions."""
    named = [file for file, _ in found] or [f for f, held in maps.items() if any(unsettled(column) for column in held.values())]
    files = list(dict.fromkeys(named))
    return (str(target.uri), 0) if len(maps) < 2 or not files else (files[0], len(files) - 1)


def _remedy(verdict: Verdict, files: tuple[str, int], open_ones: list[Column], names: str) -> str:
    from bartizan.areas.pii.names import missing

    clean = f"bartizan harden anonymise {files[0]} -o a-new-file" + (f" (and {files[1]} files more, each by itself)" if files[1] else "")
    if verdict is not Verdict.INCONCLUSIVE:
        return f"Leave out what the task does not need: {clean}; replace every key that was found."
    if any(column.reading is None for column in open_ones):
        how = "leave `names` at auto" if names == "off" or missing() is None else "pip install 'bartizan[names]', then run this again"
        return f"Search the free text for names: {how}; or take it out of the training data."
    if any(column.reading is not None and not column.reading.complete for column in open_ones):
        return f"Give the check more time to read all texts, or take the names out: {clean}"
    if open_ones:
        return f"Look at the texts, or take out what may be a name: {clean}"
    return "Look at the files that were not read, or take them out of the training data."


def _measures(
    job: Job, found: list[tuple[str, Column]], whole: tuple[int, list[tuple[str, Column]]], tolerance: float
) -> Iterator[Measure]:
    rows, columns = whole
    counts = [
        (f"rows of {column.name} with an identifying detail", round(share(column) * column.rows), column.rows)
        for _, column in found
        if column.kinds or column.named_personal
    ]
    read = [column for _, column in columns if column.reading is not None and (column.free_text or column.holds_names)]
    for name, k, n in counts[:SHOWN] or ([("rows with an identifying detail", 0, rows)] if not found else []):
        yield _measure(job, (name, k, n), tolerance, "share of rows", "every value read")
    for column in read[:SHOWN]:
        if column.reading is not None:
            held = column.reading
            method = f"{held.values} of about {held.of} different texts read by the tagger of names"
            yield _measure(
                job,
                (f"texts of {column.name or 'the lines'} with a person's name", held.sure, held.values),
                tolerance,
                "share of texts",
                method,
            )


def _measure(job: Job, counted: tuple[str, int, int], tolerance: float, unit: str, method: str) -> Measure:
    name, k, n = counted
    low, high = clopper_pearson(k, n, job.confidence)
    return Measure(
        name=name, value=k / n, low=low, high=high, confidence=job.confidence, n=n, k=k, unit=unit, limit=tolerance, method=method
    )


def _map(maps: Mapping[str, Mapping[str, Column]]) -> dict[str, Any]:
    """File, column, and what it holds; never a value."""
    return {
        file: {
            column.name: {"rows": column.rows, "named": column.named, "kinds": {kind: held.rows for kind, held in column.kinds.items()}}
            | _reading(column)
            for column in list(columns.values())
            if column.kinds or column.named or column.reading is not None
        }
        for file, columns in list(maps.items())[:SHOWN]
    }


def _reading(column: Column) -> dict[str, Any]:
    """What the tagger of names said of the texts of a column."""
    held = column.reading
    if held is None:
        return {}
    return {"texts": {"read": held.values, "of": held.of, "with_names": held.sure, "kinds": held.kinds, "judged": column.holds_names}}
