"""One change for all: the few feature values that flip most decisions of a class at once, fitted on some rows and measured on others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.tabular_inputs import Ints
from bartizan.areas.evasion.tabular_search import Asked
from bartizan.model.errors import InputError

MIN_MEMBERS = 8
"""Fewest rows of a class in either half."""
_FITTED = 80
"""Most rows that a recipe is fitted on."""
_BEAM = 5
_CONTROLS = 20
"""Random recipes of the same size that the recipe is compared with."""


@dataclass(frozen=True)
class Recipe:
    """The best recipe: the class whose decisions it flips, its changes, and `flipped` (n,) over rows that took no part in the fit.

    `null` is the share that random recipes of the same size flip among the same rows; `queries` were spent on the fit.
    """

    decided: int
    changes: tuple[int, ...]
    flipped: npt.NDArray[np.bool_]
    null: float
    queries: int


def best_recipe(asked: Asked, k: int, seed: int) -> Recipe:
    """The recipe of at most `k` features that flips most, over all classes. Raises `InputError` where every class has too few rows."""
    random = np.random.default_rng(seed)
    found: list[tuple[float, int, tuple[int, ...], Ints]] = []
    queries = 0
    for decided in np.unique(asked.decided).tolist():
        members = random.permutation(np.flatnonzero(asked.decided == decided))
        fit, rest = np.sort(members[: len(members) // 2][:_FITTED]), np.sort(members[len(members) // 2 :])
        if len(fit) < MIN_MEMBERS:
            continue
        share, changes, spent = _fitted(asked, fit, k)
        queries += spent
        found.append((share, decided, changes, rest))
    if not found:
        raise InputError(f"no class is decided correctly on {2 * MIN_MEMBERS} test rows", cure="declare more test data")
    _, decided, changes, rest = max(found, key=lambda one: (one[0], -one[1]))
    flipped = asked.flipped(rest, np.tile(np.array(changes, dtype=np.int64), (len(rest), 1)))
    return Recipe(decided, changes, flipped, _null(asked, rest, len(changes), random), queries)


def _fitted(asked: Asked, fit: Ints, k: int) -> tuple[float, tuple[int, ...], int]:
    """Greedy with a small beam: (share flipped, changes, queries) of the best recipe on the rows `fit`."""
    beam: list[tuple[float, float, tuple[int, ...]]] = [(0.0, 0.0, ())]
    best, queries = (-1.0, 0.0, beam[0][2]), 0
    for _ in range(k):
        tried: dict[tuple[int, ...], None] = {}
        for _, _, parts in beam:
            used = set(asked.changes.feature[list(parts)].tolist())
            fresh = [c for c in range(asked.changes.count) if int(asked.changes.feature[c]) not in used]
            tried.update(dict.fromkeys(tuple(sorted((*parts, c))) for c in fresh))
        if not tried:
            break
        recipes = np.array(list(tried), dtype=np.int64)
        margins = asked.margins(np.tile(fit, len(recipes)), np.repeat(recipes, len(fit), axis=0)).reshape(len(recipes), len(fit))
        queries += margins.size
        shares, means = (margins < 0).mean(axis=1), margins.mean(axis=1)
        order = np.lexsort((means, -shares))[:_BEAM].tolist()
        beam = [(float(shares[i]), -float(means[i]), tuple(recipes[i].tolist())) for i in order]
        best = max(best, beam[0], key=lambda one: one[:2])
    return best[0], best[2], queries


def _null(asked: Asked, rows: Ints, size: int, random: np.random.Generator) -> float:
    """The share flipped by random recipes of `size` different features, the same for all rows."""
    changes = asked.changes
    shares = []
    for _ in range(_CONTROLS):
        recipe: list[int] = []
        for change in random.permutation(changes.count).tolist():
            if len(recipe) < size and changes.feature[change] not in changes.feature[recipe]:
                recipe.append(change)
        shares.append(asked.flipped(rows, np.tile(np.array(recipe, dtype=np.int64), (len(rows), 1))).mean())
    return float(np.mean(shares))
