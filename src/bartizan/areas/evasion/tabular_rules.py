"""The constraints that a manifest declares for a model's inputs, for tables of numbers and words, and for arrays of numbers alone.

Numbers are judged by `constraints.Rules`; of words only that they may change, to what, and at what price. A column that is misspelt, or a
rule that does not fit what the column holds, is an error with the line of the constraints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.areas.evasion import constraints as arrays
from bartizan.model.errors import InputError, UnknownName, one_line
from bartizan.model.inputs import Constraints, Price

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_OF_NUMBERS = ("integer", "low", "high", "only_up", "only_down", "most_change", "one_hot", "at_least", "sums")


class TableRules:
    """`told` for tables with the columns of `train`; rows are frames with at least those columns."""

    def __init__(self, told: Constraints, train: pd.DataFrame) -> None:
        self.told, self.train = told, train
        known = [str(name) for name in train.columns]
        for name in told.named():
            if name not in known:
                raise UnknownName("column", name, known, place=told.at, of="the constraints")
        self.numbers = [name for name in told.named() if is_number(train[name])]
        self.words = [name for name in told.named() if name not in self.numbers]
        self._check_words()
        self.prices = {name: _any_way(told.cost[name]) for name in self.words if name in told.cost}
        self.known = {name: values for name in self.words if (values := self._known(name)) is not None}
        self.budget = math.inf if told.budget is None else told.budget
        self.rules = self._compiled(self.numbers)

    def array(self) -> arrays.Rules:
        """The rules for arrays (n, d) of all columns, which must hold numbers. Raises `InputError` where one does not."""
        if self.words:
            raise InputError(f"the column '{self.words[0]}' holds no numbers", place=self.told.at, cure="this attack changes numbers")
        return self._compiled([str(name) for name in self.train.columns])

    def as_constraints(self) -> arrays.Constraints:
        """What `array` compiles. Raises `InputError` where a column holds no numbers."""
        self.array()
        return self._told([str(name) for name in self.train.columns])

    def screen(self, frame: pd.DataFrame) -> dict[int, str]:
        """The rows, by their place, that break a rule as they are, with the rule."""
        broken = self.rules.screen(self._values(frame)) if self.numbers else {}
        for name, known in self.known.items():
            wrong = ~frame[name].map(spelt).isin(known).to_numpy()
            for row in np.flatnonzero(wrong).tolist():
                broken.setdefault(row, f"column '{one_line(name, 80)}' has a value that is not allowed")
        return dict(sorted(broken.items()))

    def obeys(self, origin: pd.DataFrame, changed: pd.DataFrame) -> Mask:
        """Which rows of `changed` are possible and reached from the same rows of `origin` by an allowed change, (n,)."""
        fine, spent = np.ones(len(changed), dtype=np.bool_), np.zeros(len(changed))
        if self.numbers:
            before, after = self._values(origin), self._values(changed)
            fine &= self.rules.obeys(before, after)
            spent += self.rules.spent(before, after)
        for name in self.words:
            now = changed[name].to_numpy()
            moved = np.asarray(now != origin[name].to_numpy()) & ~(pd.isna(now) & pd.isna(origin[name].to_numpy()))
            if name in self.told.immutable:
                fine &= ~moved
            if name in self.known:
                fine &= changed[name].map(spelt).isin(self.known[name]).to_numpy() | ~moved
            spent += moved * self.prices.get(name, 0.0)
        return np.asarray(fine & (spent <= self.budget * (1 + arrays.TOLERANCE)))

    def possible(self, column: pd.Series) -> pd.Series:
        """Those values of a training column that a feature may hold as far as it alone is concerned."""
        name = str(column.name)
        if name in self.known:
            return column[column.map(spelt).isin(self.known[name])]
        if name not in self.numbers:
            return column
        place = self.numbers.index(name)
        fits = (column >= self.rules.low[place]) & (column <= self.rules.high[place])
        return column[fits & column.isin(self.rules.allowed[place])] if place in self.rules.allowed else column[fits]

    def _values(self, frame: pd.DataFrame) -> Floats:
        return np.asarray(frame[self.numbers], dtype=np.float64)

    def _known(self, name: str) -> frozenset[str] | None:
        """The words that a column may hold; None: any."""
        if name in self.told.allowed:
            return frozenset(spelt(value) for value in self.told.allowed[name])
        return frozenset(self.train[name].dropna().map(spelt)) if name in self.told.categorical else None

    def _check_words(self) -> None:
        """No rule about numbers names a column of words, and numbers are allowed numbers."""
        for field in _OF_NUMBERS:
            value = getattr(self.told, field)
            if field == "sums":
                value = [total.weights for total in value]
            named = [name for part in value for name in ([part] if isinstance(part, str) else part)]
            for name in named:
                if name in self.words:
                    what = f"'{field}' names '{one_line(name, 80)}', a column that holds no numbers"
                    raise InputError(what, place=self.told.at, cure="use immutable, categorical, allowed or cost for it")
        for name, values in self.told.allowed.items():
            if name in self.numbers and any(isinstance(value, str) for value in values):
                raise InputError(f"'allowed' lists words for '{one_line(name, 80)}', a column of numbers", place=self.told.at)

    def _compiled(self, columns: list[str]) -> arrays.Rules:
        try:
            return self._told(columns).rules(len(columns))
        except InputError as error:
            raise InputError(error.what, place=self.told.at, cure=error.cure) from None

    def _told(self, columns: list[str]) -> arrays.Constraints:
        """The rules about numbers for rows of `columns`, `self.numbers` among them; the budget joins in where all are numbers."""
        told = self.told
        mine = frozenset(self.numbers)
        allowed: dict[arrays.Column, tuple[float, ...]] = {
            name: tuple(np.unique(self.train[name].dropna().to_numpy(dtype=np.float64)).tolist())
            for name in told.categorical
            if name in mine
        }
        allowed |= {name: tuple(float(value) for value in values) for name, values in told.allowed.items() if name in mine}
        return arrays.Constraints(
            columns=tuple(columns),
            immutable=tuple(name for name in told.immutable if name in mine),
            integer=tuple(told.integer),
            one_hot=tuple(told.one_hot),
            allowed=allowed,
            low=_keyed(told.low),
            high=_keyed(told.high),
            only_up=tuple(told.only_up),
            only_down=tuple(told.only_down),
            at_least=tuple((a, b) for a, b in told.at_least),
            sums=tuple(_sum(total.weights, total.low, total.high) for total in told.sums),
            most_change=_keyed(told.most_change),
            cost={name: _cost(price) for name, price in told.cost.items() if name in mine},
            budget=math.inf if told.budget is None or self.words else told.budget,
        )


def is_number(column: pd.Series) -> bool:
    """Does the column hold quantities? Truth values are categories."""
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def spelt(label: Any) -> str:
    """A cell as text: 1, 1.0 and "1" are one."""
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(label)


def _sum(weights: Mapping[str, float], low: float | None, high: float | None) -> arrays.Sum:
    return arrays.Sum(weights=_keyed(weights), low=-math.inf if low is None else low, high=math.inf if high is None else high)


def _cost(price: float | Price) -> arrays.Cost:
    return arrays.Cost(up=price.up, down=price.down) if isinstance(price, Price) else arrays.Cost(up=price, down=price)


def _any_way(price: float | Price) -> float:
    """What a change of words costs: it has no direction, so the dearer one."""
    return max(price.up, price.down) if isinstance(price, Price) else price


def _keyed(values: Mapping[str, float]) -> dict[arrays.Column, float]:
    return dict[arrays.Column, float](values.items())
