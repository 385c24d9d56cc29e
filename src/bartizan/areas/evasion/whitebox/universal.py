"""One change for all inputs: universal perturbations inside a ball, and patches that replace a region wherever it is pasted.

Moosavi-Dezfooli et al., Universal adversarial perturbations, CVPR 2017; Brown et al., Adversarial patch, 2017. Both are fitted on half of
the inputs by ascent on the mean clipped margin and measured on the other half, which the pattern has never seen.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from bartizan.areas.evasion.arrays import Array, copy, full, integers, like, namespace, to_numpy
from bartizan.areas.evasion.norms import Space, ascent
from bartizan.areas.evasion.targets import Differentiates
from bartizan.areas.evasion.whitebox.minimum_norm import probe
from bartizan.model.errors import InputError
from bartizan.model.statistics import clopper_pearson


class Pattern(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern and how often it fools the model on `n` unseen inputs that the model gets right.

    `values`: the perturbation (*shape) or the patch (channels, height, width), NumPy. `fooled` of `n`; `adversarial`: the n changed inputs.
    """

    values: Any
    fooled: int
    n: int
    adversarial: Any

    @property
    def rate(self) -> float:
        """Share of unseen, rightly classified inputs on which the model errs with the pattern."""
        return self.fooled / max(1, self.n)

    @property
    def interval(self) -> tuple[float, float]:
        """Exact two-sided 95 % interval of `rate`."""
        return clopper_pearson(self.fooled, self.n)


def halves(target: Differentiates, x: Array, y: Array) -> tuple[Array, Array]:
    """Row numbers of rightly classified inputs, alternately to fit on and to measure on."""
    right = np.flatnonzero(to_numpy(target.decide(x) == y))
    if len(right) < 2:
        raise InputError(f"the model gets {len(right)} of the inputs right", cure="give at least two: one to fit on, one to measure on")
    return integers(right[::2], x), integers(right[1::2], x)


def fit_universal(
    target: Differentiates, x: Array, y: Array, space: Space, eps: float, *, steps: int = 60, batch: int = 64, seed: int = 0
) -> Pattern:
    """One perturbation of norm <= `eps` for all inputs; the range is kept by clipping each changed input."""
    random = np.random.default_rng(seed)
    fit, judge = halves(target, x, y)
    free = Space(norm=space.norm, low=space.low - space.high, high=space.high - space.low)
    delta, zero, radius = x[:1] * 0, x[:1] * 0, full(x, 1, eps)
    for step in range(steps):
        rows = fit[integers(random.permutation(len(fit))[:batch], x)]
        value, gradient, _ = probe(target, space.clip(x[rows] + delta), y[rows])
        mean = (gradient * (value > -_cap(value))[:, None]).sum(0)[None]
        share = radius * (0.5 * (1 - step / steps) + 0.02)
        delta = free.project(zero, delta - share[:, None] * ascent(mean, space.norm), radius)
    changed = space.settle(x[judge], x[judge] + delta, full(x, len(judge), eps))
    fooled = to_numpy(target.decide(changed) != y[judge])
    return Pattern(values=to_numpy(delta[0]), fooled=int(fooled.sum()), n=len(judge), adversarial=to_numpy(changed))


def _cap(value: Array) -> float:
    """Margins count only down to this far below zero: an input that is fooled already pulls no more."""
    return float(abs(value).mean()) * 0.5


def fit_patch(
    target: Differentiates, x: Array, y: Array, space: Space, size: tuple[int, int], *, steps: int = 150, batch: int = 64, seed: int = 0
) -> Pattern:
    """A patch of `size` (height, width), pasted at random places of images (channels, height, width), any value in the range."""
    shape = tuple(getattr(target, "shape", ()))
    if len(shape) != 3 or not (0 < size[0] <= shape[1] and 0 < size[1] <= shape[2]):
        raise InputError(f"a patch of {size} does not fit inputs of shape {shape}", cure="patches are for images (channels, height, width)")
    random = np.random.default_rng(seed)
    fit, judge = halves(target, x, y)
    low, high = float(to_numpy(space.low).min()), float(to_numpy(space.high).max())
    patch = random.uniform(low, high, (shape[0], *size))
    for step in range(steps):
        rows = fit[integers(random.permutation(len(fit))[:batch], x)]
        places = _places(random, len(rows), shape, size)
        value, gradient, _ = probe(target, _pasted(x[rows], patch, places, shape, space), y[rows])
        slopes = to_numpy(gradient * (value > -_cap(value))[:, None]).reshape(-1, *shape)
        total = sum(g[:, t : t + size[0], c : c + size[1]] for g, (t, c) in zip(slopes, places, strict=True))
        share = (high - low) * (0.15 * (1 - step / steps) + 0.01)
        patch = np.clip(patch - share * np.sign(total), low, high)
    changed = _pasted(x[judge], patch, _places(random, len(judge), shape, size), shape, space)
    fooled = to_numpy(target.decide(changed) != y[judge])
    return Pattern(values=patch, fooled=int(fooled.sum()), n=len(judge), adversarial=to_numpy(changed))


def _places(random: np.random.Generator, n: int, shape: tuple[int, ...], size: tuple[int, int]) -> list[tuple[int, int]]:
    rows = random.integers(0, shape[1] - size[0] + 1, n)
    columns = random.integers(0, shape[2] - size[1] + 1, n)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _pasted(x: Array, patch: np.ndarray[Any, Any], places: list[tuple[int, int]], shape: tuple[int, ...], space: Space) -> Array:
    images = copy(x).reshape(len(x), *shape)
    values = like(patch, x)
    for row, (top, left) in enumerate(places):
        images[row, :, top : top + patch.shape[1], left : left + patch.shape[2]] = values
    return space.clip(namespace(x).reshape(images, (len(x), -1)))
