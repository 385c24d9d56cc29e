"""The predicate language: what it accepts, and that every slip of the pen is an error with its line and the nearest name."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.catalog import predicates as p
from bartizan.catalog.vocabulary import CONNECTIONS, FACTS
from bartizan.model.errors import BartizanError, InputError, Place, UnknownName
from bartizan.model.system import Asset, Authn, Kind, Level, Sensitivity
from bartizan.model.traits import RELATIONS, TRAIT_KINDS

MODEL, ENDPOINT, DATASET, SYSTEM = (Kind.MODEL,), (Kind.ENDPOINT,), (Kind.DATASET,), (Kind.SYSTEM,)


def at(path: p.Path) -> Place:
    """A place whose line shows the path: 10 and one for each step."""
    return Place("threats.yaml", 10 + len(path))


def test_every_form_parses() -> None:
    raw: Any = {
        "all": [
            "always",
            {"any": [{"fact": "authn", "is": "none"}, {"not": {"fact": "authz", "in": ["role", "object"]}}]},
            {"kind": ["endpoint"]},
            {"fact": "authn", "declared": True},
            {"some": "served", "where": {"fact": "exports", "contains_any": ["onnx", "gguf"]}},
            {"every": "inflows", "where": {"fact": "encrypted", "is": True}},
            {"none": "used"},
            {"reachable": {"from": {"fact": "trust", "at_most": "partner"}, "through": {"kind": ["service"]}}},
            {"fact": "quota.requests_per_minute", "at_least": 60},
            {"fact": "impact", "at_least": "high"},
        ]
    }
    parsed = p.compile(raw, ENDPOINT, at)
    assert isinstance(parsed, p.All)
    assert [type(part).__name__ for part in parsed.parts] == [
        *("Always", "Any", "IsKind", "Declared", "Related", "Related", "Related", "Reachable", "Compare", "Compare"),
    ]
    assert parsed == p.compile(raw, ENDPOINT)
    assert hash(parsed) == hash(p.compile(raw, ENDPOINT))


def test_values_take_the_type_of_their_fact() -> None:
    def values(raw: Any, against: tuple[Kind, ...]) -> tuple[Any, ...]:
        parsed = p.compile(raw, against)
        assert isinstance(parsed, p.Compare)
        return parsed.values

    assert values({"fact": "authn", "is": "none"}, ENDPOINT) == (Authn.NONE,)
    assert values({"fact": "sensitivity", "at_least": "confidential"}, DATASET) == (Sensitivity.CONFIDENTIAL, Sensitivity.RESTRICTED)
    assert values({"fact": "impact", "at_most": "medium"}, SYSTEM) == (Level.LOW, Level.MEDIUM)
    assert values({"fact": "framework", "is": " PyTorch "}, MODEL) == ("pytorch",)
    assert values({"fact": "last_drill", "at_least": dt.date(2026, 1, 1)}, SYSTEM) == (dt.date(2026, 1, 1),)


def test_vocabulary_covers_the_structs() -> None:
    """A trait, a relation or a field of a node that somebody adds to the model is in the language without another line."""
    assert set(TRAIT_KINDS) <= set(FACTS)
    assert {name for pair in RELATIONS.values() for name in pair} <= set(CONNECTIONS)
    declared = {field.name for field in msgspec.structs.fields(Asset)} - {"at", "kind"}
    assert declared <= set(FACTS)
    for name, kinds in TRAIT_KINDS.items():
        assert kinds <= FACTS[name].kinds


MISSPELT: list[tuple[Any, tuple[Kind, ...], int, str]] = [
    ("allways", MODEL, 10, "did you mean 'always'?"),
    ({"fact": "authnn", "is": "none"}, ENDPOINT, 11, "unknown fact 'authnn'; did you mean 'authn'?"),
    ({"fact": "authn", "is": "nonne"}, ENDPOINT, 11, "unknown value of authn 'nonne'; did you mean 'none'?"),
    ({"fact": "authn", "iss": "none"}, ENDPOINT, 11, "unknown operator 'iss'; did you mean 'is'?"),
    ({"al": []}, ENDPOINT, 11, "unknown operator 'al'; did you mean 'all'?"),
    ({"kind": ["modell"]}, MODEL, 11, "unknown kind 'modell'; did you mean 'model'?"),
    ({"some": "train_sets"}, MODEL, 11, "unknown relation 'train_sets'; did you mean 'training_sets'?"),
    ({"all": [{"not": {"fact": "ouput", "is": "score"}}]}, MODEL, 14, "did you mean 'output'?"),
    ({"some": "training_sets", "where": {"fact": "subject", "contains": "person"}}, MODEL, 12, "did you mean 'subjects'?"),
    ({"some": "inflows", "where": {"fact": "encryptd", "is": True}}, MODEL, 12, "did you mean 'encrypted'?"),
    ({"reachable": {"form": "always", "from": "always"}}, MODEL, 12, "unknown operator 'form'; did you mean 'from'?"),
    ({"reachable": {"from": {"fact": "trust", "is": "non"}}}, MODEL, 13, "did you mean 'none'?"),
]


@pytest.mark.parametrize(("raw", "against", "line", "told"), MISSPELT)
def test_misspelt_name_is_an_error_with_its_line(raw: Any, against: tuple[Kind, ...], line: int, told: str) -> None:
    with pytest.raises(UnknownName) as caught:
        p.compile(raw, against, at)
    assert str(caught.value).startswith(f"threats.yaml:{line}: ")
    assert told in str(caught.value)


REFUSED: list[tuple[Any, tuple[Kind, ...], str]] = [
    ({"all": []}, MODEL, "'all' of nothing"),
    ({"any": []}, MODEL, "'any' of nothing"),
    ({"fact": "authn", "in": []}, ENDPOINT, "'in' of nothing"),
    ({"kind": []}, MODEL, "'kind' of nothing"),
    ({}, MODEL, "without operator"),
    ({"is": "none"}, ENDPOINT, "without operator"),
    ({"where": "always"}, ENDPOINT, "without operator"),
    ({"all": ["always"], "any": ["always"]}, MODEL, "'all' and 'any' in one mapping"),
    ({"fact": "authn", "is": "none", "not": "always"}, ENDPOINT, "'fact' and 'not' in one mapping"),
    ({"fact": "authn", "is": "none", "in": ["none"]}, ENDPOINT, "2 comparisons"),
    ({"fact": "authn"}, ENDPOINT, "no comparison"),
    ({"not": "always", "where": "always"}, ENDPOINT, "'where' does not go with 'not'"),
    ({"fact": "authn", "is": "none", "where": "always"}, ENDPOINT, "'where' does not go with 'fact'"),
    (None, MODEL, "not nothing"),
    (True, MODEL, "not 'true'"),
    (["always"], MODEL, "not a list"),
    ({True: 1}, MODEL, "an operator is a word"),
    ({"all": {"fact": "authn"}}, ENDPOINT, "takes a list"),
    ({"fact": "subjects", "is": "person"}, DATASET, "several values"),
    ({"fact": "authn", "contains": "none"}, ENDPOINT, "one value"),
    ({"fact": "authn", "at_least": "basic"}, ENDPOINT, "no order"),
    ({"fact": "multi_tenant", "is": "yes"}, ENDPOINT, "takes true or false"),
    ({"fact": "multi_tenant", "is": 1}, ENDPOINT, "takes true or false"),
    ({"fact": "retention", "at_least": True}, DATASET, "takes a whole number"),
    ({"fact": "retention", "at_least": "30"}, DATASET, "takes a whole number"),
    ({"fact": "retention", "is": None}, DATASET, "not nothing"),
    ({"fact": "quota.cost_per_day", "at_least": float("nan")}, ENDPOINT, "takes a number"),
    ({"fact": "authn", "is": ["none"]}, ENDPOINT, "not a list"),
    ({"fact": "framework", "is": ""}, MODEL, "takes a text"),
    ({"fact": "quota", "is": 3}, ENDPOINT, "is a group"),
    ({"fact": "authn", "declared": "true"}, ENDPOINT, "takes true or false"),
    ({"fact": "exposed", "declared": True}, ENDPOINT, "derived"),
    ({"fact": "authn", "empty": True}, ENDPOINT, "several values"),
    ({"fact": "adapters", "empty": "yes"}, MODEL, "takes true or false"),
    ({"fact": "subjects", "contains": "person"}, MODEL, "no fact of model; it belongs to dataset"),
    ({"fact": "crosses_boundary", "is": True}, MODEL, "it belongs to flow"),
    ({"fact": "has_ai", "is": True}, MODEL, "it belongs to system"),
    ({"some": "sender"}, MODEL, "it belongs to flow"),
    ({"some": "training_sets"}, ENDPOINT, "no relation of endpoint"),
    ({"some": "assets", "where": {"fact": "subjects", "contains": "person"}}, SYSTEM, "no fact of"),
    ({"kind": ["dataset"]}, MODEL, "never of kind dataset"),
    ({"some": "inflows", "where": {"kind": ["model"]}}, MODEL, "never of kind"),
    ({"reachable": {"through": "always"}}, MODEL, "'from'"),
    ({"reachable": "always"}, MODEL, "'from'"),
    ({"reachable": {"from": "always"}}, SYSTEM, "no flow leads to"),
    ({"some": "inflows", "where": {"reachable": {"from": "always"}}}, MODEL, "no flow leads to flow"),
    ({"some": 3}, MODEL, "name of a relation"),
    ({"fact": 3, "is": 3}, MODEL, "named by a word"),
    ({"fact": "framework", "in": ["x"] * 101}, MODEL, "more than 100"),
]


@pytest.mark.parametrize(("raw", "against", "told"), REFUSED)
def test_what_is_no_predicate_is_refused_with_its_line(raw: Any, against: tuple[Kind, ...], told: str) -> None:
    with pytest.raises(InputError, match=r"^threats\.yaml:1\d: ") as caught:
        p.compile(raw, against, at)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_depth_and_size_are_bounded() -> None:
    deep: Any = "always"
    for _ in range(p.MAX_DEPTH):
        deep = {"not": deep}
    with pytest.raises(InputError, match="deep"):
        p.compile(deep, MODEL, at)
    endless: dict[str, Any] = {}
    endless["not"] = endless
    with pytest.raises(InputError, match="deep"):
        p.compile(endless, MODEL, at)
    wide: Any = {"all": [{"all": ["always"] * 50}] * 10}
    with pytest.raises(InputError, match="more than 400 operators"):
        p.compile(wide, MODEL, at)


def test_a_predicate_needs_a_kind() -> None:
    with pytest.raises(InputError):
        p.compile("always", ())


WORDS = st.sampled_from(
    ["all", "any", "not", "kind", "fact", "is", "in", "some", "where", "reachable", "from", "authn", "model", "none", "always", "served"]
)
TREES = st.recursive(
    st.one_of(WORDS, st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(WORDS, st.integers(), st.text(max_size=3)), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(TREES)
def test_any_data_is_a_predicate_or_a_one_line_error(raw: Any) -> None:
    told = "threats.yaml:10: accepted"
    try:
        p.compile(raw, [Kind.MODEL, Kind.ENDPOINT], at)
    except BartizanError as error:
        told = str(error)
    assert told.startswith("threats.yaml:1")
    assert "\n" not in told
