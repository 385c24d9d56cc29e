"""Black-box attacks by name as one call, and as searches for the engine of `evasion.attack`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.api import native, rows_of, session_of, target_of
from bartizan.areas.evasion.arrays import Array, like, to_numpy
from bartizan.areas.evasion.blackbox.boundary import boundary
from bartizan.areas.evasion.blackbox.hopskipjump import hopskipjump
from bartizan.areas.evasion.blackbox.oracle import Floats, Hunt, Oracle
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


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a black-box attack that has a good default.

    `bounds`: valid range, may be infinite. `starts` (n, ...): inputs of other classes to start from; None: rows that the model puts
    elsewhere. `gives`: labels, probabilities or logits, None: read off the answers. Every evasion obeys `constraints`.
    """

    bounds: tuple[Any, Any] = (0.0, 1.0)
    constraints: Constraints | None = None
    starts: Any = None
    gives: str | None = None
    seed: int = 0

    @classmethod
    def of(cls, options: dict[str, Any]) -> Asking:
        """`Asking` of keyword arguments; UnknownName for a misspelt one."""
        for name in options:
            if name not in cls.__struct_fields__:
                raise UnknownName("option", name, cls.__struct_fields__)
        return cls(**options)


def black_box(
    model: Any,
    x: Any,
    y: Any,
    *,
    attack: str = "hopskipjump",
    norm: str = "l2",
    eps: float = math.inf,
    queries: int = 1000,
    **options: Any,
) -> Hunt:
    """Evasions of `x` (n, ...) with class numbers `y` (n,) found by asking `model` alone, at most `queries` times a row.

    `model`: a function of rows, a fitted classifier, a torch model, or a target such as `adapters.http_models.HttpModel`. `attack`: square
    (scores, within `eps`), hopskipjump, signopt, boundary (labels; the nearest they find, counted within `eps`). `options`: the fields of
    `Asking`. The first query of a row is the row itself, and where scores are given the last asks for the decision on what was found. Rows
    that break the constraints are discarded. Deterministic for a seed. Raises InputError and UnknownName for what does not fit.
    """
    if attack not in ATTACKS:
        raise UnknownName("attack", attack, ATTACKS)
    images, known, chosen = checked_images(x), known_norm(norm), Asking.of(options)
    if attack == "square" and not (math.isfinite(eps) and eps > 0):
        raise InputError("the square attack needs a radius", cure="say eps=")
    if queries < 2:
        raise InputError(f"a row needs at least 2 queries, not {queries}")
    target = target_of(model, images, gives=chosen.gives)
    with session_of(target, chosen.seed):
        flat = rows_of(target, images)
        labels = np.asarray(to_numpy(y), dtype=np.int64)
        if labels.shape != (len(flat),) or labels.min() < 0 or labels.max() >= target.classes:
            raise InputError(f"{len(flat)} class numbers below {target.classes} are needed", cure="give positions in the model's classes")
        return _Hunted(target, images, flat, labels, known, queries, chosen).by(attack, eps)


def bounds_of(bounds: tuple[Any, Any]) -> tuple[Floats, Floats]:
    """A valid range as flat 64-bit arrays of one or d entries."""
    low, high = (np.asarray(to_numpy(bound) if not np.isscalar(bound) else bound, dtype=np.float64).reshape(-1) for bound in bounds)
    return low, high


