"""From findings to risks: the probability of at least one loss a year, before and after what evidence says.

P = 1 - E[exp(-F s)]: F campaigns a year, lognormal around what exposure or the actors declare (`exposure`); s the chance that one
campaign succeeds within the attacker's attempts (`success`); impact is declared. The numbers that nobody measures are in `assumptions`.

Every estimate of one risk uses the same draws, a Latin hypercube over F and p whose pairing is seeded from the risk's id. The mean
integrates F over fixed strata with s in closed form, so that it is monotone in every count to the last bit; `low` and `high` are the
central 90 % of 1 - exp(-F (1 - (1-p)^B)) over the draws. Without valid evidence nothing differs between inherent and residual. A control
that the manifest only claims lowers no probability: it lowers the ordinal by one level at most, once, and only where a check of this risk
has passed and none has failed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from bartizan.governance import assumptions, register
from bartizan.governance.exposure import Approaches, Exposure, Quotas, enforced_quotas
from bartizan.governance.success import (
    PROBABILITY_CAP,
    Counts,
    Success,
    attack_measure,
    chance_at,
    counts_of,
    mean_chance,
    prior_of,
    success_of,
)
from bartizan.model.beta import normal_quantile
from bartizan.model.findings import Finding, Verdict
from bartizan.model.risks import Estimate, Evidence, Risk, Step, digest_of, risk_id
from bartizan.model.system import Asset, Claim, Decision, Level, System, elements_of
from bartizan.model.threats import Threat, ThreatInstance, ThreatModel

if TYPE_CHECKING:
    from bartizan.catalog.catalogue import Catalog

_DRAWS = 2048
_DIGITS = 9


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One finding about one risk, with the sequence number of its record and the digest of the job that gave it."""

    seq: int
    job: str
    finding: Finding


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """All that one risk is computed from."""

    threat: Threat
    instance: ThreatInstance
    impact: Level
    impact_declared: bool
    owner: str | None
    before: Exposure
    after: Exposure
    said: tuple[Said, ...]
    stale: tuple[int, ...]
    claims: tuple[Claim, ...]

    @property
    def id(self) -> str:
        return risk_id(self.threat.id, self.instance.element)

    @property
    def prior(self) -> Counts:
        return prior_of(self.threat.maturity)


def risks_of(
    system: System,
    catalog: Catalog,
    model: ThreatModel,
    current: Sequence[Evidence],
    stale: Sequence[Evidence],
    decisions: Sequence[Decision],
    today: dt.date,
) -> tuple[Risk, ...]:
    """The risks of a system, one for each threat instance, certain or possible, and for each failing finding without one.

    Highest level first; within a level those of certain threats, then by probability.

    `current` is the evidence whose subjects are still what they were; of several records of one job the newest counts. `stale` only marks
    what has to be measured again. Decisions may come from the manifest too; of several that hold, the last given counts.
    """
    approaches, quotas = Approaches(system), enforced_quotas(current)
    free = approaches.rates({})
    bound = approaches.rates(quotas.limits) if quotas.limits else free
    said = _by_risk(current, catalog)
    old = _by_risk(stale, catalog)
    claims = tuple(c for c in system.controls if c.by and c.why and (c.until is None or c.until >= today))
    nodes = {e.id: e for e in elements_of(system)}
    found = []
    for instance in (*model.instances, *_unforeseen(said, model, catalog)):
        threat = catalog.threat(instance.threat)
        key = (threat.id, instance.element)
        node = nodes.get(instance.element)
        by_queries = threat.family not in assumptions.OFFLINE_FAMILIES
        declared = (node.impact if isinstance(node, Asset) else None) or system.impact
        case = Case(
            threat=threat,
            instance=instance,
            impact=declared or assumptions.UNDECLARED_IMPACT,
            impact_declared=declared is not None,
            owner=(node.owner if isinstance(node, Asset) else None) or system.owner,
            before=approaches.exposure(instance.element, instance.path, free, Quotas(), by_queries=by_queries),
            after=approaches.exposure(instance.element, instance.path, bound, quotas, by_queries=by_queries),
            said=tuple(said.get(key, ())),
            stale=tuple(sorted({s.seq for s in old.get(key, ())})),
            claims=tuple(c for c in claims if _concerns(c, threat, instance.element, catalog)),
        )
        found.append(_risk(case, (*system.decisions, *decisions), today))
    return tuple(sorted(found, key=lambda r: (-r.residual.level.rank, not r.certain, -r.residual.mean, -r.inherent.mean, r.id)))


