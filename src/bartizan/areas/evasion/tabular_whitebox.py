"""Evasion of scikit-learn models whose inside is known: exact where a closed form or a search over trees decides, else the margin cascade.

The radius is in units of each column (its spread in training, or the range of all pixels). Whole-number columns of tables move in whole
steps, columns that never vary stay. Whatever the method, a row counts as broken only when the model's own predict decides the changed row
otherwise.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bartizan.adapters.numpy_models import Layers, layers_of
from bartizan.adapters.tree_models import is_tree_ensemble
from bartizan.areas.evasion.constraints import Constraints, Cost, Rules, Sum
from bartizan.areas.evasion.norms import size
from bartizan.areas.evasion.result import Trust
from bartizan.areas.evasion.tabular_inputs import Floats, Ints, Prepared, is_number, is_whole
from bartizan.model.errors import InputError

Mask = npt.NDArray[np.bool_]

KNOWN = "linear models and MLPClassifier, alone or behind scaling and PCA, and bare tree ensembles, on numeric columns"
"""What can be attacked here."""

_SAME = 1e-9
"""Margins this close to zero, relative to the scores, are left to the model's own predict."""


@dataclass(frozen=True)
class Problem:
    """A classifier, n rows of d numbers, their classes, and how far each column may move: `eps` times its `unit`, inside [low, high].

    `rules` are the declared constraints, which every counted change keeps.
    """

    prepared: Prepared
    x: Floats
    labels: Ints
    unit: Floats
    low: Floats
    high: Floats
    whole: Mask
    norm: str
    rules: Rules | None = None

    @property
    def boxed(self) -> bool:
        """Are the allowed changes a box, with whole steps or not, because no rule joins features or lists values?"""
        return self.rules is None or not (self.rules.relational or self.rules.allowed)

    def walls(self, eps: float) -> tuple[Floats, Floats]:
        """How far each entry may fall (not positive) and rise in the norm linf, both (n, d)."""
        reach = np.where(self.whole, np.floor(eps * self.unit + 1e-9), eps * self.unit)
        low, high = (self.low, self.high) if self.rules is None else self.rules.window(self.x)
        low, high = np.maximum(self.low, low), np.minimum(self.high, high)
        return np.minimum(np.maximum(low - self.x, -reach), 0.0), np.maximum(np.minimum(high - self.x, reach), 0.0)

    def keeps(self, rows: Floats, eps: float) -> Mask:
        """Which changed rows (n, d) lie within `eps` and keep the declared constraints, (n,)."""
        unit = np.where(self.unit > 0, self.unit, 1.0)
        near = np.asarray(size((rows - self.x) / unit, self.norm)) <= eps * (1 + 1e-6) + 1e-9
        return near if self.rules is None else near & self.rules.obeys(self.x, rows)

    def settled(self, moved: Floats, origin: Floats | None = None) -> Floats:
        """Rows `moved` with whole steps cut towards the origin, columns that never vary put back, and the declared constraints kept."""
        start = self.x if origin is None else origin
        change = moved - start
        change = np.where(self.whole, np.trunc(change + np.sign(change) * 1e-9), change)
        rows = np.asarray(start + np.where(self.unit > 0, change, 0.0))
        return rows if self.rules is None else np.asarray(self.rules.repair(start, rows))

    def decisions(self, rows: Floats) -> Ints:
        """The model's own predict for rows (n, d), as positions in its classes."""
        import pandas as pd

        return self.prepared.decisions(pd.DataFrame(rows, columns=self.prepared.test.columns))

    def only(self, rows: npt.NDArray[Any]) -> Problem:
        """The same problem on some of its rows."""
        return replace(self, x=self.x[rows], labels=self.labels[rows])


@dataclass(frozen=True)
class Broken:
    """What an attack found on n rows that were decided correctly.

    `broken` (n,): a changed row was found and confirmed; `proven` (n,): none exists; `changed` (n, d) holds the rows found, else the rows
    themselves. `exact` methods prove all but rounding. `curve` has (radius, share broken). `passes` are rows that went through the model.
    """

    broken: Mask
    proven: Mask
    changed: Floats
    method: str
    exact: bool
    trust: Trust
    curve: tuple[tuple[float, float], ...] = ()
    passes: int = 0


