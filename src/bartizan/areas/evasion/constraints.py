"""What a change of an input must obey to be possible in the real world: which features may move, how far, in what steps, at what cost.

`Constraints` is what a user declares, by column number or name; `Rules` is the same for a fixed number of columns, ready for arrays. A row
is *valid* when it obeys the rules that concern one row alone, and a change *obeys* when the changed row is valid and the way from the
original is allowed. Relations between features (order and sums) hold within `TOLERANCE` of the size of their terms, everything else
exactly. The idea of attacks inside a space of realisable inputs: Pierazzi et al., IEEE S&P 2020; Simonetto et al., IJCAI 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bartizan.model.errors import InputError, UnknownName

Column = int | str
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

TOLERANCE = 1e-6
"""Order and sums hold within this share of 1 + the sum of the absolute terms: 32-bit rows cannot hold them more exactly."""


class Sum(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`low` <= sum of weight * feature <= `high`; `low` equal to `high` fixes the sum."""

    weights: dict[Column, float]
    low: float = -math.inf
    high: float = math.inf


class Cost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one unit of change costs, upwards and downwards, in [0, inf]; inf forbids the direction."""

    up: float = 1.0
    down: float = 1.0


class Constraints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The constraints of a problem; every field may stay empty. Columns are numbers from 0 or names from `columns`.

    `immutable` never change; `integer` hold whole numbers; `one_hot` groups hold exactly one 1 and else 0; `allowed` lists the values of a
    feature; `low`, `high` bound it; `only_up`, `only_down` allow one direction; `at_least` has pairs (a, b) with a >= b; `sums` bound
    weighted sums; `most_change` bounds the change of one feature; `cost` with `budget` bounds the total cost of all changes (a feature
    without an entry costs nothing).
    """

    columns: tuple[str, ...] = ()
    immutable: tuple[Column, ...] = ()
    integer: tuple[Column, ...] = ()
    one_hot: tuple[tuple[Column, ...], ...] = ()
    allowed: dict[Column, tuple[float, ...]] = {}
    low: dict[Column, float] = {}
    high: dict[Column, float] = {}
    only_up: tuple[Column, ...] = ()
    only_down: tuple[Column, ...] = ()
    at_least: tuple[tuple[Column, Column], ...] = ()
    sums: tuple[Sum, ...] = ()
    most_change: dict[Column, float] = {}
    cost: dict[Column, Cost] = {}
    budget: float = math.inf

    def rules(self, features: int) -> Rules:
        """These constraints for rows of `features` columns. Raises `UnknownName` or `InputError` for a column or a value that cannot be."""
        return _compiled(self, features)


@dataclass(frozen=True)
class Relation:
    """`low` <= row . weights <= `high`, with `weights` (d,); `name` says it for people."""

    name: str
    weights: Floats
    low: float
    high: float

    def gap(self, x: Floats) -> Floats:
        """How much each row's sum must rise (positive) or fall (negative) to hold, (n,); 0 where it holds within `TOLERANCE`."""
        total = x @ self.weights
        slack = TOLERANCE * (1.0 + np.abs(x) @ np.abs(self.weights))
        return np.where(total < self.low - slack, self.low - total, np.where(total > self.high + slack, self.high - total, 0.0))


