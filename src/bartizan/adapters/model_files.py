"""Declared classifiers by the format of their file, and writing one anew: whole or not at all, never over another by accident."""

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


def check_target(path: Path, *, boosted: bool, force: bool) -> None:
    """Can a model be written to `path`? Raises `InputError` for a wrong ending, a missing folder, or a file that is there already."""
    endings = boosted_files.SUFFIXES if boosted else (".skops",)
    if path.suffix.lower() not in endings:
        raise InputError("has another ending than this model needs", place=str(path), cure="end its name with " + " or ".join(endings))
    if not path.parent.is_dir():
        raise InputError("the folder is not there", place=str(path.parent), cure="make it first")
    if path.exists() and (path.is_dir() or not force):
        raise InputError("is there already", place=str(path), cure="choose another name, or --force to replace it")


def save_classifier(estimator: Any, path: Path, *, force: bool = False) -> Any:
    """Write `estimator` to `path` and return it as read back from there: what is measured is what was written.

    Written beside its place first and moved there at the end. Raises `InputError` as `check_target` does, `Refused` where what was
    written would not be opened again.
    """
    boosted = is_boosted(estimator)
    check_target(path, boosted=boosted, force=force)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        if boosted:
            estimator.save_model(part)
        else:
            _skops().dump(estimator, part)
        again = load_classifier(path.parent, part, Format.XGBOOST if boosted else Format.SKOPS)
        check_target(path, boosted=boosted, force=force)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return again


def _skops() -> Any:
    try:
        return importlib.import_module("skops.io")
    except ImportError:
        raise MissingExtra("sklearn", "skops") from None
