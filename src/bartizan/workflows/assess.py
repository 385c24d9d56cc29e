"""The main job: threats, plan, jobs, signed evidence, residual risk."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from bartizan.engine import planner, registry, runner
from bartizan.engine.earlier import with_earlier
from bartizan.engine.ports import Executor, Listener
from bartizan.evidence import Keyring, Store
from bartizan.model.checks import Cost
from bartizan.model.findings import Budget, Finding, Job, Outcome
from bartizan.model.report import Report
from bartizan.workflows import preflight, register
from bartizan.workflows.project import Project


@dataclass(frozen=True)
class Assessment:
    """What an assessment found: the report, how many jobs ran and how many were reused, what breaks the policy, and `notes` on what the
    manifest says to nobody."""

    report: Report
    ran: int
    reused: int
    violations: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Options:
    """What a user may ask of an assessment. `only` are check ids or areas; `fail_on` overrides the manifest's policy."""

    only: Sequence[str] = ()
    seed: int = 0
    budget: Budget = field(default_factory=Budget)
    fresh: bool = False
    fail_on: str | None = None


def plan(project: Project, options: Options | None = None) -> tuple[Job, ...]:
    """The jobs for this project as its files are now. Raises `UnknownName` for a check in `only` that does not exist."""
    options = options or Options()
    checks = registry.load()
    registry.validate(checks.values(), project.catalog.threats, project.catalog.controls)
    return planner.plan(project.system, project.model, checks, project.root, only=options.only, seed=options.seed, budget=options.budget)


def assess(project: Project, executor: Executor, listener: Listener, options: Options | None = None) -> Assessment:
    """Run what the threats ask for and is not yet proved on unchanged things; record each outcome the moment it is there.

    Names in the manifest that nothing bears out are refused. The policy sees what this run found and what other runs found on the same
    things as they are now, and judges decisions by the clock: no choice of seed, limit or report date hides a failure. A live check that
    `only` names runs again. On Ctrl-C (`KeyboardInterrupt`) all finished jobs are in the store; the next call goes on from there.
    """
    options = options or Options()
    policy = register.policy_of(project, options.fail_on)
    notes = preflight.names_are_there(project.system, project.root, registry.load())
    jobs = plan(project, options)
    with Store.open(project.state, key=Keyring(project.state / "keys").signer()) as store:
        recorded = store.evidence()
        kept = {} if options.fresh else register.reusable(recorded, _lasting(jobs) if options.only else jobs)
        jobs = with_earlier(jobs, recorded, store.artefact, known=kept)

        def keep(outcome: Outcome) -> None:
            store.append(outcome)

        outcomes = runner.run(jobs, executor, reuse=lambda digest: kept.get(digest), keep=keep, listener=listener)
        whole_plan = plan(project) if options.only else jobs
        report = register.report(project, store, whole_plan)
        judged, _ = register.risks(project, store, whole_plan, dt.datetime.now(dt.UTC))
        store.note_risks(report.risks, report.generated)
        report = register.with_chain(report, store)
    answered = {(job.check, job.subject.id) for job in jobs}
    findings: list[Finding] = [finding for outcome in outcomes for finding in outcome.findings]
    findings += [f for record in report.evidence if (record.job.check, record.job.subject.id) in answered for f in record.findings]
    return Assessment(
        report=report,
        ran=sum(not outcome.cached for outcome in outcomes),
        reused=sum(outcome.cached for outcome in outcomes),
        violations=policy.violations(judged, findings),
        notes=notes,
    )


def _lasting(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """The jobs whose answer is about bytes on the disk. Whoever names a check of a live service wants it asked now."""
    checks = registry.load()
    return tuple(job for job in jobs if checks[job.check].cost is not Cost.LIVE)
