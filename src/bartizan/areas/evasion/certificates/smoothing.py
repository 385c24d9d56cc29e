"""Randomised smoothing: a certificate for any classifier, from counts of its answers under Gaussian noise, with no more samples than
needed.

The smoothed classifier answers with the class that the base classifier gives most often on x + N(0, sigma^2 I). If that class has
probability at least p, no change of l2 size below sigma * normal quantile of p alters the answer (Cohen, Rosenfeld and Kolter, ICML
2019). The bound is Clopper and Pearson's for a fixed number of samples; `decide_radius` asks an anytime-valid test instead and stops when
it knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from bartizan.model.beta import normal_quantile
from bartizan.model.errors import InputError
from bartizan.model.sequential import log_evidence_near
from bartizan.model.statistics import lower_bound

Sampler = Callable[[int], Tensor]
"""Asked for n samples, gives their predicted classes (n,) for one image, fresh noise every time."""

_SCALE = 1.2
"""Spread of the test's mixture: most images are far from the threshold on either side."""


class Decision(StrEnum):
    """What is known about one image at one radius."""

    CERTIFIED = "certified"
    NOT = "not"  # the class is too rare under noise for this radius
    OPEN = "open"  # the budget of samples ended first


class Smoothed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for one image: the class, None for an abstention, and the certified l2 radius (0 without a class); `samples` spent."""

    label: int | None
    radius: float
    samples: int


class Radius(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the smoothed classifier gives the asked class everywhere within `radius` (l2), wrong with probability at most alpha.

    `count` of `samples` noisy answers were the class.
    """

    decision: Decision
    label: int
    radius: float
    count: int
    samples: int


def noisy(model: Callable[[Tensor], Tensor], x: Tensor, sigma: float, *, seed: int = 0, batch: int = 512) -> Sampler:
    """Samples of `model` (rows to scores (n, K), or (n, 1) for two classes) on one image `x` (*shape) with noise of deviation `sigma` > 0.

    The noise is added without clipping, as the theorem wants it. A module is put into evaluation mode while it answers.
    """
    if not 0.0 < sigma < math.inf:
        raise InputError(f"sigma must be a positive number, not {sigma}", place="smoothing")
    dice = torch.Generator(device=x.device).manual_seed(seed)

    def sample(count: int) -> Tensor:
        parts = []
        training = isinstance(model, nn.Module) and model.training
        if isinstance(model, nn.Module):
            model.eval()
        with torch.no_grad():
            for start in range(0, count, batch):
                size = min(batch, count - start)
                noise = torch.randn((size, *x.shape), generator=dice, device=x.device, dtype=x.dtype)
                scores = model(x + sigma * noise)
                parts.append((scores[:, 0] > 0).long() if scores.shape[1] == 1 else scores.argmax(1))
        if isinstance(model, nn.Module):
            model.train(training)
        return torch.cat(parts)

    return sample


def threshold(radius: float, sigma: float) -> float:
    """The least probability of a class under noise that certifies `radius`: the normal distribution function at radius / sigma."""
    return 0.5 * math.erfc(-radius / (sigma * math.sqrt(2.0)))


def certify_fixed(sampler: Sampler, sigma: float, *, select: int = 100, samples: int = 100_000, alpha: float = 0.001) -> Smoothed:
    """Cohen's procedure: the class from `select` samples, its probability from `samples` fresh ones, wrong with probability <= alpha."""
    label = int(sampler(select).bincount().argmax())
    count = int((sampler(samples) == label).sum())
    least = lower_bound(count, samples, 1.0 - alpha)
    if least <= 0.5:
        return Smoothed(label=None, radius=0.0, samples=select + samples)
    return Smoothed(label=label, radius=sigma * normal_quantile(least), samples=select + samples)


def decide_radius(sampler: Sampler, sigma: float, radius: float, label: int, *, alpha: float = 0.001, budget: int = 100_000,
                  first: int = 8) -> Radius:  # fmt: skip
    """Decide whether class `label` is certified at `radius` >= 0, with as few samples as the truth allows.

    Looks after `first` samples and then after every half as many again; the anytime-valid test makes each look free. CERTIFIED is wrong
    with probability at most `alpha`, and so is NOT, which claims no more than that the class is too rare for this radius.
    """
    if not 0.0 <= radius < math.inf or not 0.0 < alpha < 1.0 or budget < 1:
        raise InputError(f"need radius >= 0, 0 < alpha < 1 and a budget, not {radius}, {alpha} and {budget}", place="smoothing")
    least, goal = threshold(radius, sigma), -math.log(alpha)
    if least >= 1.0 - 1e-12:
        return Radius(decision=Decision.OPEN, label=label, radius=radius, count=0, samples=0)
    count = samples = 0
    while samples < budget:
        step = min(first if samples == 0 else max(first, samples // 2), budget - samples)
        count += int((sampler(step) == label).sum())
        samples += step
        if log_evidence_near(samples - count, samples, 1.0 - least, scale=_SCALE) >= goal:
            return Radius(decision=Decision.CERTIFIED, label=label, radius=radius, count=count, samples=samples)
        if log_evidence_near(count, samples, least, scale=_SCALE) >= goal:
            return Radius(decision=Decision.NOT, label=label, radius=radius, count=count, samples=samples)
    return Radius(decision=Decision.OPEN, label=label, radius=radius, count=count, samples=samples)


def predict(sampler: Sampler, *, alpha: float = 0.001, budget: int = 100_000, select: int = 32) -> Smoothed:
    """The smoothed classifier's class, with radius 0, or an abstention: the class of `select` samples, confirmed to be the more likely
    half.

    A class that is not above one half is not returned, so that the answer is also certified at a radius of zero.
    """
    label = int(sampler(select).bincount().argmax())
    found = decide_radius(sampler, 1.0, 0.0, label, alpha=alpha, budget=budget)
    sure = found.decision is Decision.CERTIFIED
    return Smoothed(label=label if sure else None, radius=0.0, samples=select + found.samples)


class SmoothedCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """Certified accuracy of the smoothed classifier at one l2 radius on these images; `open` images count as not certified.

    Each decision is wrong with probability at most `alpha`; `samples` are the forward passes in all.
    """

    sigma: float
    radius: float
    alpha: float
    decisions: tuple[Radius, ...]

    @property
    def certified(self) -> int:
        """How many images are certified with their true label."""
        return sum(one.decision is Decision.CERTIFIED for one in self.decisions)

    @property
    def accuracy(self) -> float:
        """Certified accuracy: a lower bound of robust accuracy at `radius`, each image at confidence 1 - alpha."""
        return self.certified / len(self.decisions)

    @property
    def samples(self) -> int:
        """Forward passes spent."""
        return sum(one.samples for one in self.decisions)


def certify_smoothed(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, *, sigma: float, radius: float, alpha: float = 0.001,
                     budget: int = 100_000, seed: int = 0, **options: Any) -> SmoothedCertificate:  # fmt: skip
    """Decide for each image of `x` (N, *shape) whether its true label `y` (N,) is certified at the l2 `radius`; `options` go to `noisy`."""
    decisions = tuple(
        decide_radius(noisy(model, image, sigma, seed=seed + i, **options), sigma, radius, int(label), alpha=alpha, budget=budget)
        for i, (image, label) in enumerate(zip(x, y.tolist(), strict=True))
    )
    return SmoothedCertificate(sigma=sigma, radius=radius, alpha=alpha, decisions=decisions)
