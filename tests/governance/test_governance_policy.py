"""The rule of the exit code: what each word means, and what a misspelt one says."""

import datetime as dt

import governance_world as w
import pytest

from bartizan.governance import policy, register
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Severity, Verdict
from bartizan.model.system import Action

FINDINGS = (
    w.configuration(Verdict.FAIL, severity=Severity.CRITICAL),
    w.attack(0, 80, Verdict.INCONCLUSIVE, name="evasion", check="evasion.robustness"),
    w.configuration(Verdict.UNKNOWN, name="pickle", check="artefacts.scan"),
)
RISKS = w.risks(*FINDINGS)


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        (None, ["fail: membership on scorer"]),
        ("fail", ["fail: membership on scorer"]),
        ("inconclusive", ["inconclusive: evasion on scorer"]),
        ("unknown", ["unknown: pickle on scorer"]),
        ("fail, unknown", ["fail: membership", "unknown: pickle"]),
        ("never", []),
        ("threat:evasion", ["open: evasion on scorer"]),
        ("threat:elsewhere", []),
        ("risk>=high", ["risk high, at least high: "] * 2),
        (" Risk >= low ", ["risk"] * 3),
        ("risk>=critical,risk>=low", ["risk"] * 3),
    ],
)
def test_rules(rule, lines):
    found = policy.parse(rule).violations(RISKS, FINDINGS)
    assert len(found) == len(lines)
    assert all(line.startswith(expected) for line, expected in zip(found, lines, strict=True))


def test_accepted_risks_violate_nothing():
    until = w.TODAY + dt.timedelta(days=30)
    decisions = [
        register.decide(r, Action.ACCEPT, by="cto", why="w", until=until, today=w.TODAY) for r in RISKS if r.threat == "membership"
    ]
    risks = w.risks(*FINDINGS, decisions=decisions)
    everything = policy.parse("fail, risk>=low, threat:membership").violations(risks, FINDINGS)
    assert everything
    assert not any("membership" in line for line in everything)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("fial", "unknown rule 'fial'; did you mean 'fail'? known: fail"),
        ("risk>=hihg", "did you mean 'risk>=high'?"),
        ("risk>high", "did you mean 'risk>=high'?"),
        ("", "unknown rule ''; known: fail"),
        ("fail,", "unknown rule ''"),
        ("xyzzy", "known: fail, inconclusive, unknown, risk>=low"),
        ("never, fail", "'never' stands alone"),
        ("threat:", "unknown threat ''"),
        ("threat:evasoin", "did you mean 'threat:evasion'?"),
    ],
)
def test_misspelt_rules(rule, says):
    with pytest.raises(InputError) as caught:
        policy.parse(rule, threats=w.THREATS, place=Place("bartizan.yaml", 7))
    assert says in str(caught.value)
    assert str(caught.value).startswith("bartizan.yaml:7: ")
