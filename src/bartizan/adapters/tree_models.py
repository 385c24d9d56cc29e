"""Reads tree ensembles of scikit-learn, XGBoost and LightGBM into arrays, with every split in the precision the model compares in.

All splits become `x < threshold goes left`, the threshold being a number that an input can hold exactly: XGBoost and scikit-learn's forests
turn inputs into 32-bit floats first, LightGBM and scikit-learn's histogram models compare 64-bit floats. A model that has something these
arrays cannot say (categorical splits, several trees in one, zero as missing) is an `InputError`, and every conversion is compared with the
model's own scores before it is used.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bartizan.model.errors import InputError, MissingExtra

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class TreeArrays(msgspec.Struct, frozen=True):
    """One tree: `left`, `right` (-1 at a leaf), `feature`, `threshold` (left iff x < threshold), `values` of shape (nodes, scores)."""

    left: Ints
    right: Ints
    feature: Ints
    threshold: Floats
    values: Floats


class Ensemble(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of `trees` plus `base` is one score a class; the class with the highest score is predicted.

    `classes` are the model's labels in the order of the scores; `single` says that inputs are rounded to 32-bit floats; `scale` is how
    large the score of a row can get, from which rounding errors are judged.
    """

    trees: tuple[TreeArrays, ...]
    base: Floats
    classes: npt.NDArray[Any]
    features: int
    single: bool
    scale: float

    def rounded(self, rows: npt.ArrayLike) -> Floats:
        """`rows` as the model sees them: in its precision, held in 64-bit floats. Shape (rows, features)."""
        array = np.asarray(rows)
        return array.astype(np.float32).astype(np.float64) if self.single else array.astype(np.float64)

    def scores(self, rows: npt.ArrayLike) -> Floats:
        """The score of each class for each row, shape (rows, classes), summed in 64-bit floats."""
        x = self.rounded(rows)
        total = np.tile(self.base, (len(x), 1))
        every = np.arange(len(x))
        for tree in self.trees:
            node = np.zeros(len(x), dtype=np.int64)
            while True:
                inner = tree.left[node] >= 0
                if not inner.any():
                    break
                goes_left = x[every, np.where(inner, tree.feature[node], 0)] < tree.threshold[node]
                node = np.where(inner, np.where(goes_left, tree.left[node], tree.right[node]), node)
            total += tree.values[node]
        return total


def read_ensemble(model: Any, rows: npt.ArrayLike) -> Ensemble:
    """`model` as arrays, compared with the model's own scores on `rows` (rows, features).

    Takes scikit-learn's decision trees, random forests, extra trees, gradient boosting and histogram gradient boosting classifiers,
    `xgboost.XGBClassifier`, `lightgbm.LGBMClassifier` and their boosters. Raises `InputError` for anything else, and where the arrays
    and the model do not agree.
    """
    family = type(model).__module__.split(".")[0]
    readers = {"xgboost": _xgboost, "lightgbm": _lightgbm, "sklearn": _sklearn}
    if family not in readers:
        raise InputError(f"{type(model).__name__} is no tree ensemble that can be read here", cure="known: scikit-learn, xgboost, lightgbm")
    ensemble = readers[family](model, np.asarray(rows))
    _compare(ensemble, model, np.asarray(rows))
    return ensemble


def is_tree_ensemble(model: Any) -> bool:
    """Is `model` of a kind that `read_ensemble` takes? Nothing is converted and nothing imported to find out."""
    family, name = type(model).__module__.split(".")[0], type(model).__name__
    if family == "sklearn":
        return name in _PLAIN or name in ("GradientBoostingClassifier", "HistGradientBoostingClassifier")
    return (family, name) in {("xgboost", "XGBClassifier"), ("xgboost", "Booster"), ("lightgbm", "LGBMClassifier"), ("lightgbm", "Booster")}


