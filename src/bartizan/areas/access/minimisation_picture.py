"""The answer of `minimise` as a picture: a bar for each column, by what is settled about it."""

from __future__ import annotations

from bartizan.areas.access.column_needs import ColumnNeed, Minimised, Status
from bartizan.methods.charts import Bar, rates
from bartizan.methods.scores import Loss
from bartizan.model.beta import normal_quantile


def picture(found: Minimised) -> bytes:
    """SVG: what the score loses when a column is permuted, alone, together with those that tell the same, and among rows that are alike."""
    blocks = []
    for status, heading in ((Status.NOT_NEEDED, "not needed"), (Status.UNSETTLED, "not settled"), (Status.NEEDED, "needed")):
        columns = sorted(
            (column for column in found.columns if column.status is status), key=lambda column: (not column.personal, column.name)
        )
        if columns:
            blocks.append((heading, [_bar(column, found.confidence) for column in columns]))
    summary = f"What the {found.metric} loses when a column is permuted, with intervals; below 0 is shown as 0."
    return rates(f"Columns needed to tell {found.label}", summary, ["permuted alone", "with its like", "among alike rows"], blocks)


def _bar(column: ColumnNeed, confidence: float) -> Bar:
    held = column.permuted
    ends = (held.alone, held.together, held.alike) if held is not None else (None, None, None)
    return Bar(column.name, "personal" if column.personal else "", tuple(_rate(lost, confidence) for lost in ends))


def _rate(lost: Loss | None, confidence: float) -> tuple[float, float, float] | None:
    if lost is None:
        return None
    width = normal_quantile(0.5 + confidence / 2.0) * lost.error
    value, low, high = (min(1.0, max(0.0, end)) for end in (lost.value, lost.value - width, lost.value + width))
    return value, low, high
