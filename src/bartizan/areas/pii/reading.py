"""Reads the texts of columns for names, as many as the budget allows, and says how far that carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from bartizan.model.statistics import lower_bound, upper_bound

if TYPE_CHECKING:
    from bartizan.areas.pii.distinct import Entry, Sample
    from bartizan.areas.pii.names import NameFinder

SURE = 0.8
"""Score from which a person's name counts towards a verdict."""
FALSE_ALARMS = 0.04
"""Share of texts without any name in which the tagger may nevertheless see a sure one: in Python's standard library 1.0 % of the
documentation, 1.6 % of the messages and 3.0 % of the lines of programs (benchmarks/data/names.py), in reviews and numbers none. A column
holds names where more do."""
BEGINNING = 2000
"""Characters of a text that are read."""
WORDS = 300_000
"""Words that are read where nobody says how many: about 25 seconds of a processor."""
KINDS = ("person_name", "address", "place")


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What the tagger of names said of the texts of a column.

    `values` different texts were read, in `rows` rows, of about `of` different ones; in `sure` of them (`sure_rows` rows) it sees a
    person's name for sure, `whole` of them are nothing but a name; `kinds` counts the texts by what it sees in them, sure or not.
    """

    values: int
    of: int
    rows: int
    sure: int
    sure_rows: int
    whole: int
    kinds: dict[str, int]

    @property
    def complete(self) -> bool:
        """Was every text read?"""
        return self.values >= self.of

    def holds_names(self, confidence: float = 0.95) -> bool:
        """Are there more sure names than false alarms would explain, at this confidence?"""
        return self.sure > 0 and lower_bound(self.sure, self.values, confidence) > FALSE_ALARMS

    def at_most(self, confidence: float = 0.95) -> float:
        """Upper bound of the share of all texts in which the tagger would see a sure name."""
        if self.complete:
            return self.sure / max(self.values, 1)
        return upper_bound(self.sure, self.values, confidence)


class Reader:
    """A tagger with a budget: at most `words` words are read in all, and of each table at most half of what is left."""

    def __init__(self, finder: NameFinder, words: int = WORDS) -> None:
        self.finder, self.left = finder, words

    def read(self, samples: Sequence[Sample]) -> list[Reading]:
        """Read the texts of the columns of a table, each in the order of its digests, and all alike where not all can be read."""
        share = self.left // 2 // max(len(samples), 1)
        found = []
        for sample in samples:
            chosen, words = _within(sample, share)
            self.left -= words
            found.append(_read(self.finder, chosen, sample.estimate()))
        return found


def _within(sample: Sample, words: int) -> tuple[list[Entry], int]:
    """The first texts of `sample` that have no more than `words` words together, at least one, and the words they have."""
    chosen: list[Entry] = []
    used = 0
    for entry in sample:
        size = entry.text.count(" ") + 1
        if chosen and used + size > words:
            break
        chosen.append(entry)
        used += size
    return chosen, used


def _read(finder: NameFinder, chosen: Sequence[Entry], of: int) -> Reading:
    kinds = dict.fromkeys(KINDS, 0)
    sure = sure_rows = whole = 0
    for entry, hits in zip(chosen, finder.find_by_shape([entry.text for entry in chosen]), strict=True):
        for kind in {hit.kind for hit in hits}:
            kinds[kind] += 1
        if any(hit.kind == "person_name" and hit.score >= SURE for hit in hits):
            sure += 1
            sure_rows += entry.count
        whole += any(hit.kind == "person_name" and hit.value == entry.text.strip() for hit in hits)
    seen = {kind: count for kind, count in kinds.items() if count}
    rows = sum(entry.count for entry in chosen)
    return Reading(values=len(chosen), of=of, rows=rows, sure=sure, sure_rows=sure_rows, whole=whole, kinds=seen)
