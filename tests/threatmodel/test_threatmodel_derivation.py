"""`threats_of`: what fires, why, what it asks, in what order; and what more knowledge may and may not change."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from threat_samples import credit, derive, threat

from bartizan.catalog import predicates
from bartizan.model.errors import InputError, Place, UnknownName
from bartizan.model.system import Actor, Asset, Authn, Flow, Kind, Level, System, Trust, Zone
from bartizan.model.threats import Maturity
from bartizan.threatmodel import threats_of

MODEL, ENDPOINT = (Kind.MODEL,), (Kind.ENDPOINT,)
FROM_OUTSIDE: dict[str, Any] = {"reachable": {"from": {"fact": "trust", "is": "none"}}}


def test_facts_and_path_are_told() -> None:
    model = derive(
        credit(),
        [
            threat("open-endpoint", ENDPOINT, {"fact": "authn", "is": "none"}),
            threat(
                "inversion", MODEL, {"all": [FROM_OUTSIDE, {"some": "training_sets", "where": {"fact": "subjects", "contains": "person"}}]}
            ),
        ],
    )
    found = {i.threat: i for i in model.certain}
    assert found["open-endpoint"].because == ("api has authn none",)
    assert found["inversion"].because == (
        "applicant (internet, trust none) reaches scorer: applicant -> api -> scorer",
        "scorer is trained on loans",
        "loans is about persons",
    )
    assert found["inversion"].path == ("applicant", "api", "scorer")
    assert not model.questions


def test_one_unknown_fact_is_asked_at_a_time() -> None:
    online = {"fact": "online_learning", "is": True}
    both = {"all": [online, {"fact": "federated", "is": True}]}
    threats = [threat("feedback", MODEL, online), threat("both", MODEL, both), threat("off", MODEL, {"all": [both, {"not": "always"}]})]
    model = derive(credit(), threats)
    words = ("scorer", "online_learning", "Does scorer go on learning from what it meets in operation?")
    assert {i.threat: [(q.element, q.field, q.text) for q in i.questions] for i in model.possible} == {"feedback": [words], "both": [words]}
    assert [(q.element, q.field, q.text) for q in model.questions] == [words]
    told = replace(credit(), assets=tuple(replace(a, online_learning=True) if a.id == "scorer" else a for a in credit().assets))
    assert [q.field for q in derive(told, threats).questions] == ["federated"]


def test_a_field_without_words_in_the_catalogue_is_asked_for_plainly() -> None:
    model = derive(credit(), [threat("t", MODEL, {"fact": "framework", "is": "sklearn"})])
    assert [q.text for q in model.questions] == ["What is the framework of scorer?"]


def test_questions_on_which_most_hangs_come_first() -> None:
    threats = [
        threat("one", MODEL, {"fact": "signed", "is": False}, maturity=Maturity.COMMON),
        *(threat(f"many-{i}", MODEL, {"fact": "federated", "is": True}, maturity=Maturity.THEORETICAL) for i in range(3)),
    ]
    model = derive(credit(), threats)
    assert model.possible[0].threat == "one"
    assert [q.field for q in model.questions] == ["federated", "signed"]


def test_only_unknown_facts_that_matter_are_asked() -> None:
    settled = {"any": [{"fact": "output", "is": "score"}, {"fact": "signed", "is": False}]}
    model = derive(credit(), [threat("t", MODEL, {"all": [settled, {"some": "test_sets"}]})])
    assert [(q.element, q.field) for q in model.questions] == [("scorer", "tested_on")]


def test_an_unknown_source_is_asked_for_its_zone() -> None:
    adrift = replace(credit(), actors=(Actor(id="applicant"),))
    for when in (FROM_OUTSIDE, {"fact": "exposed", "is": True}):
        model = derive(adrift, [threat("t", MODEL, when)])
        assert [(q.element, q.field, q.text) for q in model.questions] == [("applicant", "zone", "From which zone does applicant come?")]
        assert model.possible[0].path == ("applicant", "api", "scorer")


def test_a_question_about_a_flow_names_both_ends_and_its_line() -> None:
    system = credit()
    marked = replace(system, flows=tuple(replace(f, at=Place("bartizan.yaml", 7)) for f in system.flows))
    model = derive(marked, [threat("t", ENDPOINT, {"some": "inflows", "where": {"fact": "encrypted", "is": False}})])
    assert [(q.element, q.field, str(q.at)) for q in model.questions] == [("applicant -> api", "encrypted", "bartizan.yaml:7")]


def test_ranking() -> None:
    """Certain before possible; then impact, nearness to the outside, maturity, AI; ids break ties."""
    system = credit()
    assets = (
        *system.assets,
        Asset(id="back", kind=Kind.ENDPOINT, zone="serving", impact=Level.CRITICAL),
        Asset(id="a2", kind=Kind.ENDPOINT, zone="serving"),
    )
    threats = [
        threat("common", ENDPOINT, "always", maturity=Maturity.COMMON),
        threat("rare", ENDPOINT, "always", maturity=Maturity.THEORETICAL),
        threat("also-rare", ENDPOINT, "always", maturity=Maturity.THEORETICAL),
        threat("plain", ENDPOINT, "always", maturity=Maturity.COMMON, ai=False),
        threat("maybe", ENDPOINT, {"fact": "multi_tenant", "is": True}, maturity=Maturity.COMMON),
    ]
    model = derive(replace(system, assets=assets), threats)
    order = [(i.threat, i.element) for i in model.instances]
    assert len(order) == len(set(order)) == 15
    assert [i.certain for i in model.instances] == [True] * 12 + [False] * 3
    assert order.index(("common", "api")) < order.index(("common", "back")) < order.index(("common", "a2"))
    assert order.index(("common", "api")) < order.index(("plain", "api")) < order.index(("also-rare", "api")) < order.index(("rare", "api"))
    assert all(0 <= i.priority <= 10 for i in model.instances)


def test_a_misspelt_rule_is_an_error_with_its_place() -> None:
    broken = threat("mine", MODEL, {"fact": "ouput", "is": "score"}, at=Place("my-threats.yaml", 12))
    with pytest.raises(UnknownName, match=r"^my-threats\.yaml:12: unknown fact 'ouput'; did you mean 'output'\?$"):
        derive(credit(), [broken])
    with pytest.raises(InputError):
        derive(replace(credit(), assets=()), [threat("mine", MODEL, {"all": []})])


def test_compiled_predicates_of_the_catalogue_are_used() -> None:
    known = {"t": threat("t", MODEL, {"this is": "not read"})}
    catalog = SimpleNamespace(threats=known, predicate=lambda id: predicates.compile("always", known[id].against))
    assert [i.element for i in threats_of(credit(), catalog).instances] == ["scorer"]


def test_deleting_a_node_removes_its_threats_alone() -> None:
    system = credit()
    threats = [threat("training", (Kind.DATASET,), {"some": "trains"}), threat("open", ENDPOINT, {"fact": "authn", "is": "none"})]
    without = replace(system, datasets=(), assets=tuple(replace(a, trained_on=None) for a in system.assets))
    assert {i.threat for i in derive(system, threats).instances} == {"training", "open"}
    assert {i.threat for i in derive(without, threats).instances} == {"open"}


IDS = [f"n{i}" for i in range(6)]
FLOWS = st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)), max_size=10)
ZONES = st.lists(st.sampled_from([None, "out", "in"]), min_size=6, max_size=6)
REACHING = [
    threat("reached", MODEL, FROM_OUTSIDE),
    threat("exposed", MODEL, {"fact": "exposed", "is": True}),
    threat("by-way", MODEL, {"reachable": {"from": {"fact": "trust", "is": "none"}, "through": {"fact": "signed", "is": False}}}),
]


def small(zones: list[str | None], flows: list[tuple[str, str]], signed: list[bool | None] | None = None) -> System:
    return System(
        name="s",
        zones=(Zone(id="out", trust=Trust.NONE), Zone(id="in", trust=Trust.INTERNAL)),
        assets=tuple(
            Asset(id=id, kind=Kind.MODEL, zone=zone, signed=s) for id, zone, s in zip(IDS, zones, signed or [None] * 6, strict=True)
        ),
        flows=tuple(Flow(source=a, target=b) for a, b in flows),
    )


@settings(max_examples=150, deadline=None)
@given(ZONES, FLOWS, st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)))
def test_another_flow_removes_no_threat(zones: list[str | None], flows: list[tuple[str, str]], more: tuple[str, str]) -> None:
    before = derive(small(zones, flows), REACHING)
    after = derive(small(zones, [*flows, more]), REACHING)
    assert {(i.threat, i.element) for i in before.certain} <= {(i.threat, i.element) for i in after.certain}
    assert {(i.threat, i.element) for i in before.instances} <= {(i.threat, i.element) for i in after.instances}


FACTS = st.sampled_from([None, True, False])
CONDITIONS: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.builds(lambda f, v: {"fact": f, "is": v}, st.sampled_from(["signed", "watermark", "compressed", "exposed"]), st.booleans()),
        st.just(FROM_OUTSIDE),
        st.just({"some": "inflows", "where": {"some": "sender", "where": {"fact": "signed", "is": True}}}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda a, b: {"all": [a, b]}, inner, inner),
        st.builds(lambda a, b: {"any": [a, b]}, inner, inner),
        st.builds(lambda a: {"not": a}, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(ZONES, FLOWS, st.lists(FACTS, min_size=6, max_size=6), CONDITIONS, st.data())
def test_an_answer_only_settles(
    zones: list[Any], flows: list[tuple[str, str]], signed: list[bool | None], when: Any, data: st.DataObject
) -> None:
    """Declaring what was unknown leaves certain instances certain and absent ones absent; asking ends when nothing is unknown."""
    threats = [threat("t", MODEL, when)]
    before = derive(small(zones, flows, signed), threats)
    told_zones = [z or data.draw(st.sampled_from(["out", "in"])) for z in zones]
    told_signed = [data.draw(st.booleans()) if s is None else s for s in signed]
    after = derive(small(told_zones, flows, told_signed), threats)
    certain = {i.element for i in before.certain}
    assert certain <= {i.element for i in after.certain}
    assert {i.element for i in after.instances} <= {i.element for i in before.instances}
    assert all(i.questions for i in before.possible)
    asked = {q.field for q in after.questions}
    assert asked <= {"watermark", "compressed"}


@settings(max_examples=100, deadline=None)
@given(ZONES, FLOWS, st.lists(FACTS, min_size=6, max_size=6), CONDITIONS)
def test_answering_what_is_asked_settles_it(zones: list[Any], flows: list[tuple[str, str]], signed: list[bool | None], when: Any) -> None:
    """The questions are the right ones: answering only them, round by round, leaves nothing open."""
    threats = [threat("t", MODEL, when)]
    system = small(zones, flows, signed)
    for _ in range(20):
        model = derive(system, threats)
        if not model.possible:
            break
        answers: dict[str, dict[str, Any]] = {}
        for question in model.questions:
            answers.setdefault(question.element, {})[question.field] = "out" if question.field == "zone" else False
        system = replace(system, assets=tuple(replace(a, **answers.get(a.id, {})) for a in system.assets))
    assert not derive(system, threats).possible


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import msgspec
from threat_samples import credit, derive, threat
from bartizan.model.system import Kind
whens = [
    {"any": [{"fact": "exposed", "is": True}, {"fact": "signed", "is": False}]},
    {"all": [{"fact": "online_learning", "is": True}, {"fact": "federated", "is": True}, {"some": "test_sets"}]},
    {"reachable": {"from": "always", "through": {"kind": ["endpoint", "actor"]}}},
]
threats = [threat(f"t{i}", (Kind.MODEL, Kind.DATASET, Kind.ENDPOINT), w) for i, w in enumerate(whens)]
print(msgspec.json.encode(derive(credit(), threats)).decode())
"""


def test_output_does_not_depend_on_the_hash_seed() -> None:
    here = str(Path(__file__).parent)
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, here], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True, text=True
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(outputs) == 1
    assert msgspec.json.decode(outputs.pop())["instances"]


def test_declared_nothing_is_an_answer() -> None:
    system = System(name="s", assets=(Asset(id="m", kind=Kind.MODEL, tested_on=()), Asset(id="e", kind=Kind.ENDPOINT, authn=Authn.JWT)))
    model = derive(system, [threat("t", MODEL, {"none": "test_sets"})])
    assert model.certain[0].because == ("m has no data it is tested on",)
