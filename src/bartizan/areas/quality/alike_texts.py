"""Near-duplicate texts: every pair whose weighted overlap reaches the threshold, each confirmed, however common the boilerplate.

A text is the set of its word pairs, each weighted by how rare it is in the collection, so that a shared header counts for little. Pairs
are found by the prefix filter (Chaudhuri, Ganti and Kaushik 2006; Bayardo, Ma and Srikant 2007): two texts that overlap enough share at
least one of their rarest parts. Unlike sketches (MinHash) it loses no pair, and what it finds is confirmed on the sets themselves.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

THRESHOLD = 0.5
"""Weighted overlap (Jaccard) from which two texts are near duplicates: about one word in eight changed."""

MAX_PAIRS = 30_000_000
"""Most candidate pairs that are confirmed."""

_WORD = re.compile(r"\w+", re.UNICODE)
_LONG = 24
_CHUNK = 20_000
_CROWD = 400
"""From so many texts with one rare part, each is compared with the first of them and with its neighbours in length alone."""


@dataclass(frozen=True)
class NearTexts:
    """Confirmed pairs (m, 2) of rows, `left` < `right`, with their `overlap` in (0, 1]; `truncated` where the search was cut short."""

    left: Ints
    right: Ints
    overlap: Floats
    truncated: bool


@dataclass(frozen=True)
class _Sets:
    """All texts as sets: parts of text i are `parts[start[i]:start[i + 1]]`, rarest first, with their weights."""

    start: Ints
    parts: Ints
    weights: Floats
    total: Floats


def near_texts(texts: Sequence[str], *, threshold: float = THRESHOLD, split: int | None = None) -> NearTexts:
    """All pairs of `texts` whose weighted overlap is at least `threshold` (0 to 1, not 0).

    split: with it, only pairs of one text before and one from this place on (training and test)
    """
    sets = _sets(texts)
    left, right, truncated = _candidates(sets, threshold, split)
    overlap = _overlaps(sets, left, right)
    near = overlap >= threshold - 1e-9
    return NearTexts(left[near], right[near], overlap[near], truncated)


def clusters(found: NearTexts, rows: int) -> Ints:
    """For each of `rows` texts the first text of its group, (rows,): itself where it has none.

    Each member overlaps with the first of its group; texts are not chained, so that a group does not grow by hearsay.
    """
    leader = np.arange(rows)
    order = np.lexsort((-found.overlap, found.left))
    heads = np.ones(rows, dtype=bool)
    for place in order:
        a, b = found.left[place], found.right[place]
        if heads[a] and leader[b] == b and heads[b]:
            leader[b], heads[b] = a, False
    return leader


def _parts_of(text: str) -> set[int]:
    """Hashed pairs of words; of characters where the text does not part its words."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = _WORD.findall(folded)
    if words and sum(map(len, words)) > _LONG * len(words) / 2:
        run = "".join(words)
        return {zlib.crc32(run[i : i + 4].encode()) for i in range(max(1, len(run) - 3))}
    padded = ["", *words]
    return {zlib.crc32(f"{a} {b}".encode()) for a, b in itertools.pairwise(padded)}


def _sets(texts: Sequence[str]) -> _Sets:
    bags = [_parts_of(text) for text in texts]
    lengths = np.array([len(bag) for bag in bags], dtype=np.int64)
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    flat = np.fromiter((part for bag in bags for part in bag), dtype=np.int64, count=int(start[-1]))
    _, parts, present = np.unique(flat, return_inverse=True, return_counts=True)
    rarity = np.log((1.0 + len(texts)) / present) + 1e-3
    owner = np.repeat(np.arange(len(texts)), lengths)
    order = np.lexsort((parts, -rarity[parts], owner))
    parts = parts[order].astype(np.int64)
    weights = rarity[parts]
    total = np.bincount(owner, weights=weights, minlength=len(texts)).astype(np.float64)
    return _Sets(start, parts, weights, total)


def _candidates(sets: _Sets, threshold: float, split: int | None) -> tuple[Ints, Ints, bool]:
    """Pairs that share a part of their prefixes: the rarest parts up to 1 - threshold of the weight, and one more."""
    owner = np.repeat(np.arange(len(sets.total)), np.diff(sets.start))
    before = np.cumsum(sets.weights) - sets.weights
    before -= before[np.minimum(sets.start[:-1], max(len(before) - 1, 0))][owner] if len(before) else 0.0
    kept = before <= (1.0 - threshold) * sets.total[owner] + 1e-9
    parts, owner = sets.parts[kept], owner[kept]
    order = np.lexsort((sets.total[owner], parts))
    parts, owner = parts[order], owner[order]
    edges = np.flatnonzero(np.diff(parts, prepend=-1, append=-1))
    keys, spent, truncated = [np.zeros(0, np.int64)], 0, False
    for a, b in _groups(edges, owner, sets.total, threshold):
        if split is not None:
            across = (a < split) != (b < split)
            a, b = a[across], b[across]
        spent += len(a)
        keys.append(np.minimum(a, b) * len(sets.total) + np.maximum(a, b))
        if spent > MAX_PAIRS:
            truncated = True
            break
    found = np.unique(np.concatenate(keys))
    return found // len(sets.total), found % len(sets.total), truncated


def _groups(edges: Ints, owner: Ints, total: Floats, threshold: float) -> Iterator[tuple[Ints, Ints]]:
    """Pairs within each group of texts that share a part, lightest first; those too unlike in weight for the threshold are left out."""
    sizes = np.diff(edges)
    for size in np.unique(sizes[sizes > 1]):
        firsts = edges[:-1][sizes == size]
        if size <= _CROWD:
            i, j = np.triu_indices(int(size), 1)
        else:
            i, j = _thinned(int(size))
        step = max(1, 2_000_000 // len(i))
        for at in range(0, len(firsts), step):
            part = firsts[at : at + step, None]
            a, b = owner[part + i].ravel(), owner[part + j].ravel()
            fits = total[a] >= threshold * total[b]
            yield a[fits], b[fits]


def _thinned(size: int) -> tuple[Ints, Ints]:
    later = np.arange(1, size)
    steps = [(np.zeros(size - 1, np.int64), later)] + [(np.arange(size - step), np.arange(step, size)) for step in range(1, 51)]
    return np.concatenate([a for a, _ in steps]).astype(np.int64), np.concatenate([b for _, b in steps]).astype(np.int64)


def _overlaps(sets: _Sets, left: Ints, right: Ints) -> Floats:
    """Weighted Jaccard overlap of each pair, on the sets themselves."""
    owner = np.repeat(np.arange(len(sets.total)), np.diff(sets.start))
    width = int(sets.parts.max(initial=0)) + 1
    known = np.sort(owner * width + sets.parts)
    result = np.zeros(len(left))
    for start in range(0, len(left), _CHUNK):
        a, b = left[start : start + _CHUNK], right[start : start + _CHUNK]
        counts = sets.start[a + 1] - sets.start[a]
        pair = np.repeat(np.arange(len(a)), counts)
        places = np.repeat(sets.start[a] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        wanted = b[pair] * width + sets.parts[places]
        at = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
        shared = np.bincount(pair, weights=sets.weights[places] * (known[at] == wanted), minlength=len(a))
        result[start : start + _CHUNK] = shared / np.maximum(sets.total[a] + sets.total[b] - shared, 1e-12)
    return result
