"""What hardening needs of a declared model, whatever library made it, and which kind answers for it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from bartizan.areas.evasion.defences.drop import Comparison
from bartizan.areas.evasion.net_files import is_net
from bartizan.model.errors import InputError
from bartizan.model.findings import Job
from bartizan.model.system import Asset

Tell = Callable[[str], None]
"""Hears one line of progress at a time."""


class Measuring(msgspec.Struct, frozen=True, kw_only=True):
    """The attack that measures: radius and norm, at most `rows` test inputs; `mean` and `std` as in the check `evasion.white_box_net`."""

    eps: float
    norm: str = "linf"
    rows: int = 500
    mean: str = ""
    std: str = ""

    def __post_init__(self) -> None:
        if not self.eps > 0.0 or self.rows < 1:
            raise InputError(f"eps={self.eps:g} and rows={self.rows}: both must be positive", place="hardening")


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """How a declared model is trained anew.

    `margin`: the radius of training in radii of the attack; what is trained for a little more holds better. `rounds` None: 120 epochs of a
    perceptron of scikit-learn, 20 of a torch net, 5 rounds of other models. `rate`: of the optimiser, where there is one.
    `widen`: hidden layers of a perceptron, times as wide. `recipe`: of a torch net, see `training.Recipe`.
    """

    margin: float = 1.2
    rounds: int | None = None
    rate: float | None = None
    widen: int = 2
    recipe: str = "fast"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.margin > 0.0 or (self.rounds is not None and self.rounds < 1) or self.widen < 1:
            raise InputError("margin is positive, rounds and widen at least 1", place="hardening")

    @staticmethod
    def given(**values: Any) -> dict[str, Any]:
        """Those of `values` that are not None: what a plan should not take from its defaults."""
        return {name: value for name, value in values.items() if value is not None}


class Declared(Protocol):
    """A declared model that was measured once; made by `declared_model`."""

    endings: tuple[str, ...]
    attack: str

    def harden(self, training: Training, tell: Tell, checkpoint: Path | None) -> tuple[Any, str]:
        """A hardened copy and a remark on how it was chosen; unfinished work is kept at `checkpoint` and resumed from there."""
        ...

    def versions(self) -> dict[str, Any]:
        """Compressed copies by name."""
        ...

    def save(self, model: Any, path: Path) -> Any:
        """Write `model` to `path`, which ends like one of `endings`, and give it as read back from there."""
        ...

    def compare(self, versions: Mapping[str, Any]) -> Comparison:
        """Clean and robust accuracy of the original and of `versions`, on the same test inputs."""
        ...

    def behind(self, sanitiser: str) -> Comparison:
        """The bare model, and the model behind the named sanitiser under a naive and, last, an adaptive attack."""
        ...


def declared_model(job: Job, target: Asset, measuring: Measuring) -> Declared:
    """The declared model, loaded and measured. Raises `InputError`, `Refused`, `NoTarget` or `MissingExtra` where it cannot be had."""
    kind = ("nets", "DeclaredNet") if is_net(target) else ("estimators", "DeclaredEstimator")
    made: Declared = getattr(importlib.import_module(f"bartizan.areas.evasion.defences.{kind[0]}"), kind[1])(job, target, measuring)
    return made