def _by_risk(records: Iterable[Evidence], catalog: Catalog) -> dict[tuple[str, str], list[Said]]:
    newest: dict[str, Evidence] = {}
    for record in sorted(records, key=lambda r: r.seq):
        newest[record.job.digest or str(record.seq)] = record
    found: dict[tuple[str, str], list[Said]] = {}
    for record in sorted(newest.values(), key=lambda r: r.seq):
        job = digest_of((record.job.digest, [s.sha256 for s in record.subjects]))
        for finding in record.findings:
            threat = finding.threat if finding.threat in catalog.threats else catalog.aliases.get(finding.threat, finding.threat)
            found.setdefault((threat, finding.asset), []).append(Said(seq=record.seq, job=job, finding=finding))
    return found


def _unforeseen(said: dict[tuple[str, str], list[Said]], model: ThreatModel, catalog: Catalog) -> list[ThreatInstance]:
    """What a check found although the threat model does not name it there: a failure is never lost."""
    named = {(catalog.threat(i.threat).id, i.element) for i in model.instances}
    return [
        ThreatInstance(threat=threat, element=asset, certain=True, because=("a check failed here",))
        for (threat, asset), all_said in sorted(said.items())
        if (threat, asset) not in named and threat in catalog.threats and any(s.finding.verdict is Verdict.FAIL for s in all_said)
    ]


def _concerns(claim: Claim, threat: Threat, id: str, catalog: Catalog) -> bool:
    if claim.on is not None and id not in claim.on:
        return False
    meant = catalog.aliases.get(claim.control, claim.control)
    return claim.control in threat.controls or any(catalog.aliases.get(c, c) == meant for c in threat.controls)


