"""Which nodes a flow of data can reach, from where, and by which path: breadth-first search from many nodes at once.

Each arrival carries a label, the set of nodes that make it meaningless for the node itself: nothing reaches a node from itself or by way
of itself. A node keeps an arrival only if some later question needs it, because all kept ones hold what that question has to avoid; a
handful is enough (a representative family of the labels). One search so costs O(nodes + edges) and answers exactly for every target.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

Label: TypeAlias = frozenset[int]


class Arrival(NamedTuple):
    """One way to a node: what it avoids, and the arrival (node, position) it continues; node -1 for a start."""

    label: Label
    before: int
    position: int


class Way(NamedTuple):
    """A path of nodes from `source` to the target, `through` its required intermediate node (None where none is required)."""

    source: int
    through: int | None
    path: tuple[int, ...]


def _avoids_one(kept: list[Arrival], label: Label) -> bool:
    """Whether `label` avoids a node that every kept one holds; at most one more is kept than a label has nodes."""
    if not kept or len(kept) > len(label):
        return not kept
    return not frozenset.intersection(*[a.label for a in kept]) <= label


def _avoids_two(kept: list[Arrival], label: Label) -> bool:
    """The same for labels of one node and questions that avoid two: three different ones are enough."""
    return len(kept) < 3 and all(a.label != label for a in kept)


def _spread(
    successors: Sequence[Sequence[int]], starts: Iterable[tuple[int, Label]], needed: Callable[[list[Arrival], Label], bool]
) -> list[list[Arrival]]:
    arrivals: list[list[Arrival]] = [[] for _ in successors]
    queue: deque[tuple[int, int]] = deque()
    for node, label in starts:
        if needed(arrivals[node], label):
            arrivals[node].append(Arrival(label, -1, 0))
            queue.append((node, len(arrivals[node]) - 1))
    while queue:
        node, position = queue.popleft()
        label = arrivals[node][position].label
        for after in successors[node]:
            kept = arrivals[after]
            if needed(kept, label):
                kept.append(Arrival(label, node, position))
                queue.append((after, len(kept) - 1))
    return arrivals


def _path(arrivals: list[list[Arrival]], node: int, position: int) -> list[int]:
    path = [node]
    while True:
        _, node, position = arrivals[node][position]
        if node < 0:
            return path[::-1]
        path.append(node)


class Reach:
    """All that can be reached from `sources`; where `through` is given, only by way of one of its nodes."""

    def __init__(self, successors: Sequence[Sequence[int]], sources: Iterable[int], through: Iterable[int] | None = None) -> None:
        needed = _avoids_one if through is None else _avoids_two
        self._first = _spread(successors, ((s, frozenset((s,))) for s in sources), needed)
        self._second: list[list[Arrival]] | None = None
        if through is not None:
            starts = ((w, a.label | {w}) for w in through for a in self._first[w] if w not in a.label)
            self._second = _spread(successors, starts, _avoids_one)

    def __contains__(self, target: int) -> bool:
        arrivals = self._first if self._second is None else self._second
        return any(target not in a.label for a in arrivals[target])

    def ways(self, target: int) -> Iterator[Way]:
        """The kept ways to `target`, shortest first: enough to name a second source or intermediate where there is one."""
        if self._second is None:
            for position, arrival in enumerate(self._first[target]):
                if target not in arrival.label:
                    path = _path(self._first, target, position)
                    yield Way(path[0], None, tuple(path))
            return
        for position, arrival in enumerate(self._second[target]):
            if target not in arrival.label:
                tail = _path(self._second, target, position)
                middle = tail[0]
                (source,) = arrival.label - {middle}
                start = next(i for i, a in enumerate(self._first[middle]) if a.label == {source})
                yield Way(source, middle, (*_path(self._first, middle, start), *tail[1:]))
