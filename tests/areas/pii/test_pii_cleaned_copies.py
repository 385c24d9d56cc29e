"""What a cleaned copy holds is no finding of the next scan, and a name in a sentence that is often repeated is one."""

from __future__ import annotations

import pytest

from bartizan.areas.pii.cleaning import Action, Wish, anonymise
from bartizan.areas.pii.columns import ColumnScan, scan_table
from bartizan.areas.pii.masking import Masker, Names, finder_of
from bartizan.areas.pii.names import NameFinder, missing
from bartizan.areas.pii.pseudonyms import Pseudonyms
from bartizan.areas.pii.reading import Reader

needs_tagger = pytest.mark.skipif(missing() is not None, reason="the tagger is not installed")
FIRST, LAST = ("Maria", "John", "Susan", "Peter"), ("Schneider", "Williams", "Garcia")
CALLS = [*[f"Please call {first} {last}" for first in FIRST for last in LAST], "ok"] * 20


def test_a_copy_that_was_cleaned_is_clean_to_the_next_scan() -> None:
    table = {"email": [f"p{i}@example.org" for i in range(60)], "name": [f"Ann{i} Lee" for i in range(60)]}
    cleaned = anonymise(table, Wish(names=Names.OFF))
    assert set(cleaned.done.values()) == {Action.PSEUDONYM}
    assert not any(column.personal for column in scan_table(cleaned.columns).values())
    assert scan_table({"email": ["dgghkflpbocpfalhmapj", "unknown"] * 30, "n": [1] * 60})["email"].named == "email"


@needs_tagger
def test_names_in_a_few_sentences_that_are_often_repeated_are_seen_and_masked() -> None:
    scan = ColumnScan(finder=Reader(NameFinder(threads=1)))
    scan.take(
        {"comment": CALLS, "kind": ["Household appliances for use at home", "Books on paper or as files", "All things for the garden"] * 86 + ["Others"] * 2}
    )
    found = scan.finish()
    assert not found["comment"].free_text
    assert (found["comment"].holds_names, found["kind"].holds_names) == (True, False)
    cleaned = anonymise({"comment": CALLS})
    assert cleaned.done == {"comment": Action.MASK}
    assert not any(name in text for text in cleaned.columns["comment"] for name in (*FIRST, *LAST))


@needs_tagger
def test_lines_that_differ_in_digits_alone_are_masked_each_with_its_own_values() -> None:
    texts = [f"Please call Maria Schneider about order {number}" for number in (17, 23, 99)]
    masked = Masker(Pseudonyms(b"k" * 32), finder_of(Names.AUTO, threads=1)).masked(texts)
    assert [masked[text].rpartition(" ")[2] for text in texts] == ["17", "23", "99"]
    assert len({masked[text].rpartition(" about")[0] for text in texts}) == 1
    assert "Maria" not in "".join(masked.values())
