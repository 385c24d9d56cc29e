"""What is known about the columns of a table and whether a model needs them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bartizan.methods.scores import Loss


@dataclass(frozen=True)
class Importance:
    """What is lost when the column is permuted: `alone`, `together` with its cluster, and among rows `alike` by the other columns."""

    alone: Loss
    together: Loss
    alike: Loss


class Status(StrEnum):
    """What is settled about a column."""

    NEEDED = "needed"
    NOT_NEEDED = "not needed"
    UNSETTLED = "unsettled"


@dataclass(frozen=True)
class ColumnNeed:
    """What is known of one column: is it `personal`; its `status`; the columns it is `alike`; what it tells by itself (`alone`: value, low,
    high); what is lost when it is permuted; what was `lost` without it, beside the smallest set reached (None where that was not tried);
    whether it is so good by itself that the answer may stand in it (`leak`)."""

    name: str
    personal: bool
    status: Status
    alike: tuple[str, ...]
    alone: tuple[float, float, float]
    permuted: Importance | None
    lost: Loss | None
    leak: bool


@dataclass(frozen=True)
class Minimised:
    """The answer for a table of `rows` rows: a status for each of `columns`; the score (`metric`) with all columns (`full`) and with the
    smallest set reached (`reached`), each value, low, high; what that loses and at most loses (`lost`, `lost_at_most`, at `confidence`);
    which learner was asked, and `notes` about what limits the answer."""

    label: str
    metric: str
    rows: int
    learner: str
    columns: tuple[ColumnNeed, ...]
    full: tuple[float, float, float]
    reached: tuple[float, float, float]
    lost: float
    lost_at_most: float
    margin: float
    confidence: float
    notes: tuple[str, ...]

    def those(self, status: Status) -> tuple[str, ...]:
        """The names of the columns with this status."""
        return tuple(column.name for column in self.columns if column.status is status)

    @property
    def kept(self) -> tuple[str, ...]:
        """The smallest set of columns that was reached."""
        return tuple(column.name for column in self.columns if column.status is not Status.NOT_NEEDED)
