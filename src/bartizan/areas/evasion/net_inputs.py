"""What the checks of nets work on: the declared net as a torch module, and declared images or rows with labels, scaled to one unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bartizan.adapters.files import local_path
from bartizan.adapters.images import ImageSet, declared_images
from bartizan.adapters.onnx_models import load_onnx
from bartizan.adapters.torch_files import load_net
from bartizan.adapters.torch_models import TorchModel
from bartizan.areas.evasion.net_files import FORMATS
from bartizan.areas.evasion.result import Result
from bartizan.model.errors import InputError
from bartizan.model.findings import Job
from bartizan.model.system import Asset, Format

MIN_RIGHT = 20
"""Fewest inputs that the net decides correctly; below, no rate is worth its interval."""


class Fed(nn.Module):
    """A net behind the affine map that turns checked units into what the net is fed: (x * scale + shift)."""

    scale: Tensor
    shift: Tensor

    def __init__(self, net: nn.Module, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Any:
        """The net's answer to inputs (B, *shape) in checked units."""
        return self.net(x * self.scale + self.shift)


@dataclass(frozen=True)
class NetSubject:
    """A net with inputs in checked units: `x` (n, *shape) inside `bounds`, labels `y` (n,) as class numbers.

    For pictures a unit is the range of all pixels and `bounds` are 0 and 1; for rows it is the standard deviation of each column, and
    `bounds` hold the range of each. `classes` are names of the classes, empty where only numbers are known.
    """

    net: nn.Module
    x: Tensor
    y: Tensor
    bounds: tuple[Any, Any]
    classes: tuple[str, ...]

    @property
    def pictures(self) -> bool:
        return self.x.dim() == 4

    def decisions(self, x: Tensor) -> Tensor:
        """The class (n,) that the net decides for each input."""
        model = TorchModel(self.net, x)
        with model.session(0):
            found: Tensor = model.decide(model.rows(x))
        return found

    def first(self, rows: Tensor) -> NetSubject:
        """The same net with these rows alone."""
        return replace(self, x=self.x[rows], y=self.y[rows])


def net_of(job: Job, target: Asset, *, shape: Sequence[int] | None = None) -> nn.Module:
    """The declared net, in evaluation mode. Raises `InputError`, `Refused`, `NoTarget` or `MissingExtra` where it cannot be had."""
    if target.uri is None:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare where the model file lies")
    path = local_path(job.root, target.uri, target.at)
    if target.format is Format.ONNX or (target.format is None and path.suffix.lower() == ".onnx"):
        return load_onnx(job.root, path, shape=shape)
    if target.format not in (None, *FORMATS):
        raise InputError(f"'{target.id}' is stored as {target.format}; this check reads ONNX and weights of torch", place=target.at)
    return load_net(job.root, target.uri, target.architecture, target.at)


def net_subject(job: Job, target: Asset, images: int, *, mean: str = "", std: str = "") -> NetSubject:
    """The declared net with at most `images` of its declared test inputs, drawn by the job's seed.

    `mean`, `std`: the net is fed (x - mean) / std, one number or one for each channel, separated by commas. Raises as `net_of`, and
    `InputError` where data and net do not fit or too little is decided correctly.
    """
    if images < MIN_RIGHT:
        raise InputError(f"images={images} is too few", place=target.at, cure=f"set images to {MIN_RIGHT} or more")
    test = declared_images(job, target.tested_on, target, "tested_on")
    net, test = _fitting(job, target, test)
    subject = _scaled(net, test, _train(job, target, test), mean, std)
    chosen = np.sort(np.random.default_rng(job.seed).permutation(len(subject.x))[:images])
    subject = subject.first(torch.from_numpy(chosen))
    right = int((subject.decisions(subject.x) == subject.y).sum())
    if right < MIN_RIGHT:
        what = f"only {right} of {len(subject.x)} test inputs are decided correctly"
        raise InputError(what, place=target.at, cure="declare the normalisation (parameters mean and std), the right labels, or more data")
    return subject


def _fitting(job: Job, target: Asset, test: ImageSet) -> tuple[nn.Module, ImageSet]:
    """Net and data in one shape: rows of a table become square pictures where the net takes pictures."""
    flat = test.x.ndim == 2
    try:
        net = net_of(job, target, shape=test.x.shape[1:])
        if not flat or _runs(net, test.x[:2]):
            return net, test
    except InputError:
        if not flat or not (target.format is Format.ONNX or Path(target.uri or "").suffix.lower() == ".onnx"):
            raise
        net = net_of(job, target)
    known: Any = getattr(net, "input_shape", None)
    for shape in [known] if known else _pictures_of(test.x.shape[1]):
        if np.prod(shape) == test.x.shape[1] and _runs(net, test.x[:2].reshape(-1, *shape)):
            return net, replace(test, x=test.x.reshape(-1, *shape))
    raise InputError(f"the net takes no rows of {test.x.shape[1]} numbers", place=target.at, cure="declare data in the shape it is fed")


