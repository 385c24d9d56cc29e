"""How far each control is backed: by checks that passed on current evidence, by a claim, or by nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from bartizan.model.checks import Check
from bartizan.model.findings import Verdict
from bartizan.model.report import ControlState, Support
from bartizan.model.risks import Evidence
from bartizan.model.system import Claim, System
from bartizan.model.threats import Control, ThreatModel

if TYPE_CHECKING:
    from bartizan.catalog.catalogue import Catalog


def control_states(
    system: System, catalog: Catalog, model: ThreatModel, checks: Mapping[str, Check], current: Sequence[Evidence], today: dt.date
) -> tuple[ControlState, ...]:
    """The state of every control of the catalogue, in its order.

    Verified: at least one check that lists the control ran, and everything that such checks found on current evidence passed. Failing:
    any of it failed. Open: any of it is inconclusive or was not run. Without evidence a control is not applicable where no threat that it
    works against fires or may fire, declared where a claim with a name, a reason and an unexpired day names it, and else backed by nothing.
    """
    verifying: dict[str, list[str]] = {}
    for check in checks.values():
        for name in check.controls:
            verifying.setdefault(_canonical(name, catalog), []).append(check.id)
    found = _newest(current)
    concerned = {catalog.threat(i.threat).id for i in model.instances}
    claims: dict[str, list[Claim]] = {}
    for claim in system.controls:
        claims.setdefault(_canonical(claim.control, catalog), []).append(claim)
    states = []
    for control in catalog.controls.values():
        applies = any(threat.id in concerned for threat in catalog.mitigated_by(control.id))
        records = [(id, r) for id in sorted(set(verifying.get(control.id, ()))) for r in found.get(id, ())]
        if any(r.findings for _, r in records):
            states.append(_measured(control, records))
        else:
            states.append(_unmeasured(control, applies, sorted(set(verifying.get(control.id, ()))), claims.get(control.id, ()), today))
    return tuple(states)


def _canonical(name: str, catalog: Catalog) -> str:
    return name if name in catalog.controls else catalog.aliases.get(name, name)


def _newest(current: Iterable[Evidence]) -> dict[str, list[Evidence]]:
    """The newest record of each job, by check."""
    newest: dict[str, Evidence] = {}
    for record in sorted(current, key=lambda r: r.seq):
        newest[record.job.digest or str(record.seq)] = record
    found: dict[str, list[Evidence]] = {}
    for record in newest.values():
        found.setdefault(record.job.check, []).append(record)
    return found


def _measured(control: Control, records: Sequence[tuple[str, Evidence]]) -> ControlState:
    verdicts: dict[str, set[Verdict]] = {}
    for check, record in records:
        for finding in record.findings:
            verdicts.setdefault(check, set()).add(finding.verdict)
    failing = sorted(c for c, seen in verdicts.items() if Verdict.FAIL in seen)
    unclear = sorted(c for c, seen in verdicts.items() if seen & {Verdict.INCONCLUSIVE, Verdict.UNKNOWN} and c not in failing)
    passed = len(verdicts) - len(failing) - len(unclear)
    why = f"{passed} of {len(verdicts)} checks passed"
    if failing:
        support, why = Support.FAILING, f"{why}; failing: {', '.join(failing)}"
    elif unclear:
        support, why = Support.OPEN, f"{why}; inconclusive or not run: {', '.join(unclear)}"
    else:
        support = Support.VERIFIED
    seqs = tuple(sorted({r.seq for _, r in records if r.findings}))
    return ControlState(control=control, support=support, evidence=seqs, checks=tuple(sorted(verdicts)), why=why)


def _unmeasured(control: Control, applies: bool, checks: Sequence[str], claims: Sequence[Claim], today: dt.date) -> ControlState:
    valid = [c for c in claims if c.by and c.why and (c.until is None or c.until >= today)]
    can = f"{', '.join(checks)} can verify it" if checks else "no check verifies it"
    if not applies:
        return ControlState(
            control=control, support=Support.NOT_APPLICABLE, checks=tuple(checks), why="no threat that it works against applies"
        )
    if valid:
        until = f" until {valid[-1].until.isoformat()}" if valid[-1].until else ""
        why = f"claimed by {valid[-1].by}{until}, not verified; {can}"
        return ControlState(control=control, support=Support.DECLARED, checks=tuple(checks), why=why)
    if claims:
        expired = claims[-1].until is not None and claims[-1].until < today
        can = f"the claim {'has expired' if expired else 'lacks a name or a reason'}; {can}"
    return ControlState(control=control, support=Support.NONE, checks=tuple(checks), why=can)
