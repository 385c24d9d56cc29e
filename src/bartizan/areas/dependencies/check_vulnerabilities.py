"""The check that no package with a published weakness is built in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from bartizan.adapters.files import local_path
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import clopper_pearson
from bartizan.model.system import Asset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.dependencies.vulnerabilities import Judged

SHOWN = 50
"""Most weaknesses that a finding lists."""


@check(
    "dependencies.vulnerabilities",
    threats=["malicious-package", "known-vulnerability"],
    kinds={Kind.DEPENDENCIES},
    phases={Phase.DEVELOPMENT, Phase.DEPLOYMENT, Phase.OPERATION},
    cost=Cost.FAST,
    reads=["hosted", "served_by"],
)
def vulnerabilities(job: Job, target: Asset, *, max_age_days: float = 7.0) -> Iterator[Finding]:
    """Packages with a published weakness, and names that imitate a popular package's.

    Reads requirements, locks, environments, wheels, SBOMs and container images without running them, and compares versions with the
    advisories that `bartizan advisories update` keeps (OSV). Without advisories, or with ones older than `max_age_days`, there is no
    verdict.
    """
    from bartizan.areas.dependencies.inventory import packages_in
    from bartizan.areas.dependencies.vulnerabilities import judge

    if target.uri is None:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare the requirements or lock file: uri: requirements.txt")
    found = judge(packages_in(local_path(job.root, target.uri, target.at), job.root), max_age=timedelta(days=max_age_days))
    if found.aged is not None and not found.vulnerable:
        raise found.aged
    for threat, asset in about_of(job):
        yield _weaknesses(job, (threat, asset), found)
        if threat == "malicious-package":
            yield _imitations(job, (threat, asset), found)


def _weaknesses(job: Job, about: tuple[str, str], found: Judged) -> Finding:
    names = {match.package.name for match in found.vulnerable}
    unknown = {match.package.name for match in found.unknown}
    n, k = len({package.name for package in found.packages}), len(names)
    verdict = Verdict.FAIL if k else (Verdict.INCONCLUSIVE if unknown or found.unjudged else Verdict.PASS)
    low, high = clopper_pearson(k, n, job.confidence)
    listed = "; ".join(f"{m.package.name} {m.package.version}: {m.ids[0]}" for m in found.vulnerable[:8])
    doubt = f" {len(unknown)} packages name no version that can be compared: {', '.join(sorted(unknown)[:8])}." if unknown else ""
    return Finding(
        check=job.check,
        asset=about[1],
        threat=about[0],
        verdict=verdict,
        severity=Severity.HIGH if k else (Severity.LOW if unknown else Severity.INFO),
        title=f"{len(found.vulnerable)} published weaknesses in {k} of {n} packages",
        why=(f"{listed}{'; and more' if len(found.vulnerable) > 8 else ''}." if k else "No advisory speaks of what is built in.")
        + doubt
        + f" Advisories of {', '.join(sorted({a.newest[:10] for a in found.about}))}.",
        remedy=_remedy(found) if verdict is not Verdict.PASS else "",
        measures=(
            Measure(
                name="packages with a published weakness", value=k / n if n else 0.0, low=low, high=high, confidence=job.confidence,
                n=n, k=k, limit=0.0, unit="share of packages", method="all packages read",
            ),
        ),
        places=tuple(dict.fromkeys(match.package.place for match in (*found.vulnerable, *found.unknown)))[:SHOWN],
        details={
            "weaknesses": [
                {"package": m.package.name, "version": m.package.version, "ids": list(m.ids), "fixed": list(m.fixed)}
                for m in found.vulnerable[:SHOWN]
            ]
        }
        | ({"probability_cap": 0.1} if verdict is Verdict.PASS else {}),
    )  # fmt: skip


def _imitations(job: Job, about: tuple[str, str], found: Judged) -> Finding:
    n, k = len({package.name for package in found.packages}), len(found.suspects)
    low, high = clopper_pearson(k, n, job.confidence)
    listed = "; ".join(f"'{s.name}' looks like '{s.target}' ({s.how})" for s in found.suspects[:8])
    return Finding(
        check=job.check,
        asset=about[1],
        threat=about[0],
        verdict=Verdict.INCONCLUSIVE if k else Verdict.PASS,
        severity=Severity.MEDIUM if k else Severity.INFO,
        title=f"{k} of {n} package names look like a popular package's",
        why=f"{listed}." if k else "No name is one slip away from a much downloaded one; what the packages do was not looked at.",
        remedy="Look each one up; where the name is wrong, correct it and rotate what the build could read." if k else "",
        measures=(
            Measure(
                name="names that imitate", value=k / n if n else 0.0, low=low, high=high, confidence=job.confidence, n=n, k=k, limit=0.0,
                unit="share of packages", method="all names compared with the 1,500 most downloaded",
            ),
        ),
        places=tuple(p.place for p in found.packages if p.name in {s.name for s in found.suspects})[:SHOWN],
    )  # fmt: skip


def _remedy(found: Judged) -> str:
    better = "; ".join(f"{name} {version or '(no repaired version)'}" for name, version in list(found.upgrades.items())[:10])
    pin = "Pin every package to one version, so that it can be compared. " if found.unknown else ""
    missing = f"Fetch advisories: bartizan advisories update --ecosystem {next(iter(found.unjudged))}. " if found.unjudged else ""
    return f"{pin}{missing}" + (f"Install: {better}." if better else "")
