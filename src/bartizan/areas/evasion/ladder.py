"""The rungs above a gradient attack in doubt: bins of a rounding model, a surrogate's gradients, scores alone, decisions alone.

Each takes a search under way and offers what it finds at every radius. Nothing counts that the model's own decision does not confirm.
"""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from bartizan.areas.evasion.arrays import Array, copy, integers, is_torch, like, to_numpy
from bartizan.areas.evasion.norms import Space, ascent
from bartizan.areas.evasion.search import Search
from bartizan.areas.evasion.targets import Differentiates, margin_gradient
from bartizan.model.errors import InputError, MissingExtra

Host = np.ndarray[Any, Any]

POOL = 500
"""Rows that a surrogate starts from; as many again are added along its gradients."""
PATH = 20
"""Steps of a path on the surrogate."""


def smallest(search: Search) -> int:
    """The place of the smallest positive radius: most samples survive there."""
    return next((i for i, eps in enumerate(search.radii) if eps > 0), 0)


def survivors(search: Search, place: int) -> Host:
    """Row numbers that are right and unbroken at this radius."""
    return np.flatnonzero(~search.broken[place])


def unmoved_by_a_hair(search: Search) -> bool:
    """Whether most inputs may change by a hundred-thousandth of their range without any change of the scores: the model rounds them."""
    x = search.x[:32]
    hair = like(np.random.default_rng(0).uniform(-1e-5, 1e-5, tuple(x.shape)), x) * (search.space.high - search.space.low)
    same = np.abs(to_numpy(search.target.logits(search.space.clip(x + hair)) - search.logits[:32])).max(1) == 0
    return bool(same.mean() >= 0.5)


def over_rounded_inputs(search: Search) -> bool:
    """Searches over the bins of a model that rounds its inputs, where there are any to be read (linf); whether there were."""
    from bartizan.areas.evasion.whitebox.staircase import over_bins, stairs_of

    target = search.target
    if search.space.norm != "linf" or search.space.repair is not None or search.random or not isinstance(target, Differentiates):
        return False
    stairs = stairs_of(target, search.x, search.space)
    if stairs is None:
        return False
    search.tried.append(f"search over the {len(stairs.above) + 1} levels to which the model rounds its inputs")
    if hasattr(target, "repair"):
        target.repair = True
    for place, eps in _ascending(search):
        rows = survivors(search, place)
        if len(rows):
            at = integers(rows, search.x)
            found = over_bins(
                target, search.x[at], search.y[at], search.logits[at], stairs.within(eps),
                targets=search.options.targets, seed=search.options.seed, batch=search.options.batch,
            )  # fmt: skip
            _offered(search, place, rows, found)
    return True


