"""Retention: personal data without a limit fails with its line, declared limits pass, an unknown stays a question."""

from __future__ import annotations

import datetime as dt

import pytest

from bartizan.areas.access.check_retention import LONGEST, _judged
from bartizan.engine import registry
from bartizan.model.errors import Place
from bartizan.model.findings import Severity, Verdict
from bartizan.model.system import Dataset, Sensitivity, Stage, Subject, System

CHECK = "access.retention"
TODAY = dt.date(2026, 6, 1)


def people(**more: object) -> Dataset:
    given = {"id": "loans", "stage": Stage.TRAIN, "subjects": (Subject.PERSON,), "at": Place("bartizan.yaml", 12)}
    return Dataset(**{**given, **more})  # type: ignore[arg-type]


def test_no_retention_fails_with_the_line_of_the_manifest(run_check) -> None:
    [finding] = run_check(CHECK, people(sensitivity=Sensitivity.RESTRICTED))
    assert (finding.verdict, finding.severity) == (Verdict.FAIL, Severity.HIGH)
    assert [str(place) for place in finding.places] == ["bartizan.yaml:12"]
    assert run_check(CHECK, people())[0].severity is Severity.MEDIUM


def test_retention_with_purpose_passes_and_says_what_was_not_tested(run_check) -> None:
    [finding] = run_check(CHECK, people(retention=365, purpose="scoring"))
    assert finding.verdict is Verdict.PASS
    assert "not tested" in finding.why
    assert finding.details["probability_cap"] == 0.2


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ({"retention": 365}, Verdict.INCONCLUSIVE),
        ({"retention": 0, "purpose": "x"}, Verdict.PASS),
        ({"retention": 3651, "purpose": "x"}, Verdict.FAIL),
        ({"retention": 1096, "purpose": "x", "stage": Stage.LOGS}, Verdict.FAIL),
        ({"subjects": None, "retention": 5, "purpose": "x"}, Verdict.UNKNOWN),
        ({"retention": 30, "purpose": "x", "uri": "data/2026-04-01/loans.csv"}, Verdict.FAIL),
        ({"retention": 90, "purpose": "x", "uri": "data/2026-04-01/loans.csv"}, Verdict.PASS),
        ({"retention": 30, "purpose": "x", "revision": "20260401"}, Verdict.FAIL),
        ({"retention": 30, "purpose": "x", "uri": "data/20261399.csv"}, Verdict.PASS),
        ({"retention": 30, "purpose": "x", "uri": "data/2026-02-31.csv"}, Verdict.PASS),
        ({"retention": 30, "purpose": "x", "uri": "data/1120260401000.csv"}, Verdict.PASS),
    ],
)
def test_verdicts(more: dict[str, object], verdict: Verdict) -> None:
    assert _judged(people(**more), TODAY)[0] is verdict


def test_it_applies_to_what_is_or_may_be_about_persons() -> None:
    applies = registry.get(CHECK).applies
    system = System(name="x")
    assert applies(people(), system)
    assert applies(people(subjects=None), system)
    assert not applies(people(subjects=(Subject.NONE,)), system)


def test_every_stage_has_a_longest_time() -> None:
    assert set(LONGEST) == set(Stage)
