"""The check that a model or data set is what somebody we trust has signed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bartizan.adapters.files import local_path, shown
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import EvidenceError, InputError, Place, Refused, one_line
from bartizan.model.findings import Finding, Job, Severity, Verdict
from bartizan.model.system import Asset, Dataset, Kind, Phase, System

if TYPE_CHECKING:
    from bartizan.areas.provenance.signing.verifying import Verified

CAP = 0.03
"""Chance that a campaign succeeds, at most, while the signature holds: its key may be stolen, or production load something else."""

SHOWN = 20
"""Most differences that a finding lists."""


def _says_signed(node: Asset | Dataset, system: System) -> bool:  # noqa: ARG001 - the planner calls every predicate with (node, system)
    if getattr(node, "passport", None) is not None and node.signature is None:
        return False  # `signed_by` is who signed the passport, which provenance.passport verifies
    return node.signature is not None or node.signed_by is not None or getattr(node, "signed", None) is True


@check(
    "provenance.signature",
    threats=["dataset-tampering", "registry-compromise"],
    controls=["model-signing", "dataset-signature"],
    kinds={Kind.DATASET, Kind.MODEL},
    phases={Phase.DATA, Phase.DEVELOPMENT, Phase.DEPLOYMENT},
    cost=Cost.FAST,
    applies=_says_signed,
)
def signature(job: Job, target: Asset | Dataset, *, allow_symlinks: bool = False) -> Iterator[Finding]:
    """A model or data set that is not what was signed.

    Verifies the declared `signature` (or the one that lies beside the content under its usual name) with the public key in `signed_by`.
    A file that was changed, swapped, added, removed or linked elsewhere fails, as does a signature by another key. Without `signed_by`,
    or with a key that lies among the content it is to prove, the finding is unknown: whoever swaps the content could swap the key, too.
    """
    if target.uri is None:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare where it lies")
    path = local_path(job.root, target.uri, target.at)
    place = target.at or Place(shown(job.root, path))
    beside = _signature(job, target, path)
    key = local_path(job.root, target.signed_by, target.at) if target.signed_by is not None else None
    missing = _missing(job, target, beside, key, path)
    if missing is not None or beside is None or key is None:
        title, why, remedy = missing or ("", "", "")
        for threat in job.threats:
            yield Finding(
                check=job.check,
                asset=target.id,
                threat=threat,
                verdict=Verdict.UNKNOWN,
                title=title,
                why=why,
                remedy=remedy,
                places=(place,),
            )
        return
    result = _verified(path, beside, key, allow_symlinks)
    for threat in job.threats:
        yield _finding(job, target, threat, result, (shown(job.root, path), shown(job.root, beside), place))


def _signature(job: Job, target: Asset | Dataset, path: Path) -> Path | None:
    if target.signature is not None:
        return local_path(job.root, target.signature, target.at)
    from bartizan.areas.provenance.signing.verifying import signature_of

    found = signature_of(path)
    return local_path(job.root, str(found), target.at) if found is not None else None


def _missing(job: Job, target: Asset | Dataset, beside: Path | None, key: Path | None, path: Path) -> tuple[str, str, str] | None:
    """(title, why, remedy) where something is missing to verify with."""
    if beside is None:
        remedy = f"Sign it: bartizan sign {shown(job.root, path)} --key release.pem --new-key p256, and declare signed_by: release.pem.pub"
        return f"{target.id} has no signature", "Nothing proves that the content is what its makers released.", remedy
    if key is None:
        why = f"{shown(job.root, beside)} lies there, but whoever swaps the content can sign it with a key of their own."
        return f"Nobody says who must have signed {target.id}", why, f"Declare the public key on '{target.id}': signed_by: release.pem.pub"
    if path.is_dir() and key.is_relative_to(path):
        why = f"{shown(job.root, key)} lies inside the folder that it is to prove; whoever swaps the content can swap it, too."
        return f"The key of {target.id} lies with the content", why, "Keep the public key beside the manifest, and declare it there."
    return None


def _verified(path: Path, beside: Path, key: Path, allow_symlinks: bool) -> Verified | str:
    """What verifying found, or why the signature itself does not hold."""
    from bartizan.areas.provenance.signing.keys import PublicKey
    from bartizan.areas.provenance.signing.verifying import Verifier

    try:
        return Verifier.of_key(PublicKey.read(key), allow_symlinks=allow_symlinks).verify(path, beside)
    except (EvidenceError, Refused) as error:
        return one_line(error.what)


def _finding(job: Job, target: Asset | Dataset, threat: str, result: Verified | str, names: tuple[str, str, Place]) -> Finding:
    content, beside, place = names
    if not isinstance(result, str) and result.ok:
        covered = f" {result.notes[0]}." if result.notes else ""
        return Finding(
            check=job.check,
            asset=target.id,
            threat=threat,
            verdict=Verdict.PASS,
            title=f"{content} is what was signed",
            why=f"Every file ({result.files} in all) is the one that {result.signer[:20]}… signed, and no other is there.{covered}",
            places=(place,),
            details={"signer": result.signer, "digest": result.digest, "files": result.files, "probability_cap": CAP},
        )
    problems = [result] if isinstance(result, str) else list(result.problems)
    more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
    return Finding(
        check=job.check,
        asset=target.id,
        threat=threat,
        verdict=Verdict.FAIL,
        severity=Severity.HIGH,
        title=f"{content} is not what was signed",
        why=f"{beside}: {'; '.join(problems[:5])}{more}. It was changed after it was signed, or signed by somebody else.",
        remedy="Do not load it. Take it again from where it was signed; if the change was meant, test it and sign it again.",
        places=(place,),
        details={"problems": problems[:SHOWN]},
    )