def problem_of(prepared: Prepared, places: Ints, norm: str, *, images: bool) -> Problem:
    """The rows `places` of the test data as a problem. Raises `InputError` where a column is no number or a value is missing."""
    named = [str(name) for name in prepared.test.columns if not (is_number(prepared.train[name]) and is_number(prepared.test[name]))]
    if named:
        raise InputError(f"the column '{named[0]}' holds no numbers", cure=f"what can be attacked here: {KNOWN}")
    train, test = prepared.train.to_numpy(dtype=np.float64), prepared.test.to_numpy(dtype=np.float64)[places]
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise InputError("values are missing or infinite", cure="declare data without, as the model gets it after imputation")
    low, high = np.minimum(train.min(axis=0), test.min(axis=0)), np.maximum(train.max(axis=0), test.max(axis=0))
    whole = np.array([is_whole(prepared.train[name]) and is_whole(prepared.test[name]) for name in prepared.test.columns])
    unit = train.std(axis=0)
    if images:  # every pixel has the range of all; how its values are stored says nothing about steps
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
        unit, whole = high - low, np.zeros_like(whole)
    rules = None if prepared.rules is None else prepared.rules.array()
    whole = whole if rules is None else whole | rules.integer
    return Problem(prepared, test, prepared.labels[places], unit, low, high, whole, norm, rules)


def break_rows(problem: Problem, eps: float, seed: int) -> Broken:
    """The strongest attack that fits the model. Raises `InputError` naming what can be attacked, `MissingExtra` for a missing library."""
    with quiet():
        return _broken(problem, eps, seed)


def _broken(problem: Problem, eps: float, seed: int) -> Broken:
    estimator = problem.prepared.estimator
    if is_tree_ensemble(estimator):
        return _trees(problem, eps)
    layers = layers_of(estimator, problem.x)
    if layers is None:
        raise InputError(f"{type(estimator).__name__} is not read from inside", cure=f"what can be attacked here: {KNOWN}")
    if layers.affine and problem.norm == "linf" and problem.boxed:
        return _corners(problem, layers, eps)
    if layers.affine and problem.norm in ("l2", "l1") and not problem.whole.any() and problem.rules is None:
        return _closed_form(problem, eps)
    return _cascade(problem, layers, eps, seed)


def with_known(found: Broken, broken: Mask, changed: Floats) -> Broken:
    """`found` with the rows that known examples (n, d) break, confirmed before, where the attack broke nothing."""
    more = broken & ~found.broken
    rows = np.where(more[:, None], changed, found.changed)
    return replace(found, broken=found.broken | more, proven=found.proven & ~more, changed=rows)


def random_breaks(problem: Problem, eps: float, draws: int, seed: int) -> float:
    """The share of rows that a random change of the same size breaks: the null control."""
    random = np.random.default_rng(seed)
    hits = 0
    for _ in range(draws):
        if problem.norm == "linf":
            fall, rise = problem.walls(eps)
            change = np.where(random.random(problem.x.shape) < 0.5, fall, rise)
        else:
            step = random.normal(size=problem.x.shape)
            if problem.norm == "l1":
                step *= np.abs(step).argsort(axis=1).argsort(axis=1) == step.shape[1] - 1
            change = eps * problem.unit * step / np.linalg.norm(step, axis=1, keepdims=True)
        rows = problem.settled(np.clip(problem.x + change, problem.low, problem.high))
        hits += int(((problem.decisions(rows) != problem.labels) & problem.keeps(rows, eps)).sum())
    return hits / (draws * len(problem.x))


def _corners(problem: Problem, layers: Layers, eps: float) -> Broken:
    """Linear models in the norm linf: a linear function over a box, whole steps or not, is least at a corner."""
    curve = []
    for share in (0.25, 0.5, 1.0):
        found = _at_corners(problem, layers, eps * share)
        curve.append((eps * share, float(found.broken.mean())))
    return replace(found, curve=tuple(curve))


