"""The invariants of the risk computation as properties, and its known answers."""

import math

import governance_world as w
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.governance import assumptions
from bartizan.governance.exposure import ENFORCED
from bartizan.governance.success import Success, chance_at, mean_chance, prior_of, success_of
from bartizan.model import statistics
from bartizan.model.findings import Attacker, Severity, Verdict
from bartizan.model.risks import Status, risk_id
from bartizan.model.system import Level
from bartizan.model.threats import Maturity

QUICK = settings(max_examples=40, deadline=None)
counts = st.tuples(st.integers(0, 60), st.integers(0, 3000)).map(lambda t: (t[0], t[0] + t[1] + 1))
configurations = st.builds(
    lambda v, s, cap: w.configuration(v, severity=s, **({} if cap is None else {"probability_cap": cap})),
    st.sampled_from(list(Verdict)),
    st.sampled_from(list(Severity)),
    st.none() | st.floats(0, 1),
)


def judged(k, n, check="privacy.membership"):
    """An attack finding with the verdict that its counts deserve at 2 %."""
    return w.attack(k, n, statistics.judge(k, n, 0.02).verdict, check=check)


attacks = st.tuples(counts, st.sampled_from(["privacy.membership", "privacy.other", "privacy.third"])).map(lambda t: judged(*t[0], t[1]))
others = st.lists(st.one_of(attacks, configurations), max_size=4)


@given(st.lists(st.sampled_from(["noise", "quota", "scan"]), max_size=3), st.sampled_from(list(Level)))
@QUICK
def test_no_valid_evidence_leaves_every_risk_inherent(claims, impact):
    system = w.system(claims=[w.claim(c) for c in claims], impact=impact, quota=10)
    for risk in w.risks(of=system, stale=w.evidence(judged(0, 5000))):
        assert risk.residual == risk.inherent
        assert risk.status is Status.OPEN


@given(counts, others)
@QUICK
def test_more_failing_trials_never_lower_the_risk(count, rest):
    k, n = count
    less, more = w.risk(judged(k, n), *rest).residual, w.risk(judged(k + 1, n + 1), *rest).residual
    assert less.level.rank <= more.level.rank
    assert less.mean <= more.mean
    assert less.low <= more.low
    assert less.high <= more.high


@given(counts, others)
@QUICK
def test_more_passing_trials_never_raise_the_risk(count, rest):
    k, n = count
    less, more = w.risk(judged(k, n), *rest).residual, w.risk(judged(k, n + 1), *rest).residual
    assert more.mean <= less.mean
    assert more.low <= less.low
    assert more.high <= less.high
    assert more.level.rank <= less.level.rank


@given(counts, st.integers(1, 60))
@QUICK
def test_clustered_trials_keep_both_inequalities(count, clusters):
    k, n = count
    passing, failing = (w.risk(judged_in(k + f, n + 1, clusters)).residual.mean for f in (0, 1))
    now = w.risk(judged_in(k, n, clusters)).residual.mean
    assert passing <= now <= failing
    assert now >= w.risk(w.attack(k, n)).residual.mean or k > 0  # the same trials in clusters say less


def judged_in(k, n, clusters):
    return w.attack(k, n, clusters=min(clusters, n))


@given(others, st.integers(1, 3000))
@QUICK
def test_a_new_attack_without_success_never_raises(rest, n):
    assert w.risk(*rest, judged(0, n)).residual.mean <= w.risk(*rest).residual.mean


@given(others, st.one_of(counts.map(lambda c: w.attack(*c, Verdict.INCONCLUSIVE)), counts.map(lambda c: w.attack(*c, Verdict.FAIL))))
@QUICK
def test_inconclusive_and_failing_never_improve(rest, found):
    assert w.risk(*rest, found).residual.mean >= w.risk(*rest).residual.mean


@given(others, counts)
@QUICK
def test_unknown_changes_nothing(rest, count):
    before, after = w.risk(*rest), w.risk(*rest, w.attack(*count, Verdict.UNKNOWN), w.configuration(Verdict.UNKNOWN, probability_cap=0.0))
    assert after.residual == before.residual
    assert after.state == before.state


@given(others, st.sampled_from(list(Severity)))
@QUICK
def test_a_failing_configuration_never_lowers(rest, severity):
    assert w.risk(*rest, w.configuration(Verdict.FAIL, severity=severity)).residual.mean >= w.risk(*rest).residual.mean


