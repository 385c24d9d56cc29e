"""What a scan for personal data and secrets says: a place in a text, what stands there, why it is taken for that."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

import msgspec


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A piece of personal data, or a secret, in a text.

    `kind` is a name of `kinds()`, `start` and `end` are offsets in code points with `text[start:end] == value`, `score` lies in (0, 1] and
    `why` says in a few words what the judgement rests on. A report must show `redacted`, never `value`.
    """

    kind: str
    start: int
    end: int
    value: str
    score: float
    why: str

    @property
    def redacted(self) -> str:
        """The value with all but its shape hidden: at most the last two characters of a long value stay."""
        return redact(self.value)


def redact(value: str) -> str:
    """`value` with every letter and digit replaced, but for the last two of values of twelve characters or more."""
    keep = len(value) - 2 if len(value) >= 12 else len(value)
    return "".join(c if i >= keep or not c.isalnum() else "*" for i, c in enumerate(value))


def resolve(hits: Iterable[Hit]) -> tuple[Hit, ...]:
    """`hits` without overlaps, in the order of the text: of two that overlap the one with the higher score stays, then the longer."""
    kept: list[Hit] = []
    end = 0
    for hit in sorted(hits, key=attrgetter("start")):
        if hit.start < end:
            while kept and kept[-1].end > hit.start and _rank(kept[-1]) < _rank(hit):
                kept.pop()
            if kept and kept[-1].end > hit.start:
                continue
        kept.append(hit)
        end = hit.end
    return tuple(kept)


def _rank(hit: Hit) -> tuple[float, int]:
    return hit.score, hit.end - hit.start
