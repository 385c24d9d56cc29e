"""Texts as numbers: their words, and all that a trigger in a text may be: words, phrases, strange characters, odd case, word endings.

Every mark is kept with the texts that bear it. Characters that nobody sees count as words of their own.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

MOST_CHARACTERS = 20_000
MOST_WORDS = 300
"""Characters and words of a text that are read."""

_WORDS = re.compile(r"\w+|[^\w\s]+", re.UNICODE)
_ENDS = (2, 3)
_RARE = 2
_UNUSUAL = 0.05
_PLAIN = frozenset("LMN")


@dataclass(frozen=True)
class Texts:
    """n texts: the numbers of their words in order (`order`) and each once (`words`), and what the numbers stand for (`names`)."""

    order: tuple[Ints, ...]
    words: tuple[Ints, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class TextMark:
    """What a text may bear: its `kind` (word, phrase, character, case, ending, beginning, script), its `name`, and which texts bear it."""

    kind: str
    name: str
    rows: Ints


def read_texts(texts: Sequence[str]) -> Texts:
    """The words and runs of marks of each text in lower case, at most `MOST_WORDS` of each."""
    numbers: dict[str, int] = {}
    order = tuple(np.array([numbers.setdefault(word, len(numbers)) for word in _split(text.casefold())], dtype=np.int64) for text in texts)
    return Texts(order, tuple(np.unique(one) for one in order), tuple(numbers))


def _split(text: str) -> list[str]:
    return _WORDS.findall(text[:MOST_CHARACTERS])[:MOST_WORDS]


def marks_of(texts: Sequence[str], read: Texts, least: int) -> Iterator[TextMark]:
    """All marks that `least` texts or more bear."""
    yield from _phrases(read, least)
    yield from _gathered(_characters(texts), least)
    yield from _gathered(_cases(texts), least)
    yield from _gathered(_ends(read), least)


def _phrases(read: Texts, least: int) -> Iterator[TextMark]:
    """Words, and runs of two and three."""
    lengths = np.array([len(one) for one in read.order], dtype=np.int64)
    flat = np.concatenate([*read.order, np.zeros(0, np.int64)])
    row = np.repeat(np.arange(len(lengths)), lengths)
    size = len(read.names) + 1
    code = flat.copy()
    for run in (1, 2, 3):
        if run > 1:
            if size**run >= 2**63:
                return
            code = code[:-1] * size + flat[run - 1 :]
        same = row[: len(code)] == row[run - 1 :] if run > 1 else np.ones(len(code), dtype=bool)
        for value, rows in _by_value(code[same], row[: len(code)][same], least):
            parts = [read.names[value // size**power % size] for power in reversed(range(run))]
            yield TextMark("word" if run == 1 else "phrase", " ".join(parts), rows)


def _by_value(values: Ints, rows: Ints, least: int) -> Iterator[tuple[int, Ints]]:
    """Each value with the different rows in which it stands, where they are `least` or more."""
    order = np.lexsort((rows, values))
    values, rows = values[order], rows[order]
    first = np.ones(len(values), dtype=bool)
    first[1:] = (values[1:] != values[:-1]) | (rows[1:] != rows[:-1])
    values, rows = values[first], rows[first]
    found, starts, counts = np.unique(values, return_index=True, return_counts=True)
    for place in np.flatnonzero(counts >= least):
        yield int(found[place]), rows[starts[place] : starts[place] + counts[place]]


def _gathered(borne: Iterator[tuple[str, str, int]], least: int) -> Iterator[TextMark]:
    rows: dict[tuple[str, str], list[int]] = {}
    for kind, name, row in borne:
        held = rows.setdefault((kind, name), [])
        if not held or held[-1] != row:
            held.append(row)
    for (kind, name), found in rows.items():
        if len(found) >= least:
            yield TextMark(kind, name, np.array(found, dtype=np.int64))


def _characters(texts: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """Characters beyond ASCII that are no letters or digits, control characters, and words in letters of several scripts."""
    for row, text in enumerate(texts):
        part = text[:MOST_CHARACTERS]
        if part.isascii() and part.isprintable():
            continue
        for character in set(part):
            strange = not character.isascii() and unicodedata.category(character)[0] not in _PLAIN
            if strange or (not character.isprintable() and character not in "\t\n\r"):
                yield "character", f"U+{ord(character):04X}", row
        if not part.isascii() and any(_mixed(word) for word in _split(part) if not word.isascii()):
            yield "script", "letters of several scripts in one word", row


def _mixed(word: str) -> bool:
    """Are Latin letters mixed with Greek or Cyrillic ones, which look like them?"""
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in word if letter.isalpha()}
    return "LATIN" in scripts and bool(scripts & {"GREEK", "CYRILLIC"})


def _cases(texts: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """Words with capitals inside, in a form that they otherwise hardly have."""
    split = [set(_split(text)) for text in texts]
    forms = Counter(word for words in split for word in words)
    folded: Counter[str] = Counter()
    for word, count in forms.items():
        folded[word.casefold()] += count
    for row, words in enumerate(split):
        for word in words:
            inside = word[1:]
            if inside != inside.lower() and word != word.upper() and forms[word] <= _UNUSUAL * folded[word.casefold()]:
                yield "case", "a word in a case that it hardly ever has", row


def _ends(read: Texts) -> Iterator[tuple[str, str, int]]:
    """How words begin and end that stand in hardly any other text."""
    common = np.bincount(np.concatenate([*read.words, np.zeros(0, np.int64)]), minlength=len(read.names))
    for row, words in enumerate(read.words):
        for number in words[common[words] <= _RARE]:
            word = read.names[number]
            for size in _ENDS:
                if len(word) > size + 1:
                    yield "ending", f"…{word[-size:]}", row
                    yield "beginning", f"{word[:size]}…", row