def transferred(search: Search) -> None:
    """Projected gradient steps on a perceptron trained on the model's answers (Papernot et al., ASIA CCS 2017)."""
    from bartizan.areas.evasion.surrogate import fit_surrogate

    random = np.random.default_rng(search.options.seed)
    low, high = (np.broadcast_to(to_numpy(b).astype(np.float64), search.x.shape[1:]) for b in (search.space.low, search.space.high))
    rows = to_numpy(search.x).astype(np.float64)
    eps = max(search.radii) if search.space.norm == "linf" else 0.1 * float((high - low).max())
    copies = max(1, min(POOL, search.options.queries * len(rows) // 10) // len(rows))
    noisy = [np.clip(rows + eps * random.choice([-1.0, 1.0], rows.shape), low, high) for _ in range(copies - 1)]
    pool = np.concatenate([rows, *noisy])
    given: dict[str, Any] = {"low": low, "high": high, "template": search.x if is_torch(search.x) else None, "seed": search.options.seed}
    try:
        with one_thread():
            stand_in = fit_surrogate(search.target, pool, queries=2 * len(pool), **given)
    except (MissingExtra, InputError) as error:
        search.tried.append(f"transfer from a surrogate was not possible: {error}")
        return
    search.tried.append(f"transfer from a surrogate that agrees on {stand_in.agreement:.0%}")
    places = {label: place for place, label in enumerate(stand_in.labels)}
    space = Space(norm=search.space.norm, low=low, high=high)
    for place, radius in _ascending(search):
        left = np.array([row for row in survivors(search, place) if int(search.y[int(row)]) in places], dtype=np.int64)
        if len(left):
            own = np.array([places[int(search.y[int(row)])] for row in left])
            _offered(search, place, left, like(_path(stand_in.model, rows[left], own, space, radius), search.x))


def one_thread() -> AbstractContextManager[Any]:
    """Linear algebra on one thread: for a small perceptron more threads only wait for each other."""
    try:
        limits = importlib.import_module("threadpoolctl").threadpool_limits  # comes with scikit-learn
    except ImportError:
        return nullcontext()
    held: AbstractContextManager[Any] = limits(1)
    return held


def _path(model: Any, origin: Host, own: Host, space: Space, eps: float) -> Host:
    """Where projected gradient steps on the surrogate end, (n, d)."""
    radius, point = np.full(len(origin), eps), origin
    for step in range(PATH):
        _, gradient = margin_gradient(model, point, own)
        share = np.full(len(origin), max(0.02, 1 / origin.shape[1]))
        length = eps * (0.5 * (1 - step / PATH) + 0.02)
        point = space.project(origin, point - length * np.asarray(ascent(gradient, space.norm, share)), radius)
    return point


def scored(search: Search) -> None:
    """A Square search on the scores of every survivor, within `queries` forwards each."""
    search.tried.append(f"search on scores alone (Square), {search.options.queries} queries per image")
    for place, _ in _ascending(search):
        search.search_scores(place, search.options.queries, seed=2)


def decided(search: Search) -> None:
    """HopSkipJump on decisions alone from images of other classes, within `queries` questions each; linf and l2."""
    from bartizan.areas.evasion.blackbox.hopskipjump import hopskipjump
    from bartizan.areas.evasion.blackbox.oracle import Oracle

    rows = survivors(search, smallest(search))
    if search.space.norm not in ("linf", "l2") or search.space.repair is not None or search.random or not len(rows):
        return
    search.tried.append(f"search on decisions alone (HopSkipJump), {search.options.queries} queries per image")
    at = integers(rows, search.x)
    low, high = (to_numpy(bound) for bound in (search.space.low, search.space.high))
    budget = max(2, search.options.queries)
    oracle = Oracle(search.target, search.x[at], to_numpy(search.y[at]), norm=search.space.norm, budget=budget, low=low, high=high)
    hopskipjump(oracle, seed=search.options.seed, starts=_elsewhere(search, rows))
    found = np.where(np.isfinite(oracle.distance)[:, None], oracle.best, to_numpy(search.x[at]))
    for place, _ in _ascending(search):
        _offered(search, place, rows, like(found, search.x))


def _elsewhere(search: Search, rows: Host) -> Host:
    """For each row the nearest input that the model puts into another class, NaN where there is none."""
    flat, decisions = to_numpy(search.x).astype(np.float64), to_numpy(search.logits).argmax(1)
    y, starts = to_numpy(search.y), np.full((len(rows), search.x.shape[1]), np.nan)
    for place, row in enumerate(rows):
        others = np.flatnonzero(decisions != y[row])
        if len(others):
            starts[place] = flat[others[((flat[others] - flat[row]) ** 2).sum(1).argmin()]]
    return starts


def _ascending(search: Search) -> list[tuple[int, float]]:
    """Places and positive radii, smallest first; what broke before is broken."""
    places = [(place, eps) for place, eps in enumerate(search.radii) if eps > 0]
    for place, _ in places:
        if place:
            search.inherit(place)
    return places


def _offered(search: Search, place: int, rows: Host, found: Array) -> None:
    """`found` (m, d) for `rows`, offered at this radius and handed on to the larger ones."""
    candidates = copy(search.x)
    candidates[integers(rows, search.x)] = found
    search.offer(place, candidates)
    for later in range(place + 1, len(search.radii)):
        search.inherit(later)
