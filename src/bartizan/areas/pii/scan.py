"""Scans texts for personal data and secrets: one text, many at once, or a stream of pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec.structs import force_setattr

from bartizan.areas.pii import anchors, numbers, secrets, tokens
from bartizan.areas.pii.hits import Hit, resolve
from bartizan.areas.pii.page import EDGE, Page

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    results: list[tuple[Hit, ...]] = [()] * len(texts)
    plain = np.fromiter(map(str.isascii, texts), np.bool_, len(texts))
    sizes = np.fromiter(map(len, texts), np.intp, len(texts)) + 1
    for alike in (np.flatnonzero(plain), np.flatnonzero(~plain)):  # texts beyond ASCII cost more to read, so that they are kept apart
        ends = np.cumsum(sizes[alike])
        cuts = np.searchsorted(ends, np.arange(BATCH, int(ends[-1]) + BATCH, BATCH)) + 1 if len(ends) else []
        low = 0
        for cut in cuts:
            if low < len(alike):
                for number, hit in _together(texts, alike[low:cut], sizes[alike[low:cut]], (hint, least)):
                    results[number] += (hit,)
            low = max(low, int(cut))
    return results


def _together(texts: Sequence[str], which: NDArray[np.intp], sizes: NDArray[np.intp], how: tuple[str, float]) -> Iterator[tuple[int, Hit]]:
    """The hits of the texts with the numbers `which`, scanned as one, each with the number of its text; `sizes` are those of `which`."""
    hits = scan_text(EDGE.join([texts[number] for number in which.tolist()]), hint=how[0], least=how[1])
    starts = np.cumsum(sizes) - sizes
    owners = np.searchsorted(starts, [hit.start for hit in hits], "right") - 1
    for hit, number, offset in zip(hits, which[owners].tolist(), starts[owners].tolist(), strict=True):
        if offset:  # the hit was made here, and nobody else holds it yet
            force_setattr(hit, "start", hit.start - offset)
            force_setattr(hit, "end", hit.end - offset)
        yield number, hit


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
