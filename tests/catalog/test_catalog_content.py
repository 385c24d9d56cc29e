"""What ships in the catalogue: complete, consistent, and every predicate sound."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from bartizan.catalog import load, problems
from bartizan.catalog.catalogue import reference_of
from bartizan.model.errors import UnknownName
from bartizan.model.system import Phase
from bartizan.model.threats import Stride, Threat

CATALOG = load()
THREATS = list(CATALOG.threats.values())
SLUG = re.compile(r"[a-z]+(-[a-z]+)*")


def test_there_are_72_threats_and_57_controls() -> None:
    assert len(CATALOG.threats) == 72
    assert len(CATALOG.controls) == 57


def test_controls_by_group_are_those_of_the_plan() -> None:
    files = Counter(str(c.at).split("/")[-1].split(".")[0] for c in CATALOG.controls.values())
    assert files == {"data": 11, "training": 13, "serving": 16, "operation": 8, "governance": 9}


def test_nothing_dangles() -> None:
    assert problems(CATALOG) == []


@pytest.mark.parametrize("threat", THREATS, ids=lambda t: t.id)
def test_threat_is_complete(threat: Threat) -> None:
    assert SLUG.fullmatch(threat.id)
    assert SLUG.fullmatch(threat.family)
    assert threat.stride
    assert threat.against
    assert threat.mitigations
    assert threat.controls
    assert threat.gap
    assert threat.question.endswith("?")
    for sentence in (threat.summary, threat.example, threat.gap, *threat.mitigations):
        assert sentence[-1] in ".'\""
        assert len(sentence) > 20
    assert threat.example != threat.summary
    CATALOG.predicate(threat.id)


def test_every_stride_letter_is_used() -> None:
    assert {letter for t in THREATS for letter in t.stride} == set(Stride)


def test_every_reference_of_a_threat_has_its_version() -> None:
    assert [(t.id, r) for t in THREATS for r in t.refs if not reference_of(r).version] == []


def test_every_entry_of_the_owasp_lists_is_answered_by_a_threat() -> None:
    cited = {r for t in THREATS for r in t.refs}
    for framework, prefix, version in (("owasp-ml", "ML", "2023"), ("owasp-llm", "LLM", "2026")):
        assert {f"{framework}:{prefix}{n:02}@{version}" for n in range(1, 11)} <= cited


def test_id_of_an_earlier_edition_leads_to_its_entry_of_today() -> None:
    assert CATALOG.reference("owasp-llm:LLM05@2025")[1].id == "LLM10"
    assert CATALOG.reference("owasp-llm:LLM05@2026")[1].id == "LLM05"
    with pytest.raises(UnknownName, match="unknown version of owasp-llm '2031'"):
        CATALOG.reference("owasp-llm:LLM05@2031")
    with pytest.raises(UnknownName, match="unknown entry of owasp-llm 'LLM77@2025'"):
        CATALOG.reference("owasp-llm:LLM77@2025")


def test_every_control_mitigates_a_threat_and_has_a_phase() -> None:
    for id, control in CATALOG.controls.items():
        assert SLUG.fullmatch(id)
        assert CATALOG.mitigated_by(id)
        assert control.phases
        assert control.summary.endswith(".")
    assert {phase for c in CATALOG.controls.values() for phase in c.phases} == set(Phase)


def test_texts_are_not_repeated() -> None:
    for texts in (
        [t.title for t in THREATS],
        [t.summary for t in THREATS],
        [t.example for t in THREATS],
        [c.summary for c in CATALOG.controls.values()],
    ):
        assert [text for text, n in Counter(texts).items() if n > 1] == []