def predictor(model: Any) -> Any:
    """A function rows -> labels that asks `model` itself, boosters too; the labels are the ensemble's `classes`."""
    if type(model).__name__ != "Booster":
        return lambda rows: np.asarray(model.predict(_named(model, rows)))
    family = type(model).__module__.split(".")[0]

    def labels(rows: npt.ArrayLike) -> npt.NDArray[Any]:
        array = np.asarray(rows)
        if family == "xgboost":
            wrapped = _module("xgboost").DMatrix(array, feature_names=model.feature_names)
            out = np.asarray(model.predict(wrapped, output_margin=True))
        else:
            out = np.asarray(model.predict(array, raw_score=True))
        return out.argmax(axis=1) if out.ndim == 2 else (out > 0).astype(np.int64)

    return labels


def _named(model: Any, rows: npt.ArrayLike) -> Any:
    """`rows` with the model's column names where it was trained on a frame, so that nothing warns."""
    if type(model).__module__.startswith("xgboost") or not hasattr(model, "feature_names_in_"):
        return rows
    return _module("pandas").DataFrame(np.asarray(rows), columns=list(model.feature_names_in_))


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingExtra("data" if name == "pandas" else "trees", name) from None


def _assembled(trees: Iterable[TreeArrays], base: Floats, classes: Any, features: int, *, single: bool) -> Ensemble:
    made = tuple(trees)
    if not made:
        raise InputError("the ensemble has no trees", cure="train it first")
    scale = float(np.abs(base).sum() + sum(np.abs(tree.values).max() for tree in made))
    return Ensemble(trees=made, base=base, classes=np.asarray(classes), features=features, single=single, scale=scale)


def _at_most(threshold: Floats, *, single: bool) -> Floats:
    """The number T for which `x <= threshold` is `x < T` for every input x of the model's precision."""
    if not single:
        return np.nextafter(threshold, np.inf)
    near = threshold.astype(np.float32)
    below = np.where(near.astype(np.float64) > threshold, np.nextafter(near, np.float32(-np.inf)), near)
    return np.nextafter(below, np.float32(np.inf)).astype(np.float64)


# scikit-learn

_PLAIN = ("DecisionTreeClassifier", "ExtraTreeClassifier", "RandomForestClassifier", "ExtraTreesClassifier")


def _sklearn(model: Any, rows: npt.NDArray[Any]) -> Ensemble:
    name = type(model).__name__
    if getattr(model, "n_outputs_", 1) != 1 or not hasattr(model, "classes_"):
        raise InputError(f"{name} is no classifier with one output", cure="give a fitted classifier")
    if name in _PLAIN:
        members = [m.tree_ for m in model.estimators_] if hasattr(model, "estimators_") else [model.tree_]
        share = 1.0 / len(members)
        trees = [_sklearn_tree(tree, _shares(tree) * share) for tree in members]
        return _assembled(trees, np.zeros(len(model.classes_)), model.classes_, model.n_features_in_, single=True)
    if name == "GradientBoostingClassifier":
        return _sklearn_boosting(model, rows)
    if name == "HistGradientBoostingClassifier":
        return _sklearn_histogram(model)
    raise InputError(f"{name} is no tree ensemble that can be read here", cure="known: " + ", ".join(_PLAIN))


def _shares(tree: Any) -> Floats:
    counts = np.asarray(tree.value[:, 0, :], dtype=np.float64)
    total: Floats = counts / counts.sum(axis=1, keepdims=True)
    return total


def _sklearn_tree(tree: Any, values: Floats) -> TreeArrays:
    left, right = tree.children_left.astype(np.int64), tree.children_right.astype(np.int64)
    return TreeArrays(left, right, tree.feature.astype(np.int64), _at_most(tree.threshold.astype(np.float64), single=True), values)


