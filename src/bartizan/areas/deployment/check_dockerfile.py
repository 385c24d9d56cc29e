"""The check that an image is built without root, from fixed bases, without secrets and unverified downloads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bartizan.adapters.files import local_path, read_text, shown
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Finding, Job
from bartizan.model.system import Asset, Kind, Phase

MAX_BYTES = 512 * 1024
"""Largest Dockerfile, in bytes, that is read."""

CAP = 0.2
"""Chance that a campaign succeeds, at most, while the check passes: what the base image holds is not looked at."""


@check(
    "deployment.dockerfile",
    threats=["container-compromise"],
    controls=["immutable-image"],
    kinds={Kind.CONTAINER},
    phases={Phase.DEPLOYMENT},
    cost=Cost.INSTANT,
)
def dockerfile(job: Job, target: Asset) -> Iterator[Finding]:
    """Dockerfiles that run as root, build on moving bases, carry secrets or run what they download.

    Judges the image that a build makes by default: the last stage and the stages it is built from or copies from. A weakness of medium
    severity or above fails: no USER or root, a base without digest, a secret in ENV, ARG or a copied file, ADD from the network without
    checksum, a download run at once, files that everybody may write, packages without a version. The content of base images is not read.
    """
    from bartizan.areas.deployment.dockerfile_rules import weaknesses
    from bartizan.areas.deployment.weakness import finding

    if target.uri is None:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare its Dockerfile: uri: Dockerfile")
    files = _files(local_path(job.root, target.uri, target.at), job.root)
    found = [weakness for file in files for weakness in weaknesses(read_text(job.root, file, MAX_BYTES), shown(job.root, file))]
    for threat in job.threats:
        yield finding(
            job,
            target.id,
            threat,
            found,
            subject=shown(job.root, files[0]) if len(files) == 1 else f"{len(files)} Dockerfiles of {target.id}",
            passing="The image is built without root, from bases fixed by digest, and no secret or unverified download was found; "
            "what the base images hold was not looked at.",
            cap=CAP,
        )


def _files(path: Path, root: str) -> list[Path]:
    """The Dockerfiles that `path` means: itself, or those that lie directly in the folder."""
    if path.is_file():
        return [path]
    found = [file for file in sorted(path.iterdir()) if file.is_file() and not file.is_symlink() and _named(file.name)]
    if not found:
        raise InputError("no Dockerfile or Containerfile is there", place=shown(root, path), cure="declare the file itself")
    return found[:50]


def _named(name: str) -> bool:
    lower = name.lower()
    stem = lower.partition(".")[0]
    if lower.endswith(".dockerfile"):
        return True
    return stem in ("dockerfile", "containerfile") and not lower.endswith(".dockerignore")
