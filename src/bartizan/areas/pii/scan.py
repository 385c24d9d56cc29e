"""Scans texts for personal data and secrets: one text, many at once, or a stream of pieces."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import msgspec

from bartizan.areas.pii import anchors, numbers, secrets, tokens
from bartizan.areas.pii.hits import Hit, resolve
from bartizan.areas.pii.page import EDGE, Page

BATCH = 1 << 20
"""Characters that are scanned at once: large enough to be fast, small enough for the arrays to stay in the cache."""
HOLD = 1 << 14
"""Characters at the end of a piece that wait for the next one: longer than any hit with what stands behind it."""
LOOK_BACK = 128
"""Characters before a piece that are read again for their words."""


def scan_text(text: str, *, hint: str = "", least: float = 0.5) -> tuple[Hit, ...]:
    """The personal data and secrets in `text`, in order, without overlaps, with a score of `least` or more.

    `hint` is what is known of the whole text, such as the name of its column. Time and memory grow linearly with the text.
    """
    page = Page(text, hint)
    found = [hit for finder in (numbers, tokens, anchors, secrets) for hit in finder.find(page) if hit.score >= least]
    return resolve(found)


def scan_texts(texts: Sequence[str], *, hint: str = "", least: float = 0.5) -> list[tuple[Hit, ...]]:
    """`scan_text` of each, many times faster for short texts: they are read together, and nothing reaches from one into another."""
    results: list[tuple[Hit, ...]] = []
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text) + 1
        if size >= BATCH:
            results += _together(batch, hint, least)
            batch, size = [], 0
    return results + _together(batch, hint, least) if batch else results


def _together(texts: list[str], hint: str, least: float) -> list[tuple[Hit, ...]]:
    starts = list(accumulate((len(text) + 1 for text in texts), initial=0))
    found: list[tuple[Hit, ...]] = [()] * len(texts)
    for hit in scan_text(EDGE.join(texts), hint=hint, least=least):
        i = bisect_right(starts, hit.start) - 1
        offset = starts[i]
        found[i] = (*found[i], Hit(hit.kind, hit.start - offset, hit.end - offset, hit.value, hit.score, hit.why))
    return found


def scan_pieces(pieces: Iterable[str], *, hint: str = "", least: float = 0.5) -> Iterator[Hit]:
    """The hits of a text that comes in pieces, cut anywhere; offsets are those of the whole. Memory stays that of a piece or two."""
    buffer, offset, done = "", 0, 0
    for piece in pieces:
        buffer += piece
        if len(buffer) < 2 * HOLD:
            continue
        cut = _safe_cut(buffer)
        for hit in scan_text(buffer, hint=hint, least=least):
            if done <= hit.start + offset < cut + offset:
                yield _moved(hit, offset)
        done = offset + cut
        keep = max(0, cut - LOOK_BACK)
        buffer, offset = buffer[keep:], offset + keep
    for hit in scan_text(buffer, hint=hint, least=least):
        if hit.start + offset >= done:
            yield _moved(hit, offset)


def _safe_cut(buffer: str) -> int:
    """A place to cut that hits are unlikely to lie across: the last end of a line in what is held back, else its beginning."""
    line = buffer.rfind("\n", len(buffer) - HOLD, len(buffer) - HOLD // 2)
    return line + 1 if line >= 0 else len(buffer) - HOLD


def _moved(hit: Hit, offset: int) -> Hit:
    return msgspec.structs.replace(hit, start=hit.start + offset, end=hit.end + offset)
