"""Adversarial training as one loss for a user's own loop: PGD-AT, TRADES, and fast training that notices when it overfits its own step.

loss_of = AdversarialLoss(Recipe(threat=Threat(eps=0.1), method="fast"))
for x, y in loader:
    loss = loss_of(model, x, y)
    loss.backward()
    optimiser.step()
"""

from __future__ import annotations

from typing import Any

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from bartizan.areas.evasion.defences.inner import Evaluating, Threat, ascent, cross_entropy, gradient, pgd, project, right, uniform, within
from bartizan.model.errors import InputError, UnknownName

METHODS = ("pgd", "trades", "fast")
_LOOK = 128
"""Images of a batch that the guard looks at."""
_RESCUE = 5
"""Gradient steps of the rescue while a collapsed model recovers."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How to train.

    `method`: "pgd" (Madry et al., 2018) with `steps` gradient steps; "trades" (Zhang et al., ICML 2019) with weight `beta` on the
    divergence; "fast": one step from noise of `noise` times eps, unprojected above 1 (N-FGSM, de Jorge et al., NeurIPS 2022; 1 is the
    random start of Wong et al., ICLR 2020; 0 plain FGSM). `step`: size of a step in units of eps, None for 2.5 / steps (1 for fast). Fast
    training is watched: every `guard_every` batches (0: never) the same images meet five projected steps; where accuracy falls below
    `collapse` times that of the single step, the next `rescue` batches are trained with five steps, twice as many after each relapse.
    """

    threat: Threat
    method: str = "fast"
    steps: int = 7
    step: float | None = None
    beta: float = 6.0
    noise: float = 2.0
    guard_every: int = 20
    collapse: float = 0.6
    rescue: int = 100

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UnknownName("training method", self.method, METHODS)
        if self.steps < 1 or self.noise < 0 or self.beta < 0 or self.guard_every < 0 or not 0 <= self.collapse < 1 or self.rescue < 1:
            raise InputError(
                "steps and rescue are at least 1; noise, beta and guard_every not negative; collapse in 0 to 1", place="recipe"
            )


class AdversarialLoss:
    """The mean loss of one batch under the recipe's attack, as a tensor to call `backward` on.

    The attack runs in evaluation mode, the loss in the model's own. Noise depends on `seed` and the count of batches alone, so that a loop
    that saves `state()` and restores it goes on exactly as if it had not stopped. `relapses` counts the collapses the guard has met;
    `single` and `several` are the accuracies it saw last.
    """

    def __init__(self, recipe: Recipe, *, seed: int = 0) -> None:
        self.recipe, self.seed = recipe, seed
        self.batches = self.relapses = self.rescuing = 0
        self.single = self.several = float("nan")

    def state(self) -> dict[str, Any]:
        """What must be kept to go on exactly: plain numbers."""
        return {"batches": self.batches, "relapses": self.relapses, "rescuing": self.rescuing}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.batches, self.relapses, self.rescuing = int(state["batches"]), int(state["relapses"]), int(state["rescuing"])

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """The loss of a batch of images `x` (B, ...) with labels `y` (B,)."""
        dice = torch.Generator(device=x.device).manual_seed((self.seed << 32) + self.batches)
        with Evaluating(model):
            changed = self._attacked(model, x, y, dice)
        self.batches += 1
        if self.recipe.method == "trades":
            plain, moved = model(x), model(changed)
            return cross_entropy(plain, y).mean() + self.recipe.beta * _divergence(plain, moved).mean()
        return cross_entropy(model(changed), y).mean()

    def _attacked(self, model: nn.Module, x: Tensor, y: Tensor, dice: torch.Generator) -> Tensor:
        recipe, threat = self.recipe, self.recipe.threat
        if recipe.method == "trades":
            with torch.no_grad():
                target = model(x)
            start = within(x + 0.001 * torch.randn(x.shape, generator=dice, device=x.device, dtype=x.dtype), threat)
            return pgd(model, x, y, threat, steps=recipe.steps, step=_size(recipe), start=start, loss=lambda z, _: _divergence(target, z))
        if recipe.method == "pgd":
            return pgd(model, x, y, threat, steps=recipe.steps, step=_size(recipe), dice=dice)
        if self.rescuing > 0:
            self.rescuing -= 1
            return pgd(model, x, y, threat, steps=_RESCUE, dice=dice)
        changed = self._single_step(model, x, y, dice)
        if recipe.guard_every and self.batches % recipe.guard_every == 0 and self._collapsed(model, x, y, changed, dice):
            self.rescuing = recipe.rescue * 2**self.relapses
            self.relapses += 1
            return pgd(model, x, y, threat, steps=_RESCUE, dice=dice)
        return changed

    def _single_step(self, model: nn.Module, x: Tensor, y: Tensor, dice: torch.Generator) -> Tensor:
        recipe, threat = self.recipe, self.recipe.threat
        start = x + uniform(x, threat, dice, recipe.noise) if recipe.noise > 0 else x
        start = start if recipe.noise > 1 else within(start, threat)
        size = threat.eps * (1.0 if recipe.step is None else recipe.step)
        changed = start + size * ascent(gradient(model, start, y, cross_entropy)[1], threat)
        return within(changed, threat).detach() if recipe.noise > 1 else project(x, changed, threat).detach()

    def _collapsed(self, model: nn.Module, x: Tensor, y: Tensor, changed: Tensor, dice: torch.Generator) -> bool:
        few, labels = x[:_LOOK], y[:_LOOK]
        several = pgd(model, few, labels, self.recipe.threat, steps=_RESCUE, dice=dice)
        with torch.no_grad():
            self.single = float(right(model(changed[:_LOOK]), labels).float().mean())
            self.several = float(right(model(several), labels).float().mean())
        return self.single > 0.2 and self.several < self.recipe.collapse * self.single


def _size(recipe: Recipe) -> float | None:
    return None if recipe.step is None else recipe.step * recipe.threat.eps


def _divergence(plain: Tensor, moved: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the answers for moved inputs from those for plain ones, per image."""
    if plain.shape[1] == 1:
        plain, moved = (torch.cat([torch.zeros_like(z), z], 1) for z in (plain, moved))
    found: Tensor = functional.kl_div(moved.log_softmax(1), plain.softmax(1), reduction="none").sum(1)
    return found
