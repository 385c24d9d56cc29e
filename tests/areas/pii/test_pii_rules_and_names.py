"""Kinds of the user's own, recognisers of Presidio's form, and names in free text."""

from __future__ import annotations

from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from bartizan import pii
from bartizan.areas.pii.names import PACKAGE, NameFinder, may_hold_name
from bartizan.model.errors import InputError, UnknownName

RULES = """
rules:
  - kind: customer_number
    pattern: "C-[0-9]{8}"
    words: [customer]
    check: luhn
  - kind: ward
    pattern: "ward [A-F]"
"""


def test_rules_of_the_user_join_the_built_in_kinds() -> None:
    rules = pii.Rules.parse(RULES)
    text = "Customer C-12345674 (not C-12345675) of ward B, jane@example.org; order C-12345674"
    found = rules.scan_text(text)
    assert [(hit.kind, hit.value) for hit in found] == [
        ("customer_number", "C-12345674"),
        ("ward", "ward B"),
        ("email", "jane@example.org"),
    ]
    assert all(text[hit.start : hit.end] == hit.value for hit in found)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("check: luhn", "check: lun", UnknownName, "luhn"),
        ('"C-[0-9]{8}"', '"C-[0-9"', InputError, "pattern of 'customer_number'"),
        ('"ward [A-F]"', '"x*"', InputError, "matches nothing"),
        ("kind: ward", "kind: Ward B", InputError, "no name of a kind"),
        ("words:", "wrds:", UnknownName, "words"),
    ],
)
def test_a_wrong_rule_is_refused(old: str, new: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pii.Rules.parse(RULES.replace(old, new))


def test_a_recogniser_of_presidios_form_is_used() -> None:
    class Vowels:
        supported_entities = ["VOWEL"]  # noqa: RUF012

        def analyze(self, text: str, entities: list[str], nlp_artifacts: object) -> list[SimpleNamespace]:
            return [SimpleNamespace(entity_type=entities[0], start=i, end=i + 1, score=0.9) for i, c in enumerate(text) if c in "aeiou"]

    found = pii.Rules(recognisers=[Vowels()]).scan_text("xaxx")
    assert [(hit.kind, hit.start, hit.value) for hit in found] == [("vowel", 1, "a")]


@pytest.mark.parametrize(
    ("sentence", "may"),
    [
        ("the price rises.", False),
        ("The price rises.", False),
        ("Then Maria came.", True),
        ("Gary shouted.", True),
        ("it is in Rome", True),
    ],
)
def test_the_gate_lets_sentences_with_capitals_through(sentence: str, may: bool) -> None:
    assert may_hold_name(sentence) is may


@pytest.mark.skipif(find_spec(PACKAGE) is None or find_spec("onnxruntime") is None, reason="the weights are not installed")
def test_names_in_free_text_are_found_at_their_places() -> None:
    texts = ["Yesterday Maria Delgado called. She lives at 12 Main Street.", "the price rises.", "We met José Müller in Köln.\r\n", ""]
    found = NameFinder().find(texts)
    assert [[hit.value for hit in hits if hit.kind == "person_name"] for hits in found[:2]] == [["Maria Delgado"], []]
    assert "José Müller" in [hit.value for hit in found[2]]
    assert all(text[hit.start : hit.end] == hit.value for text, hits in zip(texts, found, strict=True) for hit in hits)
    assert found[3] == ()