@given(others, counts)
@QUICK
def test_stale_evidence_is_ignored(rest, count):
    before, after = w.risk(*rest), w.risk(*rest, stale=w.evidence(judged(*count), start=90))
    assert after.residual == before.residual
    assert after.state == before.state
    assert after.stale == (90,)


@given(others, st.lists(st.sampled_from(["noise", "dp"]), min_size=1, max_size=3))
@QUICK
def test_declared_controls_move_one_level_at_most(rest, names):
    without, declared = w.risk(*rest), w.risk(*rest, of=w.system(claims=[w.claim(n) for n in names]))
    assert declared.residual.mean == without.residual.mean
    assert 0 <= without.residual.level.rank - declared.residual.level.rank <= 1
    assert any("declared, not verified" in s.note for s in declared.steps)


@given(others)
@QUICK
def test_same_input_same_bytes(rest):
    first, second = (msgspec.json.encode(w.risks(*rest, of=w.system(claims=[w.claim()]))) for _ in range(2))
    assert first == second


@given(st.integers(0, 20_000), st.integers(0, 20_000), others)
@QUICK
def test_raising_a_quota_never_lowers(one, other, rest):
    low, high = sorted((one, other))
    bound = [w.risk(*rest, w.configuration(Verdict.PASS, asset="api", **{ENFORCED: q})).residual.mean for q in (low, high)]
    assert bound[0] <= bound[1] <= w.risk(*rest).residual.mean


def test_a_declared_quota_lowers_nothing():
    assert w.risk(of=w.system(quota=1)).residual == w.risk(of=w.system()).residual


def test_an_enforced_quota_counts_with_its_evidence_but_not_for_offline_threats():
    quota = w.configuration(Verdict.PASS, asset="api", check="serving.quota", **{ENFORCED: 50})
    bound = w.risk(quota)
    assert bound.residual.mean < bound.inherent.mean
    assert (bound.evidence, bound.steps[1].label, bound.steps[1].evidence) == ((1,), "Enforced quota", (1,))
    assert w.risk(quota, name="pickle").residual == w.risk(quota, name="pickle").inherent
    unenforced = w.configuration(Verdict.FAIL, asset="api", **{ENFORCED: 50})
    assert w.risk(unenforced).residual == w.risk().inherent


@pytest.mark.parametrize(("k", "m", "attempts"), [(0, 0, 1), (0, 0, 300), (3, 97, 15), (0.4, 14.1, 100)])
def test_mean_chance_is_the_beta_integral(k, m, attempts):
    """E[(1-p)^B] = B(a, b + B) / B(a, b) for p ~ Beta(a, b), by the logarithm of the gamma function."""
    a, b = (x + y for x, y in zip(prior_of(Maturity.COMMON), (k, m), strict=True))
    escape = math.exp(math.lgamma(b + attempts) + math.lgamma(a + b) - math.lgamma(b) - math.lgamma(a + b + attempts))
    assert mean_chance(Success(counts=((k, m),)), prior_of(Maturity.COMMON), attempts) == pytest.approx(1 - escape, rel=1e-10)


@pytest.mark.parametrize(("k", "m"), [(0.0, 0.0), (3.0, 97.0), (0.0, 300.0)])
def test_draws_agree_with_the_integral(k, m):
    import numpy as np

    uniforms = (np.arange(20_000) + 0.5) / 20_000
    success, prior = Success(counts=((k, m),)), prior_of(Maturity.DEMONSTRATED)
    assert chance_at(success, prior, 15, uniforms).mean() == pytest.approx(mean_chance(success, prior, 15), rel=0.02)


def test_mean_of_certain_success_is_the_lognormal_integral():
    """With s = 1, P = 1 - E[exp(-F)], F lognormal with median 1 and sigma 1: 0.61824 by scipy.integrate.quad."""
    found = w.risk(w.configuration(Verdict.FAIL, severity=Severity.CRITICAL), w.attack(50, 50, Verdict.FAIL))
    assert found.residual.mean == pytest.approx(0.61824, abs=2e-4)


def test_few_passing_trials_move_less_than_many():
    inherent = w.risk().inherent.mean
    few, many = w.risk(w.attack(0, 5)).residual.mean, w.risk(w.attack(0, 500)).residual.mean
    assert many < few < inherent
    assert w.risk(w.attack(0, 80, clusters=8)).residual.mean > w.risk(w.attack(0, 80)).residual.mean


