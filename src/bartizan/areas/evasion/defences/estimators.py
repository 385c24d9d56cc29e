"""Declared classifiers on rows of numbers, hardened and compressed, and measured before and after by the attack of `evasion.white_box`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bartizan.adapters import boosted_files, model_files
from bartizan.adapters.numpy_models import layers_of
from bartizan.areas.evasion.defences.augmenting import HardenedEstimator, Round, harden_estimator
from bartizan.areas.evasion.defences.declared import Measuring, Tell, Training
from bartizan.areas.evasion.defences.drop import Comparison, version
from bartizan.areas.evasion.defences.perceptrons import NetPlan, harden_perceptron, is_perceptron, last_step
from bartizan.areas.evasion.defences.row_attacks import row_attack
from bartizan.areas.evasion.tabular_inputs import Floats, Ints, Prepared, prepared, sample
from bartizan.areas.evasion.tabular_whitebox import Mask, Problem, break_rows, problem_of, quiet
from bartizan.areas.evasion.tasks import PICTURES
from bartizan.model.errors import InputError
from bartizan.model.findings import Job
from bartizan.model.system import Asset

HELD_OUT = 0.2
"""The share of the training rows that chooses among the rounds and is not trained on."""


class DeclaredEstimator:
    """A declared classifier on rows with its declared data: how `declared.Declared` is done for scikit-learn and XGBoost."""

    endings: tuple[str, ...] = (".skops",)

    def __init__(self, job: Job, target: Asset, measuring: Measuring) -> None:
        self.measuring, self.seed = measuring, job.seed
        subject = prepared(job, target)
        subject.correct()
        self.problem = problem_of(
            subject, sample(subject.numbers - 1, measuring.rows, job.seed), measuring.norm, images=target.task in PICTURES
        )
        if model_files.is_boosted(subject.estimator):
            self.endings = boosted_files.SUFFIXES
        self.before = standing(self.problem, measuring.eps, job.seed)
        self.attack = self.before.method

    def harden(self, training: Training, tell: Tell, checkpoint: Path | None) -> tuple[Any, str]:
        """A hardened copy, and which round it is of."""

        def heard(seen: Round) -> None:
            tell(f"round {seen.number}: {seen.clean:.1%} right, {seen.robust:.1%} under attack, on training rows set aside")

        made = harden_rows(self.problem, self.measuring.eps, training, progress=heard, checkpoint=checkpoint)
        return made.model, f"best of {len(made.rounds)} rounds: {made.rounds[made.best].number}, by the training rows set aside"

    def versions(self) -> dict[str, Any]:
        """The compressed copies."""
        return compressed_estimators(self.problem.prepared.estimator)

    def save(self, model: Any, path: Path) -> Any:
        """Write `model`; what is returned was read back."""
        return model_files.save_classifier(model, path)

    def compare(self, versions: Mapping[str, Any]) -> Comparison:
        """The table of the original and `versions`."""
        return compare_estimators(self.problem, self.before, versions, self.measuring.eps, self.seed)

    def behind(self, sanitiser: str) -> Comparison:
        """Raises `InputError`: sanitisers are for nets."""
        raise InputError(
            f"'{sanitiser}' cannot stand before this model", cure="sanitisers are measured before nets of torch or ONNX for pictures"
        )


def harden_rows(
    problem: Problem, eps: float, training: Training, *, progress: Callable[[Round], None] | None = None, checkpoint: Path | None = None
) -> HardenedEstimator:
    """A hardened copy of the problem's model, trained on its declared training rows within the problem's limits for the radius `eps`.

    Perceptrons are trained on attacked batches, other models on examples against themselves that join the rows. Rows of unknown classes
    are left out. Deterministic for the seed.
    """
    estimator = problem.prepared.estimator
    x, y = _training_rows(problem.prepared)
    order = np.random.default_rng(training.seed).permutation(len(x))
    held, used = order[: max(1, int(HELD_OUT * len(x)))], order[max(1, int(HELD_OUT * len(x))) :]
    eps = eps * training.margin
    with quiet():
        attack = row_attack(problem, estimator, eps)
        if is_perceptron(estimator) and layers_of(estimator, problem.x) is not None:
            plan = NetPlan(widen=training.widen, seed=training.seed, **training.given(epochs=training.rounds, rate=training.rate))
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


@dataclass(frozen=True)
class Standing:
    """Which rows (n,) a model decides correctly and which of them stand; the rows or those that break (n, d); how; why not to trust it."""

    right: Mask
    stood: Mask
    examples: Floats
    method: str
    doubt: str


def standing(problem: Problem, eps: float, seed: int, examples: Floats | None = None) -> Standing:
    """The problem's model under the attack of `break_rows`, and met by `examples` (n, d) that were made against another model."""
    right = np.asarray(problem.decisions(problem.x) == problem.labels)
    stood, changed = right.copy(), problem.x.copy()
    if examples is not None:
        stood &= np.asarray(problem.decisions(examples) == problem.labels)
    todo = np.flatnonzero(stood)
    if not len(todo):
        return Standing(right, stood, changed, "none was needed", "")
    found = break_rows(problem.only(todo), eps, seed)
    stood[todo[found.broken]] = False
    changed[todo] = found.changed
    return Standing(right, stood, changed, found.method, "" if found.trust.ok else str(found.trust))


def compare_estimators(problem: Problem, before: Standing, versions: Mapping[str, Any], eps: float, seed: int) -> Comparison:
    """Clean and robust accuracy of the problem's model, as `before` has it, and of `versions` (name -> model) on its rows.

    Each is attacked by itself and met by the examples that break the original. Every flip is confirmed by the model's own predict.
    """
    stood = before.stood.tolist()
    rows = []
    for name, model in versions.items():
        other = replace(problem, prepared=replace(problem.prepared, estimator=model))
        after = standing(other, eps, seed, before.examples)
        rows.append(version(name, int(after.right.sum()), stood, after.stood.tolist(), after.doubt))
    original = version("original", int(before.right.sum()), stood, stood, before.doubt)
    return Comparison(before=original, after=tuple(rows), eps=eps, norm=problem.norm)


def compressed_estimators(estimator: Any, shares: Sequence[float] = (0.5, 0.8)) -> dict[str, Any]:
    """The versions people ship of a linear model or perceptron: weights on grids of 8 and 4 bits, and the smallest `shares` of them gone.

    As `compressing.standard_versions` makes them of torch models. Raises `InputError` for a model without weights.
    """
    if not _weights(last_step(estimator)):
        cure = "compress linear models, perceptrons and torch nets"
        raise InputError(f"{type(last_step(estimator)).__name__} has no weights to round or prune", place="compression", cure=cure)
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
    model = last_step(made)
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
