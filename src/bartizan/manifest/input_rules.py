"""What the declared constraints of a model's inputs, and the declared way to ask an endpoint, must keep; errors with file and line."""

from __future__ import annotations

from typing import Any, TypeAlias

from bartizan.documents import Located
from bartizan.model.errors import InputError, UnknownName, one_line
from bartizan.model.inputs import GIVES, Constraints, Inference, Price

Path: TypeAlias = tuple[str | int, ...]


def constraints(manifest: Any, located: Located) -> None:
    """Pairs are pairs, ranges are not empty, prices and changes are not negative, and no feature must both stay and move."""
    for index, asset in enumerate(manifest.assets):
        if asset.constraints is not None:
            _Refusing(located, ("assets", index, "constraints")).constraints(asset.constraints)


def inference(manifest: Any, located: Located) -> None:
    """`gives` is known, and several rows in one request have a place to stand unless they are all of it."""
    for index, asset in enumerate(manifest.assets):
        told: Inference | None = asset.inference
        if told is None:
            continue
        path: Path = ("assets", index, "inference")
        if told.gives not in GIVES:
            raise UnknownName("answer", told.gives, GIVES, place=located.place((*path, "gives")), of="'gives'")
        if told.constant and told.rows_at is None and not (told.single and told.named):
            place = located.place((*path, "constant"))
            raise InputError("'constant' needs an object to stand in", place=place, cure="declare rows_at, the key of the rows")
        if len(set(told.labels.values())) < len(told.labels):
            raise InputError("'labels' maps two words to one class", place=located.place((*path, "labels")), cure="keep one word a class")


class _Refusing:
    """The rules of one block of constraints, which stands at `path`."""

    def __init__(self, located: Located, path: Path) -> None:
        self.located, self.path = located, path

    def constraints(self, told: Constraints) -> None:
        """Raise the first `InputError` there is."""
        for index, pair in enumerate(told.at_least):
            if len(pair) != 2 or pair[0] == pair[1]:
                self.refuse(("at_least", index), "'at_least' needs pairs of different columns", "write [[a, b]] for a >= b")
        for index, group in enumerate(told.one_hot):
            if len(group) < 2 or len(set(group)) < len(group):
                self.refuse(("one_hot", index), "'one_hot' needs groups of different columns", "write [[a, b, c]]")
        for name, low in told.low.items():
            if low > told.high.get(name, low):
                self.refuse(("low", name), f"'{one_line(name, 80)}' has a lowest value above its highest", "swap them")
        for field in ("most_change", "cost"):
            self.not_negative(field, getattr(told, field))
        if told.budget is not None and told.budget < 0:
            self.refuse(("budget",), f"'budget' must be at least 0, not {told.budget:g}")
        self.moving(told)
        self.sums(told)
        for name, values in told.allowed.items():
            if not values:
                self.refuse(("allowed", name), f"'{one_line(name, 80)}' has no allowed value", "list one, or name it in immutable")

    def moving(self, told: Constraints) -> None:
        """No feature stands in two fields that leave it nothing."""
        for field in ("only_up", "only_down", "most_change", "cost"):
            for index, name in enumerate(getattr(told, field)):
                if name in told.immutable:
                    step = index if field.startswith("only") else name
                    self.refuse((field, step), f"'{one_line(name, 80)}' is immutable and stands in '{field}' too", "keep one of them")
        for index, name in enumerate(told.only_down):
            if name in told.only_up:
                self.refuse(("only_down", index), f"'{one_line(name, 80)}' may neither rise nor fall", "name it in immutable")

    def sums(self, told: Constraints) -> None:
        """Every sum has weights and a bound, and its bounds leave something."""
        for index, total in enumerate(told.sums):
            if not any(total.weights.values()):
                self.refuse(("sums", index), "a sum needs a column with a weight that is not 0", "write weights: {column: 1}")
            if total.low is None and total.high is None:
                self.refuse(("sums", index), "a sum needs low, high or both", "equal bounds fix the sum")
            if total.low is not None and total.high is not None and total.low > total.high:
                self.refuse(("sums", index), f"a sum from {total.low:g} to {total.high:g} is empty", "swap the bounds")

    def not_negative(self, field: str, values: Any) -> None:
        for name, value in values.items():
            if (min(value.up, value.down) if isinstance(value, Price) else value) < 0:
                self.refuse((field, name), f"'{field}' of '{one_line(name, 80)}' must be at least 0")

    def refuse(self, path: Path, what: str, cure: str | None = None) -> None:
        raise InputError(what, place=self.located.place((*self.path, *path)), cure=cure)