def _at_corners(problem: Problem, layers: Layers, eps: float) -> Broken:
    weights, shift = layers.weights[0], layers.shifts[0]
    fall, rise = problem.walls(eps)
    n, classes = len(problem.x), weights.shape[1]
    scores = problem.x @ weights + shift
    least, broken, changed, asked = np.full(n, np.inf), np.zeros(n, dtype=np.bool_), problem.x.copy(), 0
    for target in range(classes):
        direction = weights[:, target] - weights[:, problem.labels].T
        corner = np.where(direction > 0, rise, np.where(direction < 0, fall, 0.0))
        margin = scores[np.arange(n), problem.labels] - scores[:, target] - (direction * corner).sum(axis=1)
        least = np.where(problem.labels == target, least, np.minimum(least, margin))
        rows = np.flatnonzero(~broken & (problem.labels != target) & (margin <= _SAME * (1.0 + np.abs(scores).max(axis=1))))
        if len(rows):
            tried = (problem.x + corner)[rows]
            hit = (problem.decisions(tried) != problem.labels[rows]) & problem.only(rows).keeps(tried, eps)
            asked += len(rows)
            broken[rows[hit]], changed[rows[hit]] = True, tried[hit]
    proven = ~broken & (least > _SAME * (1.0 + np.abs(scores).max(axis=1)))
    return Broken(broken, proven, changed, "exact: the corners of the box", True, Trust(ok=True), passes=asked)


def _closed_form(problem: Problem, eps: float) -> Broken:
    """Linear models in the norms l2 and l1: the nearest half-space inside the box."""
    from bartizan.areas.evasion.linear import nearest_linear_evasion

    unit = np.where(problem.unit > 0, problem.unit, 1.0)
    still = tuple(np.flatnonzero(problem.unit == 0).tolist())
    low, high = (_by_column(bound / unit) for bound in (problem.low, problem.high))
    names = problem.prepared.estimator.classes_[problem.labels]
    constraints = Constraints(immutable=still, low=low, high=high)
    model = _in_units(problem.prepared.estimator, unit)
    found = nearest_linear_evasion(model, problem.x / unit, names, norm=problem.norm, constraints=constraints)
    within = found.found & (found.distance <= eps)
    broken, changed = _confirmed(problem, np.where(within[:, None], found.adversarial * unit, problem.x), eps)
    curve = tuple((eps * share, float((broken & (found.distance <= eps * share)).mean())) for share in (0.25, 0.5, 1.0))
    proven = ~broken & (found.lower > eps)
    return Broken(broken, proven, changed, "exact: the nearest half-space", True, Trust(ok=True), curve, found.queries)


def _trees(problem: Problem, eps: float) -> Broken:
    """Tree ensembles in the norm linf: an exact search over the splits inside the box."""
    from bartizan.areas.evasion.trees import nearest_tree_evasion

    if problem.norm != "linf":
        raise InputError(f"trees are not attacked in the norm {problem.norm} here", cure="set norm to linf")
    reach = np.where(problem.whole, np.floor(eps * problem.unit + 1e-9), eps * problem.unit)
    constraints = _constraints(problem, reach)
    names = problem.prepared.estimator.classes_[problem.labels]
    found = nearest_tree_evasion(problem.prepared.estimator, problem.x, names, constraints=constraints)
    broken, changed = _confirmed(problem, np.where(found.found[:, None], found.adversarial, problem.x), eps)
    proven = ~broken & np.isinf(found.lower)
    relational = problem.rules is not None and problem.rules.relational
    method = "exact: a search over the splits " + ("by a mixed integer program" if relational else "inside the box (Veritas)")
    return Broken(broken, proven, changed, method, bool((broken | proven).all()), Trust(ok=True), passes=found.queries)


def _cascade(problem: Problem, layers: Layers, eps: float, seed: int) -> Broken:
    """Perceptrons, and linear models in whole steps: the margin cascade on gradients in closed form, with its diagnostics."""
    from bartizan.areas.evasion.api import attack

    unit = np.where(problem.unit > 0, problem.unit, 1.0)
    rows = problem.x / unit
    low, high = problem.low / unit, problem.high / unit
    stepped = bool(problem.whole.any() or (problem.unit == 0).any() or problem.rules is not None)

    def repair(origin: Any, moved: Any) -> Any:
        return problem.settled(moved * unit, np.asarray(origin) * unit) / unit

    result = attack(
        _Inside(problem, layers, unit),
        rows,
        problem.labels,
        eps=(0.25 * eps, 0.5 * eps, eps),
        norm=problem.norm,
        bounds=(low, np.where(high > low, high, low + 1.0)),
        seed=seed % 2**31,
        repair=repair if stepped else None,
    )
    broken, changed = _confirmed(problem, result.at[-1].adversarial * unit, eps)
    curve = tuple((at.eps, 1.0 - at.robust_accuracy) for at in result.at)
    method = "the margin cascade on gradients in closed form"
    return Broken(
        broken, np.zeros_like(broken), changed, method, False, result.trust, curve, result.passes.forwards + result.passes.backwards
    )


