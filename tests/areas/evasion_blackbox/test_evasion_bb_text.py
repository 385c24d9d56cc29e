"""Text evasion: weak word counts fall, a model that normalises stands, budgets hold, queries are counted."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.areas.evasion.text import LOOK_ALIKES, Budget, attack_text, edit_distance, misspellings
from bartizan.model.errors import InputError

GOOD, BAD = {"great", "wonderful", "happy"}, {"awful", "terrible", "boring"}
BACK = {other: letter for letter, other in LOOK_ALIKES.items()}


class WordCount:
    """Counts good and bad words; class 1 is good. `asked` counts texts."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, texts: list[str]) -> np.ndarray:
        self.asked += len(texts)
        words = [re.findall(r"\w+", text.lower()) for text in texts]
        score = np.array([sum(w in GOOD for w in ws) - sum(w in BAD for w in ws) for ws in words], dtype=float)
        return np.column_stack([-score - 0.5, score + 0.5])


def test_one_slip_in_each_telling_word_turns_a_word_count() -> None:
    model = WordCount()
    text = "The film was terrible, boring: nothing else, dear friends of the long evening show!"
    answer = attack_text(model, text, 0, budget=Budget(words=0.2))
    assert answer.found
    assert not answer.wrong
    assert model([answer.text]).argmax() == 1
    assert {old for _, old, _ in answer.changes} == {"terrible", "boring"}
    assert all(edit_distance(old, new) == 1 for _, old, new in answer.changes)
    assert answer.queries == model.asked - 1
    assert answer == attack_text(WordCount(), text, 0, budget=Budget(words=0.2))


def test_words_in_place_of_words_and_protected_ones() -> None:
    offers = {"terrible": ["mediocre", "great"]}
    answer = attack_text(WordCount(), "A Terrible film", 0, replacements=offers, characters=False, budget=Budget(words=0.5))
    assert answer.text == "A Great film"  # of those that turn it, the one that turns it most
    kept = attack_text(WordCount(), "A Terrible film", 0, replacements=offers, budget=Budget(protected=("terrible",)))
    assert not kept.found
    assert kept.text == "A Terrible film"


def test_a_model_that_undoes_slips_stands() -> None:
    count = WordCount()

    def steady(texts: list[str]) -> np.ndarray:
        known = sorted(GOOD | BAD)
        undone = []
        for text in texts:
            plain = "".join(BACK.get(letter, letter) for letter in text.lower())
            undone.append(" ".join(next((k for k in known if edit_distance(w, k) <= 1), w) for w in re.findall(r"\w+", plain)))
        return count(undone)

    answer = attack_text(steady, "an awful and terrible film", 0, budget=Budget(words=1.0))
    assert not answer.found
    assert answer.margin > 0


def test_a_beam_finds_what_greed_misses() -> None:
    def trap(texts: list[str]) -> np.ndarray:
        """Falls for both of the words alpha and beta changed; changing gamma first looks best and leads nowhere."""
        rows = []
        for text in texts:
            a, b, c = ("alpha" not in text), ("beta" not in text), ("gamma" not in text)
            score = 1.0 - 0.5 * c - 0.1 * a - 0.1 * b
            rows.append([-1.0, 0.0] if a and b else [score, 0.0])
        return np.array(rows)

    text = "alpha beta gamma words one two three four five six"
    assert not attack_text(trap, text, 0, budget=Budget(words=0.2), beam=1).found
    assert attack_text(trap, text, 0, budget=Budget(words=0.2, queries=4000), beam=60).found


@settings(max_examples=15, deadline=None)
@given(
    words=st.lists(st.sampled_from(["great", "awful", "terrible", "film", "the", "boring", "x", "évident"]), min_size=1, max_size=12),
    share=st.floats(0.05, 1.0),
    edits=st.integers(0, 2),
    queries=st.integers(1, 60),
)
def test_budgets_hold_whatever_the_text(words: list[str], share: float, edits: int, queries: int) -> None:
    model, text = WordCount(), ", ".join(words)
    seen = attack_text(
        model, text, 0, budget=Budget(words=share, edits=edits, queries=queries), similarity=lambda a, b: 1 - edit_distance(a, b) / len(a)
    )
    assert seen.queries == model.asked <= queries
    assert len(seen.changes) <= max(1, int(share * len(words)))
    assert all(edit_distance(old, new) <= edits for _, old, new in seen.changes)
    assert seen.similarity >= 0.8
    assert len(seen.text.split(", ")) == len(words)
    if seen.found:
        assert model([seen.text]).argmax() == 1


def test_edit_distance_by_known_answers_and_slips_are_single() -> None:
    assert [edit_distance(*pair) for pair in (("kitten", "sitting"), ("ca", "ac"), ("abc", "abc"), ("", "ab"))] == [3, 1, 0, 2]
    for word in ("terrible", "Film", "at", "a"):
        assert all(edit_distance(word, slip) == 1 for slip in misspellings(word))


def test_labels_suffice_and_misfits_are_errors() -> None:
    count = WordCount()
    assert attack_text(lambda texts: count(texts).argmax(axis=1), "an awful film", 0, budget=Budget(words=0.4)).found
    assert attack_text(count, "a great film", 0).wrong
    with pytest.raises(InputError, match="shape"):
        attack_text(lambda texts: np.zeros(3), "an awful film", 0)
    with pytest.raises(InputError, match="budget"):
        attack_text(count, "x", 0, budget=Budget(words=0.0))
