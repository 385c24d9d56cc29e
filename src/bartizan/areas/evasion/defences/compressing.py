"""Pruned and quantised copies of a model, and what compression did to its robustness: a table, and a gate on the drop.

The copies compute what the compressed model would answer with ordinary float layers (weights rounded to their integer grid, pruned ones
zero), so that every attack and certificate works on them; a quantised activation has the identity's gradient.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import msgspec
import torch
from torch import Tensor, nn

from bartizan.areas.evasion.defences.inner import Evaluating, Threat
from bartizan.areas.evasion.defences.measuring import Attack, Rate, attacked, own_attack, rate, stands
from bartizan.model.beta import log_tails
from bartizan.model.errors import InputError
from bartizan.model.findings import Verdict
from bartizan.model.statistics import lower_bound, upper_bound

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


def _weighted(model: nn.Module) -> list[nn.Linear | nn.Conv1d | nn.Conv2d]:
    found = [part for part in model.modules() if isinstance(part, _LAYERS)]
    if not found:
        raise InputError("the model has no linear or convolution layer", place="compression")
    return found


def prune_magnitude(model: nn.Module, share: float) -> nn.Module:
    """A copy without the `share` (0 to 1) of all linear and convolution weights smallest in magnitude, over the whole net."""
    if not 0.0 <= share < 1.0:
        raise InputError(f"the pruned share lies in 0 to 1, not {share}", place="compression")
    pruned = copy.deepcopy(model)
    weights = [layer.weight for layer in _weighted(pruned)]
    sizes = torch.cat([w.detach().abs().flatten() for w in weights])
    count = int(share * len(sizes))
    if count:
        limit = sizes.kthvalue(count).values
        with torch.no_grad():
            for weight in weights:
                weight.mul_(weight.abs() > limit)
    return pruned


def prune_channels(model: nn.Module, share: float) -> nn.Module:
    """A copy without the `share` of each layer's output channels with the smallest l2 norm; the last layer keeps its outputs.

    A pruned channel is zero, and so is a batch norm that follows it directly: its answers are those of the net with the channel cut out.
    """
    if not 0.0 <= share < 1.0:
        raise InputError(f"the pruned share lies in 0 to 1, not {share}", place="compression")
    pruned = copy.deepcopy(model)
    parts = [part for part in pruned.modules() if isinstance(part, (*_LAYERS, nn.BatchNorm1d, nn.BatchNorm2d))]
    last = _weighted(pruned)[-1]
    with torch.no_grad():
        for at, layer in enumerate(parts):
            if not isinstance(layer, _LAYERS) or layer is last:
                continue
            norms = torch.linalg.vector_norm(layer.weight.flatten(1), dim=1)
            keep = torch.ones_like(norms)
            keep[norms.argsort()[: int(share * len(norms))]] = 0.0
            following = parts[at + 1] if at + 1 < len(parts) else None
            for part in (layer, following if isinstance(following, (nn.BatchNorm1d, nn.BatchNorm2d)) else None):
                if part is None or len(part.weight) != len(keep):
                    continue
                part.weight.mul_(keep.reshape(-1, *[1] * (part.weight.dim() - 1)))
                if part.bias is not None:
                    part.bias.mul_(keep)
    return pruned


def _round_input(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Round a layer's input to 8 bits of each image's own range; the gradient is the identity's."""
    x = inputs[0]
    step = x.detach().abs().flatten(1).amax(1).clamp_min(1e-12).reshape(-1, *[1] * (x.dim() - 1)) / 127
    return (x + (torch.round(x / step) * step - x).detach(), *inputs[1:])


def quantise(model: nn.Module, bits: int = 8, *, dynamic: bool = False, per_channel: bool = True) -> nn.Module:
    """A copy with linear and convolution weights on a symmetric grid of `bits` (2 to 8) bits, one scale for each output channel or layer.

    `dynamic`: the inputs of these layers are rounded to 8 bits as well, each image by its own range, as dynamic quantisation does.
    """
    if not 2 <= bits <= 8:
        raise InputError(f"weights are quantised to 2 to 8 bits, not {bits}", place="compression")
    quantised = copy.deepcopy(model)
    levels = 2 ** (bits - 1) - 1
    with torch.no_grad():
        for layer in _weighted(quantised):
            flat = layer.weight.flatten(1).abs()
            most = flat.amax(1, keepdim=True) if per_channel else flat.amax().expand(len(flat), 1)
            step = (most.clamp_min(1e-12) / levels).reshape(-1, *[1] * (layer.weight.dim() - 1))
            layer.weight.copy_(torch.round(layer.weight / step) * step)
            if dynamic:
                layer.register_forward_pre_hook(_round_input)
    return quantised


