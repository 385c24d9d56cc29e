"""Rows as vectors: numbers at the ends of what a float holds stay finite, without a word from the library."""

from __future__ import annotations

import warnings

import pytest

from bartizan.methods.descriptors import _numbers

np = pytest.importorskip("numpy")


@pytest.mark.parametrize("cells", [[1e308, -1e308, 0.0, 5.0], [1e308, 1e308, 1e308, -1e308, float("nan")], [float("inf"), 1.0, 2.0, 3.0]])
def test_the_largest_numbers_have_finite_vectors(cells: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = _numbers(np.array(cells * 10))
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 10
