"""Recognisers that were written for Presidio: its registry files without it, and its objects where it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from bartizan import pii
from bartizan.areas.pii import presidio
from bartizan.model.errors import InputError

REGISTRY = r"""
supported_languages: [en]
global_regex_flags: 26
recognizers:
  - name: CreditCardRecognizer
    type: predefined
  - name: Zip code
    type: custom
    supported_language: de
    supported_entity: ZIP
    patterns:
      - name: weak
        regex: '(\b\d{5}(?:\-\d{4})?\b)'
        score: 0.2
    context: [zip, plz]
  - name: Titles
    supported_entity: TITLE
    deny_list: [Mr., Mrs., "(a+)+"]
    deny_list_score: 0.9
  - name: Employees
    enabled: true
    supported_languages:
      - language: en
        context: [staff]
    supported_entities: [EMPLOYEE]
    patterns: [{name: number, regex: "e-[0-9]{4}", score: 0.6}]
  - name: Old
    enabled: false
    supported_entity: OLD
    patterns: [{name: x, regex: old, score: 1}]
"""


def test_a_registry_is_read_without_presidio() -> None:
    read = presidio.parse_registry(REGISTRY)
    assert [one.kind for one in read.recognisers] == ["zip", "title", "employee"]
    assert read.left_out == ("CreditCardRecognizer: is code of Presidio", "Old: is switched off")
    english = presidio.parse_registry(REGISTRY, language="en")
    assert [one.kind for one in english.recognisers] == ["title", "employee"]
    assert "Zip code: is for de" in english.left_out


def test_its_patterns_words_and_scores_count() -> None:
    text = "Mr. Ö of 20095, ZIP code 10115, staff E-1234 and jane@example.org, aaaa"
    found = pii.Rules.parse(REGISTRY).scan_text(text)
    assert [(hit.kind, hit.value, round(hit.score, 2)) for hit in found] == [
        ("title", "Mr.", 0.9),
        ("zip", "10115", 0.55),
        ("employee", "E-1234", 0.95),
        ("email", "jane@example.org", 0.9),
    ]
    assert all(text[hit.start : hit.end] == hit.value for hit in found)
    assert pii.Rules.parse(REGISTRY).scan_texts([text, "", text]) == [found, (), found]


def test_a_registry_in_json_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "recognizers.json"
    entry = {"name": "n", "supported_entity": "MINE", "patterns": [{"name": "p", "regex": "m[0-9]{3}", "score": 0.9}]}
    path.write_text(json.dumps({"recognizers": [entry]}))
    assert [hit.value for hit in pii.Rules.load(path).scan_text("an m123")] == ["m123"]
    assert [one.kind for one in presidio.load_registry(path).recognisers] == ["mine"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (r"(\b\d{5}(?:\-\d{4})?\b)", r"(\d+)+x", "'zip' could take very long"),
        ("score: 0.2", "score: 2", "between 0 and 1"),
        ("supported_entity: ZIP", "supported_entity: ''", "names no entity"),
        ("context: [zip, plz]", "context: zip", "no list of words"),
        ("global_regex_flags: 26", "global_regex_flags: 4096", "flags"),
        ("recognizers:\n", "recognizers: none\nothers:\n", "list under 'recognizers'"),
    ],
)
def test_what_is_wrong_in_a_registry_is_said(old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pii.Rules.parse(REGISTRY.replace(old, new))


def test_an_object_with_a_hostile_pattern_is_refused() -> None:
    hostile = SimpleNamespace(supported_entities=["X"], patterns=[SimpleNamespace(regex="(a+)+$")], analyze=lambda *_: [])
    with pytest.raises(InputError, match="very long"):
        pii.Rules(recognisers=[hostile])


def test_objects_of_presidio_find_what_its_files_do() -> None:
    analyzer = pytest.importorskip("presidio_analyzer")
    pattern = analyzer.Pattern(name="number", regex="e-[0-9]{4}", score=0.6)
    employees = analyzer.PatternRecognizer(supported_entity="EMPLOYEE", patterns=[pattern], context=["staff"])
    titles = analyzer.PatternRecognizer(supported_entity="TITLE", deny_list=["Mr.", "Mrs."], deny_list_score=0.9)
    text = "Mr. Ö, staff E-1234, e-5678"
    found = pii.Rules(recognisers=[employees, titles]).scan_text(text)
    assert [(hit.kind, hit.value, round(hit.score, 2)) for hit in found] == [
        (hit.kind, hit.value, round(hit.score, 2)) for hit in pii.Rules.parse(REGISTRY).scan_text(text)
    ]
