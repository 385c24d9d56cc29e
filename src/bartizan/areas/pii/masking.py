"""Replaces what is found inside texts by `[kind letters]`, the letters being its pseudonym: one value has the same letters everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from bartizan.areas.pii.hits import Hit
from bartizan.areas.pii.pseudonyms import Pseudonyms
from bartizan.areas.pii.scan import scan_texts
from bartizan.model.errors import MissingExtra

if TYPE_CHECKING:
    from bartizan.areas.pii.names import NameFinder

PASSES = 6
"""Most times that a text is read again: what was replaced may have hidden more."""


class Names(StrEnum):
    """What happens to names in free text.

    `auto`: persons and addresses are searched where the extra `names` is installed; sentences that show no sign of a name are not read.
    `strict`: every sentence is read, places are replaced too, and the extra must be installed. `off`: none is searched.
    """

    AUTO = "auto"
    OFF = "off"
    STRICT = "strict"


def finder_of(names: Names, *, threads: int = 0) -> NameFinder | None:
    """The tagger that `names` asks for, with `threads` (0: all there are).

    Raises `MissingExtra` where it is strict and the tagger is not installed.
    """
    from bartizan.areas.pii.names import NameFinder, missing

    lacking = missing()
    if names is Names.OFF or (names is Names.AUTO and lacking is not None):
        return None
    if lacking is not None:
        raise MissingExtra("names", lacking)
    return NameFinder(strict=names is Names.STRICT, threads=threads)


class Masker:
    """Finds and replaces; `finder` adds persons, addresses and, where it is strict, places."""

    def __init__(self, pseudonyms: Pseudonyms, finder: NameFinder | None = None) -> None:
        self.pseudonyms, self.finder = pseudonyms, finder
        self._kinds = {"person_name", "address", *(["place"] if finder is not None and finder.strict else [])}

    def find(self, texts: Sequence[str], *, hint: str = "") -> list[tuple[Hit, ...]]:
        """The hits in each text, in order and without overlaps; what was replaced before is no hit. What has a shape goes before a name."""
        shaped = scan_texts(texts, hint=hint)
        if self.finder is None:
            return shaped
        named = self.finder.find_by_shape(texts)
        return [tuple(_merged(hits, (hit for hit in more if hit.kind in self._kinds))) for hits, more in zip(shaped, named, strict=True)]

    def masked(self, texts: Iterable[str], *, hint: str = "") -> dict[str, str]:
        """Each different text with its hits replaced; read again until nothing is found, `PASSES` times at most."""
        result = {text: text for text in texts}
        pending = list(result)
        for _ in range(PASSES):
            now = [result[text] for text in pending]
            hits = self.find(now, hint=hint)
            for text, current, found in zip(pending, now, hits, strict=True):
                result[text] = self.replaced(current, found)
            pending = [text for text, found in zip(pending, hits, strict=True) if found]
            if not pending:
                break
        return result

    def replaced(self, text: str, hits: Sequence[Hit]) -> str:
        """`text` with each of `hits` replaced."""
        parts, at = [], 0
        for hit in hits:
            parts += [text[at : hit.start], f"[{hit.kind} {self.pseudonyms.token(hit.kind, hit.value)}]"]
            at = hit.end
        return "".join([*parts, text[at:]])


def _merged(shaped: Sequence[Hit], named: Iterable[Hit]) -> Iterator[Hit]:
    """Both, without the names that overlap what has a shape; each in order and without overlaps."""
    place = 0
    for hit in named:
        while place < len(shaped) and shaped[place].end <= hit.start:
            yield shaped[place]
            place += 1
        if place == len(shaped) or shaped[place].start >= hit.end:
            yield hit
    yield from shaped[place:]
