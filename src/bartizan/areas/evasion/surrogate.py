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
from bartizan.areas.evasion.arrays import Array, is_torch, like, to_numpy
from bartizan.areas.evasion.blackbox.attacks import bounds_of
from bartizan.areas.evasion.blackbox.oracle import Hunt, Oracle
from bartizan.areas.evasion.constraints import Constraints
from bartizan.areas.evasion.inputs import checked_images
from bartizan.areas.evasion.norms import Space, ascent, known_norm
from bartizan.areas.evasion.targets import Classifies, margin_gradient
from bartizan.model.errors import InputError, MissingExtra, UnknownName

Floats = npt.NDArray[np.float64]


HIDDEN = (64,)
"""Units of the surrogate's hidden layers."""


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
    labels: npt.ArrayLike | None = None,
    template: Any = None,
    seed: int = 0,
) -> Surrogate:
    """A perceptron that imitates `target` on rows like `pool` (n, d), for at most `queries` questions.

    A fifth of the pool is held back to measure the agreement. The rest is labelled and, while questions last, doubled by steps along the
    surrogate's gradient; with `labels` (n,), class numbers that the attacker knows, nothing is asked but the rows held back, to measure.
    `low`, `high` bound the range. Raises `InputError` where there is one class alone, `MissingExtra` without scikit-learn.
    """
    if labels is not None:
        return _from_labels(target, np.asarray(pool, dtype=np.float64), np.asarray(labels, dtype=np.int64), template, seed)
    random = np.random.default_rng(seed)
    rows = np.asarray(pool, dtype=np.float64)[random.permutation(len(np.asarray(pool)))][:queries]
    if len(rows) < 10:
        raise InputError(f"{len(rows)} rows are too few to train a surrogate on", cure="give at least 10 and as many queries")
    answers = _labels(target, rows, template)
    spent, held = len(rows), max(2, len(rows) // 5)
    test, test_labels, train, train_labels = rows[:held], answers[:held], rows[held:], answers[held:]
    net = _fitted(train, train_labels, seed)
    step = 0.1 * float(np.median(train.std(axis=0)[train.std(axis=0) > 0]) if (train.std(axis=0) > 0).any() else 0.1)
    while spent < queries:
        part = random.permutation(len(train))[: queries - spent]
        model = _layered(net, train[part])
        inner = np.searchsorted(net.classes_, train_labels[part])
        _, gradient = margin_gradient(model, train[part], inner)
        grown = np.clip(train[part] - step * np.sign(gradient) * random.uniform(0.5, 3.0, (len(part), 1)), low, high)
        train, train_labels = np.concatenate([train, grown]), np.concatenate([train_labels, _labels(target, grown, template)])
        spent += len(part)
        net = _fitted(train, train_labels, seed)
    agreement = float((net.predict(test) == test_labels).mean())
    return Surrogate(model=_layered(net, train), labels=tuple(net.classes_.tolist()), agreement=agreement, queries=spent)


def _from_labels(target: Classifies, pool: Floats, labels: npt.NDArray[np.int64], template: Any, seed: int) -> Surrogate:
    """A perceptron trained on rows whose labels the attacker knows; the model is asked only how far the two agree."""
    order = np.random.default_rng(seed).permutation(len(pool))
    known = order[labels[order] >= 0]
    if len(known) < 10 or len(pool) != len(labels):
        raise InputError(f"{len(known)} labelled rows are too few to train a surrogate on", cure="give at least 10")
    held, rest = known[: max(2, len(known) // 5)], known[max(2, len(known) // 5) :]
    net = _fitted(pool[rest], labels[rest], seed)
    agreement = float((net.predict(pool[held]) == _labels(target, pool[held], template)).mean())
    return Surrogate(model=_layered(net, pool[rest]), labels=tuple(net.classes_.tolist()), agreement=agreement, queries=0)


def _labels(target: Classifies, rows: Floats, template: Any) -> npt.NDArray[np.int64]:
    asked = like(rows, template) if template is not None else rows
    return np.asarray(to_numpy(target.logits(asked)).argmax(axis=1), dtype=np.int64)


def _fitted(rows: Floats, labels: npt.NDArray[np.int64], seed: int) -> Any:
    if len(np.unique(labels)) < 2:
        raise InputError("all rows of the pool are of one class", cure="give rows of several classes")
    try:
        from sklearn.neural_network import MLPClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        raise MissingExtra("sklearn", "sklearn") from None
    net = make_pipeline(StandardScaler(), MLPClassifier(HIDDEN, max_iter=150, random_state=seed, alpha=1e-3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged is no matter: the agreement says how good it is
        return net.fit(rows, labels)


def _layered(net: Any, rows: Floats) -> LayeredModel:
    model = numpy_target(net, rows)
    assert isinstance(model, LayeredModel)  # a scaled perceptron always has layers
    return model


class Carrying(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a transfer attack that has a good default.

    `pool` (m, ...): rows to train the surrogate on (None: the attacked ones); `pool_labels` (m,): their class numbers, where the attacker
    has them and need not ask. `surrogate_queries`: most questions to train it. `bounds`, `constraints`, `gives`, `seed` as for `black_box`.
    """

    pool: Any = None
    pool_labels: Any = None
    surrogate_queries: int = 1000
    bounds: tuple[Any, Any] = (0.0, 1.0)
    constraints: Constraints | None = None
    gives: str | None = None
    seed: int = 0


def transfer(model: Any, x: Any, y: Any, *, eps: float, norm: str = "linf", queries: int = 20, **options: Any) -> Hunt:
    """Evasions of `x` (n, ...) within `eps` that were found on a surrogate and confirmed by `model`, with at most `queries` trials a row.

    `options`: the fields of `Carrying`; what the surrogate cost is spread over the rows in the `queries` of the answer. Raises
    `InputError` for inputs that do not fit, `UnknownName` for an option that is none.
    """
    return transfer_with(model, x, y, eps=eps, norm=norm, queries=queries, **options)[0]


def transfer_with(
    model: Any, x: Any, y: Any, *, eps: float, norm: str = "linf", queries: int = 20, **options: Any
) -> tuple[Hunt, Surrogate]:
    """As `transfer`, and the surrogate that was attacked."""
    for name in options:
        if name not in Carrying.__struct_fields__:
            raise UnknownName("option", name, Carrying.__struct_fields__)
    chosen, images, known = Carrying(**options), checked_images(x), known_norm(norm)
    if not (math.isfinite(eps) and eps > 0) or queries < 2:
        raise InputError("transfer needs a radius above 0 and at least 2 queries a row")
    target = target_of(model, images, gives=chosen.gives)
    with session_of(target, chosen.seed):
        flat = rows_of(target, images)
        labels = np.asarray(to_numpy(y), dtype=np.int64)
        low, high = bounds_of(chosen.bounds)
        stand_in = _stand_in(target, flat, chosen, (low, high))
        rules = chosen.constraints.rules(flat.shape[1]) if chosen.constraints is not None else None
        discarded = rules.screen(to_numpy(flat)) if rules is not None else {}
        repair = None if rules is None else rules.repair
        oracle = Oracle(target, flat, labels, norm=known, budget=queries, low=low, high=high, repair=repair)
        oracle.used[list(discarded)] = queries
        wrong = oracle.evades(oracle.x, np.arange(len(labels)))
        oracle.used[wrong] = queries
        oracle.distance[wrong] = np.inf
        oracle.used[~wrong] += 1  # the last question of a row: is its find the model's own decision?
        _tried(oracle, stand_in, Space(norm=known, low=low, high=high), eps, chosen.seed)
        oracle.distance[oracle.distance > eps * (1 + 1e-6)] = np.inf
        oracle.used -= 1
        oracle.confirm()
        oracle.used[wrong] = 1
        oracle.used[list(discarded)] = 0
        return _told(oracle, wrong, discarded, images, eps, -(-stand_in.queries // len(labels)), chosen.seed), stand_in


def _stand_in(target: Classifies, flat: Array, chosen: Carrying, bounds: tuple[Floats, Floats]) -> Surrogate:
    """The surrogate that `chosen` asks for, trained on its pool or on the attacked rows themselves."""
    pool = to_numpy(flat) if chosen.pool is None else to_numpy(chosen.pool)
    return fit_surrogate(
        target,
        np.asarray(pool, dtype=np.float64).reshape(len(pool), -1),
        labels=chosen.pool_labels,
        queries=chosen.surrogate_queries,
        low=bounds[0],
        high=bounds[1],
        template=flat if is_torch(flat) else None,
        seed=chosen.seed,
    )


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