class Compressed(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table, on the same images as the original's row.

    `robust`: right, and standing both against the attack on this very model and against the examples made for the original. `lost` and
    `gained` count the images that only the original, and only this model, keeps robust; `drop` is their difference as a share, with
    one-sided bounds `drop_low` and `drop_high` at 95 % each.
    """

    name: str
    clean: Rate
    robust: Rate
    lost: int = 0
    gained: int = 0
    drop: float = 0.0
    drop_low: float = 0.0
    drop_high: float = 0.0


class Compression(msgspec.Struct, frozen=True, kw_only=True):
    """The model before, and its compressed versions after."""

    before: Compressed
    after: tuple[Compressed, ...]
    threat: Threat

    def __str__(self) -> str:
        """A table in plain text: model, clean accuracy, robust accuracy, change of both in points."""
        lines = [f"{'model':<24}{'clean':>8}{'robust':>8}{'clean +/-':>11}{'robust +/-':>12}"]
        for row in (self.before, *self.after):
            clean, robust = row.clean.value - self.before.clean.value, row.robust.value - self.before.robust.value
            lines.append(f"{row.name:<24}{row.clean.value:>8.1%}{row.robust.value:>8.1%}{100 * clean:>+11.1f}{100 * robust:>+12.1f}")
        return "\n".join(lines)


def compare(
    model: nn.Module, versions: Mapping[str, nn.Module], x: Tensor, y: Tensor, threat: Threat, *, attack: Attack = own_attack
) -> Compression:
    """Clean and robust accuracy of `model` and of its compressed `versions` (name -> model) on images `x` (N, ...) with labels `y` (N,)."""
    examples = attacked(model, x, y, threat, attack)
    before = stands(model, x, y) & stands(model, examples, y)
    rows = []
    for name, version in versions.items():
        with Evaluating(version):
            after = stands(version, x, y) & stands(version, examples, y)
            todo = torch.nonzero(after).flatten()
            if len(todo):
                after[todo] = stands(version, attacked(version, x[todo], y[todo], threat, attack), y[todo])
        rows.append(_row(name, rate(stands(version, x, y)), before, after))
    return Compression(
        before=Compressed(name="original", clean=rate(stands(model, x, y)), robust=rate(before)), after=tuple(rows), threat=threat
    )


def _row(name: str, clean: Rate, before: Tensor, after: Tensor) -> Compressed:
    lost, gained, n = int((before & ~after).sum()), int((after & ~before).sum()), len(before)
    low = lower_bound(lost, n, 0.975) - upper_bound(gained, n, 0.975)
    high = upper_bound(lost, n, 0.975) - lower_bound(gained, n, 0.975)
    return Compressed(
        name=name, clean=clean, robust=rate(after), lost=lost, gained=gained, drop=(lost - gained) / n, drop_low=low, drop_high=high
    )


class DropRuling(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one compressed version; `p` is that of the exact one-sided test that it lost no more than it gained (McNemar)."""

    name: str
    verdict: Verdict
    p: float
    why: str


def drop_gate(table: Compression, *, tolerance: float = 0.02, confidence: float = 0.95) -> tuple[DropRuling, ...]:
    """Whether each version kept its robustness, whatever its clean accuracy did.

    FAIL: it lost robust images beyond chance (exact McNemar test) and more than `tolerance` of all in these counts, or its drop is beyond
    `tolerance` with confidence. PASS: the drop is within `tolerance` with confidence. Otherwise INCONCLUSIVE: measure on more images.
    """
    if not 0.0 <= tolerance < 1.0 or not 0.5 < confidence < 1.0:
        raise InputError(f"need 0 <= tolerance < 1 and a confidence above one half, not {tolerance} and {confidence}", place="drop gate")
    return tuple(_ruling(row, table.before, tolerance, confidence) for row in table.after)


def _ruling(row: Compressed, before: Compressed, tolerance: float, confidence: float) -> DropRuling:
    p = sign_test(row.lost, row.lost + row.gained)
    clean = 100 * (row.clean.value - before.clean.value)
    story = f"robust accuracy {-100 * row.drop:+.1f} points ({row.lost} lost, {row.gained} gained, p = {p:.2g}); clean {clean:+.1f} points"
    if (row.drop > tolerance and p <= 1.0 - confidence) or row.drop_low > tolerance:
        return DropRuling(name=row.name, verdict=Verdict.FAIL, p=p, why=story)
    verdict = Verdict.PASS if row.drop_high <= tolerance else Verdict.INCONCLUSIVE
    return DropRuling(name=row.name, verdict=verdict, p=p, why=story)


def sign_test(k: int, n: int) -> float:
    """The probability of at least `k` heads in `n` tosses of a fair coin."""
    if k == 0:
        return 1.0
    if k == n:
        return 0.5**n
    return math.exp(log_tails(float(k), n - k + 1.0, 0.5, 0.5)[0])


def standard_versions(model: nn.Module, shares: Sequence[float] = (0.5, 0.8)) -> dict[str, nn.Module]:
    """The versions people ship: int8 and int4 weights, dynamic int8, magnitude and channel pruning at `shares`."""
    versions = {
        "int8 weights": quantise(model, 8),
        "int4 weights": quantise(model, 4),
        "int4 weights, one scale": quantise(model, 4, per_channel=False),
        "int8 dynamic": quantise(model, 8, dynamic=True),
    }
    for share in shares:
        versions[f"pruned {share:.0%}"] = prune_magnitude(model, share)
        versions[f"channels pruned {share / 2:.0%}"] = prune_channels(model, share / 2)
    return versions
