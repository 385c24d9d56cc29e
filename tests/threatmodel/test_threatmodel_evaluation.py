"""Kleene's truth tables, and each operator of the language on a small system."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from threat_samples import credit

from bartizan.catalog import predicates
from bartizan.model.errors import InputError, UnknownName
from bartizan.model.system import Asset, Flow, Kind, Logging, Quota, System, Task
from bartizan.threatmodel.evaluation import MODALITIES, Evaluator, conjunction, disjunction, negation
from bartizan.threatmodel.graph import Graph

T, F, U = True, False, None


def test_kleene_tables() -> None:
    """Kleene 1952, section 64, in the order true, false, unknown."""
    values = (T, F, U)
    assert [[conjunction((a, b)) for b in values] for a in values] == [[T, F, U], [F, F, F], [U, F, U]]
    assert [[disjunction((a, b)) for b in values] for a in values] == [[T, T, T], [T, F, U], [T, U, U]]
    assert [negation(a) for a in values] == [F, T, U]
    assert conjunction(()) is True
    assert disjunction(()) is False


def truth(raw: Any, id: str, system: System | None = None) -> bool | None:
    graph = Graph(system or credit())
    node = graph.by_id[id]
    return Evaluator(graph).truth(predicates.compile(raw, [node.kind]), node)


UNKNOWN = {"fact": "online_learning", "is": True}
YES, NO = {"fact": "output", "is": "score"}, {"fact": "output", "is": "label"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("always", T),
        ({"all": [YES, UNKNOWN]}, U),
        ({"all": [NO, UNKNOWN]}, F),
        ({"all": [UNKNOWN, NO]}, F),
        ({"any": [YES, UNKNOWN]}, T),
        ({"any": [UNKNOWN, NO]}, U),
        ({"not": UNKNOWN}, U),
        ({"not": YES}, F),
        ({"kind": ["model", "agent"]}, T),
        ({"fact": "output", "in": ["label", "score"]}, T),
        ({"fact": "task", "is": "audio"}, F),
        ({"fact": "modality", "is": "tabular"}, T),
        ({"fact": "trust", "at_least": "partner"}, T),
        ({"fact": "trust", "at_most": "partner"}, F),
        ({"fact": "impact", "at_least": "low"}, U),
        ({"fact": "online_learning", "declared": True}, F),
        ({"fact": "online_learning", "declared": False}, T),
        ({"fact": "trained_on", "contains": "loans"}, T),
        ({"fact": "trained_on", "empty": False}, T),
        ({"fact": "trained_on", "empty": True}, F),
        ({"fact": "adapters", "empty": False}, U),
        ({"some": "training_sets"}, T),
        ({"some": "training_sets", "where": {"fact": "personal_data", "is": True}}, T),
        ({"some": "training_sets", "where": {"fact": "retention", "at_least": 1}}, U),
        ({"every": "training_sets", "where": {"fact": "stage", "is": "train"}}, T),
        ({"none": "training_sets", "where": {"fact": "stage", "is": "test"}}, T),
        ({"none": "training_sets"}, F),
        ({"some": "test_sets"}, U),
        ({"none": "test_sets"}, U),
        ({"every": "test_sets"}, U),
        ({"some": "served_by", "where": {"fact": "authn", "is": "none"}}, T),
        ({"some": "retrieved_by"}, F),
        ({"none": "hosted_by"}, T),
        ({"some": "inflows"}, F),
        ({"some": "system", "where": {"fact": "logging", "is": "none"}}, U),
        ({"fact": "exposed", "is": True}, T),
        ({"reachable": {"from": {"fact": "trust", "is": "none"}}}, T),
        ({"reachable": {"from": {"kind": "dataset"}}}, F),
        ({"reachable": {"from": {"kind": "actor"}, "through": {"kind": "endpoint"}}}, T),
        ({"reachable": {"from": {"kind": "actor"}, "through": {"kind": "store"}}}, F),
        ({"reachable": {"from": {"kind": "actor"}, "through": {"fact": "multi_tenant", "is": True}}}, U),
        ({"reachable": {"from": {"kind": "model"}}}, F),
    ],
)
def test_operators_on_the_model(raw: Any, expected: bool | None) -> None:
    assert truth(raw, "scorer") is expected


@pytest.mark.parametrize(
    ("raw", "id", "expected"),
    [
        ({"some": "inflows", "where": {"fact": "crosses_boundary", "is": True}}, "api", T),
        ({"some": "inflows", "where": {"fact": "encrypted", "is": True}}, "api", U),
        ({"some": "inflows", "where": {"fact": "protocol", "is": "https"}}, "api", T),
        ({"every": "inflows", "where": {"some": "sender", "where": {"fact": "trust", "is": "none"}}}, "api", T),
        ({"some": "outflows", "where": {"some": "receiver", "where": {"kind": "endpoint"}}}, "applicant", T),
        ({"some": "trains"}, "loans", T),
        ({"some": "tests"}, "loans", F),
        ({"fact": "personal_data", "is": True}, "loans", T),
        ({"fact": "exposed", "is": True}, "loans", F),
        ({"fact": "exposed", "is": True}, "applicant", T),
        ({"fact": "has_ai", "is": True}, "system", T),
        ({"fact": "has_agent", "is": True}, "system", F),
        ({"fact": "has_llm", "is": True}, "system", F),
        ({"some": "datasets", "where": {"fact": "subjects", "contains": "person"}}, "system", T),
        ({"every": "assets", "where": {"fact": "zone", "is": "serving"}}, "system", T),
    ],
)
def test_operators_elsewhere(raw: Any, id: str, expected: bool | None) -> None:
    assert truth(raw, id) is expected


def test_a_node_without_the_fact_makes_the_comparison_false() -> None:
    graph = Graph(credit())
    evaluator = Evaluator(graph)
    for raw in (
        {"fact": "authn", "is": "none"},
        {"fact": "authn", "declared": False},
        {"fact": "quota.max_steps", "at_least": 1},
        {"none": "served"},
    ):
        predicate = predicates.compile(raw, [Kind.ENDPOINT, Kind.MODEL])
        assert evaluator.truth(predicate, graph.by_id["scorer"]) is False


def test_groups_are_unknown_inside_and_out() -> None:
    raw = {"fact": "quota.requests_per_day", "at_most": 1000}
    system = credit()
    assert truth(raw, "api", system) is None
    for quota, expected in ((Quota(requests_per_minute=5), None), (Quota(requests_per_day=5), True), (Quota(requests_per_day=5000), False)):
        assets = tuple(replace(a, quota=quota) if a.id == "api" else a for a in system.assets)
        assert truth(raw, "api", replace(system, assets=assets)) is expected


def test_a_system_without_ai() -> None:
    plain = replace(credit(), datasets=(), assets=(Asset(id="api", kind=Kind.ENDPOINT, zone="serving"),))
    for fact in ("has_ai", "has_llm", "has_agent"):
        assert truth({"fact": fact, "is": True}, "system", plain) is False
    assert truth({"fact": "logging", "in": ["none"]}, "system", replace(plain, logging=Logging.NONE)) is True


def test_a_model_of_unknown_task_may_be_a_language_model() -> None:
    system = credit()
    untold = replace(system, assets=tuple(replace(a, task=None) if a.kind is Kind.MODEL else a for a in system.assets))
    assert truth({"fact": "has_llm", "is": True}, "system", untold) is None
    assert truth({"fact": "modality", "is": "text"}, "scorer", untold) is None


def test_an_undeclared_zone_leaves_trust_and_exposure_unknown() -> None:
    system = credit()
    adrift = replace(system, actors=tuple(replace(a, zone=None) for a in system.actors))
    assert truth({"fact": "trust", "is": "none"}, "applicant", adrift) is None
    assert truth({"fact": "exposed", "is": True}, "scorer", adrift) is None
    assert truth({"some": "inflows", "where": {"fact": "crosses_boundary", "is": True}}, "api", adrift) is None


def test_an_inverse_relation_is_unknown_where_somebody_may_still_name_the_node() -> None:
    system = credit()
    untold = replace(system, assets=tuple(replace(a, trained_on=None, serves=None) for a in system.assets))
    assert truth({"some": "trains"}, "loans", untold) is None
    assert truth({"none": "trains"}, "loans", untold) is None
    assert truth({"some": "trains", "where": {"fact": "task", "is": "audio"}}, "loans", untold) is False
    assert truth({"every": "trains", "where": {"fact": "task", "is": "audio"}}, "loans", untold) is None
    assert truth({"every": "trains", "where": {"kind": "model"}}, "loans", untold) is True
    assert truth({"some": "served_by"}, "scorer", untold) is None
    assert truth({"some": "tests"}, "loans", untold) is False  # its stage is train
    assert truth({"some": "used_by"}, "scorer", untold) is False  # an endpoint's `uses` is drawn, or there is none
    asked = replace(untold, assets=(*untold.assets, Asset(id="bot", kind=Kind.AGENT)))
    assert truth({"some": "used_by"}, "scorer", asked) is None


def test_an_undeclared_relation_may_open_a_path() -> None:
    system = credit()
    untold = replace(system, assets=tuple(replace(a, serves=None) for a in system.assets))
    for raw in ({"fact": "exposed", "is": True}, {"reachable": {"from": {"fact": "trust", "is": "none"}}}):
        assert truth(raw, "scorer", untold) is None
        assert truth(raw, "loans", untold) is False
        assert truth(raw, "api", untold) is True
    assert truth({"reachable": {"from": {"kind": "actor"}, "through": {"kind": "endpoint"}}}, "scorer", untold) is None
    assert truth({"reachable": {"from": {"kind": "actor"}, "through": {"kind": "store"}}}, "scorer", untold) is False


def test_every_task_has_a_modality() -> None:
    assert set(MODALITIES) == set(Task)


def test_graph_refuses_what_names_nothing() -> None:
    system = credit()
    with pytest.raises(UnknownName, match="unknown node 'apj'; did you mean 'api'"):
        Graph(replace(system, flows=(Flow(source="applicant", target="apj"),)))
    with pytest.raises(UnknownName, match="unknown node 'system'"):
        Graph(replace(system, flows=(Flow(source="applicant", target="system"),)))
    with pytest.raises(UnknownName, match="unknown zone 'servin'"):
        Graph(replace(system, assets=(Asset(id="x", kind=Kind.MODEL, zone="servin"),)))
    with pytest.raises(UnknownName, match="unknown node 'loan'"):
        Graph(replace(system, flows=(), assets=(Asset(id="x", kind=Kind.MODEL, trained_on=("loan",)),)))
    with pytest.raises(InputError, match="two nodes are called 'api'"):
        Graph(replace(system, assets=(*system.assets, Asset(id="api", kind=Kind.MODEL))))
