"""The check that every dependency names one exact artefact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bartizan.adapters.files import local_path, shown
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Finding, Job, Measure, Severity, Verdict
from bartizan.model.statistics import clopper_pearson
from bartizan.model.system import Asset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.dependencies.requirement import Dependency

SHOWN = 50
"""Most dependencies that a finding points at."""


@check(
    "dependencies.pinning",
    threats=["malicious-package"],
    controls=["locked-dependencies"],
    kinds={Kind.DEPENDENCIES},
    phases={Phase.DEVELOPMENT, Phase.DEPLOYMENT},
    cost=Cost.INSTANT,
)
def pinning(job: Job, target: Asset, *, hashes: bool = True) -> Iterator[Finding]:
    """Requirements that accept more than one version, or a version without its hash.

    Reads requirements files with what they include, poetry.lock, uv.lock, pdm.lock, pylock.toml, Pipfile.lock and pyproject.toml. A
    dependency is firm when it names one version and the hash of its artefact (or a full commit); with `hashes` false a version is enough.
    """
    from bartizan.areas.dependencies.reading import dependencies_of

    if target.uri is None:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare the requirements or lock file: uri: requirements.txt")
    path = local_path(job.root, target.uri, target.at)
    dependencies = dependencies_of(path, job.root)
    if not dependencies:
        raise InputError("no requirement was found", place=shown(job.root, path), cure="declare a requirements or lock file")
    for threat in job.threats:
        yield _finding(job, target, threat, dependencies, hashes)


def _finding(job: Job, target: Asset, threat: str, dependencies: list[Dependency], hashes: bool) -> Finding:
    from bartizan.areas.dependencies.requirement import Hold

    judged = [d for d in dependencies if d.hold is not Hold.LOCAL]
    loose = [d for d in judged if d.hold is Hold.LOOSE]
    bare = [d for d in judged if d.hold is Hold.PINNED]
    weak = [*loose, *(bare if hashes else [])]
    n = len(judged)
    low, high = clopper_pearson(len(weak), n, job.confidence) if n else (0.0, 0.0)
    return Finding(
        check=job.check,
        asset=target.id,
        threat=threat,
        verdict=Verdict.FAIL if weak else Verdict.PASS,
        severity=Severity.HIGH if loose else (Severity.MEDIUM if weak else Severity.INFO),
        title=f"{len(loose)} of {n} requirements are not pinned, {len(bare)} are pinned without a hash",
        why=_why(weak, len(dependencies) - n),
        remedy=_remedy() if weak else "",
        measures=(
            Measure(
                name="requirements that name no exact artefact",
                value=len(weak) / n if n else 0.0,
                low=low,
                high=high,
                confidence=job.confidence,
                n=n,
                k=len(weak),
                limit=0.0,
                unit="share of requirements",
                method="all requirements read",
            ),
        ),
        places=tuple(d.place for d in weak[:SHOWN]),
        details={"weak": [{"name": d.name, "why": d.why, "at": str(d.place)} for d in weak[:SHOWN]]}
        | ({} if weak else {"probability_cap": 0.05}),
    )


def _why(weak: list[Dependency], local: int) -> str:
    beside = f" {local} are code of this project and were not judged." if local else ""
    if not weak:
        return "Every requirement names one version and the hash of its artefact, so a package replaced later is refused." + beside
    listed = "; ".join(f"{d.name}: {d.why}" for d in weak[:8]) + (f"; and {len(weak) - 8} more" if len(weak) > 8 else "")
    return f"The next build may install something else than what was tested: {listed}.{beside}"


def _remedy() -> str:
    return (
        "Lock every package with its hash (`uv pip compile --generate-hashes` or `pip-compile --generate-hashes`) and install with "
        "--require-hashes."
    )
