"""Groups of rows that look alike: k-anonymity, l-diversity and t-closeness measured, and reached by Mondrian's cuts.

Sources: Samarati (2001) and Sweeney (2002) for k; Machanavajjhala et al. (2007) for l; Li, Li and Venkatasubramanian (2007) for t;
LeFevre, DeWitt and Ramakrishnan (2006) for Mondrian. All partitions of a level are cut at once, in arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import numpy as np

from bartizan.model.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Ints: TypeAlias = "NDArray[np.int64]"
SHOWN_VALUES = 8
"""Most values that a generalised group of names lists; more become `*`."""
_BINS = 64  # of a sensitive number, for its distribution


class Likeness(msgspec.Struct, frozen=True):
    """How well the rows hide in their groups of equal quasi-identifiers.

    `k` is the smallest group, `diversity` (l) the fewest different sensitive values in a group, `closeness` (t) the largest distance of a
    group's distribution from that of all rows (earth mover's; 0 to 1). An attacker who knows that a person is in the table and knows all
    quasi-identifiers finds the right row with the probability `highest_risk` at worst and `average_risk` on average. `unique` rows stand
    alone.
    """

    rows: int
    groups: int
    k: int
    diversity: int | None
    closeness: float | None
    highest_risk: float
    average_risk: float
    unique: int


class Grouping(msgspec.Struct, frozen=True):
    """Mondrian's result: the group of each row, and for each column its codes with what they mean."""

    group: Any
    columns: dict[str, list[str]]


def likeness(columns: Mapping[str, Sequence[Any]], quasi: Sequence[str], sensitive: Sequence[str] = ()) -> Likeness:
    """Measure k, l and t of a table whose `columns` all have the same length. Empty values count as a value of their own."""
    group = np.zeros(_length(columns, [*quasi, *sensitive]), np.int64)
    for name in quasi:
        codes = _codes(columns[name])[0]
        group = np.unique(group * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)[1].astype(np.int64)
    return _measured(group, [_sensitive_codes(columns[name]) for name in sensitive])


def _measured(group: Ints, sensitive: Sequence[tuple[Ints, bool]]) -> Likeness:
    sizes = np.bincount(group)
    n = len(group)
    ls = [int(_distinct(group, codes, len(sizes)).min()) for codes, _ in sensitive]
    ts = [float(_distance(group, codes, len(sizes), ordered=ordered).max()) for codes, ordered in sensitive]
    return Likeness(n, len(sizes), int(sizes.min()), min(ls) if ls else None, max(ts) if ts else None, 1 / int(sizes.min()), len(sizes) / n,
                    int((sizes == 1).sum()))  # fmt: skip


def mondrian(columns: Mapping[str, Sequence[Any]], quasi: Sequence[str], k: int, *, sensitive: Sequence[str] = (), diversity: int = 1,
             closeness: float = 1.0) -> Grouping:  # fmt: skip
    """Coarsen the columns `quasi` until every row shares them with at least `k` - 1 others.

    Each group also has `diversity` different values of every `sensitive` column and a distribution within `closeness` of the whole.
    Numbers become ranges `low to high`, other values lists `a|b`, beyond eight `*`. Raises `InputError` where the table as a whole cannot
    meet the wish.
    """
    n = _length(columns, [*quasi, *sensitive])
    if n < k or k < 1:
        raise InputError(f"{n} rows cannot make groups of {k}", cure=f"ask for a k from 1 to {n}")
    encoded = [_codes(columns[name]) for name in quasi]
    kept = [_sensitive_codes(columns[name]) for name in sensitive]
    if any(len(np.unique(codes)) < diversity for codes, _ in kept):
        raise InputError(f"a sensitive column has fewer than {diversity} different values", cure="ask for a smaller diversity")
    data = np.stack([codes for codes, _ in encoded]) if encoded else np.zeros((0, n), np.int64)
    ranks = np.stack([_spread(values)[codes] for codes, values in encoded]) if encoded else np.zeros((0, n))
    group = _cut_all(data, ranks, k, _Wish(kept, diversity, closeness))
    return Grouping(group, {name: _generalised(codes, values, group) for name, (codes, values) in zip(quasi, encoded, strict=True)})


