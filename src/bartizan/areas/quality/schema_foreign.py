"""Schemas that others wrote: suites of Great Expectations and schemas that pandera writes, read as ours.

What we cannot judge is refused by name; it is never left out in silence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bartizan.areas.quality.schema import Column, Drift, Rule, Schema, Span, Type
from bartizan.model.errors import InputError, one_line

MAX_BYTES = 8 * 1024 * 1024

Said = dict[str, Any]


def of_json(path: Path) -> Schema:
    """The suite or schema in a JSON file. Raises `InputError`."""
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"is no JSON: {one_line(str(error), 120)}", place=str(path)) from None
    if isinstance(value, dict) and isinstance(value.get("expectations"), list):
        return of_expectations(value, str(path))
    if is_pandera(value):
        return of_pandera(value, str(path))
    raise InputError("is neither a suite of Great Expectations nor a schema of pandera", place=str(path))


def is_pandera(value: Any) -> bool:
    """Whether a document looks like what `pandera.io.to_yaml` writes."""
    return isinstance(value, dict) and isinstance(value.get("columns"), dict) and ("schema_type" in value or "checks" in value)


def of_expectations(suite: Mapping[str, Any], place: str) -> Schema:
    """The schema that a suite of Great Expectations (0.x or 1.x) asks for. Raises `InputError` for an expectation that we do not judge."""
    columns: dict[str, Said] = {}
    top: Said = {"extra": True, "ordered": False, "unique": [], "rules": [], "rows": Span(min=1)}
    for entry in suite["expectations"]:
        kind, kwargs = str(entry.get("type") or entry.get("expectation_type")), dict(entry.get("kwargs") or {})
        if kwargs.get("row_condition"):
            raise InputError(f"{kind} has a row_condition, which is not judged", place=place, cure="write it as a rule of our schema")
        _expectation(kind, kwargs, columns, top, place)
    made = {name: Column(**said) for name, said in columns.items()}
    name = str(suite.get("name") or suite.get("expectation_suite_name") or "suite")
    return Schema(
        format=1,
        name=name,
        columns=made,
        rows=top["rows"],
        extra=top["extra"],
        ordered=top["ordered"],
        unique=tuple(top["unique"]),
        rules=tuple(top["rules"]),
    )


def _expectation(kind: str, kwargs: Said, columns: dict[str, Said], top: Said, place: str) -> None:
    if kind in _TABLE:
        _TABLE[kind](kwargs, columns, top)
        return
    if kind not in _COLUMN:
        raise InputError(f"the expectation '{one_line(kind, 80)}' is not judged", place=place, cure="write it as a rule of our schema")
    name = str(kwargs["column"])
    said = columns.setdefault(name, {"nulls": 1.0, "finite": False})
    if kind in _SHARED and "mostly" in kwargs:
        said["tolerance"] = max(said.get("tolerance", 0.0), round(1.0 - float(kwargs["mostly"]), 12))
    said |= _COLUMN[kind](kwargs)


def _between(kwargs: Said) -> Said:
    low, high = ("above" if kwargs.get("strict_min") else "min"), ("below" if kwargs.get("strict_max") else "max")
    return {low: kwargs.get("min_value"), high: kwargs.get("max_value")}


def _span(kwargs: Said) -> Span:
    return Span(min=kwargs.get("min_value"), max=kwargs.get("max_value"))


def _pair(kwargs: Said, _columns: dict[str, Said], top: Said) -> None:
    a, b = kwargs["column_A"], kwargs["column_B"]
    sign = ">=" if kwargs.get("or_equal") else ">"
    tolerance = round(1.0 - float(kwargs.get("mostly", 1.0)), 12)
    top["rules"].append(Rule(name=f"{a} {sign} {b}", holds=f"{_quoted(a)} {sign} {_quoted(b)}", tolerance=tolerance))


def _columns_are(kwargs: Said, columns: dict[str, Said], top: Said) -> None:
    for name in kwargs.get("column_set") or kwargs.get("column_list") or ():
        columns.setdefault(name, {"nulls": 1.0, "finite": False})
    top["extra"] = kwargs.get("exact_match") is False
    top["ordered"] = "column_list" in kwargs


_COLUMN: dict[str, Callable[[Said], Said]] = {
    "expect_column_to_exist": lambda _: {},
    "expect_column_values_to_not_be_null": lambda k: {"nulls": round(1.0 - float(k.get("mostly", 1.0)), 12)},
    "expect_column_values_to_be_unique": lambda _: {"unique": True},
    "expect_column_values_to_be_in_set": lambda k: {"among": tuple(k["value_set"])},
    "expect_column_values_to_not_be_in_set": lambda k: {"not_in": tuple(k["value_set"])},
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_match_regex": lambda k: {"matches": k["regex"]},
    "expect_column_values_to_not_match_regex": lambda k: {"not_matches": k["regex"]},
    "expect_column_value_lengths_to_be_between": lambda k: {"length": _span(k)},
    "expect_column_value_lengths_to_equal": lambda k: {"length": Span(min=k["value"], max=k["value"])},
    "expect_column_values_to_be_of_type": lambda k: {"type": _type(str(k["type_"]))},
    "expect_column_mean_to_be_between": lambda k: {"drift": Drift(mean=_span(k))},
}
_SHARED = frozenset(name for name in _COLUMN if name.startswith(("expect_column_values_to", "expect_column_value_lengths"))) - {
    "expect_column_values_to_not_be_null"
}
_TABLE: dict[str, Callable[[Said, dict[str, Said], Said], None]] = {
    "expect_table_row_count_to_be_between": lambda k, _, top: top.__setitem__("rows", _span(k)),
    "expect_table_row_count_to_equal": lambda k, _, top: top.__setitem__("rows", Span(min=k["value"], max=k["value"])),
    "expect_table_columns_to_match_set": _columns_are,
    "expect_table_columns_to_match_ordered_list": _columns_are,
    "expect_column_pair_values_a_to_be_greater_than_b": _pair,
    "expect_column_pair_values_A_to_be_greater_than_B": _pair,
    "expect_compound_columns_to_be_unique": lambda k, _, top: top["unique"].append(tuple(k["column_list"])),
}


def of_pandera(value: Mapping[str, Any], place: str) -> Schema:
    """The schema that pandera wrote as YAML or JSON. Raises `InputError` for a check that we do not judge."""
    if value.get("checks"):
        names = ", ".join(map(str, value["checks"]))
        raise InputError(f"has checks over the whole frame ({one_line(names, 80)}), which are not judged", place=place, cure="write rules")
    columns = {str(name): _pandera_column(str(name), said or {}, place) for name, said in value["columns"].items()}
    unique = value.get("unique")
    keys = ((unique,) if isinstance(unique, str) else tuple(unique),) if unique else ()
    return Schema(
        format=1,
        name=str(value.get("name") or "pandera"),
        columns=columns,
        extra=not value.get("strict"),
        ordered=bool(value.get("ordered")),
        unique=keys,
    )


def _pandera_column(name: str, said: Said, place: str) -> Column:
    made: Said = {"type": _type(str(said["dtype"])) if said.get("dtype") else Type.ANY, "nulls": 1.0 if said.get("nullable") else 0.0}
    made |= {"unique": bool(said.get("unique")), "required": said.get("required", True), "finite": False}
    if said.get("regex"):
        raise InputError(f"column '{one_line(name, 80)}' is a pattern of names, which is not judged", place=place, cure="name the columns")
    checks = said.get("checks") or {}
    pairs = checks.items() if isinstance(checks, dict) else [(c.get("options", c).get("check_name"), c) for c in checks]
    for check, given in pairs:
        if check not in _PANDERA:
            raise InputError(f"the check '{one_line(str(check), 80)}' of column '{one_line(name, 80)}' is not judged", place=place)
        made |= _PANDERA[check](_argument(given))
    return Column(**made)


def _argument(given: Any) -> Any:
    """What a check was given: `{value: 3, options: ...}`, `{min_value: ..., max_value: ...}` or the bare value."""
    if not isinstance(given, dict):
        return given
    rest = {k: v for k, v in given.items() if k != "options"}
    return next(iter(rest.values())) if len(rest) == 1 else rest


def _in_range(given: Any) -> Said:
    low = "min" if given.get("include_min", True) else "above"
    return {low: given["min_value"], "max" if given.get("include_max", True) else "below": given["max_value"]}


_PANDERA: dict[str, Callable[[Any], Said]] = {
    "greater_than": lambda v: {"above": v},
    "greater_than_or_equal_to": lambda v: {"min": v},
    "less_than": lambda v: {"below": v},
    "less_than_or_equal_to": lambda v: {"max": v},
    "equal_to": lambda v: {"among": (v,)},
    "not_equal_to": lambda v: {"not_in": (v,)},
    "in_range": _in_range,
    "isin": lambda v: {"among": tuple(v)},
    "notin": lambda v: {"not_in": tuple(v)},
    "str_matches": lambda v: {"matches": v if str(v).startswith("^") else f"^(?:{v})"},
    "str_contains": lambda v: {"matches": v},
    "str_length": lambda v: {"length": Span(min=v.get("min_value"), max=v.get("max_value")) if isinstance(v, dict) else Span(min=v)},
}


def _type(name: str) -> Type:
    low = name.lower()
    for words, kind in (
        (("datetime", "timestamp"), Type.DATETIME), (("int",), Type.INTEGER), (("float", "double", "decimal", "number"), Type.NUMBER),
        (("bool",), Type.BOOLEAN), (("str", "object", "varchar", "text", "categor"), Type.TEXT), (("date",), Type.DATE),
    ):  # fmt: skip
        if any(word in low for word in words):
            return kind
    raise InputError(f"the type '{one_line(name, 60)}' is not judged", cure="one of " + ", ".join(t.value for t in Type))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
