"""Which groups of a table of figures are hidden, so that none of few rows can be had from all totals over fewer of the same columns.

A group is *sensitive* where fewer than k of its rows hold a value, or where one row makes up nearly all of a sum (the dominance rule;
Hundepool et al., Statistical Disclosure Control, 2012, ch. 4). Every value of a column has a partner, the same in all tables of these rows.
With a sensitive group, the groups are hidden in which some of its values are replaced by their partners. Adding an amount to the
group, taking it from those in which one value is replaced, adding it to those with two, and so on, changes no total over fewer columns and
no figure that is shown; the tables over fewer columns hide the same about the same rows. So no sum of figures, over however many tables,
determines the group. Then more are hidden until the hidden rows of each total are at least k and none of them makes up nearly all of it.

Each measured column is judged by itself, whatever else is asked with it: otherwise two questions would complete each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from bartizan.areas.access.tables import polars

DOMINANT = 0.9
"""Share of a sum beyond which one row gives its value away."""


def hidden_groups(table: Any, names: Sequence[str], measured: int, smallest: int) -> Any:
    """Which rows of `table`, the groups by its columns `names`, are hidden, as booleans in a Series.

    `table` has a column `rows`, and for each of the `measured` columns its values `n0`, the largest `x0` and the sum `a0` of their sizes.
    The order of `names` decides between equals, so give the same one for the same columns.
    """
    pl = polars()
    found = pl.Series("hidden", [False] * len(table), dtype=pl.Boolean)
    judged = [(pl.col("rows"), pl.lit(0.0), pl.lit(0.0))]
    judged += [(pl.min_horizontal("rows", f"n{n}"), pl.col(f"x{n}").fill_null(0.0), pl.col(f"a{n}")) for n in range(measured)]
    for count, largest, total in judged:
        part = table.select(*names, count.alias("n"), largest.alias("x"), total.alias("a")).with_row_index("place")
        one = _of_one(part.sort(list(names), maintain_order=True) if names else part, list(names), smallest)
        found |= one.sort("place")["hidden"]
    return found


def _of_one(table: Any, names: list[str], smallest: int) -> Any:
    """`table` with the column `hidden`, as one measured column makes it."""
    pl = polars()
    table = table.with_columns(hidden=(pl.col("n") < smallest) | _ruled(pl.col("x"), pl.col("a")))
    if not names or not table["hidden"].any():
        return table
    table = _with_partners(table, names)
    totals = [list(part) for size in range(len(names)) for part in itertools.combinations(names, size)]
    changed = True
    while changed:
        changed = False
        for part in totals:
            more = _completing(table, part, smallest)
            if more.any():
                table, changed = table.with_columns(hidden=table["hidden"] | more), True
    return table


def _ruled(largest: Any, total: Any) -> Any:
    return (largest > DOMINANT * total) & (total > 0)


def _with_partners(table: Any, names: list[str]) -> Any:
    """Hide what stands around each hidden group: the groups in which some of its values are replaced by their partners."""
    pl = polars()
    around = table.filter("hidden").select(names)
    for name in names:
        values = table.group_by(name).agg(pl.col("n").sum()).sort("n", name)[name]
        others = [_partner(place, len(values)) for place in range(len(values))]
        partners = pl.DataFrame({name: values, "other": values.gather(others)})
        replaced = around.join(partners, on=name, how="left", nulls_equal=True).with_columns(pl.col("other").alias(name)).select(names)
        around = pl.concat([around, replaced]).unique()
    marked = around.with_columns(around=pl.lit(True))
    return table.join(marked, on=names, how="left", nulls_equal=True, maintain_order="left").with_columns(
        hidden=pl.col("hidden") | pl.col("around").fill_null(False)
    ).drop("around")  # fmt: skip


def _partner(place: int, count: int) -> int:
    """The neighbour in a row of pairs; the one that is left over takes the one before it, a single value has itself."""
    other = place ^ 1
    return other if other < count else max(place - 1, 0)


def _completing(table: Any, part: list[str], smallest: int) -> Any:
    """In each total over `part` whose hidden rows are too few, or one row nearly all of them, the smallest group that is still shown. Where
    one row makes up nearly all of the total too, that is hidden itself."""
    pl = polars()
    within = part or [pl.lit(0)]
    hidden = pl.col("hidden")
    few = pl.col("n").filter(hidden).sum().over(within) < smallest
    ruled = _ruled(pl.col("x").filter(hidden).max().over(within), pl.col("a").filter(hidden).sum().over(within))
    told = ~_ruled(pl.col("x").max().over(within), pl.col("a").sum().over(within))
    wanting = (few | (ruled.fill_null(False) & told)) & hidden.any().over(within) & ~hidden
    order = pl.when(wanting).then(pl.col("n")).otherwise(None).rank("ordinal").over(within)
    return table.select((wanting & (order == 1)).fill_null(False).alias("more"))["more"]