class _Wish:
    """What both halves of a cut must keep beside their size."""

    def __init__(self, sensitive: Sequence[tuple[Ints, bool]], diversity: int, closeness: float) -> None:
        self.sensitive, self.diversity, self.closeness = sensitive, diversity, closeness

    def kept(self, group: Ints, count: int) -> NDArray[np.bool_]:
        """For each of `count` groups: does it keep the wish?"""
        good = np.ones(count, np.bool_)
        for codes, ordered in self.sensitive:
            if self.diversity > 1:
                good &= _distinct(group, codes, count) >= self.diversity
            if self.closeness < 1:
                good &= _distance(group, codes, count, ordered=ordered) <= self.closeness
        return good


def _cut_all(data: Ints, ranks: NDArray[np.float64], k: int, wish: _Wish) -> Ints:
    """The group of each row after all cuts that leave `k` rows on both sides and keep the wish."""
    dimensions, n = data.shape
    group = np.zeros(n, np.int64)
    count = 1
    open_ = np.ones(1, np.bool_)
    while open_.any() and dimensions:
        tried = np.zeros((dimensions, count), np.bool_)
        done = ~open_
        grown, total = group, count
        for _ in range(dimensions):
            width = _widths(ranks, group, count)
            width[tried] = -1.0
            best = width.argmax(axis=0)
            active = ~done & (width[best, np.arange(count)] > 0)
            if not active.any():
                break
            tried[best[active], np.flatnonzero(active)] = True
            grown, total, cut = _cut(data, group, (best, active), k, (grown, total), wish)
            done |= cut
        if total == count:
            break
        open_ = np.bincount(grown, minlength=total) >= 2 * k
        group, count = grown, total
    return group


def _widths(ranks: NDArray[np.float64], group: Ints, count: int) -> NDArray[np.float64]:
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(count))
    return np.stack([np.maximum.reduceat(row[order], starts) - np.minimum.reduceat(row[order], starts) for row in ranks])


def _cut(data: Ints, group: Ints, chosen: tuple[Ints, NDArray[np.bool_]], k: int, grown: tuple[Ints, int],
         wish: _Wish) -> tuple[Ints, int, NDArray[np.bool_]]:  # fmt: skip
    """Cut each active group at the value nearest to its median: the new groups, their number, and which were cut."""
    best, active = chosen
    rows = np.flatnonzero(active[group])
    value = data[best[group[rows]], rows]
    order = rows[np.lexsort((value, group[rows]))]
    held = group[order]
    value = data[best[held], order]
    first = np.flatnonzero(np.concatenate(([True], held[1:] != held[:-1])))
    behind = np.concatenate((first[1:], [len(order)]))
    turn = np.flatnonzero(np.concatenate(([True], (held[1:] != held[:-1]) | (value[1:] != value[:-1]), [True])))
    middle = first + (behind - first) // 2
    at = np.searchsorted(turn, middle)
    above, below = turn[np.minimum(at, len(turn) - 1)], turn[np.maximum(at - 1, 0)]
    fits = [(c - first >= k) & (behind - c >= k) for c in (above, below)]
    near = np.where(fits[0] & (~fits[1] | (above - middle <= middle - below)), above, below)
    good = fits[0] | fits[1]
    new_group, total = grown
    fresh = np.full(len(first), -1, np.int64)
    fresh[good] = total + np.arange(int(good.sum()))
    which = np.repeat(np.arange(len(first)), behind - first)
    upper = good[which] & (np.arange(len(order)) >= near[which])
    trial = new_group.copy()
    trial[order[upper]] = fresh[which[upper]]
    total += int(good.sum())
    cut = np.zeros(len(active), np.bool_)
    cut[held[first[good]]] = True
    if wish.sensitive and good.any():
        trial, total, cut = _undone(trial, total, (held[first], fresh, good), new_group, wish, cut)
    return trial, total, cut


def _undone(trial: Ints, total: int, made: tuple[Ints, Ints, NDArray[np.bool_]], before: Ints, wish: _Wish,
            cut: NDArray[np.bool_]) -> tuple[Ints, int, NDArray[np.bool_]]:  # fmt: skip
    """Take back the cuts one half of which does not keep the wish, and close the gaps in the numbers."""
    old, fresh, good = made
    kept = wish.kept(trial, total)
    bad = good & ~(kept[old] & kept[np.maximum(fresh, 0)])
    if bad.any():
        back = np.zeros(total, np.bool_)
        back[fresh[bad]] = True
        trial = np.where(back[trial], before, trial)
        cut[old[bad]] = False
        numbers = np.cumsum(~back) - 1
        trial, total = numbers[trial], total - int(back.sum())
    return trial, total, cut


