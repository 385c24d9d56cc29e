"""A complete adversarial training: progress, checkpoints, exact resume, early stop on robust accuracy.

Order of images, noise and dropout depend on the seed and the count of steps alone; a run that was interrupted and resumed therefore ends at
the very weights of one that was not, on the same machine with the same number of threads.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import math
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from bartizan.areas.evasion.defences.inner import Evaluating, Threat, margin, pgd, right
from bartizan.areas.evasion.defences.training import AdversarialLoss, Recipe
from bartizan.model.errors import InputError, UnknownName

OPTIMISERS = ("sgd", "adam")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how fast.

    The learning rate climbs to `rate` within the first `warm` share of all steps and falls to zero linearly. `average`: decay of a running
    mean of the weights, which is what gets tested and returned; 0 for none. `patience`: epochs without a better robust accuracy before the
    training stops; 0 for never. `save_every`: steps between checkpoints, 0 for one at each epoch's end.
    """

    epochs: int = 15
    batch: int = 128
    rate: float = 0.1
    optimiser: str = "sgd"
    momentum: float = 0.9
    decay: float = 5e-4
    warm: float = 0.3
    average: float = 0.0
    patience: int = 0
    save_every: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS:
            raise UnknownName("optimiser", self.optimiser, OPTIMISERS)
        if self.epochs < 1 or self.batch < 1 or not 0 < self.rate < math.inf or not 0 <= self.warm <= 1 or not 0 <= self.average < 1:
            raise InputError("epochs and batch are at least 1, rate positive, warm and average in 0 to 1", place="plan")


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a training stands after a step. `clean` and `robust` are those of the validation images, at the ends of epochs; else None."""

    epoch: int
    step: int
    steps: int
    loss: float
    rate: float
    relapses: int
    seconds: float
    clean: float | None = None
    robust: float | None = None


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """One epoch: mean training loss, and clean and robust accuracy on the validation images (NaN without any)."""

    epoch: int
    loss: float
    clean: float
    robust: float


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome. `model` carries the weights of the epoch with the best robust accuracy, of the last one without validation images."""

    model: Any
    history: tuple[Epoch, ...]
    best: int
    stopped_early: bool
    relapses: int


Listener = Callable[[Progress], None]


def train(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    recipe: Recipe,
    plan: Plan | None = None,
    *,
    validation: tuple[Tensor, Tensor] | None = None,
    progress: Listener | None = None,
    checkpoint: Path | None = None,
) -> Trained:
    """Train `model` in place on images `x` (N, ...) with labels `y` (N,).

    `checkpoint`: a file that is written as the plan says and, where it exists, resumed from; it is refused if recipe, plan or data differ.
    Validation images are attacked with ten steps on the margin after every epoch; the weights of the best epoch are returned.
    """
    run = _Run(model, x, y, recipe, plan or Plan(), checkpoint)
    run.resume()
    started = time.monotonic()
    while run.step < run.steps and not run.stopped:
        loss, rate = run.advance()
        done = run.step % run.per_epoch == 0
        clean, robust = run.close_epoch(validation) if done else (math.nan, math.nan)
        if checkpoint is not None and (done or (run.plan.save_every and run.step % run.plan.save_every == 0)):
            run.save()
        if progress is not None:
            seen = done and validation is not None
            progress(Progress(epoch=(run.step - 1) // run.per_epoch + 1, step=run.step, steps=run.steps, loss=loss, rate=rate,
                              relapses=run.loss_of.relapses, seconds=time.monotonic() - started, clean=clean if seen else None,
                              robust=robust if seen else None))  # fmt: skip
    return run.finish()