def test_a_weak_attack_does_not_dilute_a_strong_one():
    strong = w.risk(w.attack(50, 100, Verdict.FAIL)).residual.mean
    assert w.risk(w.attack(50, 100, Verdict.FAIL), w.attack(0, 100_000, check="privacy.weak")).residual.mean == strong


def test_more_seeds_on_the_same_data_are_not_more_trials():
    once = w.risk(w.attack(0, 300)).residual
    assert w.risk(*[w.attack(0, 300)] * 10).residual == once
    assert w.risk(w.attack(0, 300), w.attack(0, 50)).residual == once
    assert w.risk(w.attack(0, 300), w.attack(0, 300, check="privacy.other")).residual.mean < once.mean


def test_success_at_chance_is_not_success():
    assert success_of([w.attack(10, 1000, null=0.01)]).counts == ((0.0, 1000.0),)
    assert success_of([w.attack(90, 100, higher_is_worse=False)]).counts == ((10.0, 90.0),)


def test_which_measure_counts():
    unmarked = w.attack(1, 10, role="")
    assert success_of([unmarked]) == Success(cap=assumptions.PASS_CAP)  # no attacker: a configuration check
    played = msgspec.structs.replace(unmarked, attacker=Attacker(knowledge="black-box"))
    assert success_of([played]).counts == ((1.0, 9.0),)
    marked = w.attack(2, 10).measures[0]
    both = msgspec.structs.replace(played, measures=(*played.measures, marked))
    assert success_of([both]).counts == ((2.0, 8.0),)


def test_configuration_caps_and_floors():
    passing, failing = w.configuration(Verdict.PASS, probability_cap=0.01), w.configuration(Verdict.FAIL, severity=Severity.CRITICAL)
    assert success_of([passing]).cap == 0.01
    assert success_of([w.configuration(Verdict.PASS, probability_cap="low")]).cap == assumptions.PASS_CAP
    assert success_of([passing, failing]) == Success(cap=1.0, floor=0.9)
    assert w.risk(passing).residual.mean < w.risk().inherent.mean <= w.risk(passing, failing).residual.mean


def test_many_findings_against():
    found = [w.attack(k, 40, Verdict.FAIL, check=f"a.b{k}") for k in range(1, 12)]
    assert w.risk(*found).residual.mean >= w.risk(*found[1:]).residual.mean


def test_a_rerun_job_counts_once():
    first, second = w.evidence(w.attack(0, 100)), w.evidence(w.attack(0, 100), start=2)
    again = tuple(msgspec.structs.replace(r, job=first[0].job) for r in second)
    found = w.risks_of(w.system(), w.CATALOG, w.model("membership"), first + again, (), (), w.TODAY)[0]
    assert found.evidence == (2,)
    assert found.residual == w.risk(w.attack(0, 100)).residual


def test_a_failure_that_no_threat_foresaw_is_a_risk():
    found = w.risks(
        w.configuration(Verdict.FAIL, name="elsewhere"), w.configuration(Verdict.PASS, name="elsewhere"), threats=("membership",)
    )
    assert {(r.threat, r.asset) for r in found} == {("membership", "scorer"), ("elsewhere", "scorer")}


def test_ids_aliases_ranking_and_words():
    found = w.risks(w.attack(0, 1000, name="mia"), w.attack(9, 10, Verdict.FAIL, name="evasion"))
    assert [r.residual.level.rank for r in found] == sorted((r.residual.level.rank for r in found), reverse=True)
    assert found[0].threat == "evasion"
    member = next(r for r in found if r.threat == "membership")
    assert (member.id, member.status, member.evidence) == (risk_id("membership", "scorer"), Status.WITHIN, (1,))
    assert member.owner == "team-risk"
    assert [s.label for s in member.steps] == ["Inherent", "privacy.membership: pass", "Residual"]
    assert member.steps[-1].mean == member.residual.mean


def test_undeclared_impact_counts_as_high():
    found = w.risk(of=w.system(impact=None))
    assert found.impact is assumptions.UNDECLARED_IMPACT
    assert "not declared" in found.steps[0].note


def test_levels_never_fall_with_probability_or_impact():
    grid = [[assumptions.level_of(p, impact).rank for p in (0.0, 0.01, 0.1, 0.5, 1.0)] for impact in Level]
    assert all(row == sorted(row) for row in grid)
    assert all(list(column) == sorted(column) for column in zip(*grid, strict=True))
