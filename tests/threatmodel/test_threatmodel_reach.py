"""Reachability against a brute-force search that follows its definition word by word."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.threatmodel.reach import Reach


def after(edges: set[tuple[int, int]], start: int) -> set[int]:
    """The nodes at the end of a walk of at least one step from `start`."""
    seen: set[int] = set()
    front = {b for a, b in edges if a == start}
    while front:
        seen |= front
        front = {b for a, b in edges if a in front} - seen
    return seen


def reached(edges: set[tuple[int, int]], sources: set[int], through: set[int] | None, target: int) -> bool:
    if through is None:
        return any(s != target and target in after(edges, s) for s in sources)
    return any(len({s, w, target}) == 3 and w in after(edges, s) and target in after(edges, w) for s in sources for w in through)


NODES = 6
NODE = st.integers(0, NODES - 1)


@settings(max_examples=600, deadline=None)
@given(st.sets(st.tuples(NODE, NODE), max_size=14), st.sets(NODE, max_size=4), st.none() | st.sets(NODE, max_size=4))
def test_reach_is_exact_and_its_paths_are_real(edges: set[tuple[int, int]], sources: set[int], through: set[int] | None) -> None:
    successors = [sorted(b for a, b in edges if a == node) for node in range(NODES)]
    reach = Reach(successors, sorted(sources), None if through is None else sorted(through))
    for target in range(NODES):
        assert (target in reach) is reached(edges, sources, through, target)
        ways = list(reach.ways(target))
        assert bool(ways) is (target in reach)
        for way in ways:
            assert way.path[0] == way.source in sources
            assert way.path[-1] == target != way.source
            assert all(step in edges for step in zip(way.path, way.path[1:], strict=False))
            if through is not None:
                assert way.through in through
                assert way.through in way.path[1:-1]


def test_a_node_is_no_way_to_itself() -> None:
    """A request and its answer make a cycle; neither end reaches itself, nor by way of itself."""
    successors = [[1], [0]]
    assert 0 not in Reach(successors, [0])
    assert 1 in Reach(successors, [0])
    assert 1 not in Reach(successors, [0], [1])


def test_the_shortest_path_is_told() -> None:
    successors = [[1, 2], [2], [3], []]
    assert next(Reach(successors, [0]).ways(3)).path == (0, 2, 3)
    assert next(Reach(successors, [0], [1]).ways(3)).path == (0, 1, 2, 3)


def test_a_second_source_is_named() -> None:
    assert {way.source for way in Reach([[2], [2], []], [0, 1]).ways(2)} == {0, 1}
