"""The check that what lies on disk is what the manifest says it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bartizan.adapters.files import local_path, shown
from bartizan.engine.inputs import Inputs
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError, Place, one_line
from bartizan.model.findings import Finding, Job, Severity, Verdict
from bartizan.model.system import Asset, Dataset, Kind, Phase, System

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_WITNESSES = ("source", "origin", "derived_from", "trained_on", "base_model")


def _has_content(node: Asset | Dataset, system: System) -> bool:  # noqa: ARG001 - the planner calls every predicate with (node, system)
    return node.uri is not None or node.digest is not None


@check(
    "provenance.declared_digests",
    threats=["dataset-tampering", "registry-compromise", "unproven-lineage"],
    controls=["dataset-signature"],
    kinds={Kind.DATASET, Kind.MODEL},
    phases={Phase.DATA, Phase.DEVELOPMENT, Phase.DEPLOYMENT},
    cost=Cost.FAST,
    reads=["training_sets"],
    applies=_has_content,
)
def declared_digests(job: Job, target: Asset | Dataset, *, required: bool = False) -> Iterator[Finding]:
    """Data or a model whose content is not what the manifest's digest says.

    The digest is SHA-256 of a file's bytes; of a folder, SHA-256 of its sorted names and the digests of their contents. A missing digest
    is unknown, or a failure where `required` is true. Lineage passes when, besides, the manifest says where the thing comes from.
    """
    actual, name = _actual(job, target)
    place = target.at or Place(name)
    if target.digest is None:
        for threat in job.threats:
            yield _missing(job, target, threat, actual, required, place)
        return
    declared = target.digest.strip().lower()
    declared = declared if ":" in declared else f"sha256:{declared}"
    if not _DIGEST.fullmatch(declared):
        cure = f"write digest: {actual}" if actual else "write sha256: and 64 hexadecimal digits"
        raise InputError(f"digest '{one_line(target.digest, 80)}' of '{target.id}' is not a SHA-256", place=target.at, cure=cure)
    for threat in job.threats:
        if declared != actual:
            yield _mismatch(job, target, threat, (declared, actual), place)
        else:
            yield _match(job, target, threat, name, place)


def _actual(job: Job, target: Asset | Dataset) -> tuple[str, str]:
    """The digest of what is there now, and how its place is shown."""
    if target.uri is None:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare where it lies")
    path = local_path(job.root, target.uri, target.at)
    digest = Inputs(Path(job.root)).digest(path)
    if digest is None:
        raise InputError("cannot be read", place=shown(job.root, path))
    return digest, shown(job.root, path)


def _match(job: Job, target: Asset | Dataset, threat: str, name: str, place: Place) -> Finding:
    witnesses = [field for field in _WITNESSES if getattr(target, field, None)]
    undigested = [node.id for node in job.related if isinstance(node, Dataset) and node.digest is None]
    proven = threat != "unproven-lineage" or (bool(witnesses) and not undigested)
    gap = f"training data without a digest: {', '.join(undigested)}" if undigested else "nothing says where it comes from"
    said = f" The manifest names its {', '.join(w.replace('_', ' ') for w in witnesses)}." if proven else f" But {gap}."
    return Finding(
        check=job.check,
        asset=target.id,
        threat=threat,
        verdict=Verdict.PASS if proven else Verdict.UNKNOWN,
        title=f"{name} is what the manifest declares" if proven else f"{name} is what was declared, but its lineage is not",
        why=f"Its SHA-256 equals the declared digest {target.digest}; whoever changes it must change the manifest as well."
        + (said if threat == "unproven-lineage" else ""),
        remedy=""
        if proven
        else f"Declare where '{target.id}' comes from: source, origin or derived_from (a model: trained_on or base_model).",
        places=(place,),
        details={"digest": target.digest} | ({"probability_cap": 0.05 if threat != "unproven-lineage" else 0.2} if proven else {}),
    )


def _mismatch(job: Job, target: Asset | Dataset, threat: str, digests: tuple[str, str], place: Place) -> Finding:
    declared, actual = digests
    return Finding(
        check=job.check,
        asset=target.id,
        threat=threat,
        verdict=Verdict.FAIL,
        severity=Severity.HIGH,
        title=f"{target.id} is not what the manifest declares",
        why=f"Declared {declared}, found {actual}. It was replaced or changed after it was declared; what was tested is not what is there.",
        remedy=f"Find out who changed it. If the change was meant, test it again and write digest: {actual}",
        places=(place,),
        details={"declared": declared, "actual": actual},
    )


def _missing(job: Job, target: Asset | Dataset, threat: str, actual: str, required: bool, place: Place) -> Finding:
    return Finding(
        check=job.check,
        asset=target.id,
        threat=threat,
        verdict=Verdict.FAIL if required else Verdict.UNKNOWN,
        severity=Severity.MEDIUM if required else Severity.INFO,
        title=f"{target.id} has no declared digest",
        why="Without a digest that was written down before, nobody can tell whether the content was changed.",
        remedy=f"Add to '{target.id}' in the manifest, if this content is the right one: digest: {actual}",
        places=(place,),
        details={"actual": actual},
    )
