"""Texts that differ in digits alone are read once for all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bartizan.areas.pii.distinct import Entry
from bartizan.areas.pii.hits import Hit
from bartizan.areas.pii.names import NameFinder, missing
from bartizan.areas.pii.reading import _read

pytestmark = pytest.mark.skipif(missing() is not None, reason="needs the extra names")


class Noting(NameFinder):
    """The tagger, which also notes what it is asked."""

    def find(self, texts: Sequence[str]) -> list[tuple[Hit, ...]]:
        self.asked = list(texts)
        return super().find(texts)


def test_texts_that_differ_in_digits_alone_are_read_once_and_counted_each() -> None:
    texts = [f"Please call Maria Schneider at {time}" for time in (10, 57, 100)] + ["request 4 took 12 ms", "request 9 took 88 ms"]
    finder = Noting(threads=1)
    found = _read(finder, [Entry(text, 2, False) for text in texts], len(texts))
    assert sorted(finder.asked) == sorted([texts[0], texts[2], texts[3]])
    assert (found.values, found.rows, found.sure, found.sure_rows, found.whole) == (5, 10, 3, 6, 0)
    assert found.kinds == {"person_name": 3}
