"""The check that loading a model cannot run code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bartizan.adapters.files import files_below, local_path, read_text, shown
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Finding, Job, Severity, Verdict
from bartizan.model.system import Asset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.artefacts.formats import Identified
    from bartizan.methods.unsafe_loading import LoadingCall

SHOWN = 50
"""Most places that a finding points at."""

MAX_SOURCES = 2_000
"""Most source files that are parsed for one model."""


@check(
    "artefacts.serialisation_format",
    threats=["malicious-artefact"],
    controls=["artefact-scan"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT, Phase.DEPLOYMENT},
    cost=Cost.INSTANT,
    reads=["served_by", "produced_by", "used_by"],
)
def serialisation_format(job: Job, target: Asset) -> Iterator[Finding]:
    """Model files in a format that runs code when loaded (pickle, joblib, torch), and the code that loads them.

    Every file of the model and of its exports is recognised by content and never loaded. The source of the model, of what serves it and of
    what produces it is parsed for calls that unpickle. A pass means that loading runs no code of the file's choice; it proves nothing about
    what the weights do.
    """
    files = list(_identified(job, target))
    calls, unread = _calls(job, target)
    for threat in job.threats:
        yield _finding(job, target, threat, files, calls, unread)


def _identified(job: Job, target: Asset) -> Iterator[tuple[str, Identified]]:
    from bartizan.areas.artefacts.formats import identify

    uris = [uri for uri in (target.uri, *(target.exports or ())) if uri is not None]
    if not uris:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare where the model file lies")
    for uri in uris:
        for path in files_below(job.root, local_path(job.root, uri, target.at)):
            try:
                yield shown(job.root, path), identify(path)
            except OSError as error:
                raise InputError(f"cannot be read: {error.strerror}", place=shown(job.root, path)) from None


def _calls(job: Job, target: Asset) -> tuple[list[tuple[str, LoadingCall]], list[str]]:
    """The unsafe loading calls in the code around the model, and the files that could not be parsed."""
    from bartizan.methods.python_source import UnreadableError, parsed
    from bartizan.methods.unsafe_loading import loading_calls

    found: list[tuple[str, LoadingCall]] = []
    unread: list[str] = []
    for name, text in _sources(job, target):
        try:
            found += [(name, call) for call in loading_calls(parsed(name, text))]
        except UnreadableError:
            unread.append(name)
    return found, unread


def _sources(job: Job, target: Asset) -> Iterator[tuple[str, str]]:
    seen: set[Path] = set()
    for node in (target, *job.related):
        if not isinstance(node, Asset):
            continue
        uris = [node.code] + ([node.uri] if node.kind in (Kind.PIPELINE, Kind.REPOSITORY) else [])
        for uri in uris:
            for path in files_below(job.root, local_path(job.root, uri, node.at)) if uri else ():
                if path.suffix in (".py", ".ipynb") and path not in seen and len(seen) < MAX_SOURCES:
                    seen.add(path)
                    yield shown(job.root, path), read_text(job.root, path)


def _finding(
    job: Job, target: Asset, threat: str, files: list[tuple[str, Identified]], calls: list[tuple[str, LoadingCall]], unread: list[str]
) -> Finding:
    unsafe = [(name, found) for name, found in files if found.executes]
    known = [(name, found) for name, found in files if found.format is not None and not found.executes]
    strange = [(name, found) for name, found in files if found.format is None and not found.text]
    verdict = Verdict.FAIL if unsafe or calls else (Verdict.PASS if known and not strange else Verdict.UNKNOWN)
    places = [Place(name) for name, _ in unsafe] + [Place(name, call.line) for name, call in calls]
    reasons = [f"{name} is {found.why}" for name, found in unsafe[:5]]
    reasons += [f"{name}:{call.line} {call.name} {call.why}" for name, call in calls[:5]]
    reasons += [f"{name} is {found.why}" for name, found in strange[:5]]
    if verdict is Verdict.PASS:
        reasons = [f"{name} is {found.why}" for name, found in known[:5]] + ["this proves nothing about what the weights do"]
    if not reasons:
        reasons = ["no model file was found at the declared place"]
    if unread:
        reasons.append(f"{len(unread)} source files could not be parsed, {unread[0]} among them")
    return Finding(
        check=job.check,
        asset=target.id,
        threat=threat,
        verdict=verdict,
        severity=Severity.HIGH if verdict is Verdict.FAIL else Severity.INFO,
        title=_title(target, unsafe, calls, verdict),
        why="; ".join(reasons) + ".",
        remedy=_remedy(verdict),
        places=tuple(places[:SHOWN]),
        details={"formats": {name: str(found.format) if found.format else found.why for name, found in files[:SHOWN]}}
        | ({"probability_cap": 0.05} if verdict is Verdict.PASS else {}),
    )


def _title(target: Asset, unsafe: list[tuple[str, Identified]], calls: list[tuple[str, LoadingCall]], verdict: Verdict) -> str:
    if verdict is Verdict.FAIL:
        parts = [f"{len(unsafe)} files of {target.id} are in a format that can run code when loaded"] if unsafe else []
        parts += [f"{len(calls)} calls unpickle what they read"] if calls else []
        return ", ".join(parts)
    return f"Loading {target.id} runs no code" if verdict is Verdict.PASS else f"The format of {target.id} is not known"


def _remedy(verdict: Verdict) -> str:
    if verdict is Verdict.PASS:
        return ""
    if verdict is Verdict.UNKNOWN:
        return "Declare the model file itself, or save it as skops (scikit-learn), safetensors (torch) or ONNX."
    return "Save as skops (scikit-learn), safetensors (torch) or ONNX, delete the old files, and load with the matching safe loader."
