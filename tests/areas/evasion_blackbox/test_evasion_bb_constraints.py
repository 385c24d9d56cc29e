"""Constraints: whatever is proposed, the repaired row obeys; what a row alone breaks is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.areas.evasion.constraints import Constraints, Cost, Sum
from bartizan.model.errors import InputError, UnknownName

EVERYTHING = Constraints(
    immutable=(0,),
    integer=(1, 2),
    one_hot=((3, 4, 5),),
    allowed={6: (0.0, 0.5, 1.0, 2.0)},
    low={7: 0.0},
    high={7: 1.0},
    only_up=(8,),
    at_least=((7, 9), (1, 2)),
    sums=(Sum(weights={10: 1, 11: 1, 12: 1}, low=1, high=1),),
    most_change={7: 0.3},
    cost={1: Cost(up=2), 3: Cost(), 4: Cost(), 10: Cost(up=1, down=3)},
    budget=4.0,
)


def rows(seed: int, n: int, dtype: Any) -> np.ndarray:
    """Valid rows for `EVERYTHING`."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 13))
    x[:, 1], x[:, 2] = random.integers(3, 9, n), random.integers(0, 4, n)
    x[:, 3:6] = np.eye(3)[random.integers(0, 3, n)]
    x[:, 6] = random.choice([0, 0.5, 1, 2], n)
    x[:, 7] = random.random(n)
    x[:, 9] = x[:, 7] - random.random(n)
    x[:, 10:] = random.dirichlet(np.ones(3), n)
    return x.astype(dtype)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-6, 0.1, 1.0, 30.0, 1e9]), single=st.booleans())
def test_whatever_is_proposed_the_repaired_row_obeys(seed: int, scale: float, single: bool) -> None:
    dtype = np.float32 if single else np.float64
    rules = EVERYTHING.rules(13)
    origin = rows(seed, 8, dtype)
    assert rules.valid(origin).all()
    assert rules.obeys(origin, origin).all()
    proposed = (origin + scale * np.random.default_rng(seed + 1).normal(size=origin.shape)).astype(dtype)
    repaired = rules.repair(origin, proposed)
    assert repaired.dtype == dtype
    assert rules.obeys(origin, repaired).all()
    assert rules.obeys(origin, rules.repair(origin, repaired)).all()
    assert (repaired[:, 0] == origin[:, 0]).all()
    assert (repaired[:, 8] >= origin[:, 8]).all()
    assert (rules.spent(origin, repaired) <= 4.0 * (1 + 1e-6)).all()


def test_nothing_that_can_be_kept_is_thrown_away() -> None:
    rules = Constraints(low={0: 0.0}, high={0: 1.0}).rules(2)
    assert rules.repair(np.array([[0.5, 0.0]]), np.array([[0.7, 3.0]])).tolist() == [[0.7, 3.0]]
    sums = Constraints(sums=(Sum(weights={0: 1, 1: 1}, low=1, high=1),)).rules(2)
    np.testing.assert_allclose(sums.repair(np.array([[0.5, 0.5]]), np.array([[0.9, 0.5]])), [[0.7, 0.3]])  # the nearest point of the line
    costly = Constraints(cost={0: Cost(up=1, down=np.inf)}, budget=0.5).rules(1)
    np.testing.assert_allclose(costly.repair(np.zeros((1, 1)), np.array([[2.0]])), [[0.5]])
    assert costly.repair(np.zeros((1, 1)), np.array([[-2.0]])).tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [(1, 3.5, "integer"), (3, 0.5, "one-hot"), (6, 0.7, "not allowed"), (7, 1.5, "above"), (9, 5.0, "less than"), (10, 3.0, "sum")],
)
def test_rows_that_break_a_rule_are_named_with_it(column: int, value: float, rule: str) -> None:
    x = rows(0, 3, np.float64)
    x[1, column] = value
    told = EVERYTHING.rules(13).screen(x)
    assert list(told) == [1]
    assert rule in told[1]
    x[2, 0] = np.nan
    assert "finite" in EVERYTHING.rules(13).screen(x)[2]


def test_columns_by_name_and_constraints_that_cannot_be() -> None:
    named = Constraints(columns=("age", "income"), immutable=("age",), only_up=("income",)).rules(2)
    assert named.frozen.tolist() == [True, False]
    with pytest.raises(UnknownName, match="did you mean 'income'"):
        Constraints(columns=("age", "income"), immutable=("incom",)).rules(2)
    for wrong in (
        Constraints(immutable=(5,)),
        Constraints(low={0: 2.0}, high={0: 1.0}),
        Constraints(columns=("one",)),
        Constraints(budget=-1),
    ):
        with pytest.raises(InputError):
            wrong.rules(2)
