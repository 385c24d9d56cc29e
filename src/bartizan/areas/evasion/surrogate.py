"""Transfer: a model of one's own, trained on the labels of the model under attack, is attacked with gradients; the finds are then tried.

Papernot et al., ASIA CCS 2017: the training set grows by steps along the surrogate's gradient, each row labelled by a question. The
surrogate is a perceptron of scikit-learn whose input gradient is written down (`adapters.numpy_models`), so no torch is needed.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bartizan.adapters.numpy_models import LayeredModel, numpy_target
from bartizan.areas.evasion.api import native, rows_of, session_of, target_of
from bartizan.areas.evasion.arrays import is_torch, like, to_numpy
from bartizan.areas.evasion.blackbox.oracle import Hunt, Oracle
from bartizan.areas.evasion.constraints import Constraints
from bartizan.areas.evasion.inputs import checked_images
from bartizan.areas.evasion.norms import Space, ascent, known_norm
from bartizan.areas.evasion.targets import Classifies, margin_gradient
from bartizan.model.errors import InputError, MissingExtra

Floats = npt.NDArray[np.float64]


class Surrogate(msgspec.Struct, frozen=True, kw_only=True):
    """A stand-in for the model under attack.

    `model` has gradients; its outputs stand for the class numbers `labels`, those that were ever seen. `agreement` with the model under
    attack on rows held back, in [0, 1]; `queries` spent.
    """

    model: LayeredModel
    labels: tuple[int, ...]
    agreement: float
    queries: int


def fit_surrogate(
    target: Classifies,
    pool: npt.ArrayLike,
    *,
    queries: int,
    low: npt.ArrayLike,
    high: npt.ArrayLike,
    hidden: tuple[int, ...] = (64,),
    template: Any = None,
    seed: int = 0,
) -> Surrogate:
    """A perceptron that imitates `target` on rows like `pool` (n, d), for at most `queries` questions.

    A fifth of the pool is held back to measure the agreement. The rest is labelled and, while questions last, doubled by steps along the
    surrogate's gradient. `low`, `high` bound the range. Raises `InputError` where the target gives one class alone, `MissingExtra` without
    scikit-learn.
    """
    random = np.random.default_rng(seed)
    rows = np.asarray(pool, dtype=np.float64)[random.permutation(len(np.asarray(pool)))][:queries]
    if len(rows) < 10:
        raise InputError(f"{len(rows)} rows are too few to train a surrogate on", cure="give at least 10 and as many queries")
    labels = _labels(target, rows, template)
    spent, held = len(rows), max(2, len(rows) // 5)
    test, test_labels, train, train_labels = rows[:held], labels[:held], rows[held:], labels[held:]
    net = _fitted(train, train_labels, hidden, seed)
    step = 0.1 * float(np.median(train.std(axis=0)[train.std(axis=0) > 0]) if (train.std(axis=0) > 0).any() else 0.1)
    while spent < queries:
        part = random.permutation(len(train))[: queries - spent]
        model = _layered(net, train[part])
        inner = np.searchsorted(net.classes_, train_labels[part])
        _, gradient = margin_gradient(model, train[part], inner)
        grown = np.clip(train[part] - step * np.sign(gradient) * random.uniform(0.5, 3.0, (len(part), 1)), low, high)
        train, train_labels = np.concatenate([train, grown]), np.concatenate([train_labels, _labels(target, grown, template)])
        spent += len(part)
        net = _fitted(train, train_labels, hidden, seed)
    agreement = float((net.predict(test) == test_labels).mean())
    return Surrogate(model=_layered(net, train), labels=tuple(net.classes_.tolist()), agreement=agreement, queries=spent)


def _labels(target: Classifies, rows: Floats, template: Any) -> npt.NDArray[np.int64]:
    asked = like(rows, template) if template is not None else rows
    return np.asarray(to_numpy(target.logits(asked)).argmax(axis=1), dtype=np.int64)


def _fitted(rows: Floats, labels: npt.NDArray[np.int64], hidden: tuple[int, ...], seed: int) -> Any:
    if len(np.unique(labels)) < 2:
        raise InputError("the model gives one class to all rows of the pool", cure="give rows of several classes")
    try:
        from sklearn.neural_network import MLPClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        raise MissingExtra("sklearn", "sklearn") from None
    net = make_pipeline(StandardScaler(), MLPClassifier(hidden, max_iter=150, random_state=seed, alpha=1e-3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged is no matter: the agreement says how good it is
        return net.fit(rows, labels)


def _layered(net: Any, rows: Floats) -> LayeredModel:
    model = numpy_target(net, rows)
    assert isinstance(model, LayeredModel)  # a scaled perceptron always has layers
    return model


def transfer(
    model: Any,
    x: Any,
    y: Any,
    *,
    pool: npt.ArrayLike | None = None,
    norm: str = "linf",
    eps: float,
    surrogate_queries: int = 1000,
    queries: int = 20,
    bounds: tuple[Any, Any] = (0.0, 1.0),
    constraints: Constraints | None = None,
    gives: str | None = None,
    seed: int = 0,
) -> Hunt:
    """Evasions of `x` (n, ...) within `eps` that were found on a surrogate and confirmed by `model`, with at most `queries` trials a row.

    `pool` (m, ...): rows to train the surrogate on (default: `x`); its `surrogate_queries` are spread over the rows in the `queries` of the
    answer. Other arguments as for `black_box`. Raises `InputError` for inputs that do not fit.
    """
    images, known = checked_images(x), known_norm(norm)
    if not (math.isfinite(eps) and eps > 0) or queries < 2:
        raise InputError("transfer needs a radius above 0 and at least 2 queries a row")
    target = target_of(model, images, gives=gives)
    with session_of(target, seed):
        flat = rows_of(target, images)
        rows, labels = to_numpy(flat).astype(np.float64), np.asarray(to_numpy(y), dtype=np.int64)
        low, high = (np.asarray(to_numpy(b) if not np.isscalar(b) else b, dtype=np.float64).reshape(-1) for b in bounds)
        rules = constraints.rules(rows.shape[1]) if constraints is not None else None
        discarded = rules.screen(to_numpy(flat)) if rules is not None else {}
        training = rows if pool is None else np.asarray(to_numpy(pool), dtype=np.float64).reshape(len(to_numpy(pool)), -1)
        template = flat if is_torch(flat) else None
        stand_in = fit_surrogate(target, training, queries=surrogate_queries, low=low, high=high, template=template, seed=seed)
        oracle = Oracle(target, flat, labels, norm=known, budget=queries, low=low, high=high, rules=rules)
        oracle.used[list(discarded)] = queries
        wrong = oracle.evades(oracle.x, np.arange(len(rows)))
        oracle.used[wrong] = queries
        oracle.distance[wrong] = np.inf
        oracle.used[~wrong] += 1  # the last question of a row: is its find the model's own decision?
        _tried(oracle, stand_in, Space(norm=known, low=low, high=high), eps, seed)
        oracle.distance[oracle.distance > eps * (1 + 1e-6)] = np.inf
        oracle.used -= 1
        oracle.confirm()
        oracle.used[wrong] = 1
        oracle.used[list(discarded)] = 0
        return _told(oracle, wrong, discarded, images, eps, -(-stand_in.queries // len(rows)), seed)


def _tried(oracle: Oracle, stand_in: Surrogate, space: Space, eps: float, seed: int) -> None:
    """Projected gradient steps on the surrogate from the row and from random points; the end of each path is one question."""
    random = np.random.default_rng(seed)
    classes = {label: place for place, label in enumerate(stand_in.labels)}
    own = np.array([classes.get(int(label), -1) for label in oracle.y])
    for turn in range(oracle.budget):
        rows = np.flatnonzero((oracle.left > 0) & ~(oracle.distance <= eps) & (own >= 0))
        if not len(rows):
            return
        origin, radius = oracle.x[rows], np.full(len(rows), eps)
        noise = random.uniform(-1, 1, origin.shape) * eps * (turn > 0)
        point = space.project(origin, origin + noise, radius)
        for step in range(20):
            _, gradient = margin_gradient(stand_in.model, point, own[rows])
            length = eps * (0.25 if step < 10 else 0.1)
            point = space.project(origin, point - length * np.asarray(ascent(gradient, space.norm)), radius)
        oracle.evades(space.settle(origin, point, radius), rows)


def _told(oracle: Oracle, wrong: Any, discarded: dict[int, str], x: Any, eps: float, each: int, seed: int) -> Hunt:
    outside = np.zeros(len(wrong), dtype=np.bool_)
    outside[list(discarded)] = True
    found = (wrong | (oracle.distance <= eps * (1 + 1e-6))) & ~outside
    distance = np.where(found, np.where(wrong, 0.0, oracle.distance), np.inf)
    rows = np.where((found & ~wrong)[:, None], oracle.best, to_numpy(oracle.template))
    return Hunt(
        attack="transfer",
        norm=oracle.norm,
        adversarial=native(rows, x),
        found=found,
        distance=distance,
        queries=np.where(outside, 0, oracle.used + each),
        first=np.where(found, oracle.first, 0),
        wrong=wrong & ~outside,
        discarded=discarded,
        seed=seed,
    )
