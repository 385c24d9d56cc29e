"""Bounds on what a net can answer inside a ball of inputs: interval propagation (IBP), CROWN, CROWN-IBP and CROWN with optimised slopes.

Every function returns bounds that hold for all inputs of the ball in exact arithmetic; they are computed in the graph's precision (float64
as `graph.read` makes it), whose rounding the certificate's slack covers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from bartizan.areas.evasion.certificates.balls import Ball, row_norms
from bartizan.areas.evasion.certificates.graph import Graph
from bartizan.areas.evasion.certificates.layers import Box, Rectifier
from bartizan.model.errors import UnknownName

METHODS = ("ibp", "crown-ibp", "crown", "alpha-crown")
"""Ways to a bound, from the cheapest and loosest to the dearest and tightest."""

TIGHT = frozenset({"crown", "alpha-crown"})
"""The methods whose boxes are tightened by CROWN."""

MOST_NUMBERS = 2**24
"""Numbers that one coefficient tensor may hold; more functions than fit are bounded in turns."""

Boxes = dict[int, Box]


def lower(graph: Graph, ball: Ball, boxes: Mapping[int, Box], at: int, c: Tensor, *, deep: bool = True, fine: bool = True,
          slopes: Mapping[int, Tensor] | None = None) -> Tensor:  # fmt: skip
    """Lower bounds (B, S) of the linear functions c (B, S, *shape of node `at`) of that node's output.

    `boxes` bound the inputs of the nonlinear nodes before it. `deep`: carry the functions back to the input (CROWN); otherwise stop at the
    nonlinear nodes' own boxes. `fine`: spend a search on the exact minimum over an l2 ball. `slopes` fixes the lower slopes of some
    rectifiers, (B, S or 1, *shape) between their leak and 1.
    """
    waiting: dict[int, Tensor] = {at: c}
    total = c.new_zeros(c.shape[:2])
    for i in range(at, 0, -1):
        a = waiting.pop(i, None)
        if a is None:
            continue
        node = graph.nodes[i]
        assert node.layer is not None
        if not node.layer.affine and not deep:
            total = total + _least(a, node.layer.interval(*(boxes[j] for j in node.inputs)))
            continue
        known = [] if node.layer.affine else [boxes[j] for j in node.inputs]
        parts, constant = node.layer.backward(a, known, None if slopes is None else slopes.get(i))
        total = total + constant
        for j, part in zip(node.inputs, parts, strict=True):
            waiting[j] = waiting[j] + part if j in waiting else part
    return total + ball.minimum(waiting[0], fine=fine) if 0 in waiting else total


def _least(a: Tensor, box: Box) -> Tensor:
    low, high = box[0].unsqueeze(1), box[1].unsqueeze(1)
    return (a.clamp(min=0) * low + a.clamp(max=0) * high).flatten(2).sum(2)


def boxes_of(graph: Graph, ball: Ball, *, tight: bool) -> Boxes:
    """Bounds of every node's output: by intervals, and with `tight` those before the nonlinear nodes by CROWN where in doubt.

    The nodes reached by affine layers alone are bounded exactly in linf, and in l2 and l1 by the dual norm of their rows.
    """
    boxes: Boxes = {0: (ball.low, ball.high)}
    linear = {0}
    wanted = {j for node in graph.nodes[1:] if node.layer is not None and not node.layer.affine for j in node.inputs}
    for i, node in enumerate(graph.nodes[1:], start=1):
        assert node.layer is not None
        found = node.layer.interval(*(boxes[j] for j in node.inputs))
        if node.layer.affine and linear.issuperset(node.inputs):
            linear.add(i)
            if i in wanted:
                found = _meet(found, _first(graph, ball, i))
        elif tight and i in wanted and node.layer.affine:
            found = _tightened(graph, ball, boxes, i, found)
        boxes[i] = found
    return boxes


def _meet(one: Box, other: Box) -> Box:
    return torch.maximum(one[0], other[0]), torch.minimum(one[1], other[1])


def _first(graph: Graph, ball: Ball, at: int) -> Box:
    """Bounds of a node that is an affine function of the input: its value at the centre, and the dual norm of each of its rows."""
    shape, count = graph.nodes[at].shape, math.prod(graph.nodes[at].shape)
    values = [ball.x]
    for node in graph.nodes[1 : at + 1]:
        assert node.layer is not None
        usable = all(j < len(values) and values[j].numel() for j in node.inputs)
        values.append(node.layer.forward(*(values[j] for j in node.inputs)) if usable and node.layer.affine else ball.x.new_zeros(0))
    inputs = ball.x[0].numel()
    norms = []
    for start in range(0, count, step := max(1, MOST_NUMBERS // max(inputs, count))):
        stop = min(count, start + step)
        rows = torch.zeros(stop - start, count, dtype=ball.x.dtype, device=ball.x.device)
        rows[torch.arange(stop - start), torch.arange(start, stop)] = 1.0
        waiting = {at: rows.reshape(1, stop - start, *shape)}
        for i in range(at, 0, -1):
            a = waiting.pop(i, None)
            node = graph.nodes[i]
            if a is None or node.layer is None:
                continue
            for j, part in zip(node.inputs, node.layer.backward(a, [], None)[0], strict=True):
                waiting[j] = waiting[j] + part if j in waiting else part
        norms.append(row_norms(waiting[0][0].flatten(1), ball.norm))
    reach = ball.eps * torch.cat(norms).reshape(shape)
    return values[at] - reach, values[at] + reach


def _tightened(graph: Graph, ball: Ball, boxes: Boxes, at: int, box: Box) -> Box:
    """The box of node `at` with the entries whose sign is in doubt bounded by CROWN."""
    low, high = box[0].flatten(1), box[1].flatten(1)
    doubt = (low < 0) & (high > 0) if _rectified(graph, at) else torch.ones_like(low, dtype=torch.bool)
    most = int(doubt.sum(1).max())
    if most == 0:
        return box
    order = doubt.to(low.dtype).argsort(dim=1, descending=True, stable=True)[:, :most]
    images, size = low.shape
    largest = max(math.prod(node.shape) for node in graph.nodes[: at + 1])
    low, high = low.clone(), high.clone()
    step = max(1, MOST_NUMBERS // (2 * images * largest))
    for start in range(0, most, step):
        index = order[:, start : start + step]
        c = torch.zeros(images, index.shape[1], size, dtype=low.dtype, device=low.device).scatter_(2, index.unsqueeze(2), 1.0)
        c = c.reshape(images, -1, *graph.nodes[at].shape)
        both = lower(graph, ball, boxes, at, torch.cat([c, -c], 1), fine=False)
        under, over = both[:, : index.shape[1]], -both[:, index.shape[1] :]
        low.scatter_(1, index, torch.maximum(low.gather(1, index), under))
        high.scatter_(1, index, torch.minimum(high.gather(1, index), over))
    return low.reshape(box[0].shape), high.reshape(box[1].shape)


def _rectified(graph: Graph, at: int) -> bool:
    """Whether all nonlinear readers of a node are rectifiers, for which an entry of certain sign is exact."""
    readers = [node.layer for node in graph.nodes[1:] if at in node.inputs and node.layer is not None and not node.layer.affine]
    return all(isinstance(layer, Rectifier) for layer in readers)


def margins(graph: Graph, ball: Ball, labels: Tensor, method: str, *, steps: int = 20, boxes: Boxes | None = None) -> Tensor:
    """Lower bounds (B, K-1) of logit[label] - logit[other], other classes in ascending order; all positive means: no evasion exists.

    A net with one output is read as two classes, positive for class 1; the bound is (B, 1). `method` is one of METHODS; `steps` the
    gradient steps of alpha-crown (Xu et al., ICLR 2021, with one set of slopes for each function and the boxes of CROWN). `boxes`: those of
    `boxes_of` for this method, where they are known already.
    """
    if method not in METHODS:
        raise UnknownName("method", method, METHODS)
    c, last = contrasts(labels, graph.classes, ball.x), len(graph.nodes) - 1
    with torch.no_grad():
        boxes = boxes_of(graph, ball, tight=method in TIGHT) if boxes is None else boxes
        found = lower(graph, ball, boxes, last, c, deep=False)
        if method != "ibp":
            found = torch.maximum(found, lower(graph, ball, boxes, last, c))
    return _optimised(graph, ball, boxes, c, found, steps) if method == "alpha-crown" else found


def contrasts(labels: Tensor, classes: int, like: Tensor) -> Tensor:
    """The functions (B, K-1, K) whose value is logit[label] - logit[other]; (B, 1, 1) with the sign of the label for one output."""
    if classes == 1:
        return (2.0 * labels.to(like.dtype) - 1.0).reshape(-1, 1, 1)
    eye = torch.eye(classes, dtype=like.dtype, device=like.device)
    everyone = torch.arange(classes, device=like.device).expand(len(labels), -1)
    others = everyone[everyone != labels.unsqueeze(1)].reshape(len(labels), classes - 1)
    return eye[labels].unsqueeze(1) - eye[others]


def _optimised(graph: Graph, ball: Ball, boxes: Boxes, c: Tensor, found: Tensor, steps: int) -> Tensor:
    """Ascend on the lower slopes; every step's bound holds, so the best of each function is kept."""
    last, slopes = len(graph.nodes) - 1, {}
    for i, node in enumerate(graph.nodes):
        if isinstance(node.layer, Rectifier):
            start = node.layer.slopes(*boxes[node.inputs[0]]).unsqueeze(1).expand(-1, c.shape[1], *[-1] * len(node.shape))
            slopes[i] = (start.clone().requires_grad_(), node.layer.leak)
    if not slopes:
        return found
    optimiser = torch.optim.Adam([slope for slope, _ in slopes.values()], lr=0.25)
    for step in range(steps):
        if bool((found > 0).all()):
            break
        with torch.enable_grad():
            bound = lower(graph, ball, boxes, last, c, slopes={i: slope for i, (slope, _) in slopes.items()})
            optimiser.zero_grad()
            torch.autograd.backward([-bound.clamp(max=0.1).sum()])
        found = torch.maximum(found, bound.detach())
        optimiser.param_groups[0]["lr"] = 0.25 * 0.95 ** (step + 1)
        optimiser.step()
        with torch.no_grad():
            for slope, leak in slopes.values():
                slope.clamp_(leak, 1.0)
    return found


def output_bounds(graph: Graph, ball: Ball, method: str = "crown") -> Box:
    """Lower and upper bounds (B, K) of every logit inside the ball, by one of METHODS."""
    if method not in METHODS:
        raise UnknownName("method", method, METHODS)
    classes, last = graph.classes, len(graph.nodes) - 1
    eye = torch.eye(classes, dtype=ball.x.dtype, device=ball.x.device).expand(len(ball.x), -1, -1)
    c = torch.cat([eye, -eye], 1)
    with torch.no_grad():
        boxes = boxes_of(graph, ball, tight=method in TIGHT)
        found = lower(graph, ball, boxes, last, c, deep=False)
        if method != "ibp":
            found = torch.maximum(found, lower(graph, ball, boxes, last, c))
    return found[:, :classes], -found[:, classes:]
