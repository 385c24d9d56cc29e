"""The check that pods are kept from their host, run without root and come from fixed images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bartizan.adapters.files import files_below, local_path, read_bytes, shown
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Finding, Job
from bartizan.model.system import Asset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.deployment.workloads import Declared

MAX_BYTES = 4 * 1024 * 1024
"""Largest manifest, in bytes, that is read."""

MAX_FILES = 500
"""Most manifests of one folder that are read."""

MAX_TOTAL = 8 * 1024 * 1024
"""Most bytes of manifests that are read in all."""

CAPS = {"container-compromise": 0.2, "shared-training-host": 0.3}
"""Chance that a campaign succeeds, at most, while the check passes: the running cluster is not looked at."""

_PASSING = {
    "container-compromise": "Every declared pod runs without root, on a read-only file system, from images fixed by digest; what the "
    "images hold and what really runs was not looked at.",
    "shared-training-host": "No declared pod reaches its host, and each has a limit of memory; that training and production are kept "
    "apart in the network was not looked at.",
}
_CURE = "Render templates first (helm template, kustomize build), correct what is no YAML, and declare the result as uri."


@check(
    "deployment.kubernetes",
    threats=["container-compromise", "shared-training-host"],
    controls=["immutable-image"],
    kinds={Kind.CLUSTER},
    phases={Phase.DEPLOYMENT},
    cost=Cost.FAST,
)
def kubernetes(job: Job, target: Asset) -> Iterator[Finding]:
    """Kubernetes pods that reach their host, may run as root or come from moving images.

    Reads a manifest or a folder of them and judges the pods of every object in it by the Pod Security Standards: what the baseline
    forbids is high, what the restricted profile asks for is medium or low. Beyond them: images without digest, secrets as plain values,
    tokens of the API that nobody asked for, no limit of memory, writable file systems. Medium and above fails. Templates that are not
    rendered are unknown.
    """
    from bartizan.areas.deployment.pod_rules import HOST_RULES, IMAGE_RULES_EXCLUDED, weaknesses
    from bartizan.areas.deployment.weakness import finding

    if target.uri is None:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare its manifests: uri: k8s/")
    path = local_path(job.root, target.uri, target.at)
    declared = _declared(job.root, _files(job.root, path))
    if not declared.pods and not declared.unread:
        raise InputError("declares no pod", place=shown(job.root, path), cure="declare the manifests of the workloads: uri: k8s/")
    found = [weakness for pod in declared.pods for weakness in weaknesses(pod, declared.tokenless)]
    for threat in job.threats:
        host = threat == "shared-training-host"
        yield finding(
            job,
            target.id,
            threat,
            [w for w in found if (w.rule in HOST_RULES if host else w.rule not in IMAGE_RULES_EXCLUDED)],
            subject=f"{len(declared.pods)} pods of {target.id}",
            passing=_PASSING[threat],
            cap=CAPS[threat],
            unread=declared.unread,
            cure=_CURE,
        )


def _files(root: str, path: Path) -> list[Path]:
    """The manifests that `path` means: itself, or the YAML and JSON files below it."""
    if path.is_file():
        return [path]
    found = [file for file in files_below(root, path) if file.suffix.lower() in (".yaml", ".yml", ".json")]
    if not found:
        raise InputError("no YAML or JSON file is there", place=shown(root, path), cure="declare the folder of the manifests")
    return found


def _declared(root: str, files: Sequence[Path]) -> Declared:
    """What all files declare together, each read within the limits; what could not be read is named."""
    from bartizan.areas.deployment.manifests import Value, documents
    from bartizan.areas.deployment.workloads import collect

    values: list[Value] = []
    unread: list[str] = []
    total = 0
    for file in files[:MAX_FILES]:
        name = shown(root, file)
        try:
            data = read_bytes(root, file, min(MAX_BYTES, MAX_TOTAL - total))
            text = data.decode("utf-8-sig")
        except InputError as error:
            unread.append(str(error))
            continue
        except UnicodeDecodeError:
            unread.append(f"{name} is not UTF-8 text")
            continue
        total += len(data)
        for one in documents(text, name):
            if isinstance(one, Value):
                values.append(one)
            else:
                unread.append(f"{one.place} holds template expressions" if "{{" in text else str(one))
    if len(files) > MAX_FILES:
        unread.append(f"{len(files) - MAX_FILES} of {len(files)} files")
    declared = collect(values)
    declared.unread[:0] = unread
    return declared
