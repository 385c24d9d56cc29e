"""The words near a place: which kinds of personal data they speak of.

A window of text is split into words once; whole words and the beginnings of words are looked up in sets, and a pattern is tried only where
a word could begin one of its phrases.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(r"[^\W\d_]{2,}")
_FIRST = re.compile(r"\W*([^\W\d_]{2})")


def words(window: str) -> list[str]:
    """The words of two letters and more in `window`, in lower case."""
    return _WORD.findall(window.lower())


class Phrases:
    """Alternatives of a pattern, each of which begins with at least two letters at the beginning of a word."""

    def __init__(self, alternatives: Iterable[str]) -> None:
        whole = "|".join(alternatives)
        self.pattern = re.compile(rf"(?i)(?<![^\W\d_])(?:{whole})")
        self.beginnings = frozenset(self._beginnings(whole))

    @staticmethod
    def _beginnings(whole: str) -> Iterable[str]:
        depth, start = 0, 0
        for place, char in enumerate(f"{whole}|"):
            depth += (char == "(") - (char == ")")
            if char == "|" and depth == 0:
                found = _FIRST.match(whole[start:place])
                if found is None or "(" in whole[start:place][:2] or "[" in whole[start:place][:2]:
                    raise ValueError(f"does not begin with two letters: {whole[start:place]}")
                yield found[1].lower()
                start = place + 1

    def possible(self, found: list[str]) -> bool:
        """Can one of these words begin a phrase?"""
        beginnings = self.beginnings
        return any(word[:2] in beginnings for word in found)

    def search(self, window: str) -> bool:
        """Does `window` hold a phrase?"""
        return self.possible(words(window)) and self.pattern.search(window) is not None
