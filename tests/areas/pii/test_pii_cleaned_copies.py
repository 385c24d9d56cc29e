"""What a cleaned copy holds is no finding of the next scan, and a name in a sentence that is often repeated is one."""

from __future__ import annotations

import pytest

from bartizan.areas.pii.cleaning import Action, Wish, anonymise, anonymise_text
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
        {
            "comment": CALLS,
            "kind": ["Household appliances for use at home", "Books on paper or as files", "All things for the garden"] * 86
            + ["Others"] * 2,
        }
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


def test_a_log_is_cleaned_line_by_line_and_what_goes_over_several_lines_as_well() -> None:
    key = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n" * 8 + "-----END PRIVATE KEY-----\n"
    lines = [f"10.1.{i % 9}.{i % 7} GET /items/{i} 200\n" for i in range(150)]
    cleaned = anonymise_text("".join(lines) + key + lines[0], names=Names.OFF).splitlines()
    assert all(line.startswith("[ip_address ") and line.endswith(f"GET /items/{i} 200") for i, line in enumerate(cleaned[:150]))
    assert cleaned[-1] == cleaned[0]
    assert "MIIE" not in "".join(cleaned)


def test_lists_and_mappings_in_a_column_keep_their_form() -> None:
    nested = [{"ip": f"10.1.2.{i}", "tags": ["a", None], "n": i} for i in range(30)]
    cleaned = anonymise({"context": nested}, Wish(names=Names.OFF, actions={"context": Action.MASK})).columns["context"]
    assert [value["n"] for value in cleaned] == list(range(30))
    assert all(value["ip"].startswith("[ip_address ") and value["tags"] == ["a", None] for value in cleaned)
