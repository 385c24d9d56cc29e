"""The shipped threats on systems whose threat model is known in advance (acceptance of the main job)."""

from __future__ import annotations

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