class _Hunted:
    """One call under way: the rows that keep the constraints, those the model errs on, and the attack on the rest."""

    def __init__(self, target: Classifies, x: Any, flat: Array, y: npt.NDArray[np.int64], norm: str, queries: int, options: Asking) -> None:
        self.target, self.x, self.flat, self.y, self.norm, self.queries, self.options = target, x, flat, y, norm, queries, options
        rules = options.constraints.rules(flat.shape[1]) if options.constraints is not None else None
        self.repair = None if rules is None else rules.repair
        self.discarded = rules.screen(to_numpy(flat)) if rules is not None else {}
        self.kept = np.setdiff1d(np.arange(len(flat)), list(self.discarded))
        oracle = self.oracle(self.kept)
        self.wrong = oracle.evades(oracle.x, np.arange(len(self.kept)))
        self.live = np.flatnonzero(~self.wrong)

    def oracle(self, rows: npt.NDArray[np.int64]) -> Oracle:
        """An oracle for some of the rows, nothing asked yet."""
        low, high = bounds_of(self.options.bounds)
        return Oracle(
            self.target, self.flat[rows], self.y[rows], norm=self.norm, budget=self.queries, low=low, high=high, repair=self.repair
        )

    def by(self, attack: str, eps: float) -> Hunt:
        """The named attack on the rows that the model gets right."""
        inner = self.oracle(self.kept[self.live])
        scored = self.target.gives != "labels"  # then the last question of a row is whether the model's own decision agrees with its scores
        inner.used[:] = 2 if scored else 1
        _run(inner, attack, eps, self._starts(), self.options.seed, tuple(np.shape(self.x)[1:]))
        inner.used -= int(scored)
        inner.distance[inner.distance > eps * (1 + 1e-6)] = np.inf
        if scored:
            inner.confirm()
        return self._told(inner, attack)

    def _starts(self) -> Floats:
        """The given starting points of the live rows, or for each the nearest row that is put into another class; NaN where none."""
        rows = to_numpy(self.flat).astype(np.float64)[self.kept]
        if self.options.starts is not None:
            given = np.asarray(self.options.starts, dtype=np.float64).reshape(len(self.flat), -1)
            return np.asarray(given[self.kept[self.live]])
        y = self.y[self.kept]
        starts = np.full((len(self.live), rows.shape[1]), np.nan)
        right = np.flatnonzero(~self.wrong)
        for place, row in enumerate(self.live):
            others = right[y[right] != y[row]]
            if len(others):
                starts[place] = rows[others[((rows[others] - rows[row]) ** 2).sum(axis=1).argmin()]]
        return starts

    def _told(self, inner: Oracle, attack: str) -> Hunt:
        n, places = len(self.flat), self.kept[self.live]
        found, missed = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
        distance, queries, first = np.full(n, np.inf), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        rows = to_numpy(self.flat).copy()
        missed[self.kept] = self.wrong
        found[missed], distance[missed], first[missed] = True, 0.0, 1
        queries[self.kept] = 1
        good = np.isfinite(inner.distance)
        queries[places], first[places] = inner.used, inner.first
        found[places], distance[places] = good, np.where(good, inner.distance, np.inf)
        rows[places[good]] = inner.best[good]
        return Hunt(
            attack=attack,
            norm=self.norm,
            adversarial=native(rows, self.x),
            found=found,
            distance=distance,
            queries=queries,
            first=first,
            wrong=missed,
            discarded=self.discarded,
            seed=self.options.seed,
        )


def _run(oracle: Oracle, attack: str, eps: npt.ArrayLike, starts: Any, seed: int, shape: tuple[int, ...]) -> None:
    if not len(oracle.x):
        return
    if attack == "square":
        square(oracle, eps=eps, seed=seed, shape=shape)
    else:
        BY_LABELS[attack](oracle, seed=seed, starts=starts)


class BlackBoxSearch:
    """A named black-box attack in the form that the engine takes as `search=` (protocol `targets.Searches`)."""

    def __init__(self, attack: str, *, shape: tuple[int, ...] = ()) -> None:
        if attack not in ATTACKS:
            raise UnknownName("attack", attack, ATTACKS)
        self.attack, self.shape = attack, shape

    def __call__(self, target: Classifies, x: Array, y: Array, space: Space, eps: Array, *, queries: int, seed: int) -> Array:
        """Candidates (n, d) inside `space`; rows for which nothing was found come back as they are."""
        low, high = (to_numpy(bound) for bound in (space.low, space.high))
        oracle = Oracle(target, x, to_numpy(y), norm=space.norm, budget=queries, low=low, high=high, repair=space.repair)
        _run(oracle, self.attack, to_numpy(eps), None, seed, self.shape or getattr(target, "shape", ()))
        near = oracle.distance <= to_numpy(eps).astype(np.float64) * (1 + 1e-6)
        return like(np.where(near[:, None], oracle.best, to_numpy(x)), x)
