"""The check that loading the files of a model does nothing that was not reviewed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bartizan.adapters.files import local_path, shown
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Finding, Job, Severity, Verdict
from bartizan.model.system import Asset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.artefacts.reports import FileReport, ScanReport

SHOWN = 20
"""Most files that a finding names."""

SPOKEN = 5
"""Most reasons that a finding repeats."""


@check(
    "artefacts.model_files",
    threats=["malicious-artefact"],
    controls=["artefact-scan"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT, Phase.DEPLOYMENT},
    cost=Cost.INSTANT,
)
def model_files(job: Job, target: Asset, *, policy: str = "") -> Iterator[Finding]:
    """What loading the files of a model and of its exports would do, read from the files without loading them.

    Every reading that a loader could take is held against a reviewed list of what models need. A pass means that loading stays within
    it; it proves nothing about what the weights do. A file that uses what nobody reviewed is inconclusive until a policy allows it.

    policy: a file that allows further names, below the folder of the manifest
    """
    from bartizan.areas.artefacts.pickles import Policy
    from bartizan.areas.artefacts.scanning import scan

    uris = [uri for uri in (target.uri, *(target.exports or ())) if uri is not None]
    if not uris:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare where the model file lies")
    allowed = Policy.shipped()
    if policy:
        from bartizan.areas.artefacts.policy_compiler.signed import installed, with_policies

        allowed, _ = with_policies([local_path(job.root, policy, target.at)], environment=installed())
    report = scan([local_path(job.root, uri, target.at) for uri in uris], policy=allowed, workers=1)
    for threat in job.threats:
        yield _finding(job, target, threat, report)


def _finding(job: Job, target: Asset, threat: str, report: ScanReport) -> Finding:
    from bartizan.areas.artefacts.safety import Safety

    bad = [file for file in report.files if file.safety is Safety.UNSAFE]
    unsure = [file for file in report.files if file.safety is Safety.NEEDS_POLICY]
    verdict = Verdict.FAIL if bad else (Verdict.UNKNOWN if unsure or not report.files else Verdict.PASS)
    told = bad or unsure or list(report.files)
    return Finding(
        check=job.check,
        asset=target.id,
        threat=threat,
        verdict=verdict,
        severity=Severity.CRITICAL if verdict is Verdict.FAIL else Severity.INFO,
        title=_title(target, bad, unsure, report),
        why=_why(job, told),
        remedy=_remedy(verdict),
        places=tuple(Place(shown(job.root, Path(file.path))) for file in told[:SHOWN]) if verdict is not Verdict.PASS else (),
        details={"files": [_details(job, file) for file in told[:SHOWN]], "policy": report.policy, "offsets": _offsets(job, told)}
        | ({"probability_cap": 0.05} if verdict is Verdict.PASS else {}),
    )


def _title(target: Asset, bad: list[FileReport], unsure: list[FileReport], report: ScanReport) -> str:
    if bad:
        return f"Loading {len(bad)} of {len(report.files)} files of {target.id} runs code or reaches outside"
    if unsure:
        return f"What {len(unsure)} of {len(report.files)} files of {target.id} do when loaded is not reviewed"
    if not report.files:
        return f"No file of {target.id} was found"
    return f"Loading the {len(report.files)} files of {target.id} stays within what was reviewed"


def _why(job: Job, files: list[FileReport]) -> str:
    told = []
    for file in files:
        name = shown(job.root, Path(file.path))
        if not file.reasons:
            told.append(f"{name} is {file.format}")
        for reason in file.reasons[:2]:
            at = f" at byte {reason.offset}" if reason.offset is not None else ""
            told.append(f"{name}{at} {reason.text}")
    more = f"; and {len(told) - SPOKEN} more" if len(told) > SPOKEN else ""
    return ("; ".join(told[:SPOKEN]) or "nothing lies at the declared place") + more + "."


def _remedy(verdict: Verdict) -> str:
    if verdict is Verdict.PASS:
        return ""
    if verdict is Verdict.FAIL:
        return "Do not load it. Find out who wrote it; save the model anew as safetensors, skops or ONNX from a source you trust."
    return "See what it uses with bartizan scan FILE. Allow what is harmless in a policy, or save it as safetensors, skops or ONNX."


def _offsets(job: Job, files: list[FileReport]) -> dict[str, int]:
    """Where in each file the worst of it stands."""
    found = {}
    for file in files[:SHOWN]:
        offsets = [reason.offset for reason in file.reasons if reason.offset is not None]
        if offsets:
            found[shown(job.root, Path(file.path))] = offsets[0]
    return found


def _details(job: Job, file: FileReport) -> dict[str, object]:
    return {
        "path": shown(job.root, Path(file.path)),
        "format": file.format,
        "safety": file.safety.value,
        "sha256": file.sha256,
        "reasons": [{"text": r.text, "offset": r.offset, "safety": r.safety.value} for r in file.reasons[:SHOWN]],
    }
