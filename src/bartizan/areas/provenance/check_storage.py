"""The check that weights and data cannot be taken from where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bartizan.adapters.files import files_below, local_path, sealed, shown
from bartizan.engine.inputs import locate
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import Place
from bartizan.model.findings import Finding, Job, Severity, Verdict
from bartizan.model.system import Acl, Asset, Dataset, Kind, Phase, System

if TYPE_CHECKING:
    from bartizan.areas.provenance.storage_rules import Weakness

SEALED_CAP, PRIVATE_CAP, CONFIGURED_CAP = 0.05, 0.3, 0.2
"""Chance that a campaign succeeds, at most, while the check passes: all content is sealed; it is private on this machine; nothing in the
configuration opens it. What runs in the cloud is not looked at."""

SHOWN = 30


def _kept_elsewhere(node: Asset | Dataset, system: System) -> bool:  # noqa: ARG001 - the planner calls every predicate with (node, system)
    """Files of a data set on this machine are judged by `access.file_permissions`."""
    here = "://" not in (node.uri or "") or str(node.uri).startswith("file:")
    return not isinstance(node, Dataset) or not here or bool(node.configuration) or node.encrypted is False


@check(
    "provenance.storage",
    threats=["weight-theft", "training-store-theft"],
    controls=["dataset-rbac"],
    kinds={Kind.STORE, Kind.REGISTRY, Kind.DATASET},
    phases={Phase.DATA, Phase.DEVELOPMENT, Phase.DEPLOYMENT},
    cost=Cost.FAST,
    applies=_kept_elsewhere,
    valid_days=1,
)
def storage(job: Job, target: Asset | Dataset) -> Iterator[Finding]:
    """Weights or data that others can take from where they lie.

    Content on this machine: files that every account can read (unless sealed by `bartizan seal`) or change. Content elsewhere: open
    buckets and unencrypted volumes in the declared `configuration` (Terraform, CloudFormation, bucket policies in JSON, MinIO in compose
    files), kept to the bucket of the uri where both are named. A declared `encrypted: false` or `acl: none` fails as well. Without content
    or configuration to look at the finding is unknown.
    """
    from bartizan.areas.provenance.storage_files import bucket_of, configured, open_files

    weak = list(_declared(target))
    path = _local(job, target)
    bucket = bucket_of(target.uri)
    said = configured(job.root, target.configuration or (), target.at).about(bucket)
    weak += said.weaknesses
    if path is not None:
        weak += list(open_files(job.root, path, named=target.id))
    named = path is not None or (bool(said.stores) and bool(target.configuration))
    verdict, cap, why = _verdict(weak, named, said.unread, job, path)
    for threat in job.threats:
        yield _finding(job, target, threat, weak, (verdict, cap, why))


def _declared(target: Asset | Dataset) -> Iterator[Weakness]:
    from bartizan.areas.provenance.storage_rules import Weakness

    place = target.at or Place("bartizan.yaml")
    if target.encrypted is False:
        remedy = "Encrypt it at rest, or seal the files: bartizan seal."
        yield Weakness("the manifest says that it is not encrypted", Severity.MEDIUM, place, remedy, target.id)
    if isinstance(target, Asset) and target.acl is Acl.NONE:
        yield Weakness("the manifest says that anybody may read it", Severity.HIGH, place, "Let named identities read only.", target.id)


def _local(job: Job, target: Asset | Dataset) -> Path | None:
    """Where the content lies on this machine; None where it lies elsewhere."""
    if target.uri is None or locate(target.uri, Path(job.root)) is None:
        return None
    return local_path(job.root, target.uri, target.at)


def _verdict(weak: list[Weakness], looked: bool, unread: tuple[str, ...], job: Job, path: Path | None) -> tuple[Verdict, float, str]:
    """The verdict, the cap of a pass, and what it rests on."""
    if any(one.severity.rank >= Severity.MEDIUM.rank for one in weak):
        return Verdict.FAIL, 1.0, ""
    if unread:
        return Verdict.UNKNOWN, 1.0, f"Not judged: {'; '.join(unread[:4])}."
    if not looked:
        return Verdict.UNKNOWN, 1.0, "Neither the content nor what configures its storage can be looked at."
    if path is None:
        return Verdict.PASS, CONFIGURED_CAP, "Nothing in the configuration opens it; what really runs was not looked at."
    if all(sealed(file) for file in files_below(job.root, path)):
        return Verdict.PASS, SEALED_CAP, f"All of {shown(job.root, path)} is sealed; without the key it is of no use."
    return Verdict.PASS, PRIVATE_CAP, "No other account of this machine can read it; whoever runs as this one, or has the disk, can."


def _finding(job: Job, target: Asset | Dataset, threat: str, weak: list[Weakness], outcome: tuple[Verdict, float, str]) -> Finding:
    verdict, cap, why = outcome
    ordered = sorted(weak, key=lambda one: (-one.severity.rank, one.place))
    titles = {
        Verdict.FAIL: f"{target.id} can be taken from where it lies",
        Verdict.UNKNOWN: f"Nobody can tell who reads {target.id}",
        Verdict.PASS: f"{target.id} is kept from others",
    }
    listed = "; ".join(f"{one.place}: {one.what}" for one in ordered[:6])
    more = f"; and {len(ordered) - 6} more" if len(ordered) > 6 else ""
    cures = {
        Verdict.FAIL: " ".join(dict.fromkeys(one.remedy for one in ordered[:6])),
        Verdict.UNKNOWN: f"Declare what sets up the storage on '{target.id}': configuration: [infra/], or a local uri.",
        Verdict.PASS: "",
    }
    return Finding(
        check=job.check,
        asset=target.id,
        threat=threat,
        verdict=verdict,
        severity=ordered[0].severity if verdict is Verdict.FAIL else Severity.INFO,
        title=titles[verdict],
        why=" ".join(filter(None, [f"{listed}{more}." if listed else "", why])),
        remedy=cures[verdict],
        places=tuple(dict.fromkeys(one.place for one in ordered))[:SHOWN],
        details={"weaknesses": [{"what": one.what, "severity": str(one.severity), "at": str(one.place)} for one in ordered[:SHOWN]]}
        | ({"probability_cap": cap} if verdict is Verdict.PASS else {}),
    )
