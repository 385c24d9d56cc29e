"""What inputs of a model must obey in the real world, and how an endpoint is sent them: declared by the owner, kept by every attack."""

from __future__ import annotations

import msgspec

from bartizan.model.errors import Place


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one unit of change of a feature costs whoever makes it, upwards and downwards; both at least 0."""

    up: float = 0.0
    down: float = 0.0


class WeightedSum(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`low` <= sum of weight * feature <= `high`; equal bounds fix the sum."""

    weights: dict[str, float]
    low: float | None = None
    high: float | None = None
    at: Place | None = None


class Constraints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a changed input must keep to be possible in the real world; features are named by their columns.

    `immutable` features never change; `integer` ones hold whole numbers; `categorical` ones only values that training data holds; `allowed`
    lists the values of a feature; `low` and `high` bound it; `only_up`, `only_down` let it move one way; `most_change` bounds its change;
    `one_hot` groups hold exactly one 1; `at_least` has pairs [a, b] with a >= b; `sums` bound weighted sums. `cost` is the price of one
    unit of change (of any change of a feature that is no number), a number or one for each direction; `budget` bounds what all cost.
    """

    immutable: tuple[str, ...] = ()
    integer: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    allowed: dict[str, tuple[float | str, ...]] = {}
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    only_up: tuple[str, ...] = ()
    only_down: tuple[str, ...] = ()
    most_change: dict[str, float] = {}
    one_hot: tuple[tuple[str, ...], ...] = ()
    at_least: tuple[tuple[str, ...], ...] = ()
    sums: tuple[WeightedSum, ...] = ()
    cost: dict[str, float | Price] = {}
    budget: float | None = None
    at: Place | None = None

    def named(self) -> tuple[str, ...]:
        """Every column that a constraint names, once, in the order of the fields."""
        found: list[str] = [*self.immutable, *self.integer, *self.categorical, *self.allowed, *self.low, *self.high]
        found += [*self.only_up, *self.only_down, *self.most_change, *self.cost]
        found += [name for group in (*self.one_hot, *self.at_least, *(total.weights for total in self.sums)) for name in group]
        return tuple(dict.fromkeys(found))


class Inference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an endpoint is asked for predictions by POST, in JSON.

    Rows stand in the request as a list under `rows_at`; with `single` a request holds one row, and `rows_at` left out makes the row the
    whole request. A row is an object by column names, or with `named: false` a list. `constant` texts are sent beside it. In the answer
    `answers_at` leads to the list of answers (with `single` to the one answer) and `answer_at` on inside each, keys and positions joined by
    dots. `gives` says what an answer is: label, score (the probability of the last class), probabilities or logits. `labels` maps the
    endpoint's words for the classes to those of the data, in the order of its probabilities.
    """

    rows_at: str | None = None
    single: bool = False
    named: bool = True
    constant: dict[str, str] = {}
    answers_at: str = ""
    answer_at: str = ""
    gives: str = "label"
    labels: dict[str, str] = {}
    at: Place | None = None


GIVES = ("label", "score", "probabilities", "logits")
"""What `Inference.gives` may say."""
