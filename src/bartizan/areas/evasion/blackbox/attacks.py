"""Black-box attacks by name as one call, and as searches for the engine of `evasion.attack`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.api import native, rows_of, session_of, target_of
from bartizan.areas.evasion.arrays import Array, like, to_numpy
from bartizan.areas.evasion.blackbox.boundary import boundary
from bartizan.areas.evasion.blackbox.hopskipjump import hopskipjump
from bartizan.areas.evasion.blackbox.oracle import Hunt, Oracle
from bartizan.areas.evasion.blackbox.signopt import signopt
from bartizan.areas.evasion.blackbox.square import square
from bartizan.areas.evasion.constraints import Constraints
from bartizan.areas.evasion.inputs import checked_images
from bartizan.areas.evasion.norms import Space, known_norm
from bartizan.areas.evasion.targets import Classifies
from bartizan.model.errors import InputError, UnknownName

BY_LABELS: dict[str, Callable[..., None]] = {"hopskipjump": hopskipjump, "signopt": signopt, "boundary": boundary}
"""Attacks that need labels alone and look for the nearest evasion."""

ATTACKS = (*BY_LABELS, "square")


def black_box(
    model: Any,
    x: Any,
    y: Any,
    *,
    attack: str = "hopskipjump",
    norm: str = "l2",
    eps: float = math.inf,
    queries: int = 1000,
    bounds: tuple[Any, Any] = (0.0, 1.0),
    constraints: Constraints | None = None,
    starts: npt.ArrayLike | None = None,
    gives: str | None = None,
    seed: int = 0,
) -> Hunt:
    """Evasions of `x` (n, ...) with class numbers `y` (n,) found by asking `model` alone, at most `queries` times a row.

    `model`: a function of rows, a fitted classifier, a torch model, or a target such as `adapters.http_models.HttpModel`. `attack`: square
    (scores, within `eps`), hopskipjump, signopt, boundary (labels; the nearest they find, counted within `eps`). `bounds`: valid range,
    may be infinite. `starts` (n, ...): inputs of other classes to start from; None: rows of `x` that the model puts elsewhere. The first
    query of a row is the row itself, and where scores are given the last asks for the decision on what was found. Every evasion obeys
    `constraints`; rows that break them are discarded. Deterministic for a seed.
    """
    if attack not in ATTACKS:
        raise UnknownName("attack", attack, ATTACKS)
    images, known = checked_images(x), known_norm(norm)
    if attack == "square" and not (math.isfinite(eps) and eps > 0):
        raise InputError("the square attack needs a radius", cure="say eps=")
    if queries < 2:
        raise InputError(f"a row needs at least 2 queries, not {queries}")
    target = target_of(model, images, gives=gives)
    with session_of(target, seed):
        return _hunt(
            target, images, np.asarray(to_numpy(y), dtype=np.int64), attack, known, eps, queries, bounds, constraints, starts, seed
        )


def _hunt(
    target: Classifies,
    x: Any,
    y: npt.NDArray[np.int64],
    attack: str,
    norm: str,
    eps: float,
    queries: int,
    bounds: tuple[Any, Any],
    constraints: Constraints | None,
    starts: npt.ArrayLike | None,
    seed: int,
) -> Hunt:
    flat = rows_of(target, x)
    n, d = flat.shape
    if y.shape != (n,) or y.min() < 0 or y.max() >= target.classes:
        raise InputError(f"{n} class numbers below {target.classes} are needed", cure="give positions in the model's classes")
    rules = constraints.rules(d) if constraints is not None else None
    discarded = rules.screen(to_numpy(flat)) if rules is not None else {}
    kept = np.setdiff1d(np.arange(n), list(discarded))
    low, high = (np.asarray(to_numpy(bound) if not np.isscalar(bound) else bound, dtype=np.float64).reshape(-1) for bound in bounds)
    oracle = Oracle(target, flat[kept], y[kept], norm=norm, budget=queries, low=low, high=high, rules=rules)
    every = np.arange(len(kept))
    wrong = oracle.evades(oracle.x, every)
    oracle.distance[wrong] = 0.0
    live = np.flatnonzero(~wrong)
    inner = Oracle(target, flat[kept[live]], y[kept[live]], norm=norm, budget=queries, low=low, high=high, rules=rules)
    scored = target.gives != "labels"  # then the last question of a row is whether the model's own decision agrees with its scores
    inner.used[:] = 2 if scored else 1
    _run(inner, attack, eps, _starts(starts, oracle.x, y[kept], wrong, kept, live, n), seed, tuple(np.shape(x)[1:]))
    inner.used -= int(scored)
    inner.distance[inner.distance > eps * (1 + 1e-6)] = np.inf
    if scored:
        inner.confirm()
    return _told(oracle, inner, wrong, live, kept, discarded, attack, seed, x, to_numpy(flat))


def _run(oracle: Oracle, attack: str, eps: npt.ArrayLike, starts: Any, seed: int, shape: tuple[int, ...]) -> None:
    if not len(oracle.x):
        return
    if attack == "square":
        square(oracle, eps=eps, seed=seed, shape=shape)
    else:
        BY_LABELS[attack](oracle, seed=seed, starts=starts)


def _starts(given: npt.ArrayLike | None, x: Any, y: Any, wrong: Any, kept: Any, live: Any, n: int) -> npt.NDArray[np.float64]:
    """The given starting points of the live rows, or for each the nearest row that the model puts into another class; NaN where none."""
    if given is not None:
        return np.asarray(np.asarray(given, dtype=np.float64).reshape(n, -1)[kept[live]])
    starts = np.full((len(live), x.shape[1]), np.nan)
    right = np.flatnonzero(~wrong)
    for place, row in enumerate(live):
        others = right[y[right] != y[row]]
        if len(others):
            starts[place] = x[others[((x[others] - x[row]) ** 2).sum(axis=1).argmin()]]
    return starts


def _told(
    oracle: Oracle,
    inner: Oracle,
    wrong: Any,
    live: Any,
    kept: Any,
    discarded: dict[int, str],
    attack: str,
    seed: int,
    x: Any,
    flat: Any,
) -> Hunt:
    n = len(flat)
    found, distance = np.zeros(n, dtype=np.bool_), np.full(n, np.inf)
    queries, first, missed = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
    rows = flat.copy()
    missed[kept] = wrong
    found[missed], distance[missed], first[missed] = True, 0.0, 1
    queries[kept] = 1
    good = np.isfinite(inner.distance)
    places = kept[live]
    queries[places], first[places] = inner.used, inner.first
    found[places], distance[places] = good, np.where(good, inner.distance, np.inf)
    rows[places[good]] = inner.best[good]
    return Hunt(
        attack=attack,
        norm=oracle.norm,
        adversarial=native(rows, x),
        found=found,
        distance=distance,
        queries=queries,
        first=first,
        wrong=missed,
        discarded=discarded,
        seed=seed,
    )


class BlackBoxSearch:
    """A named black-box attack in the form that the engine takes as `search=` (protocol `targets.Searches`)."""

    def __init__(self, attack: str, *, shape: tuple[int, ...] = ()) -> None:
        if attack not in ATTACKS:
            raise UnknownName("attack", attack, ATTACKS)
        self.attack, self.shape = attack, shape

    def __call__(self, target: Classifies, x: Array, y: Array, space: Space, eps: Array, *, queries: int, seed: int) -> Array:
        """Candidates (n, d) inside `space`; rows for which nothing was found come back as they are."""
        low, high = (to_numpy(bound) for bound in (space.low, space.high))
        oracle = Oracle(target, x, to_numpy(y), norm=space.norm, budget=queries, low=low, high=high)
        _run(oracle, self.attack, to_numpy(eps), None, seed, self.shape or getattr(target, "shape", ()))
        near = oracle.distance <= to_numpy(eps).astype(np.float64) * (1 + 1e-6)
        return like(np.where(near[:, None], oracle.best, to_numpy(x)), x)
