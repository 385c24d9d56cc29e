"""Detection of adversarial inputs by squeezing: an input whose answer moves when it is squeezed is suspect (Xu, Evans and Qi, NDSS 2018).

Its recall is measured on examples made without knowledge of it, and on examples that evade the model and the detector together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor, nn

from bartizan.areas.evasion.defences.inner import Evaluating, Threat, ascent, gradient, margin, project
from bartizan.areas.evasion.defences.measuring import BATCH, Attack, Rate, attacked, own_attack, rate, stands
from bartizan.areas.evasion.defences.sanitising import Defended, Sanitiser
from bartizan.model.errors import InputError


@dataclass(frozen=True)
class Detector:
    """Says of inputs whether they are adversarial: where the answer with and without one of the squeezers differs by more than `limit`.

    The difference is the l1 distance of the probabilities, 0 to 2, the largest over the squeezers.
    """

    model: nn.Module
    squeezers: tuple[Sanitiser, ...]
    limit: float

    def score(self, x: Tensor) -> Tensor:
        """The difference (N,) for images (N, C, H, W), differentiable through the squeezers' stand-ins."""
        plain = _probabilities(self.model(x))
        moved = [_probabilities(Defended(self.model, one, draws=1)(x)) for one in self.squeezers]
        return torch.stack([(plain - other).abs().sum(1) for other in moved]).amax(0)

    def detects(self, x: Tensor) -> Tensor:
        """Marks (N,): suspect."""
        with Evaluating(self.model), torch.no_grad():
            return torch.cat([self.score(x[i : i + BATCH]) for i in range(0, len(x), BATCH)]) > self.limit


def _probabilities(logits: Tensor) -> Tensor:
    if logits.shape[1] == 1:
        one = logits.sigmoid()
        return torch.cat([1.0 - one, one], 1)
    return logits.softmax(1)


def fit_detector(model: nn.Module, squeezers: Sequence[Sanitiser], x: Tensor, *, false_alarms: float = 0.05) -> Detector:
    """The detector that suspects at most the share `false_alarms` of the clean images `x` (N, C, H, W); measure it on other ones."""
    if not squeezers or not 0.0 < false_alarms < 1.0 or len(x) < 1.0 / false_alarms:
        raise InputError("need a squeezer, false alarms between 0 and 1, and at least 1 / false_alarms clean images", place="detector")
    if any(one.random for one in squeezers):
        raise InputError("a squeezer that is random makes a detector that is", place="detector", cure="use bit_depth, median or gaussian")
    detector = Detector(model, tuple(squeezers), math.inf)
    with Evaluating(model), torch.no_grad():
        scores = torch.cat([detector.score(x[i : i + BATCH]) for i in range(0, len(x), BATCH)]).sort().values
    return Detector(model, tuple(squeezers), float(scores[len(x) - 1 - math.floor(false_alarms * len(x))]))


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """What the detector is worth.

    `false_alarms` on clean images; `naive_recall` on examples that evade the bare model; `adaptive_recall` on those of an attack that knows
    model and detector and takes, image by image, the example that is not detected if it found one. `naive_robust` and `adaptive_robust`:
    images right when clean and not evaded unnoticed; only the adaptive ones are a claim.
    """

    limit: float
    false_alarms: Rate
    naive_recall: Rate
    adaptive_recall: Rate
    naive_robust: Rate
    adaptive_robust: Rate


def measure_detector(detector: Detector, x: Tensor, y: Tensor, threat: Threat, *, attack: Attack = own_attack, steps: int = 60,
                     weights: Sequence[float] = (0.5, 2.0, 8.0)) -> Detection:  # fmt: skip
    """Measure a detector on clean images `x` (N, C, H, W) with labels `y` (N,) that it was not fitted on."""
    model = detector.model
    with Evaluating(model):
        clean = stands(model, x, y)
        naive = attacked(model, x, y, threat, attack)
        evaded = clean & ~stands(model, naive, y)
        seen = detector.detects(naive)
        unseen = evaded & ~seen
        adaptive_evaded = evaded.clone()
        for weight in weights:
            todo = torch.nonzero(clean & ~unseen).flatten()
            if len(todo) == 0:
                break
            changed, hidden = _hidden(detector, x[todo], y[todo], naive[todo], threat, weight, steps)
            adaptive_evaded[todo] |= ~stands(model, changed, y[todo])
            unseen[todo] |= hidden
    return Detection(
        limit=detector.limit, false_alarms=rate(detector.detects(x)), naive_recall=rate(seen[evaded]),
        adaptive_recall=rate(~unseen[adaptive_evaded]), naive_robust=rate(clean & ~(evaded & ~seen)), adaptive_robust=rate(clean & ~unseen),
    )  # fmt: skip


def _hidden(detector: Detector, x: Tensor, y: Tensor, start: Tensor, threat: Threat, weight: float, steps: int) -> tuple[Tensor, Tensor]:
    """Climb the margin to a little above zero while the detector's score falls below its limit; the last points, or those that did both."""

    def aim(points: Tensor) -> Tensor:
        confident = margin(detector.model(points), y).clamp(max=1.0)
        return confident - weight * (detector.score(points) - 0.9 * detector.limit).clamp(min=0.0)

    changed, best, done = start.clone(), start.clone(), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for k in range(steps):
        _, slope = gradient(aim, changed, y, lambda value, _: value)
        size = threat.eps * (0.02 + 0.3 * (1.0 + math.cos(math.pi * k / steps)) / 2.0)
        changed = project(x, changed + size * ascent(slope, threat), threat)
        with torch.no_grad():
            both = (margin(detector.model(changed), y) > 0) & (detector.score(changed) <= detector.limit)
        best[both & ~done] = changed[both & ~done]
        done |= both
    best[~done] = changed[~done]
    return best, done
