"""Figures over groups: right where they are shown, hidden where they would say something of few rows, by subtraction too."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.areas.access.groups import Figures, Measure, figures, measure
from bartizan.model.errors import InputError, UnknownName

pl = pytest.importorskip("polars")


def asked(rows: list[tuple[Any, ...]], by: list[str], smallest: int = 3) -> Figures:
    frame = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String, "c": pl.Int64, "v": pl.Float64}, orient="row")
    measures = {"n": (Measure.COUNT, "v"), "total": (Measure.SUM, "v"), "mean": (Measure.MEAN, "v")}
    return figures(frame.lazy(), by, measures, smallest)


def many(a: str, b: str, count: int, value: float = 10.0) -> list[tuple[Any, ...]]:
    return [(a, b, 0, value)] * count


def test_figures_are_those_of_the_rows() -> None:
    found = asked([*many("x", "p", 3, 1.0), ("x", "p", 0, None), *many("y", "p", 4, 2.5)], ["a"])
    assert found.frame.rows() == [("x", 4, 3, 3.0, 1.0), ("y", 4, 4, 10.0, 2.5)]
    assert (found.hidden_groups, found.hidden_rows) == (0, 0)


def test_small_groups_are_hidden_and_empty_cells_do_not_count() -> None:
    rows = [*many("x", "p", 2), *many("y", "p", 5), *many("z", "p", 5), ("w", "p", 0, 1.0), *[("w", "p", 0, None)] * 9]
    found = asked(rows, ["a"])
    assert found.frame["a"].to_list() == ["z"]  # x has 2 rows, w one value: together 3 values; y keeps how many rows x has
    assert (found.hidden_groups, found.hidden_rows) == (3, 17)


def test_one_small_group_hides_another() -> None:
    """The total of all less the sum of what is shown would be the one hidden group."""
    found = asked([*many("x", "p", 2), *many("y", "p", 5), *many("z", "p", 7)], ["a"])
    assert found.frame["a"].to_list() == ["z"]
    assert (found.hidden_groups, found.hidden_rows) == (2, 7)


def test_subtraction_within_each_coarser_group() -> None:
    rows = [*many("x", "p", 2), *many("x", "q", 6), *many("x", "r", 9), *many("y", "p", 8), *many("y", "q", 8), *many("y", "r", 8)]
    found = asked(rows, ["a", "b"])
    shown = set(found.frame.select("a", "b").rows())
    assert ("x", "p") not in shown
    assert ("x", "q") not in shown  # else x in all, less q and r, is p
    assert ("y", "p") not in shown or ("y", "q") not in shown  # else p in all, less y, is x with p
    assert ("x", "r") in shown


def test_one_row_that_makes_up_the_sum_is_hidden() -> None:
    rows = [*many("x", "p", 9, 1.0), ("x", "p", 0, 1_000_000.0), *many("y", "p", 9), *many("z", "p", 9)]
    assert "x" not in asked(rows, ["a"]).frame["a"].to_list()
    assert asked(rows, []).frame.is_empty()


def test_a_total_less_what_is_shown_is_not_one_row_either() -> None:
    rows = [*many("x", "p", 9, 1.0), ("x", "p", 0, 1_000.0), *many("y", "p", 9, 50.0), *many("z", "p", 9, 60.0), *many("w", "p", 9, 70.0)]
    total, shown = asked(rows, []).frame["total"][0], asked(rows, ["a"]).frame
    left = total - shown["total"].sum()
    assert "x" not in shown["a"].to_list()
    assert left > 1_000.0 / 0.9


def test_what_else_is_asked_shows_no_more() -> None:
    """Groups that complete each other when two questions hide different ones would give the third away."""
    rows = [("x", 1.0, 1.0)] * 2 + [("y", 1.0, 2.0)] * 5 + [("z", 2.0, None)] * 7 + [("w", 2.0, 4.0)] * 9
    frame = pl.DataFrame(rows, schema={"a": pl.String, "v": pl.Float64, "u": pl.Float64}, orient="row").lazy()
    one, both = {"v": (Measure.SUM, "v")}, {"v": (Measure.SUM, "v"), "u": (Measure.SUM, "u")}
    seen = {*figures(frame, ["a"], one, 3).frame["a"], *figures(frame, ["a"], both, 3).frame["a"]}
    assert len({"x", "y", "z", "w"} - seen) > 1


def test_the_order_of_the_columns_shows_no_more() -> None:
    rows = [row for a in "xyz" for b in "pqr" for row in many(a, b, 2 if a + b == "xp" else 5)]
    first, second = (set(asked(rows, by).frame.select("a", "b").rows()) for by in (["a", "b"], ["b", "a"]))
    assert first == second


def test_numbers_that_are_none_are_empty() -> None:
    rows = [*many("x", "p", 5), ("x", "p", 0, float("nan")), ("x", "p", 0, float("inf"))]
    assert asked(rows, ["a"]).frame.rows() == [("x", 7, 5, 50.0, 10.0)]


def test_limits() -> None:
    with pytest.raises(InputError, match="at most 3 columns"):
        figures(pl.LazyFrame({n: [1] for n in "abcd"}), list("abcd"), {}, 3)
    with pytest.raises(InputError, match="nothing is computed"):
        figures(pl.LazyFrame({"t": ["x"]}), [], {"n": (Measure.SUM, "t")}, 3)
    with pytest.raises(InputError, match="more than 100000 groups"):
        figures(pl.LazyFrame({"k": range(100_002)}), ["k"], {}, 3)
    with pytest.raises(UnknownName, match="unknown measure 'maximum'"):
        measure("maximum")


ROW = st.tuples(st.sampled_from("xyz"), st.sampled_from("pq"), st.integers(0, 2), st.one_of(st.none(), st.floats(-100, 100)))


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, max_size=80), st.sampled_from([["a"], ["a", "b"], ["a", "b", "c"]]), st.integers(2, 6))
def test_no_total_less_what_is_shown_leaves_few(rows: list[tuple[Any, ...]], by: list[str], smallest: int) -> None:
    found = asked(rows, by, smallest)
    width = len(by)
    cells: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        cell = cells.setdefault(row[:width], [0, 0])
        cell[0] += 1
        cell[1] += row[3] is not None
    shown = set(found.frame.select(by).rows())
    for key in shown:
        assert min(cells[key]) >= smallest
    hidden = {key: sizes for key, sizes in cells.items() if key not in shown}
    assert (found.hidden_groups, found.hidden_rows) == (len(hidden), sum(sizes[0] for sizes in hidden.values()))
    for size in range(width):
        for part in itertools.combinations(range(width), size):
            totals: dict[tuple[Any, ...], list[int]] = {}
            for key, sizes in hidden.items():
                total = totals.setdefault(tuple(key[i] for i in part), [0, 0])
                total[0] += sizes[0]
                total[1] += sizes[1]
            for total_key, total in totals.items():
                some_shown = any(tuple(key[i] for i in part) == total_key for key in shown)
                assert min(total) >= smallest or not some_shown


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, max_size=120), st.sampled_from([["a", "b"], ["a", "b", "c"]]), st.integers(2, 6))
def test_no_sum_over_all_tables_determines_a_small_group(rows: list[tuple[Any, ...]], by: list[str], smallest: int) -> None:
    """Each figure that is shown is a linear equation in the cells; a small group of any table is no combination of them."""
    frame = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String, "c": pl.Int64, "v": pl.Float64}, orient="row").lazy()
    domain = {"a": "xyz", "b": "pq", "c": range(3)}
    present = [sorted({row["abc".index(name)] for row in rows}) for name in by]
    assert all(set(values) <= set(domain[name]) for name, values in zip(by, present, strict=True))
    cells = list(itertools.product(*present))
    known, small = [], []
    for size in range(len(by) + 1):
        for part in itertools.combinations(range(len(by)), size):
            shown = set(figures(frame, [by[i] for i in part], {}, smallest).frame.drop("rows").rows())
            for group in itertools.product(*(present[i] for i in part)):
                count = sum(tuple(row[i] for i in part) == group for row in rows)
                line = [float(tuple(cell[i] for i in part) == group) for cell in cells]
                known += [line] if group in shown or (not part and len(rows) >= smallest) else []
                small += [line] if 0 < count < smallest else []
    rank = np.linalg.matrix_rank(np.array(known)) if known else 0
    assert all(np.linalg.matrix_rank(np.array([*known, line])) > rank for line in small)