def _sklearn_boosting(model: Any, rows: npt.NDArray[Any]) -> Ensemble:
    count = len(model.classes_)
    trees = []
    for stage in model.estimators_:
        for column, regressor in enumerate(stage):
            values = np.zeros((regressor.tree_.node_count, count))
            values[:, column if count > 2 else 1] = regressor.tree_.value[:, 0, 0] * model.learning_rate
            trees.append(_sklearn_tree(regressor.tree_, values))
    made = _assembled(trees, np.zeros(count), model.classes_, model.n_features_in_, single=True)
    return _with_base(made, _two_sided(np.asarray(model.decision_function(_named(model, rows)))), rows)


def _sklearn_histogram(model: Any) -> Ensemble:
    if getattr(model, "is_categorical_", None) is not None and np.any(model.is_categorical_):
        raise InputError("categorical splits cannot be read", cure="encode the categories one-hot and train again")
    count = len(model.classes_)
    trees = []
    for stage in model._predictors:
        for column, predictor_ in enumerate(stage):
            nodes = predictor_.nodes
            leaf = nodes["is_leaf"].astype(bool)
            values = np.zeros((len(nodes), count))
            values[:, column if count > 2 else 1] = nodes["value"]
            left, right = (np.where(leaf, -1, nodes[side].astype(np.int64)) for side in ("left", "right"))
            cuts = _at_most(np.where(leaf, 0.0, nodes["num_threshold"]), single=False)
            trees.append(TreeArrays(left, right, nodes["feature_idx"].astype(np.int64), cuts, values))
    start = np.asarray(model._baseline_prediction, dtype=np.float64).ravel()
    base = start if count > 2 else np.array([0.0, start[0]])
    return _assembled(trees, base, model.classes_, model.n_features_in_, single=False)


# XGBoost


def _xgboost(model: Any, rows: npt.NDArray[Any]) -> Ensemble:
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    last = getattr(model, "best_iteration", None) if getattr(model, "early_stopping_rounds", None) else None
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    objective, kind = learner["objective"]["name"], learner["gradient_booster"]["name"]
    if kind != "gbtree" or not objective.startswith(("binary:logistic", "binary:logitraw", "multi:")):
        raise InputError(
            f"an XGBoost model of kind '{kind}' with objective '{objective}' cannot be read", cure="use gbtree and a classifier"
        )
    body = learner["gradient_booster"]["model"]
    count = max(int(learner["learner_model_param"]["num_class"]), 2)
    bounds = body.get("iteration_indptr")
    stop = bounds[last + 1] if last is not None and bounds else len(body["trees"])
    binary = objective.startswith("binary")
    trees = [_xgboost_tree(t, 1 if binary else c, count) for t, c in zip(body["trees"][:stop], body["tree_info"][:stop], strict=True)]
    classes = getattr(model, "classes_", np.arange(count))
    made = _assembled(trees, np.zeros(count), classes, int(learner["learner_model_param"]["num_feature"]), single=True)
    return _with_base(made, _own_scores(model, rows), rows)


def _xgboost_tree(tree: dict[str, Any], column: int, count: int) -> TreeArrays:
    if tree["categories"] or int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise InputError("categorical splits and vector leaves of XGBoost cannot be read", cure="encode one-hot and train again")
    left = np.asarray(tree["left_children"], dtype=np.int64)
    conditions = np.asarray(tree["split_conditions"], dtype=np.float64).astype(np.float32).astype(np.float64)
    values = np.zeros((len(left), count))
    values[:, column] = np.where(left < 0, conditions, 0.0)
    right, feature = (np.asarray(tree[key], dtype=np.int64) for key in ("right_children", "split_indices"))
    return TreeArrays(left, right, feature, conditions, values)


# LightGBM


def _lightgbm(model: Any, rows: npt.NDArray[Any]) -> Ensemble:
    booster = getattr(model, "booster_", model)
    dump = booster.dump_model()
    count = max(int(dump["num_class"]), 2)
    if not dump["objective"].startswith(("binary", "multiclass")):
        raise InputError(f"a LightGBM model with objective '{dump['objective']}' cannot be read", cure="train a classifier")
    each = int(dump["num_tree_per_iteration"])
    trees = []
    for number, info in enumerate(dump["tree_info"]):
        trees.append(_lightgbm_tree(info["tree_structure"], 1 if each == 1 else number % each, count))
    made = _assembled(trees, np.zeros(count), getattr(model, "classes_", np.arange(count)), len(dump["feature_names"]), single=False)
    return _with_base(made, _own_scores(model, rows), rows)


