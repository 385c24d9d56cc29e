"""How far a reading for names carries: samples drawn evenly, budgets shared, bounds that hold."""

from __future__ import annotations

import pytest

from bartizan.areas.pii.columns import ColumnScan
from bartizan.areas.pii.distinct import Sample
from bartizan.areas.pii.masking import Names, finder_of
from bartizan.areas.pii.names import NameFinder, missing
from bartizan.areas.pii.reading import FALSE_ALARMS, Reader, Reading

needs_tagger = pytest.mark.skipif(missing() is not None, reason="the tagger is not installed")


def reading(values: int, of: int, sure: int) -> Reading:
    return Reading(values=values, of=of, rows=values, sure=sure, sure_rows=sure, whole=0, kinds={})


def test_a_few_sure_names_are_no_proof_and_many_are() -> None:
    assert not reading(1000, 1000, 0).holds_names()
    assert not reading(1000, 1000, round(1000 * FALSE_ALARMS)).holds_names()
    assert reading(1000, 1000, 100).holds_names()
    assert not reading(10, 10, 1).holds_names()
    assert reading(3, 3, 3).holds_names()


def test_what_was_not_read_is_bounded() -> None:
    assert (reading(300, 300, 0).complete, reading(300, 300, 0).at_most()) == (True, 0.0)
    assert not reading(300, 301, 0).complete
    assert reading(300, 9000, 0).at_most() == pytest.approx(1 - 0.05 ** (1 / 300))  # the rule of three: about 3 / n
    assert 0.1 < reading(300, 9000, 30).at_most() < 0.14


def test_a_sample_keeps_no_more_characters_than_it_may_and_still_estimates() -> None:
    sample = Sample(10_000, 4_000)
    for i in range(5_000):
        sample.add(f"value {i}", text=f"value {i}")
    assert sum(len(entry.text) for entry in sample) <= 4_000
    assert not sample.complete
    assert sample.estimate() == pytest.approx(5_000, rel=0.2)


@needs_tagger
def test_texts_are_read_once_and_rows_counted() -> None:
    scan = ColumnScan(finder=Reader(NameFinder(threads=1)))
    notes = ["My name is Hannah Meyer and I called", "The rate was far too high for me", "It rained on the day of the visit"]
    for _ in range(4):
        scan.take({"note": notes * 5, "code": ["a-1", "b-2", "c"] * 5})
    note, code = scan.finish().values()
    assert code.reading is None
    assert note.reading == Reading(values=3, of=3, rows=60, sure=1, sure_rows=20, whole=0, kinds={"person_name": 1})
    assert not note.holds_names  # one of three may be a false alarm


@needs_tagger
def test_a_budget_is_shared_among_columns_and_tables() -> None:
    reader = Reader(NameFinder(threads=1), words=800)
    read = []
    for _ in range(3):
        scan = ColumnScan(finder=reader)
        texts = [f"The customer came in week {i} and asked about it" for i in range(100)]
        scan.take({"a": texts, "b": texts})
        read.append([column.reading.values for column in scan.finish().values() if column.reading is not None])
        assert all(column.reading is not None and column.reading.of == 100 for column in scan.finish().values())
    assert read[0][0] == read[0][1] == 20
    assert read[0][0] > read[1][0] > read[2][0] >= 1


@needs_tagger
def test_a_column_of_names_alone_is_one_and_a_column_of_titles_is_not() -> None:
    scan = ColumnScan(finder=Reader(NameFinder(threads=1)))
    who = ["Hannah Meyer", "Jürgen Müller", "Olga Krylova", "Peter Smith", "Anna Rossi", "John O'Neill"]
    scan.take({"x": who, "y": ["Fixed Rate", "Home Loan", "Car Loan", "Credit Line", "Second Mortgage", "Student Loan"]})
    x, y = scan.finish().values()
    assert (x.holds_names, x.personal) == (True, True)
    assert (y.holds_names, y.personal) == (False, False)


def test_names_that_are_off_need_nothing() -> None:
    assert finder_of(Names.OFF) is None
