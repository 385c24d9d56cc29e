"""States of controls, the checklist and framework coverage: nothing counts as verified that was not."""

import datetime as dt

import governance_world as w
import msgspec
import pytest

from bartizan.governance.checklist import checklist_of
from bartizan.governance.controls import control_states
from bartizan.governance.coverage import coverage_of
from bartizan.model.errors import UnknownName
from bartizan.model.findings import Verdict
from bartizan.model.report import Support

CHECKS = {c.id: c for c in (w.check("privacy.membership", "dp"), w.check("privacy.other", "noise"), w.check("serving.quota", "quota"))}


def states(*findings, claims=(), today=w.TODAY):
    return control_states(w.system(claims=claims), w.CATALOG, w.model(), CHECKS, w.evidence(*findings), today)


def support(*findings, control="noise", **more):
    return next(s.support for s in states(*findings, **more) if s.control.id == control)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((), Support.NONE),
        ((Verdict.PASS,), Support.VERIFIED),
        ((Verdict.PASS, Verdict.PASS), Support.VERIFIED),
        ((Verdict.PASS, Verdict.INCONCLUSIVE), Support.OPEN),
        ((Verdict.PASS, Verdict.UNKNOWN), Support.OPEN),
        ((Verdict.UNKNOWN,), Support.OPEN),
        ((Verdict.PASS, Verdict.FAIL), Support.FAILING),
        ((Verdict.UNKNOWN, Verdict.FAIL), Support.FAILING),
    ],
)
def test_measured_controls(verdicts, expected):
    names = ("privacy.membership", "privacy.other")
    findings = [w.configuration(v, check=c) for v, c in zip(verdicts, names, strict=False)]
    assert support(*findings) is expected
    assert support(*findings, claims=[w.claim()]) is (Support.DECLARED if expected is Support.NONE else expected)


def test_unmeasured_controls():
    assert support(control="idle") is Support.NOT_APPLICABLE
    assert support(control="idle", claims=[w.claim("idle")]) is Support.NOT_APPLICABLE
    assert support(claims=[w.claim("dp", until=w.TODAY)]) is Support.DECLARED
    assert support(claims=[w.claim(until=w.TODAY - dt.timedelta(days=1))]) is Support.NONE
    assert support(claims=[w.claim(why=None)]) is Support.NONE


def test_reasons_and_evidence():
    found = states(w.configuration(Verdict.PASS, check="privacy.membership"), w.configuration(Verdict.FAIL, check="privacy.other"))
    noise = next(s for s in found if s.control.id == "noise")
    assert (noise.evidence, noise.checks) == ((1, 2), ("privacy.membership", "privacy.other"))
    assert noise.why == "1 of 2 checks passed; failing: privacy.other"
    assert next(s for s in found if s.control.id == "scan").why == "no check verifies it"
    expired = states(claims=[w.claim(until=dt.date(2020, 1, 1))])
    assert "expired" in next(s for s in expired if s.control.id == "noise").why


def test_a_job_that_was_run_again_counts_once():
    old, new = (w.evidence(w.configuration(v, check="privacy.other"), start=i)[0] for i, v in ((1, Verdict.FAIL), (2, Verdict.PASS)))
    again = msgspec.structs.replace(new, job=old.job)
    found = control_states(w.system(), w.CATALOG, w.model(), CHECKS, (again, old), w.TODAY)
    assert next(s.support for s in found if s.control.id == "noise") is Support.VERIFIED


def test_checklist():
    noise, quota = w.configuration(Verdict.PASS, check="privacy.other"), w.configuration(Verdict.PASS, check="serving.quota")
    assert [r.support for r in checklist_of(w.CATALOG, states())] == [Support.NONE, Support.NOT_APPLICABLE]
    part = checklist_of(w.CATALOG, states(noise))[0]
    assert (part.support, part.evidence, part.why) == (Support.OPEN, (1,), "evidence for 1 of 2 controls; Quota: none")
    whole = checklist_of(w.CATALOG, states(noise, quota))[0]
    assert (whole.support, whole.evidence, whole.why) == (Support.VERIFIED, (1, 2), "evidence for 2 of 2 controls")
    assert checklist_of(w.CATALOG, states(claims=[w.claim()]))[0].support is Support.DECLARED


def test_coverage_counts_with_its_denominator():
    """Clause 1 by Control.clauses, 2 by the crosswalk, 3 by a retired id, 4 by Clause.controls, 5 by nothing."""
    noise, quota = w.configuration(Verdict.PASS, check="privacy.other"), w.configuration(Verdict.PASS, check="serving.quota")
    (law,) = coverage_of(w.CATALOG, states(noise))
    assert (law.supported, law.mapped, law.total) == (1, 4, 5)
    assert {r.clause.id: (r.support, r.controls) for r in law.rows} == {
        "1": (Support.VERIFIED, ("noise",)),
        "2": (Support.OPEN, ("noise", "quota")),
        "3": (Support.NONE, ("scan",)),
        "4": (Support.NOT_APPLICABLE, ("idle",)),
        "5": (Support.NONE, ()),
    }
    (law,) = coverage_of(w.CATALOG, states(noise, quota))
    assert law.supported == 2
    (law,) = coverage_of(w.CATALOG, states(claims=[w.claim(), w.claim("quota")]))
    assert law.supported == 0


def test_a_reference_that_leads_nowhere_is_an_error():
    link = msgspec.structs.replace(w.CROSSWALK.links[0], refs=("law:99",))
    broken = type(w.CATALOG)(
        **{n: getattr(w.CATALOG, n) for n in ("threats", "controls", "frameworks", "aliases", "origins", "sources", "read_checklist")},
        read_crosswalks=lambda: (msgspec.structs.replace(w.CROSSWALK, links=(link,)),),
    )
    with pytest.raises(UnknownName, match="99"):
        coverage_of(broken, states())


def test_forbidden_words_appear_nowhere():
    said = " ".join(s.why for s in states(claims=[w.claim()])) + " ".join(r.why for r in checklist_of(w.CATALOG, states()))
    assert "certified" not in said.lower()
    assert "compliant" not in said.lower()
