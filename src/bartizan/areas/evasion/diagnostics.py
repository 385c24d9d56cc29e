"""Can the number be trusted? Signs of hidden gradients, random or rounded outputs and weak attacks; stronger attacks where there are any.

The signs follow Athalye, Carlini and Wagner (Obfuscated gradients, ICML 2018) and Carlini et al. (On evaluating adversarial robustness,
2019): gradients that vanish or do not lower the margin, a loss that does not rise, an unbounded attack that does not reach zero, an attack
without gradients that beats the one with them. The ladder: expectation over a random model's answers from the start; non-differentiable
steps passed straight through (BPDA); a search over the levels of a model that rounds its inputs; then, while a sign stays, transfer from
a surrogate, a search on scores and one on decisions alone, on every survivor. 'Not trustworthy' stays while a sign does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bartizan.areas.evasion.arrays import Array, column, copy, full, integers, like, norm_inf, to_numpy
from bartizan.areas.evasion.cascade import Field, Plan, Stage, climb, prepare
from bartizan.areas.evasion.ladder import decided, over_rounded_inputs, scored, smallest, survivors, transferred, unmoved_by_a_hair
from bartizan.areas.evasion.norms import ascent, keep_largest
from bartizan.areas.evasion.result import Trust
from bartizan.areas.evasion.search import Search
from bartizan.areas.evasion.targets import Classifies, Differentiates, margin_gradient, margins
from bartizan.areas.evasion.whitebox.apgd import Rule
from bartizan.areas.evasion.whitebox.losses import loss_named
from bartizan.model.statistics import upper_bound

Host = np.ndarray[Any, Any]

PROBES = 64
"""Survivors that the signs are looked for on."""
FEW = 0.05
"""Share of probes that may show a sign by chance."""
PROBE_QUERIES = 60
"""Forwards per probe of the gradient-free test."""


def answers_vary(target: Classifies, x: Array) -> bool:
    """Whether the model answers the same inputs differently when asked again."""
    probe = x[:PROBES]
    return bool((abs(to_numpy(target.logits(probe)) - to_numpy(target.logits(probe))) > 1e-5 * _scale(target, probe)).any())


def _scale(target: Classifies, x: Array) -> float:
    return float(np.abs(to_numpy(target.logits(x[:4]))).max()) + 1e-30


def unexamined(search: Search) -> Trust:
    """The word on an attack whose diagnostics were switched off."""
    return Trust(ok=False, reasons=("the diagnostics were switched off",), notes=notes(search))


def examined(search: Search) -> Trust:
    """Looks for signs, escalates while there are any, and says what is left. `search` gains what the stronger attacks break."""
    unfit = unfit_reasons(search)
    if search.strategy.search is not None:
        found = f"measured by a search of {search.options.queries} queries per image; an attacker with gradients may do better"
        return Trust(ok=not unfit, reasons=tuple(unfit), notes=(*notes(search), found))
    if not isinstance(search.target, Differentiates):
        unfit.append("the model has no gradients; the number is what searches without them found")
        for rung in (transferred, decided):
            if survivors(search, smallest(search)).size:
                rung(search)
        return Trust(ok=False, reasons=tuple(unfit), escalations=tuple(search.tried), notes=notes(search))
    if search.random:
        search.tried.append("expectation over the model's random answers (EOT)")
    signs = escalated(search)
    if not survivors(search, smallest(search)).size:
        signs = []
    reasons = [*unfit, *signs]
    return Trust(ok=not reasons, reasons=tuple(reasons), escalations=tuple(search.tried), notes=notes(search))


def escalated(search: Search) -> list[str]:
    """Climbs the ladder while there are signs, rung by rung; the signs that are left."""
    signs, rounded = signs_of(search), False
    if signs and hasattr(search.target, "repair"):
        search.target.repair = True
        search.tried.append("non-differentiable steps passed straight through (BPDA)")
        search.sweep(seed=1)
        rounded = over_rounded_inputs(search)
        signs = signs_of(search)
    if not rounded and survivors(search, smallest(search)).size and unmoved_by_a_hair(search):
        over_rounded_inputs(search)
    for rung in (transferred, scored, decided) if signs else ():
        if survivors(search, smallest(search)).size:
            rung(search)
    return signs


def notes(search: Search) -> tuple[str, ...]:
    """How the model was read."""
    found = []
    if getattr(search.target, "was_training", False):
        found.append("the model was in training mode; it was attacked in evaluation mode and put back")
    if search.target.gives == "probabilities":
        found.append("the model returns probabilities; gradients were taken of the scores before or of their logarithm")
    if search.random:
        found.append("the model answers at random; every decision is the majority of repeated ones")
    return tuple(found)


def unfit_reasons(search: Search) -> list[str]:
    """Why no attack on this model and these inputs would mean anything."""
    reasons = []
    k, n = search.target.classes, len(search.x)
    right = int((~search.wrong).sum())
    least = to_numpy(search.logits).argmin(1)
    by_least = float((least == to_numpy(search.y)).mean())
    if upper_bound(right, n) < 1.0 / k or (by_least > right / n and by_least > 1.5 / k):
        reasons.append(f"the model is right on {right / n:.1%}, its lowest score on {by_least:.1%}: are the scores negated?")
    elif right / n <= 1.2 / k and n >= 20:
        reasons.append(
            f"the model is right on {right / n:.1%} of the unchanged inputs, hardly more than chance: check labels, range, mean and std"
        )
    if not search.random and batch_matters(search):
        reasons.append("its answers depend on the other inputs of the batch (batch statistics at inference?)")
    return reasons


def batch_matters(search: Search) -> bool:
    """Whether a row's scores change with its batch."""
    probe = search.x[:PROBES]
    alone = np.concatenate([to_numpy(search.target.logits(probe[i : i + 1])) for i in range(min(4, len(probe)))])
    together = to_numpy(search.logits)[: len(alone)]
    return bool((abs(alone - together) > 1e-3 * (np.abs(together).max() + 1e-30)).any())


