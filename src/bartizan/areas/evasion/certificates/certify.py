"""The certificate: how many images no attacker inside the ball can evade, proved image by image, the cheap proof first."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import torch
from torch import Tensor, nn

from bartizan.areas.evasion.certificates.balls import ball
from bartizan.areas.evasion.certificates.bounds import METHODS, TIGHT, boxes_of, margins
from bartizan.areas.evasion.certificates.graph import Graph, read
from bartizan.areas.evasion.certificates.layers import Box
from bartizan.model.errors import InputError, UnknownName
from bartizan.model.statistics import clopper_pearson, lower_bound

_BATCH = 32


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What was proved about these images.

    `margins` are lower bounds of the smallest logit[label] - logit[other] inside the ball, one for each image; an image is `certified` if
    its bound exceeds `slack`, the room left for rounding. `accuracy` is the certified share, a lower bound of robust accuracy on these;
    `low` and `high` its two-sided exact interval and `at_least` the one-sided bound, both at `confidence` for the population that the
    images were drawn from. `resolved` says how many images each method certified.
    """

    norm: str
    eps: float
    images: int
    correct: int
    certified: tuple[bool, ...]
    margins: tuple[float, ...]
    accuracy: float
    low: float
    high: float
    at_least: float
    confidence: float
    slack: float
    resolved: dict[str, int]


def certify(
    model: nn.Module | Graph,
    x: Tensor,
    y: Tensor,
    *,
    norm: str = "linf",
    eps: float,
    valid: tuple[float, float] | None = (0.0, 1.0),
    methods: Sequence[str] = METHODS,
    confidence: float = 0.95,
) -> Certificate:
    """Certify the images `x` (N, *shape) with labels `y` (N,) against every perturbation of `norm` at most `eps` inside `valid`.

    `methods`: tried in this order, each only on the images that are still open; images that are wrong already are never tried. An image
    counts as certified where its bound exceeds 1e-5 times the largest logit, which is more than the rounding of a float32 evaluation.
    Raises InputError for a model that cannot be read and for labels and images that do not fit.
    """
    for method in methods:
        if method not in METHODS:
            raise UnknownName("method", method, METHODS)
    if len(x) != len(y) or len(x) == 0:
        raise InputError(f"{len(x)} images and {len(y)} labels", place="certificate", cure="give one label for each of at least one image")
    graph = model if isinstance(model, Graph) else read(model, x)
    x, y = x.detach().double(), y.detach().long()
    if int(y.min()) < 0 or int(y.max()) >= max(2, graph.classes):
        raise InputError(f"labels from {int(y.min())} to {int(y.max())} for {max(2, graph.classes)} classes", place="certificate")
    with torch.no_grad():
        logits = torch.cat([graph.forward(x[i : i + 256]) for i in range(0, len(x), 256)])
    room = 1e-5 * max(1.0, float(logits.abs().max()))
    found = _clean(logits, y)
    right = found > 0
    resolved = dict.fromkeys(methods, 0)
    bound = torch.where(right, torch.full_like(found, -torch.inf), found)
    for start in range(0, len(x), _BATCH):
        part = torch.arange(start, min(start + _BATCH, len(x)), device=x.device)
        open_, boxes, made = part[right[part]], dict[int, Box](), None
        for method in methods:
            if len(open_) == 0:
                break
            around, tight = ball(x[open_], norm, eps, valid), method in TIGHT
            if made is not tight:
                boxes, made = boxes_of(graph, around, tight=tight), tight
            bound[open_] = torch.maximum(bound[open_], margins(graph, around, y[open_], method, boxes=boxes).amin(1))
            left = bound[open_] <= room
            resolved[method] += int((~left).sum())
            open_, boxes = open_[left], {i: (low[left], high[left]) for i, (low, high) in boxes.items()}
    return _certificate(norm, eps, right, bound, room, confidence, resolved)


def _clean(logits: Tensor, y: Tensor) -> Tensor:
    """The margin of each image as it is."""
    if logits.shape[1] == 1:
        return logits[:, 0] * (2 * y - 1)
    own = logits.gather(1, y.unsqueeze(1)).squeeze(1)
    others = logits.scatter(1, y.unsqueeze(1), -torch.inf).amax(1)
    return own - others


def _certificate(
    norm: str, eps: float, right: Tensor, bound: Tensor, room: float, confidence: float, resolved: dict[str, int]
) -> Certificate:
    sure = right & (bound > room)
    count, total = int(sure.sum()), len(sure)
    low, high = clopper_pearson(count, total, confidence)
    return Certificate(
        norm=norm, eps=eps, images=total, correct=int(right.sum()), certified=tuple(bool(v) for v in sure.tolist()),
        margins=tuple(float(v) for v in bound.tolist()), accuracy=count / total, low=low, high=high,
        at_least=lower_bound(count, total, confidence), confidence=confidence, slack=room, resolved=resolved,
    )  # fmt: skip
