"""The risk register: which evidence still counts, what follows from it, and the report of it all. Runs no check."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

import bartizan
from bartizan.engine import planner, registry, runner
from bartizan.evidence import Store
from bartizan.governance import checklist, controls, coverage, policy, risk
from bartizan.model.checks import Check
from bartizan.model.errors import EvidenceError, InputError
from bartizan.model.findings import Budget, Finding, Job, Outcome, Verdict
from bartizan.model.report import Gap, Report
from bartizan.model.risks import Evidence, Risk
from bartizan.workflows.project import Project


@dataclass(frozen=True)
class Standing:
    """The evidence of a store, told apart: `current` is about things as they are now, `stale` is not and counts for nothing."""

    current: tuple[Evidence, ...]
    stale: tuple[Evidence, ...]


def now() -> dt.datetime:
    """The time that reports carry: `SOURCE_DATE_EPOCH` where it is set, so that the same store gives the same bytes."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    if fixed is None:
        return dt.datetime.now(dt.UTC)
    try:
        seconds = int(fixed)
        if seconds < 0:
            raise ValueError("before 1970")
        return dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (ValueError, OverflowError, OSError):
        raise InputError(f"SOURCE_DATE_EPOCH is '{fixed}'", cure="set it to seconds since 1970-01-01") from None


def matter(job: Job) -> str:
    """Digest of what a job is about and how it judges: check, nodes, file contents, parameters; not the seed or the budget."""
    return planner.identity(msgspec.structs.replace(job, seed=0, budget=Budget()))


def standing(evidence: Iterable[Evidence], jobs: Sequence[Job], checks: Mapping[str, Check], at: dt.datetime) -> Standing:
    """Tell current evidence from stale.

    A record counts while the check, the declaration and every byte it read are what the plan of today would read. Of several runs with
    different seeds all count, so that no one can choose the seed that flatters; of a live service only the newest, and only for as long as
    its check says. A run that gave only `unknown` never displaces one that measured.
    """
    planned = {(job.check, job.subject.id): matter(job) for job in jobs}
    newest: dict[tuple[str, str, int | None], Evidence] = {}
    stale: dict[tuple[str, str], Evidence] = {}
    for record in evidence:
        job = record.job
        check = checks.get(job.check)
        place = (job.check, job.subject.id)
        if planned.get(place) != matter(job) or check is None or _expired(record, check, at):
            stale[place] = record
            continue
        live = check.valid_days is not None
        key = (*place, None if live else job.seed)
        earlier = newest.get(key)
        if earlier is None or _measured(record) or not _measured(earlier):
            newest[key] = record
    current = _prefer_measured(newest.values())
    settled = {(e.job.check, e.job.subject.id) for e in current}
    order = {(job.check, job.subject.id): index for index, job in enumerate(jobs)}
    return Standing(
        current=tuple(sorted(current, key=lambda e: (order[(e.job.check, e.job.subject.id)], e.seq))),
        stale=tuple(sorted((e for place, e in stale.items() if place not in settled), key=lambda e: e.seq)),
    )


def _measured(record: Evidence) -> bool:
    return any(finding.verdict is not Verdict.UNKNOWN for finding in record.findings)


def _prefer_measured(records: Iterable[Evidence]) -> list[Evidence]:
    """Without the runs that gave only `unknown`, where another run of the same check on the same node measured."""
    kept = list(records)
    measured = {(e.job.check, e.job.subject.id) for e in kept if _measured(e)}
    return [e for e in kept if _measured(e) or (e.job.check, e.job.subject.id) not in measured]


def _expired(record: Evidence, check: Check, at: dt.datetime) -> bool:
    if check.valid_days is None:
        return False
    return at - dt.datetime.fromisoformat(record.collected) > dt.timedelta(days=check.valid_days)


def reusable(evidence: Iterable[Evidence], jobs: Sequence[Job]) -> dict[str, Outcome]:
    """By job digest, the outcomes that need not be computed again."""
    wanted = {job.digest for job in jobs}
    found: dict[str, Outcome] = {}
    for record in evidence:
        if record.job.digest not in wanted:
            continue
        outcome = runner.outcome_of(record)
        if runner.reusable(outcome):
            found[record.job.digest] = outcome
    return found