def _distinct(group: Ints, codes: Ints, count: int) -> Ints:
    """Different codes in each group."""
    width = int(codes.max(initial=0)) + 1
    return np.bincount(np.unique(group * width + codes) // width, minlength=count)


def _distance(group: Ints, codes: Ints, count: int, *, ordered: bool) -> NDArray[np.float64]:
    """Earth mover's distance of each group's distribution from that of all: ordered steps for numbers, equal ones for other values."""
    width = int(codes.max(initial=0)) + 1
    counts = np.bincount(group * width + codes, minlength=count * width).reshape(count, width)
    difference = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) - counts.sum(axis=0) / len(codes)
    if ordered:
        return np.asarray(np.abs(np.cumsum(difference, axis=1)).sum(axis=1) / max(width - 1, 1))
    return np.asarray(np.abs(difference).sum(axis=1) / 2)


def _length(columns: Mapping[str, Sequence[Any]], names: Sequence[str]) -> int:
    missing = [name for name in names if name not in columns]
    if missing:
        raise InputError(f"there is no column '{missing[0]}'", cure="known: " + ", ".join(list(columns)[:20]))
    if not names:
        raise InputError("no quasi-identifying column is named", cure="name those that together could single a person out")
    return len(columns[names[0]])


def _codes(values: Sequence[Any]) -> tuple[Ints, list[Any]]:
    """Codes in the order of the values, numbers by size, others by text; and the values, None for an empty one, which comes first."""
    array = np.asarray(values)
    if array.dtype.kind in "iufb":
        known, codes = np.unique(array, return_inverse=True)
        if array.dtype.kind == "f" and np.isnan(known).any():
            number = int((~np.isnan(known)).sum())
            codes = np.where(codes >= number, 0, codes + 1)
            return codes.astype(np.int64), [None, *known[:number].tolist()]
        return codes.astype(np.int64), known.tolist()
    texts = np.array(["" if v is None or v != v else str(v) for v in array.tolist()])
    known, codes = np.unique(texts, return_inverse=True)
    return codes.astype(np.int64), [text or None for text in known.tolist()]


def _spread(values: list[Any]) -> NDArray[np.float64]:
    """Where each value lies between 0 and 1: numbers by size, others by order."""
    if all(isinstance(v, int | float) for v in values):
        numbers = np.array(values, np.float64)
        return np.asarray((numbers - numbers[0]) / max(numbers[-1] - numbers[0], 1e-300))
    return np.arange(len(values)) / max(len(values) - 1, 1)


def _sensitive_codes(values: Sequence[Any]) -> tuple[Ints, bool]:
    """Codes of a sensitive column, and whether they are ordered; many different numbers are put into bins of equal counts."""
    codes, known = _codes(values)
    ordered = all(isinstance(v, int | float) for v in known)
    if ordered and len(known) > _BINS:
        share = np.cumsum(np.bincount(codes)) / len(codes)
        codes = np.minimum((share * _BINS).astype(np.int64), _BINS - 1)[codes]
        codes = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    return codes, ordered


def _generalised(codes: Ints, known: list[Any], group: Ints) -> list[str]:
    """The text that each row's group has in common."""
    count = int(group.max()) + 1
    order = np.lexsort((codes, group))
    starts = np.searchsorted(group[order], np.arange(count))
    low, high = np.minimum.reduceat(codes[order], starts), np.maximum.reduceat(codes[order], starts)
    if all(isinstance(v, int | float) for v in known):
        texts = [
            f"{known[a]:.15g}" if a == b else f"{known[a]:.15g} to {known[b]:.15g}"
            for a, b in zip(low.tolist(), high.tolist(), strict=True)
        ]
    elif all(isinstance(v, str) and v.isdecimal() and len(v) == len(known[0]) for v in known):
        texts = [known[a] if a == b else f"{known[a]} to {known[b]}" for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    else:
        pairs = np.unique(group * len(known) + codes)
        parts = np.split(pairs % len(known), np.flatnonzero(np.diff(pairs // len(known))) + 1)
        texts = ["*" if len(part) > SHOWN_VALUES else "|".join(str(known[c] or "") for c in part) for part in parts]
    return [texts[g] for g in group.tolist()]
