"""The words near a place: which kinds of personal data they speak of.

A window of text is split into words once; whole words and the beginnings of words are looked up in sets, and a pattern is tried only where
a word could begin one of its phrases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORD = re.compile(r"[^\W\d_]{2,}")
_LEADING = re.compile(r"[^\W\d_]+(?![?*{])")


def words(window: str) -> list[str]:
    """The words of two letters and more in `window`, in lower case."""
    return _WORD.findall(window.lower())


class Phrases:
    """Alternatives of a pattern, each of which begins with at least two letters at the beginning of a word."""

    def __init__(self, whole: str) -> None:
        self.pattern = re.compile(rf"(?i)(?<![^\W\d_])(?:{whole})")
        beginnings: dict[str, list[str]] = {}
        for alternative in _alternatives(whole):
            found = _LEADING.match(alternative)
            if found is None or len(found[0]) < 2:
                raise ValueError(f"does not begin with two letters: {alternative}")
            beginnings.setdefault(found[0][:2], []).append(found[0])
        self.beginnings = {two: tuple(found) for two, found in beginnings.items()}

    def possible(self, window: str) -> bool:
        """Does a word of `window` begin as a phrase does? Where not, `search` finds nothing."""
        beginnings = self.beginnings
        for word in words(window):
            known = beginnings.get(word[:2])
            if known is not None and word.startswith(known):
                return True
        return False

    def search(self, window: str) -> bool:
        """Does `window` hold a phrase?"""
        return self.possible(window) and self.pattern.search(window) is not None


def _alternatives(whole: str) -> Iterator[str]:
    """The alternatives of the outermost level of a pattern."""
    depth, start = 0, 0
    for place, char in enumerate(f"{whole}|"):
        depth += (char == "(") - (char == ")")
        if char == "|" and depth == 0:
            yield whole[start:place]
            start = place + 1
