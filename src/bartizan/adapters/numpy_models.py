"""Models on NumPy arrays as attack targets: scikit-learn, XGBoost, LightGBM, callables; closed-form gradients where they exist.

Fits the protocols of `areas/evasion/targets.py` by shape and imports no torch. Linear models and multi-layer perceptrons of scikit-learn,
behind affine preprocessing or not, are read as layers (`layers_of`) whose input gradient is written down directly; a reading counts only
after it gave the model's own decisions. Scores always come from the model itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bartizan.model.errors import InputError

Floats = npt.NDArray[np.float64]

LEAST = 1e-300
"""Probabilities below this count as this when their logarithm is taken."""

Activation = tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]
"""A function and its derivative, the latter by the function's value."""

_ACTIVATIONS: dict[str, Activation] = {
    "identity": (lambda z: z, np.ones_like),
    "relu": (lambda z: np.maximum(z, 0.0), lambda a: (a > 0).astype(np.float64)),
    "tanh": (np.tanh, lambda a: 1.0 - a * a),
    "logistic": (lambda z: 0.5 * (1.0 + np.tanh(0.5 * z)), lambda a: a * (1.0 - a)),
}


_LINEAR = (
    "LogisticRegression",
    "LogisticRegressionCV",
    "LinearSVC",
    "SGDClassifier",
    "RidgeClassifier",
    "RidgeClassifierCV",
    "Perceptron",
    "PassiveAggressiveClassifier",
    "LinearDiscriminantAnalysis",
)


class Layers(msgspec.Struct, frozen=True):
    """Affine maps with one activation between them: x (n, d) -> scores (n, k), the highest being the decision.

    `weights` are (inputs, outputs), `shifts` (outputs,); `activation` is identity, relu, tanh or logistic.
    """

    weights: tuple[Floats, ...]
    shifts: tuple[Floats, ...]
    activation: str

    @property
    def affine(self) -> bool:
        """Is this one affine map, so that the nearest evasion has a closed form?"""
        return len(self.weights) == 1

    def forward(self, x: Floats) -> list[Floats]:
        """What every layer puts out, the input first, the scores last."""
        outputs = [x]
        for place, (weights, shift) in enumerate(zip(self.weights, self.shifts, strict=True)):
            value = outputs[-1] @ weights + shift
            outputs.append(value if place == len(self.weights) - 1 else _ACTIVATIONS[self.activation][0](value))
        return outputs

    def pull(self, outputs: list[Floats], cotangent: Floats) -> Floats:
        """`cotangent` (n, k) at the scores pulled back to the input, (n, d)."""
        gradient = cotangent @ self.weights[-1].T
        for weights, output in zip(self.weights[-2::-1], outputs[-2:0:-1], strict=True):
            gradient = (gradient * _ACTIVATIONS[self.activation][1](output)) @ weights.T
        return np.asarray(gradient)

    def slopes(self, outputs: list[Floats], cotangent: Floats) -> tuple[list[Floats], list[Floats]]:
        """`cotangent` (n, k) at the scores pulled back to `weights` and `shifts`, summed over the rows."""
        weights, shifts = list[Floats](), list[Floats]()
        for place in range(len(self.weights) - 1, -1, -1):
            weights.insert(0, outputs[place].T @ cotangent)
            shifts.insert(0, cotangent.sum(axis=0))
            if place:
                cotangent = (cotangent @ self.weights[place].T) * _ACTIVATIONS[self.activation][1](outputs[place])
        return weights, shifts


