"""Declared nets, weights of torch or ONNX: hardened, compressed or put behind a sanitiser.

Measured before and after by the attack of `evasion.white_box_net`.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bartizan.adapters.images import declared_images
from bartizan.adapters.onnx_models import OnnxNet
from bartizan.adapters.torch_files import load_weights
from bartizan.areas.evasion.api import attack
from bartizan.areas.evasion.defences.compressing import standard_versions
from bartizan.areas.evasion.defences.declared import Measuring, Tell, Training
from bartizan.areas.evasion.defences.drop import Comparison, version
from bartizan.areas.evasion.defences.inner import NORMS, Threat
from bartizan.areas.evasion.defences.measuring import engine_attack
from bartizan.areas.evasion.defences.sanitising import Defended, sanitiser_of, standing_behind
from bartizan.areas.evasion.defences.trainer import Plan, Progress, train
from bartizan.areas.evasion.defences.training import Recipe
from bartizan.areas.evasion.net_inputs import Fed, net_subject
from bartizan.areas.evasion.result import Outcome
from bartizan.model.errors import InputError, MissingExtra
from bartizan.model.findings import Job
from bartizan.model.system import Asset

MOST_HELD_OUT = 1000
"""Most training images that are set aside to choose the best epoch; a tenth where there are fewer."""


class DeclaredNet:
    """A declared net with its declared data: how `declared.Declared` is done for torch and ONNX. Everything is in checked units."""

    endings: tuple[str, ...] = (".safetensors", ".pt", ".pth")

    def __init__(self, job: Job, target: Asset, measuring: Measuring) -> None:
        self.job, self.target, self.measuring = job, target, measuring
        self.subject = net_subject(job, target, measuring.rows, mean=measuring.mean, std=measuring.std)
        self.net = _inner(self.subject.net)
        self.attack = "the margin cascade"
        self.right, self.stood, self.examples, self.doubt = self._measured(self.subject.net, None)

    def _measured(self, net: nn.Module, examples: Tensor | None) -> tuple[Tensor, Tensor, Tensor, str]:
        """Which inputs are right and which of them stand, the inputs that break, and why not to trust it."""
        subject, measuring = self.subject, self.measuring
        found = attack(net, subject.x, subject.y, eps=measuring.eps, norm=measuring.norm, bounds=subject.bounds, seed=self.job.seed)
        outcomes = found.at[-1].outcomes
        right = torch.tensor([one is not Outcome.WRONG for one in outcomes])
        stood = torch.tensor([one is Outcome.ROBUST for one in outcomes])
        if examples is not None:
            stood &= replace(subject, net=net).decisions(examples) == subject.y
        return right, stood, found.adversarial, "" if found.trust.ok else str(found.trust)

    def compare(self, versions: Mapping[str, nn.Module]) -> Comparison:
        """The table of the original and `versions`; each is attacked by itself and met by the examples that break the original."""
        stood, rows = self.stood.tolist(), []
        for name, net in versions.items():
            right, after, _, doubt = self._measured(_around(self.subject.net, net), self.examples)
            rows.append(version(name, int(right.sum()), stood, after.tolist(), doubt))
        original = version("original", int(self.right.sum()), stood, stood, self.doubt)
        return Comparison(before=original, after=tuple(rows), eps=self.measuring.eps, norm=self.measuring.norm)

    def behind(self, sanitiser: str) -> Comparison:
        """The bare net, and the net behind `sanitiser` (`sanitiser_of`) facing an attack that ignores it and one that knows it.

        Raises `InputError` for nets of rows, and for what names no sanitiser.
        """
        subject, measuring, step = self.subject, self.measuring, sanitiser_of(sanitiser)
        if not subject.pictures or measuring.norm not in NORMS:
            raise InputError(f"sanitisers are measured on pictures, in {' and '.join(NORMS)}", place=self.target.at)
        threat = Threat(eps=measuring.eps, norm=measuring.norm)
        plain = engine_attack(seed=self.job.seed, diagnose=False)
        marks = standing_behind(subject.net, step, subject.x, subject.y, threat, attack=plain)
        _, knowing, _, doubt = self._measured(Defended(subject.net, step), None)
        bare, clean = (self.stood & marks.bare_robust).tolist(), int(marks.clean.sum())
        attacks = (("naive", marks.naive, ""), ("adaptive", marks.adaptive & knowing, doubt))
        rows = [version(f"behind {step.name}, {name}", clean, bare, stood.tolist(), why) for name, stood, why in attacks]
        before = version("bare", int(self.right.sum()), bare, bare, self.doubt)
        return Comparison(before=before, after=tuple(rows), eps=measuring.eps, norm=measuring.norm)

    def versions(self) -> dict[str, nn.Module]:
        """The compressed copies."""
        return standard_versions(self.net)

    def harden(self, training: Training, tell: Tell, checkpoint: Path | None) -> tuple[nn.Module, str]:
        """The net trained on from its own weights on attacked pictures, and which epoch it is of. Raises `InputError` for ONNX and rows."""
        if isinstance(self.net, OnnxNet):
            cure = "declare the weights and the code that makes the net (architecture), or train it with bartizan.evasion.AdversarialLoss"
            raise InputError("ONNX is not trained here", place=self.target.at, cure=cure)
        if not self.subject.pictures or self.measuring.norm not in NORMS:
            cure = f"for other inputs and norms than pictures in {' and '.join(NORMS)}, call bartizan.evasion.train"
            raise InputError("only nets of pictures are trained here", place=self.target.at, cure=cure)
        x, y = self._pictures()
        held = min(MOST_HELD_OUT, max(1, len(x) // 10))
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(training.seed))
        recipe = Recipe(threat=Threat(eps=self.measuring.eps * training.margin, norm=self.measuring.norm), method=training.recipe)
        asked = training.given(epochs=training.rounds, rate=training.rate)
        plan = Plan(seed=training.seed, optimiser="adam", **({"epochs": 20, "rate": 5e-3} | asked))
        made = copy.deepcopy(self.subject.net).requires_grad_(True)
        done = train(
            made, x[order[held:]], y[order[held:]], recipe, plan, validation=(x[order[:held]], y[order[:held]]), checkpoint=checkpoint,
            progress=lambda news: tell(_line(news)),
        )  # fmt: skip
        note = f"best of {len(done.history)} epochs: {done.best}, by the training pictures set aside"
        return _inner(done.model).eval().requires_grad_(False), note

    def _pictures(self) -> tuple[Tensor, Tensor]:
        """The declared training pictures and labels, in the units and classes of the test pictures."""
        target = self.target
        test = declared_images(self.job, target.tested_on, target, "tested_on")
        found = declared_images(self.job, target.trained_on, target, "trained_on")
        if found.classes != test.classes:
            raise InputError("training and test data name different classes", place=target.at, cure="declare sets with the same labels")
        x = torch.from_numpy(found.x).reshape(len(found.x), *self.subject.x.shape[1:])
        return ((x - test.low) / (test.high - test.low)).clamp(0.0, 1.0), torch.from_numpy(found.y)

    def save(self, model: nn.Module, path: Path) -> nn.Module:
        """Write the weights, as safetensors or as a state dict by the ending of `path`; the net with the weights read back."""
        if isinstance(self.net, OnnxNet):
            raise InputError(
                "ONNX is not written here", place=self.target.at, cure="compress the net where it is made, then declare the file"
            )
        if any(part._forward_pre_hooks for part in model.modules()):
            what = "rounds its inputs while it runs; a file of weights cannot say so"
            raise InputError(what, place="compression", cure="quantise with your runtime, then declare the file")
        state = {name: value.detach().clone().contiguous() for name, value in model.state_dict().items()}
        if path.suffix.lower() == ".safetensors":
            _safetensors().save_file(state, str(path))
        else:
            torch.save(state, path)
        again = copy.deepcopy(model)
        again.load_state_dict(dict(load_weights(path.parent, path)), strict=True)
        return again.eval()


def _inner(net: nn.Module) -> nn.Module:
    """The declared net itself, without the map from checked units."""
    found = net.net if isinstance(net, Fed) else net
    assert isinstance(found, nn.Module)
    return found


def _around(before: nn.Module, net: nn.Module) -> nn.Module:
    """`net` behind the map from checked units that stands before the declared net."""
    if not isinstance(before, Fed):
        return net
    assert isinstance(before.scale, Tensor)
    assert isinstance(before.shift, Tensor)
    return Fed(net, before.scale, before.shift).eval()


def _line(news: Progress) -> str:
    tested = "" if news.robust is None else f", {news.clean:.1%} right, {news.robust:.1%} under attack"
    return f"epoch {news.epoch}, step {news.step} of {news.steps}: loss {news.loss:.3f}{tested}"


def _safetensors() -> Any:
    try:
        return importlib.import_module("safetensors.torch")
    except ImportError:
        raise MissingExtra("torch", "safetensors") from None
