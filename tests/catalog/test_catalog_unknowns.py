"""Unknown is never "no": what a manifest leaves out may turn a certain threat into a possible one, never into silence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bartizan.catalog import load, predicates
from bartizan.catalog.questions import question_of, questions
from bartizan.catalog.vocabulary import CONNECTIONS, FACTS, Fact, Sort
from bartizan.model.system import (
    Actor,
    Asset,
    Dataset,
    Flow,
    Kind,
    Quota,
    Stage,
    System,
    Trust,
    Zone,
)
from bartizan.model.traits import RELATIONS, TRAIT_KINDS
from bartizan.threatmodel import threats_of
from bartizan.threatmodel.graph import MAY_NAME, STAGES, USERS

CATALOG = load()

SILENCE = frozenset(
    {
        "uri",
        "url",
        "source",
        "base_model",
        "revision",
        "digest",
        "code",
        "system_prompt",
        "label",
        "annotators",
        "incident_plan",
        "last_drill",
    }
)
"""Facts whose absence is itself the statement: there is no other word for "none" (the rule is in the docstring of `bartizan.catalog`)."""


def declarations(raw: Any, positive: bool = True) -> Iterator[tuple[str, bool]]:
    """The facts that a predicate asks to be declared (or, under a `not`, undeclared), with what it asks of them."""
    if isinstance(raw, list):
        for part in raw:
            yield from declarations(part, positive)
    elif isinstance(raw, dict):
        if "declared" in raw:
            yield raw["fact"], raw["declared"] is positive
        for key, part in raw.items():
            yield from declarations(part, positive != (key in ("not", "none")))


@pytest.mark.parametrize("id", sorted(CATALOG.threats))
def test_only_silence_that_says_something_guards_a_threat(id: str) -> None:
    guarded = {fact for fact, needed in declarations(CATALOG.threats[id].when) if needed}
    assert guarded <= SILENCE


def test_the_search_for_guards_sees_through_negation() -> None:
    hidden = {"all": [{"not": {"fact": "tools", "declared": False}}, {"not": {"fact": "memory", "declared": True}}]}
    assert list(declarations(hidden)) == [("tools", True), ("memory", False)]


IDS = {
    Kind.DATASET: ("data0", "data1"),
    Kind.MODEL: ("model0", "model1"),
    Kind.ENDPOINT: ("endpoint0",),
    Kind.LLM_APP: ("app0",),
    Kind.AGENT: ("agent0", "agent1"),
    Kind.TOOL: ("tool0",),
    Kind.STORE: ("store0",),
    Kind.REGISTRY: ("registry0",),
    Kind.PIPELINE: ("pipeline0",),
    Kind.CLUSTER: ("cluster0",),
    Kind.CONTAINER: ("container0",),
    Kind.REPOSITORY: ("repository0",),
    Kind.SERVICE: ("service0",),
    Kind.DEPENDENCIES: ("dependencies0",),
}
ZONES = tuple(Zone(id=trust.value, trust=trust) for trust in Trust)
WORDS = ("http", "https", "text", "markdown", "features")
NOT_FACTS = {"id", "title", "kind", "stage", "quota", "budget"}


def value_of(fact: Fact, draw: Random) -> Any:
    """A value that the fact can have."""
    match fact.sort:
        case Sort.ENUM:
            assert fact.enum is not None
            choices: list[Any] = list(fact.enum)
        case Sort.BOOLEAN:
            choices = [True, False]
        case Sort.INTEGER | Sort.NUMBER:
            choices = [1, 50, 5000, 10**6]
        case _:
            choices = list(WORDS)
    return tuple(draw.sample(choices, draw.choice([0, 1, 1, 2]))) if fact.many else draw.choice(choices)


def targets(field: str, own: str, stages: Mapping[str, Stage]) -> list[str]:
    """The ids that an undeclared relation may turn out to name."""
    fitting = [id for kind in sorted(MAY_NAME[field]) for id in IDS.get(kind, ()) if id != own]
    return [id for id in fitting if field not in STAGES or stages[id] in STAGES[field]]


def told_of(kind: Kind, own: str, stages: Mapping[str, Stage], draw: Random) -> dict[str, Any]:
    """Most of the facts of a node of this kind."""
    told: dict[str, Any] = {}
    for fact in FACTS.values():
        fits = kind in fact.kinds and len(fact.fields) == 1 and fact.name not in NOT_FACTS
        if not fits or draw.random() < (0.5 if fact.name in SILENCE else 0.15):
            continue
        if fact.name == "zone":
            told["zone"] = draw.choice(ZONES).id
        elif fact.name in RELATIONS:
            names = targets(fact.name, own, stages)
            told[fact.name] = tuple(draw.sample(names, min(len(names), draw.choice([0, 1, 1, 2]))))
        else:
            told[fact.name] = dt.date(2026, 1, 1) if fact.sort is Sort.DATE else value_of(fact, draw)
    if kind in TRAIT_KINDS["quota"]:
        limits = [None, 1, 700, 10**6]
        told["quota"] = Quota(requests_per_minute=draw.choice(limits), requests_per_day=draw.choice(limits), max_steps=draw.choice(limits))
    return told


def forgotten(told: dict[str, Any], kept: frozenset[str], draw: Random) -> dict[str, Any]:
    """A part of what is told; facts whose absence says something stay as they are."""
    share = draw.choice([0.1, 0.5, 0.9])
    rest = {field: value for field, value in told.items() if field in kept or draw.random() > share}
    if "quota" in rest and draw.random() < 0.5:
        rest["quota"] = replace(rest["quota"], requests_per_minute=None)
    return rest


def refinement(seed: int) -> tuple[System, System]:
    """A random system, and the same with more of its facts declared."""
    draw = Random(seed)
    stages = {id: draw.choice([Stage.TRAIN, Stage.TEST, *Stage]) for id in IDS[Kind.DATASET]}
    less: dict[str, list[Any]] = {"actors": [], "datasets": [], "assets": [], "flows": []}
    more: dict[str, list[Any]] = {part: [] for part in less}

    def add(part: str, type: Any, told: dict[str, Any], kept: frozenset[str], **fixed: Any) -> None:
        more[part].append(type(**told, **fixed))
        less[part].append(type(**forgotten(told, kept, draw), **fixed))

    add("actors", Actor, {"zone": draw.choice(["none", "none", "internal"])}, frozenset(), id="actor0")
    for id, stage in stages.items():
        add("datasets", Dataset, told_of(Kind.DATASET, id, stages, draw), SILENCE, id=id, stage=stage)
    kinds = draw.sample(sorted(set(IDS) - {Kind.DATASET}), draw.randint(1, len(IDS) - 1))
    present = {"actor0", *stages, *(id for kind in kinds for id in IDS[kind])}
    for kind in kinds:
        for id in IDS[kind]:
            told = told_of(kind, id, stages, draw)
            told |= {f: tuple(x for x in told[f] if x in present) for f in RELATIONS if f in told}
            add("assets", Asset, told, SILENCE if kind in USERS else SILENCE | {"uses"}, id=id, kind=kind)
    for source, target in [draw.sample(sorted(present), 2) for _ in range(draw.randint(0, 4))]:
        told = {f.name: value_of(f, draw) for f in FACTS.values() if f.flow and len(f.fields) == 1 and draw.random() < 0.8}
        add("flows", Flow, told, frozenset(), source=source, target=target)
    told = {f: v for f, v in told_of(Kind.SYSTEM, "system", stages, draw).items() if f != "name"}
    return (
        System(name="s", zones=ZONES, **forgotten(told, SILENCE, draw), **{k: tuple(v) for k, v in less.items()}),
        System(name="s", zones=ZONES, **told, **{k: tuple(v) for k, v in more.items()}),
    )


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32))
def test_what_is_left_out_hides_no_threat(seed: int) -> None:
    """Of a system and what declares more of it: a threat that is certain in the second is listed for the first, with a question if open."""
    before, after = (threats_of(system, CATALOG) for system in refinement(seed))
    seen = {(i.threat, i.element) for i in before.instances}
    assert {(i.threat, i.element) for i in after.certain} <= seen
    assert all(i.questions for i in before.possible)


def test_the_random_systems_bring_every_threat_about() -> None:
    certain = {i.threat for seed in range(400) for i in threats_of(refinement(seed)[1], CATALOG).certain}
    assert certain == set(CATALOG.threats)


def asked(predicate: predicates.Predicate, kinds: frozenset[Kind] | None) -> Iterator[tuple[str, Kind | None]]:
    """The fields that may be asked for while this predicate is unknown, each with the kinds of node (None: a flow) they are asked of."""
    match predicate:
        case predicates.All(parts=parts) | predicates.Any(parts=parts):
            for part in parts:
                yield from asked(part, kinds)
        case predicates.Not(part=part):
            yield from asked(part, kinds)
        case predicates.Compare(fact=fact) if fact.field not in ("kind", "assets"):
            for kind in (None,) if kinds is None else kinds & fact.kinds:
                yield fact.field, kind
        case predicates.Related(relation=relation, where=where):
            if relation.field is not None:
                for kind in (kinds or frozenset()) & relation.kinds:
                    yield relation.field, kind
            yield from asked(where, None if relation.to_flow else relation.to)


def test_every_field_that_is_asked_for_has_its_words() -> None:
    wanted = {
        pair
        for id, threat in CATALOG.threats.items()
        for pair in asked(CATALOG.predicate(id), frozenset(threat.against))
        if pair[0] not in ("stage", *SILENCE)
    }
    wanted |= {(field, kind) for field in MAY_NAME for kind in TRAIT_KINDS.get(field, ()) if field != "uses" or kind in USERS}
    wanted |= {("zone", kind) for kind in Kind if kind is not Kind.SYSTEM} | {("task", Kind.MODEL)}
    assert len(wanted) > 40
    assert [(field, kind) for field, kind in wanted if question_of(field, kind, "x") is None] == []


def test_questions_are_short_and_name_what_exists() -> None:
    fields = {fact.field for fact in FACTS.values()} | {r.field for r in CONNECTIONS.values()}
    for field, text in questions().items():
        assert field in fields
        kinds = {k.value for k in Kind} | {"flow", "other"}
        assert isinstance(text, str) or set(text) <= kinds
        for words in (text,) if isinstance(text, str) else text.values():
            assert words.endswith("?")
            assert len(words) <= 110


def test_a_name_is_not_read_as_a_pattern() -> None:
    assert question_of("federated", Kind.MODEL, "a{name}\\1") == "Is a{name}\\1 trained by federated learning?"
    assert question_of("title", Kind.MODEL, "x") is None


def minimal(**told: Any) -> System:
    return System(name="m", assets=(Asset(id="model", kind=Kind.MODEL, uri="model.pkl"), Asset(id="api", kind=Kind.ENDPOINT, **told)))


def test_a_minimal_manifest_leaves_much_open_and_asks_little() -> None:
    for system in (minimal(), minimal(serves=("model",))):
        model = threats_of(system, CATALOG)
        possible = {i.threat for i in model.possible}
        assert {"membership-inference", "gradient-leakage", "black-box-evasion", "jailbreak", "unauthenticated-inference"} <= possible
        assert len(model.questions) <= 20
        assert len({(q.element, q.field) for q in model.questions}) == len(model.questions)
    assert (model.questions[0].element, model.questions[0].field) == ("model", "task")


def answered(system: System, element: str, field: str, draw: Random) -> System:
    """The system after this question is answered: at random, with "nothing declared here" for relations."""
    group, _, inner = field.partition(".")
    if field == "zone":
        value: Any = "internal"
    elif inner:
        value = Quota(**{inner: 60})
    else:
        value = () if field in RELATIONS else value_of(FACTS[field], draw)
    if element == "system":
        return replace(system, **{group: value})
    return replace(system, assets=tuple(replace(a, **{group: value}) if a.id == element else a for a in system.assets))


@pytest.mark.parametrize("seed", range(5))
def test_few_answers_settle_a_minimal_manifest(seed: int) -> None:
    draw, system, count = Random(seed), replace(minimal(), zones=ZONES), 0
    for _ in range(4):
        questions = threats_of(system, CATALOG).questions
        count += len(questions)
        for question in questions:
            system = answered(system, question.element, question.field, draw)
    assert not threats_of(system, CATALOG).possible
    assert count <= 20


def test_the_deciding_fact_is_asked_first() -> None:
    open_ = {i.threat: [q.field for q in i.questions] for i in threats_of(minimal(), CATALOG).possible}
    assert open_["jailbreak"] == ["task"]
    assert open_["gradient-leakage"] == ["federated"]
    assert open_["membership-inference"] == ["trained_on"]
    assert all(len(fields) == 1 for fields in open_.values())


@pytest.mark.parametrize(
    ("authn", "because"),
    [
        (None, "api declares no authn"),
        ("api-key", "api has authn api-key, declared and not yet verified"),
        ("none", "api has authn none"),
    ],
)
def test_declared_authentication_is_not_verified_authentication(authn: str | None, because: str) -> None:
    system = minimal(serves=("model",), zone="none", authn=authn)
    converted = msgspec.convert(msgspec.to_builtins(replace(system, zones=ZONES)), System)
    (found,) = [i for i in threats_of(converted, CATALOG).certain if i.threat == "unauthenticated-inference"]
    assert because in found.because


def test_a_model_behind_an_endpoint_of_unknown_purpose_may_be_reached() -> None:
    system = System(
        name="s",
        zones=ZONES,
        actors=(Actor(id="stranger", zone="none"),),
        assets=(
            Asset(id="model", kind=Kind.MODEL, zone="internal", task="text-generation"),  # type: ignore[arg-type]
            Asset(id="api", kind=Kind.ENDPOINT, zone="internal"),
        ),
        flows=(Flow(source="stranger", target="api"),),
    )
    (found,) = [i for i in threats_of(system, CATALOG).possible if i.threat == "jailbreak"]
    assert [(q.element, q.field) for q in found.questions] == [("api", "serves")]
    assert found.path == ("stranger", "api", "model")
    assert "stranger (none, trust none) may reach model: stranger -> api -> model" in found.because
    settled = replace(system, assets=(system.assets[0], replace(system.assets[1], serves=())))
    assert "jailbreak" not in {i.threat for i in threats_of(settled, CATALOG).instances}