class NumpyModel:
    """A classifier on NumPy rows: `logits` from whatever it gives, every row counted in `forwards`.

    `ask` maps (n, *shape) to scores, probabilities (n, k) or labels (n,) as `gives` says; labels are numbers below `classes`, which grows
    with the labels seen where nobody said how many there are (`open_ended`).
    """

    def __init__(self, ask: Callable[[Any], Any], shape: tuple[int, ...], *, gives: str, classes: int, dtype: Any = np.float64) -> None:
        self.ask, self.shape, self.gives, self.classes, self.dtype = ask, shape, gives, classes, np.dtype(dtype)
        self.open_ended = False
        self.predict: Callable[[Any], npt.NDArray[np.int64]] | None = None
        self.forwards = 0
        self.backwards = 0

    def rows(self, x: Any) -> npt.NDArray[Any]:
        """The caller's inputs (n, *shape) as flat rows in the precision they came in."""
        return np.asarray(x).astype(self.dtype, copy=False).reshape(len(x), -1)

    def logits(self, x: npt.NDArray[Any]) -> Floats:
        """Scores (n, k) of rows (n, d); log-probabilities where it gives probabilities, 0/1 rows where it gives labels."""
        if not len(x):
            return np.zeros((0, self.classes))
        self.forwards += len(x)
        answer = np.asarray(self.ask(x.reshape(len(x), *self.shape)))
        if self.open_ended and answer.size and answer.dtype.kind in "iu":
            self.classes = max(self.classes, int(answer.max()) + 1)
        return as_scores(answer, len(x), self.gives, self.classes)

    def decide(self, x: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The model's own decisions (n,) as class numbers: its predict where it has one, else the highest score. One pass each."""
        if self.predict is None:
            return np.asarray(self.logits(x).argmax(axis=1), dtype=np.int64)
        self.forwards += len(x)
        return self.predict(x.reshape(len(x), *self.shape)) if len(x) else np.zeros(0, dtype=np.int64)


class LayeredModel(NumpyModel):
    """A `NumpyModel` whose layers are known, with gradients by its input."""

    def __init__(
        self, ask: Callable[[Any], Any], shape: tuple[int, ...], layers: Layers, *, gives: str, classes: int, dtype: Any = np.float64
    ) -> None:
        super().__init__(ask, shape, gives=gives, classes=classes, dtype=dtype)
        self.layers = layers

    def pull(self, x: npt.NDArray[Any], cotangent: Callable[[Any], Any]) -> tuple[Floats, npt.NDArray[Any]]:
        """Scores (n, k) of rows (n, d), and `cotangent(scores)` pulled back to the input. One backward a row."""
        self.backwards += len(x)
        outputs = self.layers.forward(x.astype(np.float64))
        return outputs[-1], self.layers.pull(outputs, np.asarray(cotangent(outputs[-1]))).astype(x.dtype)


def as_scores(answer: Any, n: int, gives: str, classes: int) -> Floats:
    """What a model answered to `n` rows as scores (n, classes). Raises `InputError` where it does not fit what was declared."""
    values = np.asarray(answer)
    if gives == "labels":
        if values.shape != (n,) or values.dtype.kind not in "iub":
            raise InputError(f"labels are needed, one whole number a row, not shape {values.shape} of {values.dtype}")
        if values.min() < 0 or values.max() >= classes:
            raise InputError(f"label {values.max()} beyond {classes} classes", cure=f"say classes={values.max() + 1} or more")
        return np.eye(classes)[values.astype(np.int64)]
    scores = values.astype(np.float64)
    if scores.ndim == 1 or (scores.ndim == 2 and scores.shape[1] == 1):
        scores = scores.reshape(-1)
        scores = np.column_stack([1.0 - scores, scores]) if gives == "probabilities" else np.column_stack([-scores / 2, scores / 2])
    if scores.shape != (n, classes):
        raise InputError(f"the model answered shape {values.shape} to {n} rows of {classes} classes")
    if np.isnan(scores).any():
        raise InputError("the model answers NaN", cure="give inputs it was made for")
    return np.log(np.maximum(scores, LEAST)) if gives == "probabilities" else scores


def numpy_target(model: Any, x: Any, *, gives: str | None = None, classes: int | None = None) -> NumpyModel:
    """`model` as an attack target for inputs like `x` (n, ...).

    scikit-learn, XGBoost and LightGBM classifiers are asked for probabilities or decision values (class numbers are positions in their
    `classes_`), or for labels alone where `gives` is 'labels'. A callable is run once on `x` to see what it gives: whole numbers are
    labels, rows that sum to 1 probabilities, anything else scores. Raises `InputError` where it gives none of these.
    """
    example = np.asarray(x)
    dtype = example.dtype if example.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    shape = example.shape[1:]
    if hasattr(model, "classes_"):
        return _estimator_target(model, example, shape, gives, dtype)
    if not callable(model):
        raise InputError(f"{type(model).__name__} is neither a fitted classifier nor a function of rows", cure="give model.predict_proba")
    answer = np.asarray(model(example))
    told = gives or _read(answer)
    if told == "labels":
        count = classes or int(answer.max()) + 1
        count = max(count, 2)
    else:
        count = answer.shape[1] if answer.ndim == 2 and answer.shape[1] > 1 else 2
    target = NumpyModel(model, shape, gives=told, classes=count, dtype=dtype)
    target.open_ended = told == "labels" and classes is None
    return target


def _read(answer: npt.NDArray[Any]) -> str:
    if answer.ndim == 1 and answer.dtype.kind in "iub":
        return "labels"
    if answer.dtype.kind not in "fiu" or answer.ndim not in (1, 2):
        raise InputError(f"the function answers shape {answer.shape} of {answer.dtype}", cure="return scores (n, k) or labels (n,)")
    inside = bool((answer >= 0).all() and (answer <= 1).all())
    sums = answer.ndim == 1 or answer.shape[1] == 1 or bool(np.allclose(answer.sum(axis=1), 1.0, atol=1e-3))
    return "probabilities" if inside and sums else "logits"


def _estimator_target(model: Any, x: npt.NDArray[Any], shape: tuple[int, ...], gives: str | None, dtype: np.dtype[Any]) -> NumpyModel:
    classes = list(np.asarray(model.classes_).tolist())
    places = {label: place for place, label in enumerate(classes)}
    ask = named_rows(model)

    def predict(rows: Any) -> npt.NDArray[np.int64]:
        return np.array([places[label] for label in np.asarray(model.predict(ask(rows))).tolist()], dtype=np.int64)

    if gives == "labels":
        return NumpyModel(predict, shape, gives="labels", classes=len(classes), dtype=dtype)
    scored = hasattr(model, "decision_function") and not hasattr(model, "predict_proba")
    method = model.decision_function if scored else getattr(model, "predict_proba", None)
    if method is None:
        raise InputError(f"{type(model).__name__} gives neither probabilities nor decision values", cure="say gives='labels'")
    told = "logits" if scored else "probabilities"
    layers = layers_of(model, x)
    count = len(classes)
    if layers is None:
        target = NumpyModel(lambda rows: method(ask(rows)), shape, gives=told, classes=count, dtype=dtype)
    else:
        target = LayeredModel(lambda rows: method(ask(rows)), shape, layers, gives=told, classes=count, dtype=dtype)
    target.predict = predict
    return target


def named_rows(model: Any) -> Callable[[Any], Any]:
    """A function that gives rows the column names that `model` was trained with, so that it does not warn; else leaves them."""
    names = getattr(model, "feature_names_in_", None)
    if names is None or not type(model).__module__.startswith(("sklearn", "lightgbm")):
        return lambda rows: rows

    def named(rows: Any) -> Any:
        import pandas as pd

        return pd.DataFrame(np.asarray(rows), columns=list(names))

    return named


# layers


def layers_of(model: Any, x: npt.ArrayLike) -> Layers | None:
    """`model`, a fitted scikit-learn classifier or pipeline, as layers; None where it is not made of affine steps and one perceptron.

    The reading is compared with the model's own predictions on rows `x` (n, d), if there are any; None where they differ.
    """
    steps = [step for _, step in model.steps] if type(model).__name__ == "Pipeline" else [model]
    if not all(type(step).__module__.startswith("sklearn.") for step in steps if step != "passthrough"):
        return None
    body = _body(steps[-1])
    if body is None:
        return None
    scale: Floats | None = None
    for step in steps[:-1]:
        if step in (None, "passthrough"):
            continue
        affine = _affine(step)
        if affine is None:
            return None
        scale = affine if scale is None else _chained(scale, affine)
    if scale is not None:
        joined = _chained(scale, np.vstack([body.weights[0], body.shifts[0]]))
        body = Layers((joined[:-1], *body.weights[1:]), (joined[-1], *body.shifts[1:]), body.activation)
    rows = np.asarray(x)
    if not len(rows):
        return body
    own = np.asarray(model.classes_)[body.forward(rows.reshape(len(rows), -1).astype(np.float64))[-1].argmax(axis=1)]
    return body if float(np.mean(own == model.predict(named_rows(model)(rows)))) >= 0.99 else None


def _chained(first: Floats, then: Floats) -> Floats:
    """Two affine maps, each (inputs + 1, outputs) with the shift in the last row, as one."""
    joined = first @ then[:-1]
    joined[-1] += then[-1]
    return np.asarray(joined)


def _body(model: Any) -> Layers | None:
    """The classifier itself. A two-class model with one score becomes two scores of opposite sign."""
    name = type(model).__name__
    if name == "MLPClassifier" and getattr(model, "out_activation_", "") in ("softmax", "logistic") and hasattr(model, "classes_"):
        weights = [np.asarray(w, dtype=np.float64) for w in model.coefs_]
        shifts = [np.asarray(b, dtype=np.float64) for b in model.intercepts_]
        if weights[-1].shape[1] == 1:
            weights[-1], shifts[-1] = _two_sided(weights[-1], shifts[-1])
        elif model.out_activation_ == "logistic":
            return None  # several labels at once
        return Layers(tuple(weights), tuple(shifts), model.activation)
    if name in _LINEAR or (name == "SVC" and getattr(model, "kernel", "") == "linear" and len(model.classes_) == 2):
        one = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64)).T
        shift = np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64).ravel(), one.shape[1:])
        both = _two_sided(one, shift) if one.shape[1] == 1 else (one, shift)
        return Layers((both[0],), (both[1],), "identity")
    return None


def _two_sided(weights: Floats, shift: Floats) -> tuple[Floats, Floats]:
    return np.hstack([-weights / 2, weights / 2]), np.concatenate([-shift / 2, shift / 2])


def _affine(step: Any) -> Floats | None:
    """An affine preprocessing step as (inputs + 1, outputs), the shift in the last row; None for any other."""
    name = type(step).__name__
    if name == "StandardScaler":
        d = step.n_features_in_
        scale = np.ones(d) if step.scale_ is None else np.asarray(step.scale_)
        mean = np.zeros(d) if step.mean_ is None else np.asarray(step.mean_)
        return np.vstack([np.diag(1 / scale), -mean / scale])
    if name == "MinMaxScaler" and not step.clip:
        return np.vstack([np.diag(step.scale_), step.min_])
    if name == "MaxAbsScaler":
        return np.vstack([np.diag(1 / step.scale_), np.zeros(len(step.scale_))])
    if name == "PCA" and not step.whiten:
        return np.vstack([step.components_.T, -step.mean_ @ step.components_.T])
    return None