def signs_of(search: Search) -> list[str]:
    """Signs that the gradient attack may have failed, on up to `PROBES` survivors of the smallest radius; none where nothing survived."""
    place = smallest(search)
    rows = survivors(search, place)
    if search.radii[place] <= 0 or not len(rows):
        return []
    chosen = np.random.default_rng(search.options.seed).permutation(rows)[:PROBES]
    at = integers(np.sort(chosen), search.x)
    x, y, eps = search.x[at], search.y[at], search.radii[place]
    signs = [*gradient_signs(search, x, y, eps), *rounding_sign(search), *unbounded_sign(search, np.sort(chosen))]
    if not search.strategy.usual:
        signs.extend(weaker_sign(search, np.sort(chosen), place))
    broken = search.search_scores(place, PROBE_QUERIES, seed=3, among=np.sort(chosen))
    if broken > max(1, FEW * len(x)):
        signs.append(f"a search without gradients broke {broken} of {len(x)} inputs that the gradient attack did not")
    return signs


def gradient_signs(search: Search, x: Array, y: Array, eps: float) -> list[str]:
    """Gradients that vanish, or along which the margin falls no more than along random directions."""
    target: Any = search.target
    margin, gradient = margin_gradient(target, x, y)
    zero = to_numpy(norm_inf(gradient)) <= 0
    signs = []
    if zero.mean() > FEW:
        signs.append(f"gradients are zero on {zero.mean():.0%} of the inputs")
    radius = full(x, len(x), eps)
    noise = like(np.random.default_rng(search.options.seed).normal(size=tuple(x.shape)), x)
    downhill = margins(target.logits(_stepped(search, x, -gradient, radius)), y)
    anywhere = margins(target.logits(_stepped(search, x, noise, radius)), y)
    helped = to_numpy(downhill < anywhere) & to_numpy(downhill < margin)
    if helped[~zero].size and helped[~zero].mean() < (0.6 if search.random else 0.8):
        signs.append(f"a step along the gradient lowers the margin more than a random one on {helped[~zero].mean():.0%} of the inputs only")
    return signs


def _stepped(search: Search, x: Array, direction: Array, radius: Array) -> Array:
    """`x` moved by its whole radius along a direction; for l0 the entries that weigh most go to the end of their range."""
    if search.space.norm == "l0":
        reach = search.space.high - search.space.low
        return search.space.project(x, x + reach * ascent(direction, "l0") * keep_largest(abs(direction), radius), radius)
    return search.space.project(x, x + column(radius) * ascent(direction, search.space.norm), radius)


def rounding_sign(search: Search) -> list[str]:
    """Outputs on a coarse grid, whose gradients are then no guide."""
    if getattr(search.target, "repair", False) or search.target.gives == "labels":
        return []
    scores = to_numpy(search.logits).astype(np.float64)
    for decimals in range(4):
        grid = np.abs(scores * 10**decimals - np.round(scores * 10**decimals))
        if (grid < 1e-4 * np.maximum(1.0, np.abs(scores) * 1e-2)).all() and np.abs(scores).max() < 1e4:
            return [f"outputs are rounded to {decimals} decimals"]
    return []


def weaker_sign(search: Search, chosen: Host, place: int) -> list[str]:
    """An attack that the caller picked is held against margin climbs, whose loss cannot saturate."""
    before = int(search.broken[place].sum())
    if "climbs on the margin" not in search.tried:
        search.tried.append("climbs on the margin")
    fresh = _climbed(search, chosen, search.radii[place])
    offered = copy(search.x)
    offered[integers(chosen, search.x)] = fresh.found
    search.offer(place, offered)
    more = int(search.broken[place].sum()) - before
    return (
        [f"climbs on the margin broke {more} of {len(chosen)} inputs that this attack did not"] if more > max(1, FEW * len(chosen)) else []
    )


def _climbed(search: Search, chosen: Host, radius: float) -> Field:
    """Margin climbs from the probes, at any radius, kept apart from the search."""
    at = integers(chosen, search.x)
    fresh: Field = prepare(search.x[at], search.y[at], search.logits[at], np.zeros(len(chosen), dtype=bool))
    plan = Plan(loss_named("margin"), (Stage(), Stage(start="random")), Rule(20))
    target: Any = search.target
    climb(target, fresh, search.space, radius, plan, batch=search.options.batch, seed=search.options.seed)
    return fresh


def unbounded_sign(search: Search, chosen: Host) -> list[str]:
    """With every input allowed, an attack that works leaves nothing standing."""
    left = float((~_climbed(search, chosen, search.space.widest(tuple(search.x.shape))).broken).mean())
    return [f"with unlimited changes the attack still leaves {left:.0%} of the inputs unbroken"] if left > FEW else []
