"""Loads scikit-learn models without executing anything that the file chooses: skops files of reviewed types, nothing else.

Pickles and joblib files are refused, not sandboxed: unpickling is code execution. What a skops file may hold is what skops trusts by
itself (scikit-learn's estimators, numpy and scipy types) and the list in `reviewed_types.txt`.
"""

from __future__ import annotations

import importlib
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bartizan.adapters.files import shown
from bartizan.model.errors import InputError, MissingExtra, Refused, one_line

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MAX_ENTRIES = 20_000
"""Most arrays in one model file."""

MAX_UNPACKED = 4 * 1024**3
"""Most bytes that a model file may unpack to."""

MAX_SCHEMA = 256 * 1024**2
"""Largest description of a model's structure, in bytes."""

_BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError,
    ImportError, RecursionError, NotImplementedError, OverflowError, AssertionError,
)  # fmt: skip
"""What skops and numpy raise on a file that is not what it should be."""


@cache
def reviewed_types() -> tuple[str, ...]:
    """The types that we vouch for beside those that skops trusts."""
    text = files("bartizan.adapters").joinpath("reviewed_types.txt").read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def load_estimator(root: str | Path, path: Path) -> Any:
    """The scikit-learn estimator in the skops file at `path`.

    Raises `MissingExtra` without skops, `Refused` for another format or a type that nobody reviewed, `InputError` for a broken file.
    """
    name = shown(root, path)
    _refuse_other_formats(path, name)
    try:
        persistence = importlib.import_module("skops.io")
        errors = importlib.import_module("skops.io.exceptions")
    except ImportError:
        raise MissingExtra("sklearn", "skops") from None
    try:
        untrusted = set(persistence.get_untrusted_types(file=path)) - set(reviewed_types())
        if untrusted:
            listed = ", ".join(sorted(one_line(kind, 80) for kind in untrusted)[:5])
            cure = "export the model without its own types, or as a standard scikit-learn pipeline"
            raise Refused(f"holds types that nobody reviewed: {listed}", place=name, cure=cure)
        estimator = persistence.load(path, trusted=list(reviewed_types()))
    except errors.UntrustedTypesFoundException as error:
        raise Refused(f"holds types that nobody reviewed: {error}", place=name) from None
    except _BROKEN as error:
        raise InputError(f"is no readable skops file: {type(error).__name__}: {error}", place=name) from None
    _check_trees(estimator, name)
    return estimator


def _refuse_other_formats(path: Path, name: str) -> None:
    """Only a zip archive with a description of its structure goes on; how large it unpacks is known before anything is unpacked."""
    cure = "export it with skops.io.dump and declare that file as uri"
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except IsADirectoryError:
        raise Refused("is a folder, not a model file", place=name, cure=cure) from None
    except (*_BROKEN,):
        raise Refused("is not a skops file; pickles and joblib files are never opened here", place=name, cure=cure) from None
    sizes = {entry.filename: entry.file_size for entry in entries}
    if "schema.json" not in sizes:
        raise Refused("is an archive, but not of skops", place=name, cure=cure)
    if len(entries) > MAX_ENTRIES or sum(sizes.values()) > MAX_UNPACKED or sizes["schema.json"] > MAX_SCHEMA:
        raise Refused(f"unpacks to {sum(sizes.values())} bytes in {len(entries)} entries", place=name, cure="declare a smaller model")


def _check_trees(estimator: Any, name: str) -> None:
    """Compiled code follows the indices of a tree without asking; a forged tree must not lead it out of its arrays."""
    for part in _parts(estimator):
        kind = type(part).__name__
        if kind == "Tree":
            left, right, feature, count, features = part.children_left, part.children_right, part.feature, part.node_count, part.n_features
            leaf = left == -1
            sound = ((leaf & (right == -1)) | (_below(left, count) & _below(right, count) & (feature >= 0) & (feature < features))).all()
        elif kind == "TreePredictor":
            nodes = part.nodes
            leaf = nodes["is_leaf"].astype(bool)
            sound = (leaf | (_below(nodes["left"], len(nodes)) & _below(nodes["right"], len(nodes)))).all()
            sound &= (nodes["bitset_idx"][~leaf & nodes["is_categorical"].astype(bool)] < len(part.raw_left_cat_bitsets)).all()
        else:
            continue
        if not sound:
            raise Refused("holds a decision tree whose branches lead out of it", place=name, cure="take the model from its source again")


def _below(children: npt.NDArray[Any], count: int) -> npt.NDArray[np.bool_]:
    """Is each child a node after its parent? So no walk leaves the tree, and each ends."""
    import numpy as np

    after: npt.NDArray[np.bool_] = (children.astype(np.int64) > np.arange(len(children))) & (children < count)
    return after


def _parts(estimator: Any) -> Iterator[Any]:
    """The estimator and everything it is made of."""
    seen: set[int] = set()
    waiting = [estimator]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple | set):
            waiting.extend(part)
        elif type(part).__name__ == "ndarray":
            waiting.extend(part.ravel().tolist() if part.dtype == object else ())
        elif type(part).__module__.startswith("sklearn."):
            yield part
            waiting.extend(getattr(part, "__dict__", {}).values())


def class_probabilities(estimator: Any, features: Any) -> npt.NDArray[np.float64]:
    """The probability of each of `estimator.classes_` for each row: shape (rows, classes), from `predict_proba` or `decision_function`.

    Decision values are put through the logistic function (two classes) or a softmax; their order, which is what matters, stays. Raises
    `InputError` where the model is no classifier with either, or does not take these features.
    """
    import numpy as np

    if not hasattr(estimator, "classes_"):
        raise InputError(f"{type(estimator).__name__} is no classifier", cure="this can be measured on classifiers only")
    try:
        if hasattr(estimator, "predict_proba"):
            return np.asarray(estimator.predict_proba(features), dtype=np.float64)
        if hasattr(estimator, "decision_function"):
            return _from_decision(np.asarray(estimator.decision_function(features), dtype=np.float64))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"the model does not take the declared features: {error}", cure="check label and columns of the data set"
        ) from None
    raise InputError(f"{type(estimator).__name__} gives no probabilities", cure="this can be measured on probabilistic classifiers only")


def _from_decision(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    import numpy as np

    if values.ndim == 1:
        values = np.column_stack([np.zeros_like(values), values])
    exponentials = np.exp(values - values.max(axis=1, keepdims=True))
    shares: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares
