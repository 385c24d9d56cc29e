"""A picture of where personal data lies: the columns of a data set by what they hold. It shows names of columns and counts, no value."""

from __future__ import annotations

from collections.abc import Mapping

from bartizan.areas.pii.columns import Column
from bartizan.methods.charts import MOST_CELLS, heat_map
from bartizan.model.findings import Artefact

BY_NAME = "by name"
"""Ends the kinds of the picture that only the name of a column says."""


def personal_data_map(name: str, maps: Mapping[str, Mapping[str, Column]]) -> tuple[Artefact, ...]:
    """The map of the columns in `maps` (file, column) that hold personal data, as one artefact; none where no column does.

    A cell is the share of the rows of the column that hold the kind; where only the name of the column says what it holds, all its rows
    count, and the kind says so. Columns that single most rows out come first, kinds that most rows hold.
    """
    found = [(file, column) for file, columns in maps.items() for column in columns.values() if column.kinds or column.named]
    if not found:
        return ()
    shares = [_shares(column) for _, column in found]
    total: dict[str, float] = {}
    for row in shares:
        for kind, share in row.items():
            total[kind] = total.get(kind, 0.0) + share
    kinds = sorted(total, key=lambda kind: (kind.endswith(BY_NAME), -total[kind], kind))
    order = sorted(range(len(found)), key=lambda at: (not found[at][1].kinds, -max(shares[at].values()), found[at][0], found[at][1].name))
    several = len({file for file, _ in found}) > 1
    rows = [
        (f"{found[at][1].name} ({found[at][0]})" if several else found[at][1].name, [shares[at].get(kind) for kind in kinds])
        for at in order
    ]
    summary = f"{len(found)} columns of {name} hold personal data or are named so: the share of the rows of each that hold each kind."
    drawn = heat_map(f"Personal data in {name}, by column", summary, kinds[:MOST_CELLS], rows)
    return (Artefact(name="personal-data-map.svg", media_type="image/svg+xml", data=drawn),)


def _shares(column: Column) -> dict[str, float]:
    rows = max(column.rows, 1)
    shares = {kind: held.rows / rows for kind, held in column.kinds.items()}
    if not shares:
        shares[f"{column.named}, {BY_NAME}"] = 1.0
    return shares
