"""The check that a data set is what its passport says, row for row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bartizan.adapters.files import local_path, shown
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import EvidenceError, InputError, Place, Refused, one_line
from bartizan.model.findings import Finding, Job, Severity, Verdict, about_of
from bartizan.model.system import Asset, Dataset, Kind, Phase, System

if TYPE_CHECKING:
    from bartizan.areas.provenance.passport.verifying import Verified

CAP = 0.03
"""Chance that a campaign succeeds, at most, while the passport holds: its key may be stolen, or training read something else."""

SHOWN = 20
"""Most differences that a finding lists."""


def _has_passport(node: Asset | Dataset, system: System) -> bool:  # noqa: ARG001 - the planner calls every predicate with (node, system)
    return getattr(node, "passport", None) is not None


@check(
    "provenance.passport",
    threats=["dataset-tampering"],
    controls=["dataset-signature"],
    kinds={Kind.DATASET},
    phases={Phase.DATA, Phase.DEVELOPMENT},
    cost=Cost.FAST,
    extra="data",
    applies=_has_passport,
)
def passport(job: Job, target: Dataset, *, content: bool = False) -> Iterator[Finding]:
    """A data set that is not what its signed passport says.

    Verifies the declared `passport` with the public key in `signed_by`, and the data against it: a changed bit, a file that was renamed,
    swapped, added or removed, rows in another order, another column fail, and the finding says in words what changed. Without `signed_by`
    the finding is unknown: whoever changes the data could write another passport.

    content: whether the rows count and not the bytes, so that files may be encoded anew
    """
    if target.uri is None or target.passport is None:
        raise InputError(f"'{target.id}' has no uri or no passport", place=target.at, cure="declare where it lies, and its passport")
    data = local_path(job.root, target.uri, target.at)
    place = target.at or Place(shown(job.root, data))
    if target.signed_by is None:
        for threat, asset in about_of(job):
            yield Finding(
                check=job.check,
                asset=asset,
                threat=threat,
                verdict=Verdict.UNKNOWN,
                title=f"Nobody says who must have signed the passport of {target.id}",
                why="Whoever changes the data can sign a new passport with a key of their own.",
                remedy=f"Declare the public key on '{target.id}': signed_by: data.pem.pub",
                places=(place,),
            )
        return
    files = (data, local_path(job.root, target.passport, target.at), local_path(job.root, target.signed_by, target.at))
    if data.is_dir() and files[2].is_relative_to(data):
        cure = "keep the public key beside the manifest"
        raise InputError("the key lies among the data that it is to prove, where it can be swapped as well", place=place, cure=cure)
    result = _verified(*files, content)
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), shown(job.root, data), result, place)


def _verified(data: Path, passport: Path, key: Path, content: bool) -> Verified | str:
    """What verifying found, or why the passport itself does not hold."""
    from bartizan.areas.provenance.passport.verifying import verify
    from bartizan.areas.provenance.signing.keys import PublicKey

    try:
        return verify(data, passport, PublicKey.read(key), content=content)
    except (EvidenceError, Refused) as error:
        return one_line(error.what)


def _finding(job: Job, about: tuple[str, str], name: str, result: Verified | str, place: Place) -> Finding:
    if not isinstance(result, str) and result.ok:
        known = result.held.passport
        return Finding(
            check=job.check,
            asset=about[1],
            threat=about[0],
            verdict=Verdict.PASS,
            title=f"{name} is what its passport says",
            why=f"All {known.files.count} files with {known.content.rows} rows are those that were signed on {known.recorded}.",
            places=(place,),
            details={"content": known.content.root, "rows": known.content.rows, "passport": known.id, "probability_cap": CAP},
        )
    problems = [result] if isinstance(result, str) else list(result.problems)
    more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
    return Finding(
        check=job.check,
        asset=about[1],
        threat=about[0],
        verdict=Verdict.FAIL,
        severity=Severity.HIGH,
        title=f"{name} is not what its passport says",
        why=f"{'; '.join(problems[:5])}{more}. It was changed after its passport was signed, or signed by somebody else.",
        remedy="Do not train on it. Take it again from where it was signed; if the change was meant, review it and record it again.",
        places=(place,),
        details={"problems": problems[:SHOWN]},
    )
