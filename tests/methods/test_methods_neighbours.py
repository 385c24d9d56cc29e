"""Neighbours: exact by either engine, never the row itself, and told where rows cannot be compared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.methods.neighbours import neighbours
from bartizan.model.errors import InputError


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 60), st.integers(1, 6), st.integers(1, 9), st.integers(0, 2**31))
def test_both_engines_agree_with_all_pairs(rows: int, width: int, k: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    apart = np.sqrt(np.square(x[:, None].astype(float) - x[None]).sum(axis=2))
    np.fill_diagonal(apart, np.inf)
    truth = np.sort(apart, axis=1)[:, : min(k, rows - 1)]
    for engine in ("faiss", "numpy"):
        if engine == "faiss":
            pytest.importorskip("faiss")
        graph = neighbours(x, k, engine=engine)
        assert not (graph.index == np.arange(rows)[:, None]).any()
        np.testing.assert_allclose(graph.distance, truth, atol=2e-3)


@pytest.mark.parametrize("engine", ["faiss", "numpy"])
def test_equal_rows_are_neighbours_of_one_another_but_not_of_themselves(engine: str) -> None:
    if engine == "faiss":
        pytest.importorskip("faiss")
    graph = neighbours(np.ones((12, 3)), 4, engine=engine)
    assert graph.index.shape == (12, 4)
    assert not (graph.index == np.arange(12)[:, None]).any()
    assert float(graph.distance.max()) < 1e-3


def test_rows_far_from_zero_keep_their_order() -> None:
    x = np.array([[1e6], [1e6 + 1], [1e6 + 3], [1e6 + 7]])
    assert neighbours(x, 1, engine="numpy").index[:, 0].tolist() == [1, 0, 1, 2]


def test_neighbours_among_others() -> None:
    graph = neighbours([[0.0], [10.0]], 1, among=[[9.0], [1.0], [4.0]])
    assert graph.index[:, 0].tolist() == [1, 0]
    assert graph.distance[:, 0] == pytest.approx([1.0, 1.0])


def test_what_cannot_be_compared_is_told() -> None:
    with pytest.raises(InputError, match="missing or infinite"):
        neighbours([[0.0], [np.nan]], 1)
    with pytest.raises(InputError, match="no neighbours"):
        neighbours([[0.0]], 1)
    with pytest.raises(InputError, match="2 and of 1"):
        neighbours([[0.0, 1.0]], 1, among=[[1.0]])