class _Inside:
    """The model as a target in common units: scores and gradients from its layers, decisions from its own predict."""

    gives = "logits"

    def __init__(self, problem: Problem, layers: Layers, unit: Floats) -> None:
        self.problem, self.layers, self.unit = problem, layers, unit
        self.classes = problem.prepared.classes
        self.forwards = self.backwards = 0

    def logits(self, x: Any) -> Floats:
        """Scores (n, k) of rows (n, d)."""
        self.forwards += len(x)
        return self.layers.forward(x * self.unit)[-1]

    def pull(self, x: Any, cotangent: Callable[[Any], Any]) -> tuple[Floats, Floats]:
        """Scores (n, k) of rows (n, d), and `cotangent(scores)` pulled back to the input."""
        self.backwards += len(x)
        outputs = self.layers.forward(x * self.unit)
        return outputs[-1], self.layers.pull(outputs, np.asarray(cotangent(outputs[-1]))) * self.unit

    def decide(self, x: Any) -> Ints:
        """What the model's own predict decides for rows (n, d)."""
        self.forwards += len(x)
        return self.problem.decisions(x * self.unit)


def _confirmed(problem: Problem, changed: Floats, eps: float) -> tuple[Mask, Floats]:
    """The rows that the model decides otherwise after whole steps and constraints are restored, and all rows: the originals elsewhere."""
    rows = problem.settled(np.clip(changed, problem.low, problem.high))
    broken = np.asarray((problem.decisions(rows) != problem.labels) & problem.keeps(rows, eps))
    return broken, np.where(broken[:, None], rows, problem.x)


def _constraints(problem: Problem, reach: Floats) -> Constraints:
    """The range, the whole numbers and the `reach` (d,) of each column, joined with what is declared."""
    low, high, reach = problem.low, problem.high, np.broadcast_to(reach, problem.low.shape)
    rules = problem.rules
    if rules is None:
        limits = [_by_column(bound) for bound in (low, high, reach)]
        whole = tuple(np.flatnonzero(problem.whole).tolist())
        return Constraints(integer=whole, low=limits[0], high=limits[1], most_change=limits[2])
    limits = [_by_column(bound) for bound in (np.maximum(low, rules.low), np.minimum(high, rules.high))]
    moves = np.minimum(reach, np.where(rules.up > 0, np.where(rules.down > 0, np.minimum(rules.up, rules.down), rules.up), rules.down))
    prices = [
        (column, Cost(up=float(up), down=float(down))) for column, (up, down) in enumerate(zip(rules.cost_up, rules.cost_down, strict=True))
    ]
    return Constraints(
        immutable=tuple(np.flatnonzero(rules.frozen).tolist()),
        integer=tuple(np.flatnonzero(problem.whole).tolist()),
        one_hot=tuple(tuple(group.tolist()) for group in rules.groups),
        allowed={column: tuple(values.tolist()) for column, values in rules.allowed.items()},
        low=limits[0],
        high=limits[1],
        only_up=tuple(np.flatnonzero((rules.down == 0) & (rules.up > 0)).tolist()),
        only_down=tuple(np.flatnonzero((rules.up == 0) & (rules.down > 0)).tolist()),
        sums=tuple(
            Sum(
                weights={int(c): float(relation.weights[c]) for c in np.flatnonzero(relation.weights)}, low=relation.low, high=relation.high
            )
            for relation in rules.relations
        ),
        most_change=_by_column(moves),
        cost={column: cost for column, cost in prices if cost.up or cost.down},
        budget=rules.budget,
    )


def _by_column(values: Floats) -> dict[int | str, float]:
    """Values (d,) as constraints are told them."""
    return {column: float(value) for column, value in enumerate(values)}


def _in_units(estimator: Any, unit: Floats) -> Any:
    """The user's model behind one multiplication, so that all columns have the same unit."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaler.mean_, scaler.scale_, scaler.var_ = np.zeros_like(unit), 1.0 / unit, unit**-2
    scaler.n_features_in_, scaler.n_samples_seen_ = len(unit), 1
    inner = estimator.steps if type(estimator).__name__ == "Pipeline" else [("model", estimator)]
    return Pipeline([("units", scaler), *((f"model_{name}", step) for name, step in inner)])


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings of missing column names (their order is that of the model), and one thread: small matrices are slower on several."""
    threads = importlib.import_module("threadpoolctl")  # comes with scikit-learn
    with warnings.catch_warnings(), threads.threadpool_limits(1):
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        yield
