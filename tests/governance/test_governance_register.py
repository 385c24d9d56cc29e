"""Decisions hold for one exact state until their day; the waterfall is told in words."""

import datetime as dt

import governance_world as w
import msgspec
import pytest

from bartizan.governance import register
from bartizan.model.errors import InputError
from bartizan.model.findings import Severity, Verdict
from bartizan.model.risks import Status
from bartizan.model.system import Action, Level
from bartizan.model.threats import Question

LATER = dt.date(2027, 1, 1)


def accepted(risk, action=Action.ACCEPT, until=LATER):
    return register.decide(risk, action, by="cto", why="small volume", until=until, today=w.TODAY)


@pytest.mark.parametrize(
    ("action", "status"),
    [(Action.ACCEPT, Status.ACCEPTED), (Action.TRANSFER, Status.TRANSFERRED), (Action.AVOID, Status.AVOIDED)],
)
def test_a_decision_holds_for_its_state(action, status):
    decision = accepted(w.risk(w.attack(3, 10, Verdict.FAIL)), action)
    found = w.risk(w.attack(3, 10, Verdict.FAIL), decisions=(decision,))
    assert (found.status, found.decision, found.void_decision, found.due) == (status, decision, None, "2027-01-01")


def test_a_decision_in_the_manifest_counts_too():
    decision = accepted(w.risk())
    assert w.risk(of=w.system(decisions=[decision])).status is Status.ACCEPTED


@pytest.mark.parametrize(
    "changed",
    [
        lambda d: w.risk(w.attack(4, 10, Verdict.FAIL), decisions=d),
        lambda d: w.risk(w.attack(3, 10, Verdict.FAIL), decisions=d, of=w.system(impact=Level.CRITICAL)),
        lambda d: w.risk(w.attack(3, 10, Verdict.FAIL), decisions=d, of=w.system(queries=600)),
        lambda d: w.risk(w.attack(3, 10, Verdict.FAIL), decisions=d, of=w.system(claims=[w.claim()])),
        lambda d: w.risk(decisions=d, stale=w.evidence(w.attack(3, 10, Verdict.FAIL))),
    ],
)
def test_a_decision_is_void_when_the_state_changes(changed):
    decision = accepted(w.risk(w.attack(3, 10, Verdict.FAIL)))
    found = changed((decision,))
    assert found.status is Status.OPEN
    assert (found.decision, found.void_decision) == (None, decision)
    assert any(line.startswith("void:") for line in register.explain(found))


def test_the_same_result_measured_again_keeps_the_decision():
    """Another place in the chain, the same job on the same subjects with the same outcome: the state is the same."""
    decision = accepted(w.risk(w.attack(3, 10, Verdict.FAIL)))
    record = w.evidence(w.attack(3, 10, Verdict.FAIL))[0]
    later = msgspec.structs.replace(record, seq=7)
    found = w.risks_of(w.system(), w.CATALOG, w.model("membership"), (later,), (), (decision,), w.TODAY)[0]
    assert (found.status, found.evidence) == (Status.ACCEPTED, (7,))


def test_an_expired_decision_counts_for_nothing():
    decision = accepted(w.risk(), until=LATER)
    assert w.risk(decisions=(decision,), today=LATER).status is Status.ACCEPTED
    found = w.risk(decisions=(decision,), today=LATER + dt.timedelta(days=1))
    assert (found.status, found.decision, found.void_decision) == (Status.OPEN, None, None)


def test_the_last_decision_counts():
    risk = w.risk()
    assert w.risk(decisions=(accepted(risk), accepted(risk, Action.AVOID))).status is Status.AVOIDED


@pytest.mark.parametrize("wrong", [{"by": " "}, {"why": ""}, {"until": w.TODAY}])
def test_a_decision_needs_a_name_a_reason_and_a_day(wrong):
    with pytest.raises(InputError):
        register.decide(w.risk(), Action.ACCEPT, **{"by": "cto", "why": "small", "until": LATER, "today": w.TODAY, **wrong})


def test_an_expired_or_nameless_claim_counts_for_nothing():
    passing = w.configuration(Verdict.PASS, probability_cap=0.05)
    plain = w.risk(passing)
    for claim in (w.claim(until=dt.date(2026, 10, 31)), w.claim(by=None), w.claim(why=None), w.claim(on=("api",)), w.claim("idle")):
        assert w.risk(passing, of=w.system(claims=[claim])).residual == plain.residual
    for claim in (w.claim(until=w.TODAY), w.claim(on=("scorer",)), w.claim("dp")):
        assert w.risk(passing, of=w.system(claims=[claim])).residual.level.rank == plain.residual.level.rank - 1


def test_find_by_id_or_its_beginning():
    risks = w.risks()
    assert register.find(risks, risks[1].id) == risks[1]
    assert register.find(risks, risks[1].id[:7].lower()) == risks[1]
    for wrong in ("R-", "R-0000000000"):
        with pytest.raises(InputError, match="`bartizan risks` lists them"):
            register.find(risks, wrong)


def test_the_waterfall_names_what_moved_it():
    found = w.risk(w.attack(0, 300), w.configuration(Verdict.FAIL, severity=Severity.CRITICAL), of=w.system(claims=[w.claim()]))
    lines = register.explain(found)
    assert found.evidence == (1, 2)
    assert any("privacy.membership: pass" in line and "[evidence #1]" in line and "0 of 300" in line for line in lines)
    assert any("artefacts.format: fail" in line and "[evidence #2]" in line and "(+" in line for line in lines)
    assert any("declared, not verified" in line for line in lines)
    assert lines[-1].startswith("next: ")


def test_next_steps():
    assert w.risk(msgspec.structs.replace(w.configuration(Verdict.FAIL), remedy="use safetensors")).next_step == "use safetensors"
    assert w.risk(w.configuration(Verdict.FAIL)).next_step == "do something"
    short = msgspec.structs.replace(w.attack(0, 80, Verdict.INCONCLUSIVE), needed=69)
    assert w.risk(short).next_step == "privacy.membership: 69 more trials needed"
    assert "measure again" in w.risk(stale=w.evidence(w.attack(0, 5))).next_step
    assert w.risk().next_step == "run: bartizan assess"
    question = Question(element="scorer", field="output", text="What does it show?")
    asked = msgspec.structs.replace(w.model("membership").instances[0], certain=False, questions=(question,))
    possible = msgspec.structs.replace(w.model(), instances=(asked,))
    found = w.risks_of(w.system(), w.CATALOG, possible, w.evidence(w.attack(0, 900)), (), (), w.TODAY)[0]
    assert (found.status, found.next_step) == (Status.OPEN, "What does it show?")