def risks(project: Project, store: Store, jobs: Sequence[Job], at: dt.datetime | None = None) -> tuple[tuple[Risk, ...], Standing]:
    """The register as the files and the evidence are at `at`, by default the time that reports carry."""
    at = at or now()
    told = standing(store.evidence(), jobs, registry.load(), at)
    decisions = (*project.system.decisions, *store.decisions())
    return risk.risks_of(project.system, project.catalog, project.model, told.current, told.stale, decisions, at.date()), told


def report(project: Project, store: Store, jobs: Sequence[Job]) -> Report:
    """Everything that a renderer needs, from the manifest, the catalogue and the store."""
    found, told = risks(project, store, jobs)
    catalog, checks = project.catalog, registry.load()
    states = controls.control_states(project.system, catalog, project.model, checks, told.current, now().date())
    findings = _once(finding for record in told.current for finding in record.findings)
    named = sorted({instance.threat for instance in project.model.instances})
    covered = {threat for check in checks.values() for threat in check.threats}
    return Report(
        title=f"{project.system.name}: security of the AI system",
        manifest=project.manifest.name,
        generated=now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        version=bartizan.__version__,
        system=project.system,
        model=project.model,
        threats={id: msgspec.structs.replace(catalog.threats[id], gap=None if id in covered else catalog.threats[id].gap) for id in named},
        controls=states,
        risks=found,
        evidence=told.current,
        findings=findings,
        checklist=checklist.checklist_of(catalog, states),
        coverage=coverage.coverage_of(catalog, states),
        gaps=gaps(project, findings, checks),
        chain=store.chain(),
        pictures=pictures(store, findings),
    )


MOST_PICTURES = 32 * 1024 * 1024
"""Most bytes of pictures that a report takes along."""


def pictures(store: Store, findings: Iterable[Finding]) -> dict[str, bytes]:
    """The pictures among the artefacts of `findings` by digest, as far as the store still holds them and there is room."""
    found: dict[str, bytes] = {}
    left = MOST_PICTURES
    for artefact in (artefact for finding in findings for artefact in finding.artefacts):
        if not artefact.media_type.startswith("image/") or artefact.digest in found or artefact.size > left:
            continue
        try:
            found[artefact.digest] = store.artefact(artefact.digest)
        except EvidenceError:
            continue  # the page then names the file; verify says that it is missing or changed
        left -= artefact.size
    return found


def _once(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once: a check that draws nothing says the same with every seed."""
    return tuple({msgspec.json.encode(finding, order="deterministic"): finding for finding in findings}.values())


def gaps(project: Project, findings: Sequence[Finding], checks: Mapping[str, Check]) -> tuple[Gap, ...]:
    """The threats that fire and that nothing has measured, each with the reason and what would close it."""
    measured = {(f.threat, f.asset) for f in findings if f.verdict is not Verdict.UNKNOWN}
    unknown = {(f.threat, f.asset): f for f in findings if f.verdict is Verdict.UNKNOWN}
    covered = {threat for check in checks.values() for threat in check.threats}
    rows = []
    for instance in project.model.certain:
        place = (instance.threat, instance.element)
        if place in measured:
            continue
        if place in unknown:
            why, command = unknown[place].why or unknown[place].title, unknown[place].remedy
        elif instance.threat in covered:
            why, command = "its check does not run on this node", f"bartizan checks --threat {instance.threat}"
        else:
            why, command = project.catalog.threats[instance.threat].gap or "no check in this install covers it", ""
        rows.append(Gap(threat=instance.threat, asset=instance.element, why=why, command=command))
    return tuple(rows)


def with_chain(made: Report, store: Store) -> Report:
    """`made` with the chain as it stands after the risks were noted."""
    return msgspec.structs.replace(made, chain=store.chain())


def policy_of(project: Project, fail_on: str | None) -> policy.Policy:
    """The rule that decides the exit code: the one given, else the manifest's, else `fail`."""
    given = fail_on if fail_on is not None else project.system.appetite.fail_on
    place = "--fail-on" if fail_on is not None else project.system.appetite.at or project.manifest.name
    return policy.parse(given, threats=project.catalog.threats, place=place)