class _Run:
    """The state of one training; everything that a checkpoint must hold."""

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, recipe: Recipe, plan: Plan, checkpoint: Path | None) -> None:
        if len(x) != len(y) or len(x) == 0:
            raise InputError(f"{len(x)} images and {len(y)} labels", place="training", cure="give one label for each image")
        self.model, self.x, self.y, self.recipe, self.plan, self.path = model, x, y, recipe, plan, checkpoint
        self.loss_of = AdversarialLoss(recipe, seed=plan.seed)
        parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimiser: torch.optim.Optimizer = (
            torch.optim.SGD(parameters, plan.rate, plan.momentum, weight_decay=plan.decay)
            if plan.optimiser == "sgd"
            else torch.optim.AdamW(parameters, plan.rate, weight_decay=plan.decay)
        )
        self.per_epoch = math.ceil(len(x) / plan.batch)
        self.steps = self.per_epoch * plan.epochs
        self.step, self.losses, self.history, self.stopped = 0, 0.0, list[Epoch](), False
        self.mean = copy.deepcopy(model).requires_grad_(False) if plan.average else None
        self.best: dict[str, Tensor] | None = None
        self.order: Tensor = torch.empty(0)

    def advance(self) -> tuple[float, float]:
        """One step of the optimiser."""
        epoch, place = divmod(self.step, self.per_epoch)
        if place == 0 or len(self.order) == 0:
            self.order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed((self.plan.seed << 20) + epoch))
        chosen = self.order[place * self.plan.batch : (place + 1) * self.plan.batch].to(self.x.device)
        rate = self._rate()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.model.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed((self.plan.seed << 32) + self.step)
            loss = self.loss_of(self.model, self.x[chosen], self.y[chosen])
            self.optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward([loss])
        self.optimiser.step()
        self._average()
        value = loss.item()
        if not math.isfinite(value):
            raise InputError(f"the loss became {value} at step {self.step}", place="training", cure="lower the plan's rate")
        self.step, self.losses = self.step + 1, self.losses + value
        return value, rate

    def _rate(self) -> float:
        done, warm = (self.step + 1) / self.steps, self.plan.warm
        share = done / warm if done < warm else (1.0 - done + 1.0 / self.steps) / (1.0 - warm + 1.0 / self.steps)
        return self.plan.rate * min(1.0, share)

    def _average(self) -> None:
        if self.mean is None:
            return
        keep = min(self.plan.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for mine, theirs in zip(self.mean.state_dict().values(), self.model.state_dict().values(), strict=True):
                if mine.is_floating_point():
                    mine.mul_(keep).add_(theirs, alpha=1.0 - keep)
                else:
                    mine.copy_(theirs)

    def close_epoch(self, validation: tuple[Tensor, Tensor] | None) -> tuple[float, float]:
        """Note the epoch, test the validation images, keep the best weights, decide whether to stop."""
        tested = self.model if self.mean is None else self.mean
        clean, robust = accuracy(tested, *validation, self.recipe.threat) if validation is not None else (math.nan, math.nan)
        before = [epoch.robust for epoch in self.history]
        self.history.append(Epoch(epoch=self.step // self.per_epoch, loss=self.losses / self.per_epoch, clean=clean, robust=robust))
        self.losses = 0.0
        if validation is None or not before or robust > max(before):
            self.best = {name: value.clone() for name, value in tested.state_dict().items()}
        if validation is not None and self.plan.patience:
            rates = [epoch.robust for epoch in self.history]
            self.stopped = len(rates) - 1 - rates.index(max(rates)) >= self.plan.patience
        return clean, robust

    def finish(self) -> Trained:
        """The model with the best weights."""
        if self.best is not None:
            self.model.load_state_dict(self.best)
        self.model.eval()
        rates = [epoch.robust for epoch in self.history]
        best = rates.index(max(rates)) + 1 if rates and not math.isnan(rates[-1]) else len(rates)
        return Trained(model=self.model, history=tuple(self.history), best=best, stopped_early=self.stopped, relapses=self.loss_of.relapses)

    @functools.cached_property
    def identity(self) -> str:
        """What a checkpoint must have been made for."""
        name = hashlib.sha256(msgspec.json.encode([self.recipe, self.plan], order="sorted"))
        for part in (self.x, self.y):
            name.update(str((tuple(part.shape), part.dtype)).encode())
            name.update(part.detach().cpu().contiguous().numpy().tobytes())
        return name.hexdigest()

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        assert self.path is not None
        state = {
            "identity": self.identity,
            "step": self.step,
            "losses": self.losses,
            "stopped": self.stopped,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "mean": None if self.mean is None else self.mean.state_dict(),
            "best": self.best,
            "loss": self.loss_of.state(),
            "history": [msgspec.to_builtins(epoch) for epoch in self.history],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(self.path.name + ".part")
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one. It is read as data; no code of it runs."""
        if self.path is None:
            return
        if not self.path.exists():
            self.save()  # the very first weights: a run stopped before its first checkpoint starts from these again
            return
        try:
            state = torch.load(self.path, map_location=self.x.device, weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
            raise InputError(f"not a checkpoint ({error})", place=str(self.path), cure="remove it to start anew") from None
        if state["identity"] != self.identity:
            raise InputError("the checkpoint is of another recipe, plan or data set", place=str(self.path), cure="remove it to start anew")
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.mean is not None:
            self.mean.load_state_dict(state["mean"])
        self.best, self.step, self.losses, self.stopped = state["best"], state["step"], state["losses"], state["stopped"]
        self.loss_of.restore(state["loss"])
        self.history = [msgspec.convert(epoch, Epoch) for epoch in state["history"]]


def accuracy(model: nn.Module, x: Tensor, y: Tensor, threat: Threat, *, steps: int = 10, batch: int = 512) -> tuple[float, float]:
    """Clean accuracy and accuracy under `steps` projected steps on the margin from a fixed random start: a quick estimate."""
    clean = robust = 0
    dice = torch.Generator(device=x.device).manual_seed(0)
    with Evaluating(model):
        for start in range(0, len(x), batch):
            images, labels = x[start : start + batch], y[start : start + batch]
            with torch.no_grad():
                stands = right(model(images), labels)
            clean += int(stands.sum())
            images, labels = images[stands], labels[stands]
            if len(images):
                changed = pgd(model, images, labels, threat, steps=steps, loss=margin, dice=dice)
                with torch.no_grad():
                    robust += int(right(model(changed), labels).sum())
    return clean / len(x), robust / len(x)
