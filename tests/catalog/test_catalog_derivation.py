"""The predicates at work: what fires on a credit-scoring system, on an assistant with and without its store, and on a system without AI."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan import manifest
from bartizan.catalog import load
from bartizan.model.system import AI_KINDS, Asset, Dataset, Kind, Stage, Subject, System, Zone
from bartizan.model.system import Trust as TrustOf
from bartizan.model.threats import ThreatModel
from bartizan.model.traits import RELATIONS, TRAIT_KINDS
from bartizan.threatmodel import threats_of

CATALOG = load()
FOLDER = Path(__file__).parent / "manifests"


def model_of(name: str, without: str = "", **replaced: str) -> ThreatModel:
    """The threats to the system in a manifest, after its lines with `without` are dropped and texts replaced."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not without or without not in line]
    text = "\n".join(lines)
    for old, new in replaced.items():
        text = text.replace(old, new)
    return threats_of(manifest.parse(text, name), CATALOG)


def pairs(model: ThreatModel) -> set[tuple[str, str]]:
    return {(i.threat, i.element) for i in model.instances}


def test_credit_scoring_is_short_and_specific_to_ai() -> None:
    certain = model_of("credit-scoring.yaml").certain
    specific = [i for i in certain if CATALOG.threats[i.threat].ai]
    assert len(certain) <= 25
    assert len(specific) / len(certain) >= 0.9


@pytest.mark.parametrize(
    ("threat", "element"),
    [
        ("training-data-poisoning", "loans"),
        ("black-box-evasion", "scorer"),
        ("membership-inference", "scorer"),
        ("model-inversion", "scorer"),
        ("model-extraction", "scorer"),
        ("malicious-artefact", "scorer"),
        ("train-test-leakage", "loans-test"),
        ("dataset-tampering", "loans"),
        ("registry-compromise", "scorer"),
        ("malicious-package", "reqs"),
        ("unauthenticated-inference", "api"),
        ("container-compromise", "image"),
        ("shared-training-host", "k8s"),
        ("excess-retention", "loans"),
    ],
)
def test_credit_scoring_has(threat: str, element: str) -> None:
    assert (threat, element) in {(i.threat, i.element) for i in model_of("credit-scoring.yaml").certain}


def test_each_threat_names_one_element_for_one_thing() -> None:
    elements: dict[str, list[str]] = {}
    for instance in model_of("credit-scoring.yaml").certain:
        elements.setdefault(instance.threat, []).append(instance.element)
    several = {threat: found for threat, found in elements.items() if len(found) > 1}
    assert several == {"dataset-tampering": ["loans", "loans-test"], "container-compromise": ["image", "k8s"]}


def test_deleting_the_store_removes_exactly_the_retrieval_threats() -> None:
    text = (FOLDER / "support-assistant.yaml").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not any(mark in line for mark in ("id: kb", "to: kb", "from: kb"))]
    without = threats_of(manifest.parse("\n".join(lines).replace("retrieves_from: [kb], ", ""), "without"), CATALOG)
    removed = pairs(model_of("support-assistant.yaml")) - pairs(without)
    family = {id for id, threat in CATALOG.threats.items() if threat.family == "retrieval"}
    assert removed == {(threat, "kb") for threat in family}
    assert pairs(without) <= pairs(model_of("support-assistant.yaml"))
    assert ("indirect-prompt-injection", "assistant") in pairs(without)


def test_system_without_ai_has_no_ai_threat() -> None:
    found = model_of("web-shop.yaml").instances
    assert found
    assert [i for i in found if CATALOG.threats[i.threat].ai] == []


def test_unnamed_training_data_is_a_question() -> None:
    model = model_of("credit-scoring.yaml", **{"trained_on: [loans], ": ""})
    found = {i.element: [(q.element, q.field) for q in i.questions] for i in model.possible if i.threat == "training-data-poisoning"}
    assert found == {element: [("scorer", "trained_on")] for element in ("scorer", "loans")}


def test_questions_are_few_and_each_asks_for_one_field() -> None:
    model = model_of("credit-scoring.yaml")
    assert len(model.questions) <= 10
    assert [len(i.questions) for i in model.possible] == [1] * len(model.possible)


def test_declared_absence_of_output_ends_inference_attacks() -> None:
    found = {threat for threat, _ in pairs(model_of("credit-scoring.yaml", **{"output: score": "output: none"}))}
    assert not found & {"membership-inference", "model-inversion", "attribute-inference", "model-extraction", "black-box-evasion"}


def test_closing_the_way_in_ends_attacks_by_strangers() -> None:
    found = {threat for threat, _ in pairs(model_of("credit-scoring.yaml", without="from: applicant"))}
    assert not found & {"black-box-evasion", "feature-manipulation", "model-extraction", "request-flood"}
    assert "membership-inference" in found


PLAIN = sorted(set(Kind) - AI_KINDS - {Kind.SYSTEM, Kind.ACTOR, Kind.DATASET})
NAMES = [f"n{i}" for i in range(4)]


@st.composite
def plain_assets(draw: st.DrawFn, name: str) -> Asset:
    """An asset that is no AI, with random relations and the traits that weaknesses hang on."""
    kind = draw(st.sampled_from(PLAIN))
    values: dict[str, object] = {}
    for field in RELATIONS:
        if kind in TRAIT_KINDS.get(field, frozenset()) and draw(st.booleans()):
            values[field] = tuple(draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True)))
    for field in ("multi_tenant", "third_party", "isolated", "signed", "encrypted", "shared_accelerator"):
        if kind in TRAIT_KINDS[field]:
            values[field] = draw(st.sampled_from([None, True, False]))
    return Asset(id=name, kind=kind, zone=draw(st.sampled_from([None, "out", "in"])), **values)  # type: ignore[arg-type]


@given(st.tuples(*(plain_assets(name) for name in NAMES)), st.sampled_from([None, (), (Subject.PERSON,)]), st.sampled_from(list(Stage)))
def test_no_system_without_ai_has_an_ai_threat(assets: tuple[Asset, ...], subjects: tuple[Subject, ...] | None, stage: Stage) -> None:
    system = System(
        name="plain",
        zones=(Zone(id="out", trust=TrustOf.NONE), Zone(id="in", trust=TrustOf.INTERNAL)),
        datasets=(Dataset(id="data", stage=stage, subjects=subjects),),
        assets=assets,
    )
    assert [i for i in threats_of(system, CATALOG).instances if CATALOG.threats[i.threat].ai] == []
