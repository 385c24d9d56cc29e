"""Schemas that others wrote: suites of Great Expectations and schemas that pandera writes, read as ours.

What we cannot judge is refused by name; it is never left out in silence.
"""

from __future__ import annotations

import json
import re
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
    share = round(1.0 - float(kwargs.get("mostly", 1.0)), 12)
    asked = _COLUMN[kind](kwargs)
    if share and kind != "expect_column_values_to_not_be_null":
        top["rules"].append(Rule(name=f"{name}: {kind} {len(top['rules'])}", holds=_sql(name, asked, kind, place), tolerance=share))
    else:
        _merge(said, asked, name, place)


def _merge(said: Said, asked: Said, name: str, place: str) -> None:
    """Take in what is asked besides: the narrower of two bounds, what both lists allow; what cannot be joined is refused."""
    for field, value in asked.items():
        held = said.get(field)
        if value is None or held == value:
            continue
        if held is None or (field in ("type", "nulls", "finite") and held in (Type.ANY, 1.0, False)):
            said[field] = value
        elif field in ("min", "above"):
            said[field] = max(held, value)
        elif field in ("max", "below", "nulls"):
            said[field] = min(held, value)
        elif field == "among":
            said[field] = tuple(v for v in held if v in value)
        elif field == "not_in":
            said[field] = (*held, *value)
        elif field == "unique":
            said[field] = True
        else:
            raise InputError(f"column '{one_line(name, 80)}' has two rules on its {field}", place=place, cure="write rules of our schema")


def _sql(name: str, asked: Said, kind: str, place: str) -> str:
    """What is asked of a column as one SQL expression, for a rule that a share of the values may break."""
    column = _quoted(name)
    signs = {"min": ">=", "max": "<=", "above": ">", "below": "<"}
    parts = [f"{column} {signs[f]} {_literal(v)}" for f, v in asked.items() if f in signs and v is not None]
    for field, word in (("among", "IN"), ("not_in", "NOT IN")):
        if asked.get(field):
            parts.append(f"{column} {word} ({', '.join(_literal(v) for v in asked[field])})")
    parts += [f"REGEXP_LIKE({column}, {_literal(asked['matches'])})"] if asked.get("matches") else []
    parts += [f"NOT REGEXP_LIKE({column}, {_literal(asked['not_matches'])})"] if asked.get("not_matches") else []
    span = asked.get("length")
    if isinstance(span, Span):
        parts += [f"LENGTH({column}) >= {span.min:g}"] if span.min is not None else []
        parts += [f"LENGTH({column}) <= {span.max:g}"] if span.max is not None else []
    if not parts:
        raise InputError(f"{kind} with 'mostly' is not judged", place=place, cure="write it as a rule of our schema")
    return " AND ".join(parts)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    return repr(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "''") + "'"


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
    """The schema that pandera wrote as YAML or JSON (checks by themselves or, in newer versions, among the keys of their column). Raises
    `InputError` for a check that we do not judge."""
    whole = [*(value.get("checks") or ()), *(key for key in value if key not in _FRAME_KEYS)]
    whole += [key for key in ("index", "dtype") if value.get(key)]
    if whole:
        names = ", ".join(map(str, whole))
        cure = "write rules of our schema"
        raise InputError(f"has rules over the whole frame ({one_line(names, 80)}), which are not judged", place=place, cure=cure)
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


_FRAME_KEYS = frozenset(
    ("schema_type", "version", "api", "columns", "checks", "index", "dtype", "coerce", "strict", "name", "ordered", "unique", "title",
     "report_duplicates", "unique_column_names", "add_missing_columns", "drop_invalid_rows", "description", "metadata")
)  # fmt: skip
_COLUMN_KEYS = frozenset(
    ("dtype", "nullable", "unique", "coerce", "required", "regex", "checks", "title", "description", "default", "metadata",
     "report_duplicates", "drop_invalid_rows", "name")
)  # fmt: skip
"""What pandera writes besides checks; any other key is a check."""


def _pandera_column(name: str, said: Said, place: str) -> Column:
    made: Said = {"type": _type(str(said["dtype"])) if said.get("dtype") else Type.ANY, "nulls": 1.0 if said.get("nullable") else 0.0}
    made |= {"unique": bool(said.get("unique")), "required": said.get("required", True), "finite": False}
    if said.get("regex"):
        raise InputError(f"column '{one_line(name, 80)}' is a pattern of names, which is not judged", place=place, cure="name the columns")
    checks = said.get("checks") or {}
    pairs = list(checks.items()) if isinstance(checks, dict) else [(c.get("options", c).get("check_name"), c) for c in checks]
    pairs += [(key, given) for key, given in said.items() if key not in _COLUMN_KEYS]
    for check, given in pairs:
        if check not in _PANDERA:
            raise InputError(f"the check '{one_line(str(check), 80)}' of column '{one_line(name, 80)}' is not judged", place=place)
        _merge(made, _PANDERA[check](_argument(given)), name, place)
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


def _length(given: Any) -> Span:
    if not isinstance(given, dict):
        return Span(min=given)
    exact = given.get("exact_value")
    return Span(min=exact, max=exact) if exact is not None else _span(given)


def _starts(text: str) -> str:
    return "^" + re.escape(text)


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
    "str_startswith": lambda v: {"matches": _starts(str(v))},
    "str_endswith": lambda v: {"matches": re.escape(str(v)) + "$"},
    "str_contains": lambda v: {"matches": v},
    "str_length": lambda v: {"length": _length(v)},
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
