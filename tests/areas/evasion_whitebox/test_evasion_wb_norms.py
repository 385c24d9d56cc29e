"""Projections against brute force and the definition, on NumPy and on torch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bartizan.areas.evasion.norms import NORMS, Space, ascent, dual, known_norm, size, within_l1, within_l2
from bartizan.model.errors import UnknownName

POINTS = arrays(np.float64, (3, 5), elements=st.floats(-2, 2, width=32))


def space(norm: str) -> Space:
    return Space(norm=norm, low=np.zeros(1), high=np.ones(1))


@settings(max_examples=60, deadline=None)
@given(POINTS, st.floats(0.01, 3), st.sampled_from(NORMS))
def test_projection_keeps_radius_and_range_and_leaves_inner_points(x: np.ndarray, eps: float, norm: str) -> None:
    origin = np.clip(np.abs(x[::-1]) / 2, 0, 1)
    radius = np.full(3, round(eps) if norm == "l0" else eps)
    place = space(norm)
    moved = place.project(origin, x, radius)
    assert (size(moved - origin, norm) <= radius + 1e-6).all()
    assert (moved >= 0).all()
    assert (moved <= 1).all()
    again = place.project(origin, moved, radius)
    assert np.allclose(again, moved, atol=1e-5)
    settled = place.settle(origin, x, radius)
    assert (place.distance(origin, settled) <= radius * (1 + 1e-6) + 1e-9).all()


@pytest.mark.parametrize(("norm", "within"), [("l2", within_l2), ("l1", within_l1)])
def test_projection_is_nearest_of_many_feasible_points(norm: str, within: object) -> None:
    random = np.random.default_rng(0)
    delta = random.normal(size=(1, 3)) * 2
    low, high = np.array([[-0.3, -1.0, 0.0]]), np.array([[0.5, 0.2, 1.0]])
    eps = np.array([0.8])
    nearest = within(delta, eps, low, high)  # type: ignore[operator]
    points = random.uniform(low, high, size=(200_000, 3))
    points = points[size(points, norm) <= 0.8]
    brute = np.linalg.norm(points - delta, axis=1).min()
    assert np.linalg.norm(nearest - delta) <= brute + 1e-9
    assert np.linalg.norm(nearest - delta) >= brute - 0.05


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_ascent_is_the_best_unit_step(norm: str) -> None:
    gradient = np.random.default_rng(1).normal(size=(4, 6))
    step = ascent(gradient, norm)
    assert np.allclose(size(step, norm), 1)
    assert np.allclose((step * gradient).sum(1), size(gradient, dual(norm)))


def test_torch_and_numpy_project_alike() -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(2)
    origin, x, eps = random.uniform(size=(5, 8)), random.normal(size=(5, 8)), np.full(5, 2.0)
    for norm in NORMS:
        ours = Space(norm=norm, low=torch.zeros(1, dtype=torch.float64), high=torch.ones(1, dtype=torch.float64))
        theirs = ours.project(torch.tensor(origin), torch.tensor(x), torch.tensor(eps)).numpy()
        assert np.allclose(space(norm).project(origin, x, eps), theirs, atol=1e-9)


def test_names_of_norms() -> None:
    assert known_norm("Linf") == "linf"
    assert known_norm("2") == "l2"
    with pytest.raises(UnknownName):
        known_norm("l3")
