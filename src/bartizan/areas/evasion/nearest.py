"""The nearest evasion of each row with what is proven about it: the answer of the exact attacks on trees and linear models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.result import AtRadius, Outcome, Passes, Result, Trust

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def settled(distance: Floats, lower: Floats, slack: float) -> Mask:
    """Where the found and the proven distance meet within `slack` of max(1, distance), or both say that there is none, (n,)."""
    with np.errstate(invalid="ignore"):
        near = distance - lower <= slack * np.maximum(1.0, distance)
    return np.asarray(np.where(np.isinf(distance), np.isinf(lower), near))


class Nearest(msgspec.Struct, frozen=True, kw_only=True):
    """For each of n rows: the nearest evasion that the model itself confirmed, and how near another could be.

    `adversarial` (n, d) has the type of the rows and is the row itself where `found` (n,) is false; `distance` (n,) is inf there and 0
    where the model was `wrong` (n,) before any change. `lower` (n,) is proven: nothing nearer evades the model; it is inf where nothing
    evades it at all. `exact` (n,) says that both meet. `discarded` maps rows that broke the constraints before any change to the rule; they
    are no trials. `queries` is how many rows the model itself was asked about.
    """

    norm: str
    adversarial: npt.NDArray[Any]
    found: Mask
    distance: Floats
    lower: Floats
    exact: Mask
    wrong: Mask
    discarded: dict[int, str]
    queries: int

    def at(self, eps: float) -> AtRadius:
        """The outcome at radius `eps` over the rows that were not discarded."""
        kept = np.setdiff1d(np.arange(len(self.found)), list(self.discarded))
        broken = self.found & ~self.wrong & (self.distance <= eps)
        names = np.where(self.wrong, Outcome.WRONG, np.where(broken, Outcome.BROKEN, Outcome.ROBUST))[kept]
        origin = self.adversarial.copy()
        distances = np.where(broken, self.distance, 0.0)[kept]
        outcomes = tuple(Outcome(name) for name in names)
        robust = sum(name is Outcome.ROBUST for name in outcomes)
        return AtRadius(eps=eps, n=len(kept), robust=robust, outcomes=outcomes, adversarial=origin[kept], distances=distances)

    def certified(self, eps: float) -> float:
        """Share of the rows, discarded ones apart, that are right and that nothing within `eps` evades: a lower bound, proven."""
        kept = np.setdiff1d(np.arange(len(self.found)), list(self.discarded))
        return float(((self.lower > eps) & ~self.wrong)[kept].mean()) if len(kept) else 0.0

    def result(self, radii: Sequence[float], *, strategy: str = "exact", seed: int = 0) -> Result:
        """The outcome at each of `radii` as the room's common result; trustworthy because every count was confirmed by the model."""
        levels = tuple(self.at(eps) for eps in sorted(radii))
        n = len(self.found) - len(self.discarded)
        notes: tuple[str, ...] = (f"{len(self.discarded)} rows break the constraints and were discarded",) if self.discarded else ()
        open_rows = int((~self.exact).sum()) - len(self.discarded)
        notes += (f"{open_rows} rows have a gap between the proven and the found distance",) if open_rows > 0 else ()
        return Result(
            norm=self.norm,
            strategy=strategy,
            clean=n - int(self.wrong.sum()),
            n=n,
            at=levels,
            passes=Passes(images=n, forwards=self.queries, backwards=0),
            trust=Trust(ok=True, notes=notes),
            seed=seed,
        )