def _pictures_of(features: int) -> list[tuple[int, int, int]]:
    """Shapes of square pictures with this many numbers."""
    sides = [(channels, int(np.sqrt(features // channels))) for channels in (1, 3)]
    return [(channels, side, side) for channels, side in sides if channels * side * side == features]


def _runs(net: nn.Module, x: Any) -> bool:
    try:
        with torch.no_grad():
            net(torch.from_numpy(np.ascontiguousarray(x)))
    except (RuntimeError, ValueError, TypeError, IndexError):
        return False
    return True


def _train(job: Job, target: Asset, test: ImageSet) -> Any:
    """The training rows where they are declared as rows like the test rows; else the test rows themselves."""
    if test.x.ndim != 2 or not target.trained_on:
        return test.x
    try:
        train = declared_images(job, target.trained_on, target, "trained_on")
    except InputError:
        return test.x
    return train.x if train.x.shape[1:] == test.x.shape[1:] else test.x


def _scaled(net: nn.Module, test: ImageSet, train: Any, mean: str, std: str) -> NetSubject:
    """Inputs in checked units, and the net behind the map back to what it is fed."""
    x = torch.from_numpy(np.ascontiguousarray(test.x))
    if x.dim() == 4:
        unit, offset = torch.tensor(test.high - test.low), torch.tensor(test.low)
        bounds: tuple[Any, Any] = (0.0, 1.0)
    else:
        rows = torch.from_numpy(np.concatenate([train, test.x]))
        unit, offset = rows.std(0).clamp_min(1e-12), torch.zeros(rows.shape[1])
        unit = torch.where(rows.std(0) > 0, unit, torch.ones_like(unit))
        low, high = rows.amin(0) / unit, rows.amax(0) / unit
        bounds = (low.numpy(), torch.where(high > low, high, low + 1e-6).numpy())
    shift, factor = _numbers(mean, 0.0, x), _numbers(std, 1.0, x)
    if bool((factor <= 0).any()):
        raise InputError("std must be positive", cure="set std to the numbers by which the inputs of the net are divided")
    scale, push = (unit / factor).float(), ((offset - shift) / factor).float()
    plain = bool((scale == 1).all()) and bool((push == 0).all())
    fed = net if plain else Fed(net, scale, push).eval()
    checked = (x - offset) / unit
    checked = checked.clamp(0.0, 1.0) if x.dim() == 4 else checked.clamp(torch.from_numpy(bounds[0]), torch.from_numpy(bounds[1]))
    return NetSubject(fed, checked.float(), torch.from_numpy(test.y), bounds, test.classes)


def _numbers(text: str, default: float, x: Tensor) -> Tensor:
    """One number, or one for each channel or column, shaped to fit `x`."""
    try:
        values = torch.tensor([float(part) for part in text.split(",") if part.strip()] or [default])
    except ValueError:
        raise InputError(f"'{text}' is no list of numbers", cure="write mean and std as numbers separated by commas") from None
    if len(values) not in (1, x.shape[1]):
        raise InputError(f"{len(values)} numbers for {x.shape[1]} channels", cure="give mean and std once, or for each channel")
    return values.reshape(-1, 1, 1) if x.dim() == 4 else values


def random_flips(subject: NetSubject, eps: float, norm: str, draws: int, seed: int) -> float:
    """The share of right decisions that a random change of this size flips, mean over `draws`: the control of an attack."""
    dice = torch.Generator().manual_seed(seed)
    low, high = (torch.as_tensor(bound, dtype=torch.float32) for bound in subject.bounds)
    flipped = 0
    right = subject.decisions(subject.x) == subject.y
    for _ in range(draws):
        noise = torch.randn(subject.x.shape, generator=dice)
        if norm == "linf":
            change = eps * noise.sign()
        else:
            size = torch.linalg.vector_norm(noise.flatten(1), ord=2 if norm == "l2" else 1, dim=1)
            change = noise * (eps / size).reshape(-1, *[1] * (noise.dim() - 1))
        changed = (subject.x + change).clamp(low, high)
        flipped += int(((subject.decisions(changed) != subject.y) & right).sum())
    return flipped / max(1, draws * int(right.sum()))


def curve_of(result: Result) -> list[list[float]]:
    """[radius, robust accuracy] from the clean accuracy on."""
    return [[radius, round(share, 6)] for radius, share in result.curve()]
