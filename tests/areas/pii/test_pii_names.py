"""Names in free text: exact places, the same result whatever is read beside a text, hostile input."""

from __future__ import annotations

import itertools
import random
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.areas.pii import names
from bartizan.areas.pii.names import NameFinder, may_hold_name
from bartizan.model.errors import InputError

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in (names.PACKAGE, "onnxruntime", "onnx")), reason="the tagger is not installed"
)


@pytest.fixture(scope="module")
def finder() -> NameFinder:
    return NameFinder(threads=1)


PARTS = (
    *("Maria Delgado", "jürgen müller", "José", "😀", "12 Main Street", "ＭＡＲＩＡ", "e\u0301", "\r\n", ". ", " ", "Mr. ", "Köln"),
    *("x" * 300, "４１１１", "the price rises", "a.b@c.example", "[", "\0", "\u200d", "田中さん", "Ольга Крылова", "-", "ﬁ", "İ"),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PARTS) | st.text(max_size=6), max_size=14).map("".join), st.booleans())
def test_every_place_is_exact_and_nothing_overlaps(finder: NameFinder, text: str, strict: bool) -> None:
    finder.strict = strict
    (hits,) = finder.find([text])
    finder.strict = False
    assert all(text[hit.start : hit.end] == hit.value and 0 < hit.score <= 1 for hit in hits)
    assert all(one.end <= other.start for one, other in itertools.pairwise(hits))


def test_a_text_says_the_same_alone_and_among_others(finder: NameFinder) -> None:
    draw = random.Random(0)
    texts = [f"{draw.choice(PARTS)} met {draw.choice(PARTS)} in {draw.choice(PARTS)}, and {draw.choice(PARTS)} rises." for _ in range(120)]
    together = [[(hit.kind, hit.start, hit.end) for hit in hits] for hits in finder.find([*texts, *texts])]
    alone = [[(hit.kind, hit.start, hit.end) for hit in finder.find([text])[0]] for text in texts]
    assert together == alone + alone


def test_names_are_found_in_lower_case_capitals_other_scripts_and_far_into_a_text(finder: NameFinder) -> None:
    texts = {
        "my name is maria delgado and i want my money back": "maria delgado",
        "CONTACT: MARIA DELGADO, ACCOUNT CLOSED": "MARIA DELGADO",
        "hello, this is mr. chad farmer. who are you?": "chad farmer",
        "Bitte rufen Sie Jürgen Müller an.": "Jürgen Müller",
        "the price rises. " * 400 + "Then Maria Delgado called.": "Maria Delgado",
        "word " * 140 + "and then Maria Delgado called " + "word " * 140: "Maria Delgado",
    }
    for text, name in texts.items():
        found = [hit.value for hit in finder.find([text])[0] if hit.kind == "person_name"]
        assert name in found, (text[:60], found)


def test_a_name_is_not_cut_where_a_long_sentence_is(finder: NameFinder) -> None:
    for before in range(120, 160):
        text = "word " * before + "my name is Maria Delgado and I live here " + "word " * 60
        assert "Maria Delgado" in [hit.value for hit in finder.find([text])[0]], before


def test_kinds_are_told_apart(finder: NameFinder) -> None:
    (hits,) = finder.find(["Maria Delgado lives at 12 Main Street in Springfield, Illinois."])
    assert {(hit.kind, hit.value) for hit in hits} >= {("person_name", "Maria Delgado"), ("place", "Springfield"), ("place", "Illinois")}
    assert any(hit.kind == "address" and "Main Street" in hit.value for hit in hits)


@pytest.mark.parametrize(
    "piece", ["x", "X", "a.", "A. ", "@", "Mr. ", ".!?", "\n", "\u0301", "1", "é", "-", "田", "Aa", "ab" * 60 + "Zz "], ids=repr
)
def test_hostile_input_is_read_in_linear_time(finder: NameFinder, piece: str) -> None:
    """The time of a tenth, by ten and some; the net itself reads everything at the same speed."""

    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        start = time.process_time()
        count = sum(len(part.ids) for part in finder._pieces(0, text))
        assert count <= 2 * size
        return time.process_time() - start

    small = min(seconds(1 << 17) for _ in range(3))
    assert seconds(1 << 20) < max(small, 0.02) * 8 * 3


def test_what_has_no_word_is_not_read(finder: NameFinder) -> None:
    strict = NameFinder(strict=True, threads=1)
    for text in ("a." * 50_000, "12 34. " * 9_000, "@" * 50_000, ".!?" * 9_000, "- - -\n" * 9_000):
        assert list(strict._pieces(0, text)) == []
        assert finder.find([text]) == [()]


def test_memory_of_words_is_bounded(finder: NameFinder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_WORDS", 50)
    for i in range(500):
        finder._tokens(f"word{i}")
    assert len(finder._memo) <= 51
    assert finder._tokens("x" * 10_000) == (finder._unknown,)


def test_a_folder_without_a_tagger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder with the tagger"):
        NameFinder(tmp_path)
    (tmp_path / "config.json").write_text('{"id2label": {"0": "O"}}')
    (tmp_path / "vocab.txt").write_text("[CLS]\n[SEP]\n[UNK]\n")
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08no net")
    with pytest.raises(InputError, match=r"net\.onnx"):
        NameFinder(tmp_path)


@pytest.mark.parametrize(
    ("sentence", "may"), [("my name is olga", True), ("dear olga, how are you", True), ("it is by far the best", True)]
)
def test_words_that_introduce_a_name_open_the_gate(sentence: str, may: bool) -> None:
    assert may_hold_name(sentence) is may