def _lightgbm_tree(root: dict[str, Any], column: int, count: int) -> TreeArrays:
    left, right, feature, cut, value = [-1], [-1], [0], [0.0], [0.0]
    waiting = [(0, root)]
    while waiting:
        at, node = waiting.pop()
        if "split_feature" not in node:
            value[at] = float(node.get("leaf_value", 0.0))
            continue
        if node["decision_type"] != "<=" or node.get("missing_type") == "Zero":
            raise InputError("categorical splits and zero as missing of LightGBM cannot be read", cure="encode one-hot and train again")
        feature[at], cut[at] = int(node["split_feature"]), float(node["threshold"])
        left[at], right[at] = len(left), len(left) + 1
        for side in ("left_child", "right_child"):
            waiting.append((len(left), node[side]))
            for column_, blank in ((left, -1), (right, -1), (feature, 0)):
                column_.append(blank)
            cut.append(0.0)
            value.append(0.0)
    values = np.zeros((len(left), count))
    values[:, column] = value
    cuts = _at_most(np.asarray(cut), single=False)
    below, above, tested = (np.asarray(part, dtype=np.int64) for part in (left, right, feature))
    return TreeArrays(below, above, tested, cuts, values)


# agreement with the model


def _own_scores(model: Any, rows: npt.NDArray[Any]) -> Floats:
    """The model's raw scores, shape (rows, classes)."""
    name, family = type(model).__name__, type(model).__module__.split(".")[0]
    if family == "xgboost" and name == "Booster":
        wrapped = _module("xgboost").DMatrix(rows, feature_names=model.feature_names)
        return _two_sided(np.asarray(model.predict(wrapped, output_margin=True)))
    if family == "xgboost":
        return _two_sided(np.asarray(model.predict(rows, output_margin=True)))
    if family == "lightgbm":
        return _two_sided(np.asarray(model.predict(_named(model, rows), raw_score=True)))
    if name in _PLAIN:
        return np.asarray(model.predict_proba(_named(model, rows)), dtype=np.float64)
    return _two_sided(np.asarray(model.decision_function(_named(model, rows))))


def _two_sided(scores: npt.NDArray[Any]) -> Floats:
    values = scores.astype(np.float64)
    if values.ndim == 2 and values.shape[1] > 1:
        return values
    return np.column_stack([np.zeros(len(values)), values.ravel()])


def _with_base(made: Ensemble, own: Floats, rows: npt.NDArray[Any]) -> Ensemble:
    """`made` with the constant that the model adds to its trees, taken from its own scores on `rows`."""
    base = np.median(own - made.scores(rows), axis=0)
    return msgspec.structs.replace(made, base=base, scale=made.scale + float(np.abs(base).sum()))


def _compare(ensemble: Ensemble, model: Any, rows: npt.NDArray[Any]) -> None:
    if rows.ndim != 2 or rows.shape[1] != ensemble.features:
        raise InputError(f"rows of shape {rows.shape} for a model of {ensemble.features} features")
    error = float(np.abs(ensemble.scores(rows) - _own_scores(model, rows)).max(initial=0.0))
    if error > rounding(ensemble):
        raise InputError(
            f"the trees read from {type(model).__name__} score {error:.3g} away from the model itself",
            cure="its kind of splits is not understood; attack it as a black box",
        )


def rounding(ensemble: Ensemble) -> float:
    """How far the model's own sum may lie from the exact one: half of the last place a tree and a bit of reserve."""
    unit = np.finfo(np.float32).eps if ensemble.single else np.finfo(np.float64).eps
    return float(unit) * max(ensemble.scale, 1e-12) * 4.0