@cache
def _normal_strata() -> Any:
    import numpy as np

    half = [normal_quantile((i + 0.5) / _DRAWS) for i in range(_DRAWS // 2)]
    return np.array(half + [-z for z in reversed(half)])


def _mean(case: Case, exposure: Exposure, success: Success) -> float:
    import numpy as np

    s = mean_chance(success, case.prior, exposure.attempts)
    campaigns = exposure.campaigns * np.exp(exposure.spread * _normal_strata())
    return round(float(-np.expm1(-campaigns * s).mean()), _DIGITS)


def _estimate(case: Case, exposure: Exposure, success: Success) -> Estimate:
    import numpy as np

    mean = _mean(case, exposure, success)
    pairing = np.random.default_rng(int(case.id[2:], 16)).permutation(_DRAWS)
    uniforms = (np.arange(_DRAWS) + 0.5) / _DRAWS
    chance = chance_at(success, case.prior, exposure.attempts, uniforms)[pairing]
    loss = np.sort(-np.expm1(-exposure.campaigns * np.exp(exposure.spread * _normal_strata()) * chance))
    low, high = (round(float(loss[int(q * _DRAWS)]), _DIGITS) for q in (0.05, 0.95))
    return Estimate(mean=mean, low=min(low, mean), high=max(high, mean), level=assumptions.level_of(mean, case.impact))


def _risk(case: Case, decisions: Sequence[Decision], today: dt.date) -> Risk:
    findings = [s.finding for s in case.said]
    inherent = _estimate(case, case.before, Success())
    success = success_of(findings)
    residual = inherent if success == Success() and case.before.attempts == case.after.attempts else _estimate(case, case.after, success)
    supported = _supported(findings)
    if case.claims and supported:
        residual = msgspec.structs.replace(residual, level=_one_lower(residual.level))
    quota_seqs = case.after.evidence if case.after.attempts < case.before.attempts else ()
    used = tuple(sorted({*quota_seqs, *(s.seq for s in case.said if s.finding.verdict is not Verdict.UNKNOWN)}))
    state = _state(case, inherent, residual)
    standing = register.standing(case.id, state, decisions, today)
    within = bool(findings) and case.instance.certain and all(f.verdict is Verdict.PASS for f in findings)
    return Risk(
        id=case.id,
        threat=case.threat.id,
        asset=case.instance.element,
        impact=case.impact,
        inherent=inherent,
        residual=residual,
        status=register.status_of(standing.decision, within),
        owner=case.owner,
        decision=standing.decision,
        due=standing.decision.until.isoformat() if standing.decision else None,
        evidence=used,
        stale=case.stale,
        steps=_steps(case, inherent, residual, quota_seqs),
        why=_why(case, residual),
        next_step=_next_step(case, standing),
        state=state,
        void_decision=standing.void,
        certain=case.instance.certain,
    )


def _supported(findings: Sequence[Finding]) -> bool:
    """Whether a claim may count: a check of this risk has passed and none has failed."""
    verdicts = {f.verdict for f in findings}
    return Verdict.PASS in verdicts and Verdict.FAIL not in verdicts


def _one_lower(level: Level) -> Level:
    return list(Level)[max(0, level.rank - 1)]


def _state(case: Case, inherent: Estimate, residual: Estimate) -> str:
    """The digest of everything the residual was computed from; what was measured counts by content, not by its place in the chain."""
    measured = sorted((_measured(s) for s in case.said if s.finding.verdict is not Verdict.UNKNOWN), key=repr)
    claims = sorted((c.control, c.by, c.why, str(c.until)) for c in case.claims)
    exposures = [(e.campaigns, e.spread, e.attempts) for e in (case.before, case.after)]
    return digest_of((case.id, case.impact, case.prior, exposures, measured, claims, inherent, residual))


def _measured(said: Said) -> tuple[Any, ...]:
    finding = said.finding
    counts = [(m.name, m.k, m.n, m.clusters, m.null) for m in finding.measures]
    return said.job, finding.check, finding.verdict.value, finding.severity.value, finding.details.get(PROBABILITY_CAP), counts


def _steps(case: Case, inherent: Estimate, residual: Estimate, quota_seqs: tuple[int, ...]) -> tuple[Step, ...]:
    """The waterfall: the same computation with one more thing taken into account at each step."""
    start = f"{case.before.why}; {case.threat.maturity.value} threat; impact {case.impact.value}"
    start += "" if case.impact_declared else " (not declared)"
    steps = [Step(label="Inherent", mean=inherent.mean, level=inherent.level, note=start)]
    mean, success = inherent.mean, Success()
    if case.after.attempts < case.before.attempts:
        mean = _mean(case, case.after, success)
        steps.append(_step("Enforced quota", mean, case, quota_seqs, case.after.why))
    for i, said in enumerate(case.said):
        more = success_of(s.finding for s in case.said[: i + 1])
        if more != success:
            mean, success = _mean(case, case.after, more), more
        steps.append(_step(f"{said.finding.check}: {said.finding.verdict.value}", mean, case, (said.seq,), _note(said.finding)))
    if case.claims:
        names = ", ".join(sorted({c.control for c in case.claims}))
        counts = _supported([s.finding for s in case.said])
        note = "declared, not verified: lowers the level by one at most, no probability"
        if not counts:
            note = "declared, not verified: counts only beside a passing check, and never against a failing one"
        steps.append(Step(label=f"Declared: {names}", mean=residual.mean, level=residual.level, note=note))
    if case.stale:
        records = ", ".join(f"#{seq}" for seq in case.stale)
        note = f"{records} no longer match and count for nothing"
        steps.append(Step(label="Stale evidence", mean=residual.mean, level=residual.level, note=note))
    steps.append(Step(label="Residual", mean=residual.mean, level=residual.level))
    return tuple(steps)


def _step(label: str, mean: float, case: Case, seqs: tuple[int, ...], note: str) -> Step:
    return Step(label=label, mean=mean, level=assumptions.level_of(mean, case.impact), evidence=seqs, note=note)


def _note(finding: Finding) -> str:
    measure = attack_measure(finding)
    if finding.verdict is Verdict.UNKNOWN:
        return f"{finding.title}: not run, counts for nothing"
    if measure is None:
        return finding.title
    succeeded, repelled = counts_of(measure)
    worth = f", worth {succeeded:.1f} of {succeeded + repelled:.1f}" if succeeded + repelled < measure.n - 0.5 else ""
    may = "" if finding.verdict is Verdict.PASS else "; may only raise the risk"
    return f"{finding.title} ({measure.k} of {measure.n}{worth}{may})"


def _why(case: Case, residual: Estimate) -> str:
    verdicts = [s.finding.verdict for s in case.said]
    counts = [f"{verdicts.count(v)} {v.value}" for v in Verdict if v in verdicts]
    measured = ", ".join(counts) if counts else "not measured"
    because = "; ".join(case.instance.because)
    sure = "" if case.instance.certain else "may apply: a fact is not declared; "
    chance = f"{residual.mean:.1%} a year (90 % interval {residual.low:.1%} to {residual.high:.1%})"
    return f"{sure}{because + '; ' if because else ''}{measured}; {chance}, impact {case.impact.value}"


def _next_step(case: Case, standing: register.Standing) -> str:
    by_verdict = {v: [s.finding for s in case.said if s.finding.verdict is v] for v in Verdict}
    for finding in by_verdict[Verdict.FAIL]:
        return finding.remedy or (case.threat.mitigations[0] if case.threat.mitigations else finding.title)
    if standing.void is not None:
        return "the state changed since it was decided: decide again"
    for finding in by_verdict[Verdict.INCONCLUSIVE]:
        return f"{finding.check}: {finding.needed} more trials needed" if finding.needed else finding.remedy or finding.title
    for finding in by_verdict[Verdict.UNKNOWN]:
        return finding.remedy or finding.title
    if case.instance.questions:
        return case.instance.questions[0].text
    if by_verdict[Verdict.PASS]:
        return "keep measuring: the evidence holds until a subject changes"
    if case.stale:
        return "measure again: what was measured has changed"
    return f"no check measures it: {case.threat.gap}" if case.threat.gap else "run: bartizan assess"
