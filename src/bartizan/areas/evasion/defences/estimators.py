"""Declared classifiers on rows of numbers, hardened and compressed, and measured before and after by the attack of `evasion.white_box`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bartizan.adapters.numpy_models import layers_of
from bartizan.areas.evasion.defences.augmenting import HardenedEstimator, Round, harden_estimator
from bartizan.areas.evasion.defences.drop import Comparison, version
from bartizan.areas.evasion.defences.perceptrons import NetPlan, harden_perceptron, is_perceptron
from bartizan.areas.evasion.defences.row_attacks import row_attack
from bartizan.areas.evasion.tabular_inputs import Floats, Ints, Prepared, prepared, sample
from bartizan.areas.evasion.tabular_whitebox import Mask, Problem, break_rows, problem_of, quiet
from bartizan.areas.evasion.tasks import PICTURES
from bartizan.model.errors import InputError
from bartizan.model.findings import Job
from bartizan.model.system import Asset

HELD_OUT = 0.2
"""The share of the training rows that chooses among the rounds and is not trained on."""


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """How a declared classifier is hardened.

    `margin`: how many times `eps` the radius of training is; what is trained for a little more holds better at `eps`. `rounds` (None: 120
    epochs of a perceptron, 5 rounds of other models), `widen` as in `NetPlan`.
    """

    eps: float
    margin: float = 1.2
    rounds: int | None = None
    widen: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.eps > 0.0 or not self.margin > 0.0 or (self.rounds is not None and self.rounds < 1) or self.widen < 1:
            raise InputError("eps and margin are positive, rounds and widen at least 1", place="hardening")


def declared_problem(job: Job, target: Asset, norm: str, most: int) -> Problem:
    """The declared model with at most `most` of its declared test rows, as the white-box attack sees them; errors as for the check."""
    subject = prepared(job, target)
    subject.correct()
    return problem_of(subject, sample(subject.numbers - 1, most, job.seed), norm, images=target.task in PICTURES)


def harden_declared(
    problem: Problem, training: Training, *, progress: Callable[[Round], None] | None = None, checkpoint: Path | None = None
) -> HardenedEstimator:
    """A hardened copy of the problem's model, trained on its declared training rows within the problem's limits.

    Perceptrons are trained on attacked batches, other models on examples against themselves that join the rows. Rows of unknown classes
    are left out. Deterministic for the seed.
    """
    estimator = problem.prepared.estimator
    x, y = _training_rows(problem.prepared)
    order = np.random.default_rng(training.seed).permutation(len(x))
    held, used = order[: max(1, int(HELD_OUT * len(x)))], order[max(1, int(HELD_OUT * len(x))) :]
    eps = training.eps * training.margin
    with quiet():
        attack = row_attack(problem, estimator, eps)
        if is_perceptron(estimator) and layers_of(estimator, problem.x) is not None:
            plan = NetPlan(widen=training.widen, seed=training.seed)
            plan = plan if training.rounds is None else msgspec.structs.replace(plan, epochs=training.rounds)
            rows, out = (x[used], y[used]), (x[held], y[held])
            return harden_perceptron(estimator, problem, rows, out, eps, plan, progress=progress, checkpoint=checkpoint)
        names = np.asarray(estimator.classes_)[y]
        return harden_estimator(
            estimator, x[used], names[used], attack, held_out=(x[held], names[held]), rounds=training.rounds or 5, seed=training.seed,
            progress=progress, checkpoint=checkpoint,
        )  # fmt: skip


def _training_rows(subject: Prepared) -> tuple[Floats, Ints]:
    """The training rows (n, d) of known classes, and these as positions in `classes_` (n,)."""
    known = subject.train_labels >= 0
    if known.sum() < 5 * subject.classes:
        raise InputError(f"only {known.sum()} training rows have a class that the model knows", cure="check label: of the training data")
    return subject.train.to_numpy(dtype=np.float64)[known], subject.train_labels[known]


def compare_estimators(problem: Problem, versions: Mapping[str, Any], eps: float, seed: int) -> tuple[Comparison, str]:
    """Clean and robust accuracy of the problem's model and of `versions` (name -> model) on its rows, and how they were attacked.

    Each is attacked by `break_rows` and met by the examples that break the original. Every flip is confirmed by the model's own predict.
    """
    right, stood, examples, method, trust = _stood(problem, eps, seed, None)
    before = version("original", int(right.sum()), stood.tolist(), stood.tolist(), trust)
    rows = []
    for name, model in versions.items():
        clean, stands, _, _, doubt = _stood(replace(problem, prepared=replace(problem.prepared, estimator=model)), eps, seed, examples)
        rows.append(version(name, int(clean.sum()), stood.tolist(), stands.tolist(), doubt))
    return Comparison(before=before, after=tuple(rows), eps=eps, norm=problem.norm), method


def _stood(problem: Problem, eps: float, seed: int, examples: Floats | None) -> tuple[Mask, Mask, Floats, str, str]:
    """Which rows are right and which of them stand, the rows that break, by what method, and why not to believe it."""
    right = np.asarray(problem.decisions(problem.x) == problem.labels)
    stood, changed = right.copy(), problem.x.copy()
    if examples is not None:
        stood &= np.asarray(problem.decisions(examples) == problem.labels)
    todo = np.flatnonzero(stood)
    if not len(todo):
        return right, stood, changed, "no row is decided correctly", ""
    found = break_rows(problem.only(todo), eps, seed)
    stood[todo[found.broken]] = False
    changed[todo] = found.changed
    return right, stood, changed, found.method, "" if found.trust.ok else str(found.trust)


def compressed_estimators(estimator: Any, shares: Sequence[float] = (0.5, 0.8)) -> dict[str, Any]:
    """The versions people ship of a linear model or perceptron: weights on grids of 8 and 4 bits, and the smallest `shares` of them gone.

    As `compressing.standard_versions` makes them of torch models. Raises `InputError` for a model without weights.
    """
    if not _weights(_last(estimator)):
        cure = "compress linear models, perceptrons and torch nets"
        raise InputError(f"{type(_last(estimator)).__name__} has no weights to round or prune", place="compression", cure=cure)
    versions = {f"int{bits} weights": _changed(estimator, _on_grid(bits, by_output=True)) for bits in (8, 4)}
    versions["int4 weights, one scale"] = _changed(estimator, _on_grid(4, by_output=False))
    for share in shares:
        versions[f"pruned {share:.0%}"] = _changed(estimator, _pruned(share))
    return versions


Weights = list[Floats]
"""Weights of each layer, (inputs, outputs)."""


def _changed(estimator: Any, change: Callable[[Weights], Weights]) -> Any:
    """A copy of the estimator with other weights."""
    made = copy.deepcopy(estimator)
    model = _last(made)
    weights = change(_weights(model))
    if hasattr(model, "coefs_"):
        model.coefs_ = weights
    else:
        model.coef_ = weights[0].T.reshape(np.shape(model.coef_))
    return made


def _weights(model: Any) -> Weights:
    if hasattr(model, "coefs_"):
        return [np.asarray(part, dtype=np.float64) for part in model.coefs_]
    return [np.atleast_2d(np.asarray(model.coef_, dtype=np.float64)).T] if hasattr(model, "coef_") else []


def _last(estimator: Any) -> Any:
    return estimator.steps[-1][1] if type(estimator).__name__ == "Pipeline" else estimator


def _on_grid(bits: int, *, by_output: bool) -> Callable[[Weights], Weights]:
    levels = 2 ** (bits - 1) - 1

    def rounded(weights: Weights) -> Weights:
        steps = [np.maximum(np.abs(w).max(axis=0 if by_output else None, keepdims=True), 1e-12) / levels for w in weights]
        return [np.rint(w / step) * step for w, step in zip(weights, steps, strict=True)]

    return rounded


def _pruned(share: float) -> Callable[[Weights], Weights]:
    def without_smallest(weights: Weights) -> Weights:
        sizes = np.sort(np.abs(np.concatenate([w.ravel() for w in weights])))
        limit = sizes[int(share * len(sizes)) - 1] if int(share * len(sizes)) else -1.0
        return [np.where(np.abs(w) > limit, w, 0.0) for w in weights]

    return without_smallest
