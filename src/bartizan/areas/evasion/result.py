"""What an evasion attack found, as frozen structs: no rate without interval and count, no number without whether to trust it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from bartizan.model.statistics import clopper_pearson


class Outcome(StrEnum):
    """What became of one sample at one radius."""

    WRONG = "wrong"  # misclassified before any change
    BROKEN = "broken"  # a verified adversarial example was found
    ROBUST = "robust"  # none was found: an upper bound on robustness, no proof


class Passes(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that went through the model, whole call and mean per image; an image counts once per pass. Backwards include their forward."""

    images: int
    forwards: int
    backwards: int

    @property
    def forwards_per_image(self) -> float:
        """Forward passes per image, those before a backward pass included."""
        return self.forwards / max(1, self.images)

    @property
    def backwards_per_image(self) -> float:
        """Forward-and-backward passes per image."""
        return self.backwards / max(1, self.images)


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the number may be believed.

    `reasons` say why not (empty where `ok`); `escalations` name what was tried beyond the plain gradient attack, in order; `notes` say how
    the model was read (training mode switched off, probabilities taken as such, random outputs judged by majority).
    """

    ok: bool
    reasons: tuple[str, ...] = ()
    escalations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "trustworthy" if self.ok else "inconclusive: not trustworthy because " + "; ".join(self.reasons)


class AtRadius(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome at one radius.

    `robust_accuracy` is the share of all n images that are right and stay right, an upper bound on the truth; `low` and `high` its exact
    two-sided interval (Clopper and Pearson) as a sample of the images' population. `adversarial` has the type, shape and device of the
    caller's `x`: verified examples where BROKEN, the samples themselves elsewhere. `distances` (n,) are 0 where not BROKEN.
    """

    eps: float
    n: int
    robust: int
    outcomes: tuple[Outcome, ...]
    adversarial: Any
    distances: Any
    confidence: float = 0.95

    @property
    def robust_accuracy(self) -> float:
        """Share of images that no attack broke, in [0, 1]."""
        return self.robust / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Exact two-sided interval of `robust_accuracy`."""
        return clopper_pearson(self.robust, self.n, self.confidence)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """An attack on one model and one set of images at one or more radii, ascending in `at`."""

    norm: str
    strategy: str
    clean: int
    n: int
    at: tuple[AtRadius, ...]
    passes: Passes
    trust: Trust
    seed: int

    @property
    def clean_accuracy(self) -> float:
        """Share of images that the unchanged model gets right, in [0, 1]."""
        return self.clean / self.n

    @property
    def robust_accuracy(self) -> float:
        """Robust accuracy at the largest radius, in [0, 1]."""
        return self.at[-1].robust_accuracy

    @property
    def adversarial(self) -> Any:
        """The examples at the largest radius, in the caller's own type."""
        return self.at[-1].adversarial

    def curve(self) -> tuple[tuple[float, float], ...]:
        """(radius, robust accuracy) from radius 0, the clean accuracy, upwards."""
        return ((0.0, self.clean_accuracy), *((one.eps, one.robust_accuracy) for one in self.at if one.eps > 0))

    def __str__(self) -> str:
        rates = ", ".join(f"{one.robust_accuracy:.1%} at {one.eps:g}" for one in self.at)
        return f"robust accuracy ({self.norm}) {rates}; clean {self.clean_accuracy:.1%}; n={self.n}; {self.trust}"
