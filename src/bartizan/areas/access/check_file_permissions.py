"""The check that nobody else on this machine reads or changes the files of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bartizan.adapters.files import local_path, shown
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError, Place, one_line
from bartizan.model.findings import Finding, Job, Severity, Verdict, about_of
from bartizan.model.system import Dataset, Kind, Phase, Sensitivity, Subject

if TYPE_CHECKING:
    from bartizan.areas.access.permissions import Opening

TAMPERING = "dataset-tampering"
CAPS = {TAMPERING: 0.4}
CAP = 0.3
"""Chance that a campaign succeeds, at most, while the check passes: whoever runs as the same account, or has the disk, still can."""

SHOWN = 20
LISTED = 6


@check(
    "access.file_permissions",
    threats=["training-store-theft", TAMPERING],
    controls=["dataset-rbac"],
    kinds={Kind.DATASET},
    phases={Phase.DATA, Phase.DEVELOPMENT, Phase.OPERATION},
    cost=Cost.FAST,
    valid_days=1,
)
def file_permissions(job: Job, target: Dataset, *, wide_group: int = 5) -> Iterator[Finding]:
    """Files of a data set that other accounts of this machine can read or change.

    Fails where data declared confidential or restricted, or about persons, can be read by every account; and, whatever it is, where others
    can change it: files or folders that everybody or a wide group can write to, a folder above without the sticky bit, owners other than
    the data's, access control lists, links that lead out of the data. Whether others may read data of undeclared sensitivity is unknown.
    Buckets and volumes are judged by `provenance.storage`, weights by `artefacts` and `sign`.

    wide_group: how many accounts make a group as good as everybody
    """
    from bartizan.areas.access.permissions import openings

    if target.uri is None:
        raise InputError(f"data set '{target.id}' has no uri", place=target.at, cure="declare where it lies")
    path = local_path(job.root, target.uri, target.at)
    found = list(openings(path, wide=wide_group))
    for threat, asset in about_of(job):
        yield _finding(job, target, path, found, (threat, asset))


def _finding(job: Job, target: Dataset, path: Path, found: Sequence[Opening], about: tuple[str, str]) -> Finding:
    threat, asset = about
    writes = [one for one in found if one.reach == "write"]
    reads = [one for one in found if one.reach == "read"]
    notes = [one for one in found if one.reach == "note"]
    secret, declared = _secret(target), target.sensitivity is not None or target.subjects is not None
    counted = writes if threat == TAMPERING else [*writes, *(reads if secret else ())]
    severity = Severity.INFO
    if counted:
        verdict, severity = Verdict.FAIL, _severity(target, writes)
        title = f"Other accounts can {'change' if writes else 'read'} {target.id}"
    elif reads and threat != TAMPERING and not declared:
        verdict, title = Verdict.UNKNOWN, f"Every account can read {target.id}, and whether they may is not declared"
    else:
        verdict, title = Verdict.PASS, f"No other account can {'change' if threat == TAMPERING else 'get at'} {target.id}"
        if reads and threat != TAMPERING:
            title = f"Every account can read {target.id}, which is not declared confidential"
    named = counted or ([] if verdict is Verdict.PASS and not reads else reads if threat != TAMPERING else [])
    why = " ".join(filter(None, [_listed(job.root, named), _noted(job.root, notes), _note(verdict)]))
    return Finding(
        check=job.check,
        asset=asset,
        threat=threat,
        verdict=verdict,
        severity=severity,
        title=title,
        why=why,
        remedy=_remedy(job.root, target, verdict, named),
        places=tuple(dict.fromkeys(Place(_name(job.root, one.path)) for one in named))[:SHOWN],
        details={"openings": [{"file": _name(job.root, one.path), "what": one.what, "cure": _cure(job.root, one)} for one in found[:SHOWN]]}
        | {"write": len(writes), "read": len(reads), "path": shown(job.root, path)}
        | ({"probability_cap": CAPS.get(threat, CAP)} if verdict is Verdict.PASS else {}),
    )


def _name(root: str, path: Path) -> str:
    """The entry as it is called here: links are not followed, they are what is talked about. A folder above the project has its name."""
    base = Path(root).resolve()
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else f"{path.name or '/'}"


def _secret(target: Dataset) -> bool:
    personal = {Subject.PERSON, Subject.CHILD} & set(target.subjects or ())
    return bool(personal) or (target.sensitivity or Sensitivity.PUBLIC).rank >= Sensitivity.CONFIDENTIAL.rank


def _severity(target: Dataset, writes: Sequence[Opening]) -> Severity:
    if target.sensitivity is Sensitivity.RESTRICTED or Subject.CHILD in (target.subjects or ()):
        return Severity.HIGH
    return Severity.HIGH if writes and _secret(target) else Severity.MEDIUM


def _listed(root: str, found: Sequence[Opening]) -> str:
    if not found:
        return ""
    listed = "; ".join(f"{one_line(_name(root, one.path), 80)} {one.what}" for one in found[:LISTED])
    more = f"; and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return f"{listed}{more}."


def _noted(root: str, notes: Sequence[Opening]) -> str:
    return f"Also: {_listed(root, notes[:2])}" if notes else ""


def _note(verdict: Verdict) -> str:
    return "" if verdict is Verdict.FAIL else "Modes, lists and owners of this machine were read; shares and backups of it were not."


def _cure(root: str, one: Opening) -> str:
    """The command, for the folder of the manifest, without folders of this machine where that is possible."""
    return one.cure.replace(f"{Path(root).resolve()}/", "")


def _remedy(root: str, target: Dataset, verdict: Verdict, found: Sequence[Opening]) -> str:
    if verdict is Verdict.PASS:
        return ""
    if verdict is Verdict.UNKNOWN:
        return f"Declare on '{target.id}': sensitivity: confidential (then {_cure(root, found[0])}), or sensitivity: public."
    cures = list(dict.fromkeys(_cure(root, one) for one in found))
    more = f" and {len(cures) - LISTED} more (details)" if len(cures) > LISTED else ""
    return f"Close it, from the manifest's folder: {'; '.join(cures[:LISTED])}{more}"
