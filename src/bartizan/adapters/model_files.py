"""Declared classifiers on rows by the format of their file, and writing one anew."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from bartizan.adapters import boosted_files
from bartizan.adapters.boosted_files import load_xgboost
from bartizan.adapters.estimators import load_estimator
from bartizan.model.errors import InputError, MissingExtra, Place
from bartizan.model.system import Format

KNOWN = (None, Format.SKOPS, Format.XGBOOST, Format.OTHER)
"""Formats of classifiers on tables that are read here; None and other: told by the file's name."""


def load_classifier(root: str | Path, path: Path, format: Format | None, place: Place | None = None) -> Any:
    """The classifier in the file at `path`, stored as `format`. Raises `InputError` for a format that is not read here."""
    if format not in KNOWN:
        cure = "declare a skops file of scikit-learn or a JSON file of XGBoost; for torch and others call bartizan.evasion.attack"
        raise InputError(f"the model is stored as {format}; tables need skops or xgboost", place=place, cure=cure)
    boosted = format is Format.XGBOOST or (format is not Format.SKOPS and path.suffix.lower() in boosted_files.SUFFIXES)
    return load_xgboost(root, path) if boosted else load_estimator(root, path)


def is_boosted(estimator: Any) -> bool:
    """Is this a model of XGBoost?"""
    return type(estimator).__module__.partition(".")[0] == "xgboost"


def save_classifier(estimator: Any, path: Path) -> Any:
    """Write `estimator` to `path`, replacing what is there, and return it as read back: what is measured is what was written.

    XGBoost's models in its own format, others as skops. Raises `Refused` where what was written would not be opened again.
    """
    boosted = is_boosted(estimator)
    if boosted:
        estimator.save_model(path)
    else:
        _skops().dump(estimator, path)
    return load_classifier(path.parent, path, Format.XGBOOST if boosted else Format.SKOPS)


def _skops() -> Any:
    try:
        return importlib.import_module("skops.io")
    except ImportError:
        raise MissingExtra("sklearn", "skops") from None
