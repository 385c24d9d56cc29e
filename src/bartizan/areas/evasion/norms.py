"""Distances, balls and steps in the norms linf, l2, l1 and l0: where an adversarial example may lie and which way to go.

All functions take flat rows (n, d) and one radius per row (n,). l0 counts changed entries. `Space` joins the norm with the valid range of
the inputs and with the constraints of the problem. Projections on ball and range together are exact (bisection or Newton on the multiplier
of the norm), apart from rounding; `Space.settle` then makes the promise hold in 64-bit arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bartizan.areas.evasion.arrays import Array, column, copy, is_torch, like, namespace, norm1, norm2, norm_inf, order_rows, to_numpy
from bartizan.model.errors import UnknownName

NORMS = ("linf", "l2", "l1", "l0")
"""The norms every attack of this room knows."""

SLACK = 1e-6
"""A returned example may lie this much beyond the radius, as a share of max(1, radius), and never beyond the range."""

TINY = 1e-12


def known_norm(norm: str) -> str:
    """`norm` in its standard spelling (`Linf`, `inf`, `L2` are understood); UnknownName for any other."""
    spelt = str(norm).lower().replace("_", "")
    spelt = {"inf": "linf", "2": "l2", "1": "l1", "0": "l0"}.get(spelt, spelt)
    if spelt not in NORMS:
        raise UnknownName("norm", str(norm), NORMS)
    return spelt


def size(delta: Array, norm: str) -> Array:
    """The norm of each row of (n, d): (n,). l0 counts entries that are not exactly zero."""
    if norm == "linf":
        return norm_inf(delta)
    if norm == "l2":
        return norm2(delta)
    if norm == "l1":
        return norm1(delta)
    nonzero = delta != 0
    return nonzero.sum(1).to(delta.dtype) if is_torch(delta) else nonzero.sum(1).astype(delta.dtype)


def dual(norm: str) -> str:
    """The norm that measures gradients where `norm` measures steps; l0 pairs with linf, one entry at a time."""
    return {"linf": "l1", "l2": "l2", "l1": "linf", "l0": "linf"}[norm]


def within_l2(delta: Array, eps: Array, low: Array, high: Array) -> Array:
    """The nearest point with |u|_2 <= eps and low <= u <= high, where low <= 0 <= high: clip(s * delta) with the right s.

    |clip(s delta)|^2 is concave and increasing in s^2, so Newton from the left rises to the root and never passes it.
    """
    xp = namespace(delta)
    share = xp.minimum(eps / (norm2(delta) + TINY), full_like(eps, 1.0))
    clipped = xp.clip(column(share) * delta, low, high)
    for _ in range(12):
        open_rows = (share < 1) & (norm2(clipped) < eps * (1 - 1e-6))
        if not bool(open_rows.any()):
            break
        scaled = column(share) * delta
        free = (scaled > low) & (scaled < high)
        at_wall = xp.where(free, clipped * 0, clipped)
        inside = norm2(xp.where(free, delta, delta * 0))
        room = xp.clip(eps**2 - (at_wall * at_wall).sum(1), 0, None) ** 0.5
        grown = xp.where(inside > TINY, room / (inside + TINY), full_like(eps, 1.0))
        share = xp.where(open_rows, xp.minimum(xp.maximum(share, grown), full_like(eps, 1.0)), share)
        clipped = xp.clip(column(share) * delta, low, high)
    return clipped


def within_l1(delta: Array, eps: Array, low: Array, high: Array) -> Array:
    """The nearest point with |u|_1 <= eps and low <= u <= high, where low <= 0 <= high: clip(soft threshold), found by bisection.

    Ball and box together (Croce and Hein, Mind the box, ICML 2021): clipping after a projection on the ball alone loses most of the radius.
    """
    xp = namespace(delta)
    clipped = xp.clip(delta, low, high)
    beyond = norm1(clipped) > eps
    if not bool(beyond.any()):
        return clipped
    sign, magnitude = xp.sign(delta), xp.abs(delta)
    wall = xp.where(delta > 0, high + delta * 0, -(low + delta * 0))
    small, large = eps * 0, norm_inf(delta)
    for _ in range(30):
        middle = (small + large) / 2
        total = xp.minimum(xp.clip(magnitude - column(middle), 0, None), wall).sum(1)
        small, large = xp.where(total > eps, middle, small), xp.where(total > eps, large, middle)
    shrunk = sign * xp.minimum(xp.clip(magnitude - column(large), 0, None), wall)
    return xp.where(column(beyond), shrunk, clipped)


def within_l0(delta: Array, eps: Array, low: Array, high: Array) -> Array:
    """The nearest point with at most eps changed entries inside the box: the eps entries whose loss would cost most."""
    xp = namespace(delta)
    clipped = xp.clip(delta, low, high)
    cost = delta**2 - (delta - clipped) ** 2
    return clipped * keep_largest(cost, eps)


def keep_largest(x: Array, count: Array) -> Array:
    """1 at the `count` (n,) largest entries of each row of (n, d), 0 elsewhere; ties by position."""
    xp = namespace(x)
    order = order_rows(-x)
    places = xp.arange(x.shape[1])
    if is_torch(x):
        places = places.to(x.device)
    chosen = (places[None, :] < column(count)) + x * 0
    out = xp.zeros_like(x)
    if is_torch(x):
        return out.scatter(1, order, chosen)
    np.put_along_axis(out, order, chosen, 1)
    return out


def full_like(x: Array, value: float) -> Array:
    """`x` with every entry `value`."""
    return x * 0 + value


def ascent(grad: Array, norm: str, share: Array | None = None) -> Array:
    """The step of norm 1 along which a linear function with gradient (n, d) rises most; zero where the gradient is zero.

    For l1 the whole step on one entry would be the answer; `share` (n,) of the entries, the largest, move by equal amounts instead (Croce
    and Hein, 2021). For l0 the entries are chosen by the caller; the direction is that of linf.
    """
    xp = namespace(grad)
    if norm in ("linf", "l0"):
        return xp.sign(grad)
    if norm == "l2":
        return grad / (column(norm2(grad)) + TINY * 1e-8)
    share = share if share is not None else full_like(grad[:, 0], 1.0 / grad.shape[1])
    count = xp.clip(xp.round(share * grad.shape[1]), 1, grad.shape[1])
    chosen = xp.sign(grad) * keep_largest(xp.abs(grad), count)
    return chosen / (column(norm1(chosen)) + TINY)


@dataclass(frozen=True)
class Space:
    """Where an adversarial example may lie: inside the radius of `norm` around its sample, inside [low, high], and as `repair` says.

    `low`, `high` are (d,) or (1,) arrays in the units of the model's input. `repair(origin, x) -> x` moves rows (n, d) onto the constraints
    of the problem (integers, immutable features, a >= b); it must not move a row away from the origin. None: no constraints.
    """

    norm: str
    low: Array
    high: Array
    repair: Callable[[Array, Array], Array] | None = None

    def project(self, origin: Array, x: Array, eps: Array) -> Array:
        """The point nearest to `x` (n, d) within `eps` (n,) of `origin` and inside the range; then `repair`."""
        xp = namespace(x)
        if self.norm == "linf":
            radius = column(eps)
            moved = xp.clip(xp.maximum(xp.minimum(x, origin + radius), origin - radius), self.low, self.high)
        else:
            within = {"l2": within_l2, "l1": within_l1, "l0": within_l0}[self.norm]
            moved = xp.clip(origin + within(x - origin, eps, self.low - origin, self.high - origin), self.low, self.high)
        return moved if self.repair is None else self.repair(origin, moved)

    def clip(self, x: Array) -> Array:
        """`x` inside the range, whatever its distance."""
        return namespace(x).clip(x, self.low, self.high)

    def distance(self, origin: Array, x: Array) -> np.ndarray[Any, Any]:
        """The distance of each row in 64-bit arithmetic, (n,), on the host."""
        delta = to_numpy(x).astype(np.float64) - to_numpy(origin).astype(np.float64)
        return np.asarray(size(delta, self.norm))

    def settle(self, origin: Array, x: Array, eps: Array) -> Array:
        """`x` pulled in until its distance, in 64-bit arithmetic, keeps to `eps` within `SLACK`; entries never leave the range."""
        x = copy(self.project(origin, x, eps))
        if self.norm == "l0":
            return x
        limit = to_numpy(eps).astype(np.float64)
        for shrink in (1e-7, 1e-6, 1e-5, 1e-4):
            over = self.distance(origin, x) > limit + SLACK * np.minimum(1.0, np.maximum(limit, 1e-3)) * 0.5
            if not over.any():
                break
            factor = column(like(np.where(over, 1.0 - shrink, 1.0), x))
            x = self.clip(origin + (x - origin) * factor)
        return x

    def widest(self, shape: tuple[int, ...]) -> float:
        """The radius that holds the whole range for rows of `shape` (n, d): every point is then allowed."""
        span = np.broadcast_to(to_numpy(self.high).astype(np.float64) - to_numpy(self.low).astype(np.float64), shape[1:])
        return float(np.asarray(size(span[None], self.norm))[0])
