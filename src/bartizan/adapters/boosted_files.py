"""Loads XGBoost classifiers from files that are data (JSON or UBJSON), and checks their trees before anything walks them."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from bartizan.adapters.files import shown
from bartizan.model.errors import InputError

SUFFIXES = (".json", ".ubj")
"""The endings by which XGBoost tells its two formats apart."""

MAX_BYTES = 1024**3
"""Largest file that is read."""


def load_xgboost(root: str | Path, path: Path) -> Any:
    """The `xgboost.XGBClassifier` in the file at `path`, its classes numbered from 0.

    Parameters of training are not in such a file; the number of rounds and the depth of the deepest tree are set again from the trees.
    Raises `InputError` without xgboost, for a file that is none, and where its trees lead out of themselves.
    """
    name = shown(root, path)
    try:
        library = importlib.import_module("xgboost")
    except ImportError:
        raise InputError("is a model of XGBoost, which is not installed", place=name, cure="pip install xgboost-cpu") from None
    if path.suffix.lower() not in SUFFIXES:
        raise InputError("is not named as XGBoost names its files", place=name, cure="save it with save_model as .json or .ubj")
    if path.is_dir() or path.stat().st_size > MAX_BYTES:
        raise InputError(f"is a folder or larger than {MAX_BYTES} bytes", place=name)
    model = library.XGBClassifier(n_jobs=1)
    try:
        model.load_model(path)
        described = json.loads(bytes(model.get_booster().save_raw("json")))
        depth = _deepest(described, name)
        classes = len(model.classes_)
    except (library.core.XGBoostError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"is no readable XGBoost classifier: {error}", place=name) from None
    if classes < 2:
        raise InputError("is no classifier", place=name, cure="declare a model saved by XGBClassifier.save_model")
    return model.set_params(n_estimators=model.get_booster().num_boosted_rounds(), max_depth=depth)


def _deepest(described: dict[str, Any], name: str) -> int:
    """The depth of the deepest tree. Raises `InputError` where a branch leads backwards, out of its tree or to no feature."""
    learner = described["learner"]
    features = int(learner["learner_model_param"]["num_feature"])
    booster = learner["gradient_booster"]
    deepest = 1
    for tree in (booster.get("gbtree") or booster)["model"]["trees"]:
        left, right, split = (np.asarray(tree[key], dtype=np.int64) for key in ("left_children", "right_children", "split_indices"))
        inner = left >= 0
        after = np.arange(len(left))
        sound = len(left) == len(right) == len(split) > 0 and bool((right[~inner] < 0).all())
        sound = sound and bool(((left > after) & (right > after) & (left < len(left)) & (right < len(left)))[inner].all())
        if not sound or not bool(((split >= 0) & (split < features))[inner].all()):
            raise InputError("holds a tree whose branches lead out of it", place=name, cure="take the model from its source again")
        depth = np.zeros(len(left), dtype=np.int64)
        for node in np.flatnonzero(inner):
            depth[left[node]] = depth[right[node]] = depth[node] + 1
        deepest = max(deepest, int(depth.max()))
    return deepest
