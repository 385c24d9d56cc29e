"""The shipped threats on systems whose threat model is known in advance (acceptance of the main job)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from threat_samples import credit

from bartizan.catalog.loader import load
from bartizan.model.system import (
    Actor,
    Asset,
    Authn,
    Dataset,
    Effect,
    Flow,
    Holds,
    Kind,
    Logging,
    Origin,
    Oversight,
    Sensitivity,
    Stage,
    Subject,
    System,
    Trust,
    Zone,
)
from bartizan.model.threats import ThreatModel
from bartizan.threatmodel import threats_of

ZONES = (Zone(id="internet", trust=Trust.NONE), Zone(id="inside", trust=Trust.INTERNAL))


def pairs(model: ThreatModel) -> set[tuple[str, str]]:
    return {(i.threat, i.element) for i in model.instances}


def shop() -> System:
    """A web shop with everything but AI."""
    return System(
        name="shop",
        zones=ZONES,
        actors=(Actor(id="customer", zone="internet"),),
        datasets=(Dataset(id="orders", stage=Stage.LOGS, zone="inside", sensitivity=Sensitivity.CONFIDENTIAL, subjects=(Subject.PERSON,)),),
        assets=(
            Asset(id="web", kind=Kind.ENDPOINT, zone="inside", uses=("backend",), authn=Authn.NONE),
            Asset(id="backend", kind=Kind.SERVICE, zone="inside", uses=("database",)),
            Asset(id="database", kind=Kind.STORE, zone="inside", holds=(Holds.RECORDS,)),
            Asset(id="image", kind=Kind.CONTAINER, zone="inside", runs=("backend",)),
            Asset(id="cluster", kind=Kind.CLUSTER, zone="inside", runs=("image",)),
            Asset(id="code", kind=Kind.REPOSITORY, zone="inside"),
            Asset(id="libraries", kind=Kind.DEPENDENCIES, zone="inside"),
        ),
        flows=(Flow(source="customer", target="web"), Flow(source="backend", target="orders")),
    )


def assistant() -> System:
    """A support assistant that retrieves from a store and calls a tool."""
    return System(
        name="assistant",
        zones=ZONES,
        actors=(Actor(id="customer", zone="internet"),),
        assets=(
            Asset(id="llm", kind=Kind.MODEL, zone="inside", third_party=True),
            Asset(id="bot", kind=Kind.AGENT, zone="inside", uses=("llm",), tools=("refund",), retrieves_from=("handbook",)),
            Asset(id="refund", kind=Kind.TOOL, zone="inside", effects=(Effect.PAY,)),
            Asset(id="handbook", kind=Kind.STORE, zone="inside", holds=(Holds.EMBEDDINGS,)),
        ),
        flows=(Flow(source="customer", target="bot"),),
    )


def test_a_system_without_ai_has_no_ai_threats() -> None:
    catalog = load()
    model = threats_of(shop(), catalog)
    assert model.instances
    assert [i for i in model.instances if catalog.threats[i.threat].ai] == []


def test_a_credit_model_has_the_classic_threats() -> None:
    found = {threat for threat, _ in pairs(threats_of(credit(), load()))}
    assert {"training-data-poisoning", "membership-inference", "model-inversion", "model-extraction", "black-box-evasion"} <= found


def test_deleting_the_retrieval_store_removes_the_retrieval_threats_alone() -> None:
    catalog = load()
    whole = assistant()
    kept = tuple(replace(a, retrieves_from=()) if a.id == "bot" else a for a in whole.assets if a.id != "handbook")
    before, after = pairs(threats_of(whole, catalog)), pairs(threats_of(replace(whole, assets=kept), catalog))
    assert after < before
    assert {threat for threat, element in before - after if element != "handbook"} <= {
        id for id, threat in catalog.threats.items() if threat.family == "retrieval"
    }


def test_every_instance_says_why_and_every_open_one_asks() -> None:
    catalog = load()
    for system in (shop(), assistant(), credit()):
        model = threats_of(system, catalog)
        assert all(i.because for i in model.instances)
        assert all(i.questions for i in model.possible)
        assert not any(i.questions for i in model.certain)


def test_no_reason_is_a_commonplace_where_a_fact_decides() -> None:
    """That there is AI, that a node is of its kind, or what is not so, is no reason; a node without another fact is told by where it is."""
    catalog = load()
    facts = {fact for system in (shop(), assistant(), credit()) for i in threats_of(system, catalog).certain for fact in i.because}
    assert not [f for f in facts if "has an AI asset" in f or " no third party" in f or " has uri " in f or "no node" in f]
    system = replace(credit(), assets=tuple(replace(a, uri="models/s.joblib") if a.id == "scorer" else a for a in credit().assets))
    because = {(i.threat, i.element): i.because for i in threats_of(system, catalog).certain}
    assert because["malicious-artefact", "scorer"] == ("scorer is loaded from models/s.joblib",)
    assert because["unauthenticated-inference", "api"] == ("api serves scorer", "api has authn none")


@pytest.mark.parametrize(
    ("threat", "declared", "because"),
    [
        ("shadow-ai", {"owner": "risk", "oversight": Oversight.NONE}, "nobody oversees what the system decides (oversight none)"),
        ("shadow-ai", {"oversight": Oversight.IN_THE_LOOP}, "the system names no owner"),
        ("shadow-ai", {"owner": "risk", "affects_persons": True, "explanations": False}, "the system does not explain its decisions"),
        ("alterable-logs", {"logging": Logging.NONE}, "the system keeps no log of its decisions (logging none)"),
        ("alterable-logs", {"logging": Logging.PLAIN}, "the log of decisions can be altered unnoticed (logging plain)"),
        ("unnoticed-drift", {"monitoring": ()}, "nothing of the system is watched (monitoring empty)"),
    ],
)
def test_a_weakness_of_the_system_is_said_in_words(threat: str, declared: dict[str, Any], because: str) -> None:
    (found,) = [i for i in threats_of(replace(credit(), **declared), load()).certain if i.threat == threat]
    assert because in found.because


@pytest.mark.parametrize("authn", [a for a in Authn if a is not Authn.NONE])
def test_every_declared_way_to_log_in_is_not_yet_verified(authn: Authn) -> None:
    system = replace(credit(), assets=tuple(replace(a, authn=authn) if a.id == "api" else a for a in credit().assets))
    (found,) = [i for i in threats_of(system, load()).certain if i.threat == "unauthenticated-inference"]
    assert f"api has authn {authn}, declared and not yet verified" in found.because


def flipping(**declared: Any) -> dict[str, bool]:
    """The data sets of the credit system at which labels may be flipped, and whether that is certain; `declared` of the training data."""
    loans = replace(credit().datasets[0], **declared)
    extra = (Actor(id="merchant", zone="internet"), Actor(id="officer", zone="training"), Actor(id="broker"))
    system = replace(credit(), datasets=(loans,), actors=(*credit().actors, *extra))
    return {i.element: i.certain for i in threats_of(system, load()).instances if i.threat == "label-flipping"}


def test_labels_that_outsiders_report_can_be_flipped() -> None:
    """Chargeback fraud: the outcome that customers or merchants report back is the next label."""
    assert flipping(stage=Stage.FEEDBACK) == {"loans": True}
    assert flipping(label="default", writers=("merchant",), origin=Origin.OWN) == {"loans": True}
    assert flipping(label="default", writers=("merchant",)) == {"loans": False}
    assert flipping(label="default", origin=Origin.PUBLIC) == {}
    assert flipping(label="default", writers=("officer", "data-engineering"), origin=Origin.OWN) == {}
    assert flipping(label="default", writers=("broker",), origin=Origin.OWN) == {"loans": False}
    assert flipping(writers=("merchant",)) == {}
    assert flipping(label="default", origin=Origin.OWN) == {"loans": False}
    reported = replace(
        credit(),
        datasets=(replace(credit().datasets[0], label="default", origin=Origin.OWN, writers=()),),
        flows=(*credit().flows, Flow(source="applicant", target="loans")),
    )
    (found,) = [i for i in threats_of(reported, load()).certain if i.threat == "label-flipping"]
    assert found.path == ("applicant", "loans")


def test_the_writer_from_outside_is_named() -> None:
    loans = replace(credit().datasets[0], label="default", origin=Origin.OWN, writers=("applicant",))
    (found,) = [i for i in threats_of(replace(credit(), datasets=(loans,)), load()).certain if i.threat == "label-flipping"]
    assert "applicant (internet, trust none) writes into loans" in found.because
