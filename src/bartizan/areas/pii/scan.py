"""Scans texts for personal data and secrets: one text, many at once, or a stream of pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec.structs import force_setattr

from bartizan.areas.pii import anchors, numbers, secrets, tokens
from bartizan.areas.pii.crew import Crew, Found
from bartizan.areas.pii.hits import Hit, resolve
from bartizan.areas.pii.page import EDGE, Page

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 1 << 20
"""Characters that are scanned at once: large enough to be fast, small enough for the arrays to stay in the cache."""
SHARED = 1 << 25
"""Characters from which other processes are worth their start."""
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


def scan_texts(texts: Sequence[str], *, hint: str = "", least: float = 0.5, workers: int = 1) -> list[tuple[Hit, ...]]:
    """`scan_text` of each, many times faster for short texts: they are read together, and nothing reaches from one into another.

    Texts of `SHARED` characters and more are given to `workers` processes, which pays where there are as many idle processors.
    """
    results: list[tuple[Hit, ...]] = [()] * len(texts)
    sizes = np.fromiter(map(len, texts), np.intp, len(texts)) + 1
    batches = list(_batches(texts, sizes))
    if workers < 2 or int(sizes.sum()) < SHARED:
        for batch in batches:
            names = batch.tolist()
            hits, owners, offsets = _together(_chosen(texts, names), sizes[batch], hint, least)
            for hit, owner, offset in zip(hits, owners, offsets, strict=True):
                if offset:  # the hit was made here, and nobody else holds it yet
                    force_setattr(hit, "start", hit.start - offset)
                    force_setattr(hit, "end", hit.end - offset)
                results[names[owner]] += (hit,)
        return results
    with Crew(workers) as crew:
        groups = crew.scan((_chosen(texts, batch.tolist()) for batch in batches), (hint, least), found_in)
        for batch, found in zip(batches, groups, strict=True):
            for number, kind, start, end, score, why in found:
                results[batch[number]] += (Hit(kind, start, end, texts[batch[number]][start:end], score, why),)
    return results


def found_in(texts: list[str], hint: str, least: float) -> Found:
    """What `scan_texts` finds, without the values."""
    sizes = np.fromiter(map(len, texts), np.intp, len(texts)) + 1
    placed = zip(*_together(texts, sizes, hint, least), strict=True)
    return [(owner, hit.kind, hit.start - offset, hit.end - offset, hit.score, hit.why) for hit, owner, offset in placed]


def _chosen(texts: Sequence[str], names: list[int]) -> list[str]:
    return list(itemgetter(*names)(texts)) if len(names) > 1 else [texts[name] for name in names]


def _batches(texts: Sequence[str], sizes: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """The numbers of the texts, in batches of about `BATCH` characters; those beyond ASCII, which cost more to read, are kept apart."""
    plain = np.fromiter(map(str.isascii, texts), np.bool_, len(texts))
    for alike in (np.flatnonzero(plain), np.flatnonzero(~plain)):
        filled = (np.cumsum(sizes[alike]) - sizes[alike]) // BATCH
        yield from np.split(alike, np.flatnonzero(np.diff(filled)) + 1) if len(alike) else ()


def _together(texts: list[str], sizes: NDArray[np.intp], hint: str, least: float) -> tuple[Sequence[Hit], list[int], list[int]]:
    """The hits of `texts`, scanned as one, the number of the text of each, and where that begins; `sizes` are the lengths plus one."""
    hits = scan_text(EDGE.join(texts), hint=hint, least=least)
    starts = np.cumsum(sizes) - sizes
    owners = np.searchsorted(starts, np.fromiter((hit.start for hit in hits), np.intp, len(hits)), "right") - 1
    return hits, owners.tolist(), starts[owners].tolist()


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