@dataclass(frozen=True)
class Rules:
    """Constraints compiled for d columns; all methods take rows (n, d) of any floating type, the original rows first."""

    low: Floats
    high: Floats
    down: Floats
    up: Floats
    frozen: Mask
    integer: Mask
    groups: tuple[npt.NDArray[np.int64], ...]
    allowed: Mapping[int, Floats]
    relations: tuple[Relation, ...]
    cost_up: Floats
    cost_down: Floats
    budget: float
    names: tuple[str, ...] = ()

    @property
    def relational(self) -> bool:
        """Does any rule join several features? Without one, the allowed changes are a box with steps."""
        return bool(self.relations or self.groups or math.isfinite(self.budget))

    def window(self, origin: npt.ArrayLike) -> tuple[Floats, Floats]:
        """The lowest and highest value of each feature that may be reached from `origin` (n, d), both (n, d), inclusive."""
        start = np.asarray(origin, dtype=np.float64)
        return np.maximum(self.low, start - self.down), np.minimum(self.high, start + self.up)

    def valid(self, x: npt.ArrayLike) -> Mask:
        """Which rows obey the rules that concern a row alone, (n,)."""
        return np.asarray(~self._wrong(x).any(axis=1))

    def obeys(self, origin: npt.ArrayLike, x: npt.ArrayLike) -> Mask:
        """Which rows of `x` are valid and reached from `origin` by an allowed change, (n,)."""
        start, end = np.asarray(origin, dtype=np.float64), np.asarray(x, dtype=np.float64)
        low, high = self.window(start)
        inside = ((end >= _rounded_out(low, x, -1)) & (end <= _rounded_out(high, x, 1))).all(axis=1)
        still = (end == start)[:, self.frozen].all(axis=1)
        return np.asarray(inside & still & self.valid(x) & (self.spent(start, end) <= self.budget * (1 + TOLERANCE)))

    def spent(self, origin: npt.ArrayLike, x: npt.ArrayLike) -> Floats:
        """The cost of each change, (n,); inf where it goes a way that is forbidden."""
        change = np.asarray(x, dtype=np.float64) - np.asarray(origin, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            each = np.where(change > 0, change * self.cost_up, np.where(change < 0, -change * self.cost_down, 0.0))
        return np.asarray(each.sum(axis=1))

    def screen(self, x: npt.ArrayLike) -> dict[int, str]:
        """The rows of `x` that are not valid before any change, with the first rule that each breaks: what an attack discards."""
        wrong, names = self._wrong(x), self._names()
        return {int(row): names[int(np.argmax(wrong[row]))] for row in np.flatnonzero(wrong.any(axis=1))}

    def repair(self, origin: npt.NDArray[Any], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """`x` moved to a near row that obeys, in the type of `x`; the original where none is found. `origin` must be valid.

        Alternating projections on window, relations and steps, then shrinking towards the original until the rules hold.
        """
        start = np.asarray(origin, dtype=np.float64)
        end = self._related(start, np.nan_to_num(np.asarray(x, dtype=np.float64), nan=0.0, posinf=1e300, neginf=-1e300))
        result = self._settled(start, end, x)
        for share in (0.75, 0.5, 0.25, 0.1, 0.0):
            broken = ~self.obeys(origin, result)
            if not broken.any():
                break
            part = start[broken] + share * (end[broken] - start[broken])
            result[broken] = self._settled(start[broken], part, x) if share else origin[broken]
        return result

    def _settled(self, start: Floats, end: Floats, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """`end` on the steps and within the budget, in the type of `x`, rounded towards the inside."""
        end = self._snapped(start, end)
        over = self.spent(start, end) > self.budget
        if over.any():
            end[over] = self._afforded(start[over], end[over])
        end = self._related(start, end, continuous=True)
        low, high = self.window(start)
        typed = end.astype(x.dtype if x.dtype.kind == "f" else np.float64)
        typed = np.where(typed < low, np.nextafter(typed, typed.dtype.type(np.inf)), typed)
        typed = np.where(typed > high, np.nextafter(typed, typed.dtype.type(-np.inf)), typed)
        return np.where(end == start, start.astype(typed.dtype), typed)

    def _afforded(self, start: Floats, end: Floats) -> Floats:
        """Changes undone, the costly half first where steps forbid less, until the rest is affordable; then continuous ones scaled."""
        stepped = self._stepped()
        fixed = np.where(stepped, end, start)
        while True:
            over = self.spent(start, fixed) > self.budget
            if not over.any():
                break
            change = fixed - start
            each = np.where(change > 0, change * self.cost_up, np.where(change < 0, -change * self.cost_down, 0.0))
            worst = each.argmax(axis=1)
            for row in np.flatnonzero(over):
                members = next((g for g in self.groups if worst[row] in g), np.array([worst[row]]))
                fixed[row, members] = start[row, members]
        rest = np.where(stepped, start, end)
        left, wanted = self.budget - self.spent(start, fixed), self.spent(start, rest)
        share = np.clip(left / np.maximum(wanted, 1e-300), 0.0, 1.0) * (1 - 1e-12)
        return np.asarray(np.where(stepped, fixed, start + share[:, None] * (rest - start)))

    def _stepped(self) -> Mask:
        mask = self.integer.copy()
        mask[list(self.allowed)] = True
        for group in self.groups:
            mask[group] = True
        return mask

    def _snapped(self, start: Floats, end: Floats) -> Floats:
        """Whole numbers, allowed values and one-hot groups restored, each to the nearest possible in its window."""
        low, high = self.window(start)
        end = np.where(self.frozen, start, np.clip(end, low, high))
        whole = np.clip(np.rint(end), np.ceil(low), np.floor(high))
        end = np.where(self.integer & ~self.frozen, whole, end)
        for column, values in self.allowed.items():
            distance = np.abs(end[:, column, None] - values)
            distance[(values < low[:, column, None]) | (values > high[:, column, None])] = np.inf
            end[:, column] = np.where(np.isfinite(distance).any(axis=1), values[distance.argmin(axis=1)], start[:, column])
        for group in self.groups:
            end[:, group] = self._one_hot(start[:, group], end[:, group], low[:, group], high[:, group])
        return end

    @staticmethod
    def _one_hot(start: Floats, end: Floats, low: Floats, high: Floats) -> Floats:
        chosen = np.eye(end.shape[1])[end.argmax(axis=1)]
        possible = ((chosen >= low) & (chosen <= high)).all(axis=1)
        return np.where(possible[:, None], chosen, start)

    def _related(self, start: Floats, end: Floats, *, continuous: bool = False) -> Floats:
        """Rows moved onto the relations by cyclic projection inside their windows; at most 40 rounds."""
        low, high = self.window(start)
        moving = ~self.frozen & ~(self._stepped() if continuous else np.zeros_like(self.frozen))
        if not continuous:
            end = np.where(moving, np.clip(end, low, high), start)
        for _ in range(40):
            if not any(relation.gap(end).any() for relation in self.relations):
                break
            for relation in self.relations:
                end = _onto(relation, end, low, high, moving)
        return end

    def _wrong(self, rows: npt.ArrayLike) -> Mask:
        """Which rules about a row alone each row breaks, (n, rules), in the order of `_names`."""
        x, low, high = np.asarray(rows, dtype=np.float64), _rounded_out(self.low, rows, -1), _rounded_out(self.high, rows, 1)
        columns = [~np.isfinite(x).all(axis=1), (x < low).any(axis=1), (x > high).any(axis=1)]
        columns.append((x != np.rint(x))[:, self.integer].any(axis=1))
        columns += [~np.isin(x[:, column], values) for column, values in self.allowed.items()]
        for group in self.groups:
            members = x[:, group]
            columns.append(~(((members == 0) | (members == 1)).all(axis=1) & (members.sum(axis=1) == 1)))
        columns += [relation.gap(x) != 0 for relation in self.relations]
        return np.column_stack(columns)

    def _names(self) -> list[str]:
        names = ["a value that is not finite", "a value below its lowest", "a value above its highest", "an integer that is not whole"]
        names += [f"{_called(column, self.names)} has a value that is not allowed" for column in self.allowed]
        names += [f"one-hot group of {_called(int(group[0]), self.names)} does not hold exactly one 1" for group in self.groups]
        return names + [relation.name for relation in self.relations]


def _rounded_out(bound: Floats, x: npt.ArrayLike, side: int) -> Floats:
    """`bound`, let out by the rounding of a 32-bit row: a limit computed from such a row cannot be kept more exactly."""
    unit = np.finfo(np.float32).eps if np.asarray(x).dtype == np.float32 else np.finfo(np.float64).eps
    return np.where(np.isfinite(bound), bound + side * unit * np.abs(bound), bound)


def _onto(relation: Relation, x: Floats, low: Floats, high: Floats, moving: Mask) -> Floats:
    """The projection of each row on one relation, moving only features that may, inside their windows."""
    for _ in range(4):
        gap = relation.gap(x)
        if not gap.any():
            break
        direction = np.sign(gap)[:, None] * relation.weights
        room = moving & (((direction > 0) & (x < high)) | ((direction < 0) & (x > low)))
        weights = np.where(room, relation.weights, 0.0)
        length = (weights**2).sum(axis=1)
        step = np.where(length > 0, gap / np.where(length > 0, length, 1.0), 0.0)
        x = np.clip(x + step[:, None] * weights, np.where(moving, low, x), np.where(moving, high, x))
    return x


def _compiled(given: Constraints, d: int) -> Rules:
    names = given.columns
    if names and len(names) != d:
        raise InputError(f"{len(names)} column names for rows of {d} columns", cure="name every column, or none")

    def at(column: Column) -> int:
        if isinstance(column, str):
            if column not in names:
                raise UnknownName("column", column, names)
            return names.index(column)
        if not 0 <= column < d:
            raise InputError(f"there is no column {column} in rows of {d} columns", cure="columns count from 0")
        return column

    frozen, integer = (_mask(d, [at(c) for c in columns]) for columns in (given.immutable, given.integer))
    low, high = _filled(d, given.low, at, -math.inf), _filled(d, given.high, at, math.inf)
    up, down = (_filled(d, given.most_change, at, math.inf) for _ in range(2))
    costs = {at(column): cost for column, cost in given.cost.items()}
    cost_up, cost_down = (_filled(d, {c: getattr(cost, way) for c, cost in costs.items()}, at, 0.0) for way in ("up", "down"))
    up[frozen | _mask(d, [at(c) for c in given.only_down]) | np.isinf(cost_up)] = 0.0
    down[frozen | _mask(d, [at(c) for c in given.only_up]) | np.isinf(cost_down)] = 0.0
    if (low > high).any() or (np.minimum(up, down) < 0).any() or (np.minimum(cost_up, cost_down) < 0).any() or given.budget < 0:
        raise InputError("a range is empty, or a cost, budget or change is negative", cure="correct the constraints")
    groups = tuple(np.array([at(c) for c in group], dtype=np.int64) for group in given.one_hot)
    for group in groups:
        low[group], high[group] = np.maximum(low[group], 0.0), np.minimum(high[group], 1.0)
    return Rules(
        low=low,
        high=high,
        down=down,
        up=up,
        frozen=frozen,
        integer=integer,
        groups=groups,
        allowed={at(column): np.unique(np.asarray(values, dtype=np.float64)) for column, values in given.allowed.items()},
        relations=_relations(given, d, at),
        cost_up=np.where(np.isinf(cost_up), 0.0, cost_up),
        cost_down=np.where(np.isinf(cost_down), 0.0, cost_down),
        budget=given.budget,
        names=names,
    )


def _called(column: Column, names: Sequence[str]) -> str:
    """How people are told of a column: by its name where it has one."""
    return f"column '{column if isinstance(column, str) else names[column]}'" if names else f"column {column}"


def _relations(given: Constraints, d: int, at: Any) -> tuple[Relation, ...]:
    made = []
    for a, b in given.at_least:
        weights = np.zeros(d)
        weights[at(a)], weights[at(b)] = 1.0, -1.0
        made.append(Relation(f"{_called(a, given.columns)} is less than {_called(b, given.columns)}", weights, 0.0, math.inf))
    for total in given.sums:
        weights = np.zeros(d)
        for column, weight in total.weights.items():
            weights[at(column)] += weight
        if not weights.any() or total.low > total.high:
            raise InputError("a sum has no weights or an empty range", cure="correct the constraints")
        listed = ", ".join(map(str, total.weights))
        made.append(Relation(f"the sum of columns {listed} is out of its range", weights, total.low, total.high))
    return tuple(made)


def _mask(d: int, columns: Sequence[int]) -> Mask:
    mask = np.zeros(d, dtype=np.bool_)
    mask[list(columns)] = True
    return mask


def _filled(d: int, values: Mapping[Any, float], at: Any, otherwise: float) -> Floats:
    filled = np.full(d, otherwise)
    for column, value in values.items():
        filled[at(column)] = value
    return filled
