"""The risk register: decisions that hold for the exact state they were made on, until their day; and the waterfall in words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

from bartizan.model.errors import InputError, one_line
from bartizan.model.risks import Risk, Status
from bartizan.model.system import Action, Decision

_STATUS = {Action.ACCEPT: Status.ACCEPTED, Action.TRANSFER: Status.TRANSFERRED, Action.AVOID: Status.AVOIDED}


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The decision that holds for a risk, and one that no longer does because the state changed; at most one of them."""

    decision: Decision | None = None
    void: Decision | None = None


def standing(risk: str, state: str, decisions: Sequence[Decision], today: dt.date) -> Standing:
    """What stands of the decisions on one risk. The day `until` itself still counts; of several that hold, the last given counts."""
    unexpired = [d for d in decisions if d.risk == risk and d.until >= today]
    holding = [d for d in unexpired if d.state == state]
    if holding:
        return Standing(decision=holding[-1])
    return Standing(void=unexpired[-1]) if unexpired else Standing()


def status_of(decision: Decision | None, within: bool) -> Status:
    """Where a risk stands: decided, or measured within tolerance, or open."""
    if decision is not None:
        return _STATUS[decision.action]
    return Status.WITHIN if within else Status.OPEN


def find(risks: Sequence[Risk], id: str) -> Risk:
    """The risk with this id, or with this beginning of an id where it is the only one. Raises `InputError`."""
    found = [r for r in risks if r.id == id] or [r for r in risks if len(id) >= 4 and r.id.lower().startswith(id.lower())]
    if len(found) != 1:
        what = "several risks start with" if found else "no risk is called"
        raise InputError(f"{what} '{one_line(id, 80)}'", cure="`bartizan risks` lists them")
    return found[0]


def decide(risk: Risk, action: Action, *, by: str, why: str, until: dt.date, today: dt.date) -> Decision:
    """A decision on the exact state of a risk. Raises `InputError` without a name, a reason or a day to come."""
    if not by.strip() or not why.strip():
        raise InputError(f"a decision on {risk.id} needs who decided and why", cure="give both")
    if until <= today:
        raise InputError(f"a decision on {risk.id} must hold beyond today, not until {until.isoformat()}", cure="give a later day")
    return Decision(risk=risk.id, action=action, by=by.strip(), why=why.strip(), until=until, state=risk.state)


def explain(risk: Risk) -> tuple[str, ...]:
    """The waterfall of a risk in words, one line for each step, then what stands and what to do next."""
    lines = [f"{risk.id} {risk.threat} on {risk.asset}: {risk.residual.level.value} ({risk.status.value})", risk.why]
    before: float | None = None
    for step in risk.steps:
        moved = "" if before is None or step.label == "Residual" else f" ({(step.mean - before) * 100:+.1f} points)"
        records = f" [evidence {', '.join(f'#{seq}' for seq in step.evidence)}]" if step.evidence else ""
        note = f": {step.note}" if step.note else ""
        lines.append(f"  {step.label}: {step.mean:.1%} a year, {step.level.value}{moved}{records}{note}")
        before = step.mean
    if risk.decision is not None:
        lines.append(f"{risk.status.value} by {risk.decision.by} until {risk.decision.until.isoformat()}: {risk.decision.why}")
    if risk.void_decision is not None:
        void = risk.void_decision
        lines.append(f"void: {void.action.value} by {void.by} was decided on another state of this risk")
    lines.append(f"next: {risk.next_step}")
    return tuple(lines)
