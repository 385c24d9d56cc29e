"""Retrieval: the shop's pages, cut into passages and found by the cosine of hashed word and letter-group vectors."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

DIMENSIONS = 2048
"""Length of an embedding. Features that fall into the same place share it, with a sign of their own."""

UNSEEN = 4.0
"""Rarity of a feature that no passage has: it finds nothing, and makes the rest of the question count for less."""

_WORD = re.compile(r"[a-z0-9]+(?:-[0-9]+)?")
Vector: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Passage:
    """A piece of text with the page it came from and the headings above it."""

    source: str
    heading: str
    text: str


@dataclass(frozen=True)
class Hit:
    """A passage and its cosine with the question, in [-1, 1]."""

    passage: Passage
    score: float


def passages_of(page: str, source: str) -> Iterator[Passage]:
    """The sections of one Markdown page; each carries the page's title in its heading."""
    title, *sections = re.split(r"^## ", page, flags=re.MULTILINE)
    name, _, opening = title.removeprefix("# ").partition("\n")
    if opening.strip():
        yield Passage(source, name.strip(), opening.strip())
    for section in sections:
        heading, _, text = section.partition("\n")
        if text.strip():
            yield Passage(source, f"{name.strip()}: {heading.strip()}", text.strip())


def read_pages(folder: Path) -> list[Passage]:
    """All passages of the `*.md` pages in a folder, in the order of their names. Raises FileNotFoundError where there is no page."""
    pages = sorted(folder.glob("*.md"))
    if not pages:
        raise FileNotFoundError(f"{folder}: no pages (*.md) to answer from")
    return [passage for page in pages for passage in passages_of(page.read_text(encoding="utf-8"), page.name)]


def features(text: str) -> Counter[str]:
    """What a text is compared by: its words, and groups of four letters within them so that 'returned' meets 'returns'."""
    found: Counter[str] = Counter()
    for word in _WORD.findall(text.lower()):
        found[word] += 2
        padded = f"<{word}>"
        for start in range(len(padded) - 3):
            found[padded[start : start + 4]] += 1
    return found


class Index:
    """The vector store: passages and their unit vectors, in memory. Whoever may add to it decides what the model reads."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._state = self._built(tuple(passages))

    def __len__(self) -> int:
        return len(self._state[0])

    def add(self, passages: Iterable[Passage]) -> None:
        """Takes new passages in at once, from anybody: nothing is screened."""
        self._state = self._built((*self._state[0], *passages))

    def search(self, question: str, k: int = 3, *, floor: float = 0.08) -> list[Hit]:
        """The k nearest passages, best first, without those whose cosine lies below `floor`."""
        passages, vectors, rarity = self._state
        scores = vectors @ _embedded(features(question), rarity)
        best = np.argsort(-scores, kind="stable")[:k]
        return [Hit(passages[i], float(scores[i])) for i in best if scores[i] >= floor]

    @staticmethod
    def _built(passages: tuple[Passage, ...]) -> tuple[tuple[Passage, ...], Vector, dict[str, float]]:
        counted = [features(f"{p.heading}\n{p.text}") for p in passages]
        seen = Counter(feature for one in counted for feature in one)
        rarity = {feature: float(np.log((1 + len(passages)) / (1 + n)) + 0.1) for feature, n in seen.items()}
        vectors = np.array([_embedded(one, rarity) for one in counted]).reshape(len(passages), DIMENSIONS)
        return passages, vectors, rarity


def _embedded(found: Counter[str], rarity: dict[str, float]) -> Vector:
    """A unit vector: damped counts times rarity (tf-idf), each feature in the place and with the sign that its checksum gives."""
    vector = np.zeros(DIMENSIONS)
    for feature, count in found.items():
        code = zlib.crc32(feature.encode())
        vector[code % DIMENSIONS] += (1 if code & 0x8000_0000 else -1) * (1 + np.log(count)) * rarity.get(feature, UNSEEN)
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector
