"""The parameters of a job: the check's defaults, then the manifest's tolerances, then what the caller sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bartizan.model.checks import Check, Parameter
from bartizan.model.errors import InputError, Place, UnknownName
from bartizan.model.system import Appetite

_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


def parameters_of(check: Check, appetite: Appetite, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The value of every parameter of `check`.

    A tolerance of the manifest applies under one of three keys, the later winning: the check's area (`privacy`), its own
    name (`membership`), its id (`privacy.membership`). A number sets the parameter `tolerance`, if the check has one.
    A table sets parameters by name, where any other character than a letter or digit counts as an underscore
    (`tpr_at_fpr_0.001` is the parameter `tpr_at_fpr_0_001`); a switch is written 0 or 1. Under an id
    every name must be a parameter of the check; under an area or a bare name the rest is meant for other checks.
    Then `overrides` set parameters by their exact names.
    Raises `UnknownName` for a name that is no parameter, `InputError` for a value of the wrong type.
    """
    known = {parameter.name: parameter for parameter in check.parameters}
    values = {name: parameter.default for name, parameter in known.items()}
    for key in keys_of(check):
        for name, value in _entries(appetite.tolerances.get(key)):
            if name in known:
                values[name] = _typed(check, known[name], value, appetite.at)
            elif key == check.id and name != "tolerance":
                raise UnknownName(f"parameter of {check.id}", name, list(known), place=appetite.at)
    for name, value in (overrides or {}).items():
        if name not in known:
            raise UnknownName(f"parameter of {check.id}", name, list(known))
        values[name] = _typed(check, known[name], value, None)
    return values


def keys_of(check: Check) -> tuple[str, str, str]:
    """The keys under which the manifest may set tolerances for `check`, the most general first."""
    area, _, name = check.id.partition(".")
    return area, name, check.id


def unused_tolerances(appetite: Appetite, checks: Iterable[Check]) -> tuple[str, ...]:
    """The keys of the manifest's tolerances that no installed check answers to: misspelt, or of a check not installed."""
    known = {key for check in checks for key in keys_of(check)}
    return tuple(key for key in appetite.tolerances if key not in known)


def _entries(tolerance: float | dict[str, float | str] | None) -> list[tuple[str, float | str]]:
    if tolerance is None:
        return []
    if isinstance(tolerance, dict):
        return [(_NOT_IN_NAMES.sub("_", name.lower()), value) for name, value in tolerance.items()]
    return [("tolerance", tolerance)]


def _typed(check: Check, parameter: Parameter, value: Any, place: Place | None) -> Any:
    if value is None and parameter.default is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match parameter.type:
        case "number" if number:
            return float(value)
        case "integer" if number and float(value).is_integer():
            return int(value)
        case "boolean" if isinstance(value, bool) or value in (0, 1):
            return bool(value)
        case "string" if isinstance(value, str):
            return value
    raise InputError(f"parameter '{parameter.name}' of {check.id} must be of type {parameter.type}, not {value!r}", place=place)
