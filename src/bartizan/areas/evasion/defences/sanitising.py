"""Input sanitisation: squeezing, filters, JPEG and total variation before the model, measured under an attack that knows them.

Gradients are masked by such steps, so that an attack on the bare model says little (Athalye, Carlini and Wagner, ICML 2018). The adaptive
attack runs the true step forwards and a smooth stand-in backwards (BPDA), over several draws where the step is random (EOT), and also
tries what already broke the bare model.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from bartizan.areas.evasion.defences.inner import Evaluating, Threat
from bartizan.areas.evasion.defences.measuring import BATCH, Attack, Rate, attacked, own_attack, rate, stands
from bartizan.model.errors import InputError, MissingExtra

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Sanitiser:
    """A step before the model. `apply`: the step on images (B, C, H, W) in 0 to 1; `stand_in`: what the adaptive attack differentiates
    in its place; `random`: whether two calls differ; `staircase`: whether it maps each value alone, rising, each level to itself.
    """

    name: str
    apply: Map
    stand_in: Map
    random: bool = False
    staircase: bool = False


def _itself(x: Tensor) -> Tensor:
    return x


def bit_depth(bits: int) -> Sanitiser:
    """Rounding to `bits` bits a channel, 1 to 8 (Xu, Evans and Qi, NDSS 2018)."""
    if not 1 <= bits <= 8:
        raise InputError(f"a bit depth is 1 to 8, not {bits}", place="sanitiser")
    levels = 2**bits - 1
    return Sanitiser(f"bit depth {bits}", lambda x: torch.round(x * levels) / levels, _itself, staircase=True)


def median(size: int = 3) -> Sanitiser:
    """The median of each `size` x `size` neighbourhood, edges mirrored."""
    if size < 2:
        raise InputError(f"a median needs a window of at least 2, not {size}", place="sanitiser")
    before, after = (size - 1) // 2, size // 2

    def apply(x: Tensor) -> Tensor:
        padded = functional.pad(x, (before, after, before, after), mode="reflect")
        windows = padded.unfold(2, size, 1).unfold(3, size, 1)
        found: Tensor = windows.flatten(4).median(4).values
        return found

    def average(x: Tensor) -> Tensor:
        padded = functional.pad(x, (before, after, before, after), mode="reflect")
        return functional.avg_pool2d(padded, size, 1)

    return Sanitiser(f"median {size}x{size}", apply, average)


def gaussian(sigma: float = 1.0) -> Sanitiser:
    """Smoothing with a Gaussian of this deviation in pixels, edges mirrored; smooth, hence its own stand-in."""
    if not 0.0 < sigma < 20.0:
        raise InputError(f"sigma lies between 0 and 20 pixels, not {sigma}", place="sanitiser")
    reach = max(1, math.ceil(2.5 * sigma))
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)

    def apply(x: Tensor) -> Tensor:
        line = (weights / weights.sum()).to(x)
        wide = functional.pad(x, (reach, reach, reach, reach), mode="reflect" if reach < min(x.shape[2:]) else "replicate")
        flat = wide.reshape(-1, 1, *wide.shape[2:])
        flat = functional.conv2d(functional.conv2d(flat, line.reshape(1, 1, -1, 1)), line.reshape(1, 1, 1, -1))
        return flat.reshape(x.shape)

    return Sanitiser(f"Gaussian {sigma:g}", apply, apply)


def jpeg(quality: int = 75) -> Sanitiser:
    """JPEG and back, at a quality of 1 to 95, one or three channels. Needs Pillow."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("images", "PIL") from None
    if not 1 <= quality <= 95:
        raise InputError(f"a JPEG quality is 1 to 95, not {quality}", place="sanitiser")
    import numpy as np

    def apply(x: Tensor) -> Tensor:
        if x.shape[1] not in (1, 3):
            raise InputError(f"JPEG knows one or three channels, not {x.shape[1]}", place="sanitiser")
        pixels = (x.detach().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        back = []
        for image in pixels:
            file = io.BytesIO()
            Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(file, "JPEG", quality=quality)
            back.append(np.asarray(Image.open(file)).reshape(image.shape))
        return torch.from_numpy(np.stack(back)).permute(0, 3, 1, 2).to(x) / 255

    return Sanitiser(f"JPEG {quality}", apply, _itself)


def total_variation(weight: float = 0.1, steps: int = 20) -> Sanitiser:
    """The image z that minimises |z - x|^2 / 2 + weight * total variation of z (Rudin, Osher and Fatemi, Physica D 60, 1992).

    `steps` of Chambolle's projection (J. Math. Imaging and Vision 20, 2004), which are differentiable and so their own stand-in.
    """
    if not 0.0 < weight < 10.0 or steps < 1:
        raise InputError(f"total variation needs 0 < weight < 10 and at least one step, not {weight} and {steps}", place="sanitiser")

    def apply(x: Tensor) -> Tensor:
        down, across = torch.zeros_like(x), torch.zeros_like(x)
        for _ in range(steps):
            inner = _divergence(down, across) - x / weight
            steep_down = functional.pad(inner[:, :, 1:] - inner[:, :, :-1], (0, 0, 0, 1))
            steep_across = functional.pad(inner[:, :, :, 1:] - inner[:, :, :, :-1], (0, 1))
            size = 1.0 + 0.25 * (steep_down**2 + steep_across**2 + 1e-12).sqrt()
            down, across = (down + 0.25 * steep_down) / size, (across + 0.25 * steep_across) / size
        return x - weight * _divergence(down, across)

    return Sanitiser(f"total variation {weight:g}", apply, apply)


def _divergence(down: Tensor, across: Tensor) -> Tensor:
    """The backward difference that is the negative adjoint of the forward differences above."""
    first = torch.cat([down[:, :, :1], down[:, :, 1:-1] - down[:, :, :-2], -down[:, :, -2:-1]], 2)
    second = torch.cat([across[:, :, :, :1], across[:, :, :, 1:-1] - across[:, :, :, :-2], -across[:, :, :, -2:-1]], 3)
    return first + second


def noise(sigma: float, *, seed: int = 0) -> Sanitiser:
    """Gaussian noise added to every image: a random step, which the adaptive attack averages over."""
    if not 0.0 < sigma < 10.0:
        raise InputError(f"sigma lies between 0 and 10, not {sigma}", place="sanitiser")
    dice: dict[torch.device, torch.Generator] = {}

    def apply(x: Tensor) -> Tensor:
        here = dice.setdefault(x.device, torch.Generator(device=x.device).manual_seed(seed))
        return x + sigma * torch.randn(x.shape, generator=here, device=x.device, dtype=x.dtype)

    return Sanitiser(f"noise {sigma:g}", apply, _itself, random=True)


def chain(*steps: Sanitiser) -> Sanitiser:
    """Several steps, one after the other."""

    def run(maps: list[Map]) -> Map:
        def apply(x: Tensor) -> Tensor:
            for one in maps:
                x = one(x)
            return x

        return apply

    name = " + ".join(step.name for step in steps)
    return Sanitiser(name, run([s.apply for s in steps]), run([s.stand_in for s in steps]), any(s.random for s in steps))


KINDS: dict[str, tuple[Callable[..., Sanitiser], type]] = {
    "bit-depth": (bit_depth, int), "median": (median, int), "gaussian": (gaussian, float), "jpeg": (jpeg, int),
    "total-variation": (total_variation, float), "noise": (noise, float),
}  # fmt: skip
"""The sanitisers by the names that manifests and commands use, and what kind of number each takes."""


def sanitiser_of(text: str) -> Sanitiser:
    """The sanitiser that a text such as `bit-depth:3+median:2` names. Raises `InputError` for what is none."""
    steps = []
    for part in text.split("+"):
        name, _, number = part.strip().lower().replace(" ", "-").partition(":")
        if name not in KINDS:
            raise InputError(f"'{part.strip()}' is no sanitiser", cure=f"name one of {', '.join(KINDS)}, as in bit-depth:3")
        make, kind = KINDS[name]
        try:
            steps.append(make(kind(number)) if number else make())
        except (ValueError, TypeError):
            raise InputError(f"'{part.strip()}' has no number that fits", cure="write it as in bit-depth:3") from None
    return steps[0] if len(steps) == 1 else chain(*steps)


class Defended(nn.Module):
    """The model behind its sanitiser. Backwards it gives BPDA's gradient, so that every gradient attack on it is adaptive.

    A random step is drawn `draws` times and the logarithm of the mean probability returned, which makes the gradient that of EOT.
    """

    def __init__(self, model: nn.Module, sanitiser: Sanitiser, *, draws: int = 8) -> None:
        super().__init__()
        self.model, self.sanitiser, self.draws = model, sanitiser, draws if sanitiser.random else 1

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of images (B, C, H, W)."""
        if self.draws == 1:
            return self._once(x)
        each = torch.stack([self._once(x).log_softmax(1) for _ in range(self.draws)])
        return each.logsumexp(0) - math.log(self.draws)

    def _once(self, x: Tensor) -> Tensor:
        if not (torch.is_grad_enabled() and x.requires_grad):
            answer: Tensor = self.model(self.sanitiser.apply(x))
            return answer
        smooth = self.sanitiser.stand_in(x)
        with torch.no_grad():
            true = self.sanitiser.apply(x)
        bridged: Tensor = self.model(smooth + (true - smooth).detach())
        return bridged


class Sanitised(msgspec.Struct, frozen=True, kw_only=True):
    """One sanitiser before and after, all on the same images.

    `bare_clean` and `bare_robust`: the model alone, clean and attacked; `clean`: behind the sanitiser. `naive`: behind it, facing the same
    gradient attack sent straight through the step; `transfer`: facing the examples made against the bare model; `adaptive`: facing the
    attack that knows the step, and those examples too. Only `adaptive` is a claim.
    """

    name: str
    bare_clean: Rate
    bare_robust: Rate
    clean: Rate
    naive: Rate
    transfer: Rate
    adaptive: Rate


@dataclass(frozen=True)
class Standing:
    """Which images (N,) stand, in the order and the words of `Sanitised`."""

    bare_clean: Tensor
    bare_robust: Tensor
    clean: Tensor
    naive: Tensor
    transfer: Tensor
    adaptive: Tensor


def standing_behind(model: nn.Module, sanitiser: Sanitiser, x: Tensor, y: Tensor, threat: Threat, *, attack: Attack = own_attack,
                    draws: int = 8) -> Standing:  # fmt: skip
    """Which of the images (N, C, H, W) with labels (N,) stand before and behind `sanitiser`, naive and adaptive."""
    defended = Defended(model, sanitiser, draws=draws)
    with Evaluating(defended):
        bare = attacked(model, x, y, threat, attack)
        clean = stands(defended, x, y)
        naive = clean & stands(defended, attacked(_Straight(model, sanitiser), x, y, threat, attack), y)
        transfer = clean & stands(defended, bare, y)
        adaptive = transfer & naive
        for knowing in (attack, over_levels) if sanitiser.staircase and threat.norm == "linf" else (attack,):
            todo = torch.nonzero(adaptive).flatten()
            if len(todo):
                changed = attacked(defended, x[todo], y[todo], threat, knowing)
                adaptive[todo] = stands(defended, changed, y[todo])
        return Standing(stands(model, x, y), stands(model, bare, y), clean, naive, transfer, adaptive)


def measure_sanitiser(model: nn.Module, sanitiser: Sanitiser, x: Tensor, y: Tensor, threat: Threat, *, attack: Attack = own_attack,
                      draws: int = 8) -> Sanitised:  # fmt: skip
    """Measure `sanitiser` before `model` on images (N, C, H, W) with labels (N,), naive and adaptive."""
    found = standing_behind(model, sanitiser, x, y, threat, attack=attack, draws=draws)
    return Sanitised(name=sanitiser.name, **{name: rate(marks) for name, marks in vars(found).items()})


def over_levels(defended: nn.Module, x: Tensor, y: Tensor, threat: Threat, *, targets: int = 5) -> Tensor:
    """Attack a staircase where it acts: one level chosen per value among those that the ball reaches (`whitebox.staircase`)."""
    from bartizan.adapters.torch_models import TorchModel
    from bartizan.areas.evasion.norms import Space
    from bartizan.areas.evasion.whitebox.staircase import over_bins, stairs_of

    target = TorchModel(defended, x)
    rows = target.rows(x)
    low, high = (
        rows.new_full((1,), end) for end in (0.0 if threat.low is None else threat.low, 1.0 if threat.high is None else threat.high)
    )
    with target.session(0):
        stairs = stairs_of(target, rows, Space(norm="linf", low=low, high=high))
        if stairs is None:
            return x.clone()
        found = over_bins(target, rows, y, target.logits(rows), stairs.within(threat.eps), targets=targets, seed=0, batch=BATCH)
    changed: Tensor = found.reshape(x.shape).to(x)
    return changed


def _logits(model: nn.Module, x: Tensor) -> Tensor:
    answer: Tensor = model(x)
    return answer


class _Straight(nn.Module):
    """The model behind its step with the step's own gradient, which is zero where it rounds: what an attack that knows nothing meets."""

    def __init__(self, model: nn.Module, sanitiser: Sanitiser) -> None:
        super().__init__()
        self.model, self.sanitiser = model, sanitiser

    def forward(self, x: Tensor) -> Tensor:
        return _logits(self.model, self.sanitiser.apply(x) + 0.0 * x)
