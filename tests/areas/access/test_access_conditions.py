"""Rules about rows, compiled, keep the rows that Cedar itself permits when it is asked row by row."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.areas.access.cedar import Rules, entities_of, schema_of
from bartizan.areas.access.conditions import row_condition
from bartizan.areas.access.policy import Policy, Principal
from bartizan.areas.access.rows import Always, to_polars
from bartizan.model.errors import InputError, Place

pl = pytest.importorskip("polars")
cedarpy = pytest.importorskip("cedarpy")

CELLS: dict[str, list[Any]] = {
    "n": [0, 1, 2, 3, None, -1, 2, 2**62],
    "m": [0, 2, None, 1, 1, 1, 2, 5],
    "s": ["a", "ab", "b*", None, "", "a\nb", "x_y%", "ab"],
    "b": [True, False, None, True, False, True, False, None],
    "d": [dt.date(2024, 1, 1), dt.date(2024, 2, 1), None, dt.date(2023, 1, 1), dt.date(2025, 1, 1), None, dt.date(2024, 1, 1), None],
    "t": [dt.datetime(2024, 1, 1, 12), None, dt.datetime(2024, 2, 1), dt.datetime(2023, 1, 1, 1, 1, 1), None, None, None, None],
}
FRAME = pl.DataFrame(CELLS, schema_overrides={"n": pl.Int64, "m": pl.Int64})
TYPES = dict(FRAME.schema)


def policy(rules: str) -> Policy:
    return Policy(
        format=1, name="t", policies=rules, purposes=("train", "bill"), roles={"staff": (), "clerk": ("staff",)}, first=Place("p", 1),
        principals={
            "ann": Principal(roles=("clerk",), attributes={"s": "ab", "n": 2, "ok": True, "names": ["a", "ab"]}),
            "bob": Principal(attributes={"s": "a", "n": 0, "ok": False, "names": [], "extra": "x"}),
        },
    )  # fmt: skip


def compiled(rules: str, who: str = "ann", purpose: str = "train") -> list[int]:
    made = Rules(policy(rules), TYPES)
    condition = row_condition(made, TYPES, who, purpose)
    return FRAME.lazy().with_row_index("row").filter(to_polars(condition)).collect()["row"].to_list()


def cell(value: Any) -> Any:
    if isinstance(value, dt.date):
        text = value.isoformat() if not isinstance(value, dt.datetime) else value.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"__extn": {"fn": "datetime", "arg": text}}
    return value


def asked(rules: str, who: str = "ann", purpose: str = "train") -> list[int]:
    """Row by row; a forbid that errs hides the row, as the policy promises."""
    made = policy(rules)
    entities = entities_of(made, list(CELLS))
    forbids = {id for id, rule in cedarpy.policies_to_pst(rules).static_policies.items() if rule.effect == "forbid"}
    kept = []
    for row in range(len(FRAME)):
        attributes = {name: cell(values[row]) for name, values in CELLS.items() if values[row] is not None}
        uid = {"type": "Row", "id": str(row)}
        one = {"uid": uid, "attrs": attributes, "parents": [{"type": "Dataset", "id": "t"}]}
        answer = cedarpy.is_authorized(
            {
                "principal": {"type": "User", "id": who},
                "action": {"type": "Action", "id": "rows"},
                "resource": uid,
                "context": {"purpose": {"__entity": {"type": "Purpose", "id": purpose}}},
            },
            rules,
            json.dumps([*entities, one]),
        )
        erring = any(f"`{id}`" in str(error) for id in forbids for error in answer.diagnostics.errors)
        if answer.allowed and not erring:
            kept.append(row)
    return kept


LEAVES = st.sampled_from(
    [
        "true", "false", "resource.b", "principal.ok", "resource.n == 2", "resource.n != 2", "resource.n < principal.n", "3 >= resource.n",
        "resource.n <= resource.m", "resource.n == resource.m", 'resource.s == "ab"', "resource.s == principal.s", 'resource.s like "a*"',
        'resource.s like "*\\**"', 'resource.s like "x_y%"', "resource has n", "resource has s", '["a", "b*"].contains(resource.s)',
        "principal.names.contains(resource.s)", "[1, 2, 3].contains(resource.n)", 'resource.d < datetime("2024-01-02")',
        'resource.t >= datetime("2024-01-01T12:00:00Z")', 'resource.t == datetime("2024-01-01T13:00:00+0100")',
        'principal in Role::"staff"', 'principal == User::"ann"', 'context.purpose == Purpose::"train"', "principal has extra",
        'context.purpose in [Purpose::"bill", Purpose::"train"]', "resource.b == principal.ok", "resource.b == resource.b",
        'principal has extra && principal.extra == "x"', "resource is Row", 'resource in Dataset::"t"', "principal.n < 2",
        'principal.names.containsAll(["a"])', 'principal.names.containsAny(["a", "q"])', "(resource.n == 2) == resource.b",
        "resource.n == -1",
    ]
)  # fmt: skip
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]} && {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} || {two[1]})"),
        inner.map(lambda one: f"!({one})"),
        st.tuples(inner, inner, inner).map(lambda three: f"(if {three[0]} then {three[1]} else {three[2]})"),
    ),
    max_leaves=5,
)
SCOPES = st.sampled_from(
    ["principal", 'principal == User::"ann"', 'principal in Role::"staff"', "principal is User", 'principal is User in Role::"clerk"']
)
RULES = st.tuples(
    st.sampled_from(["permit", "permit", "forbid"]),
    SCOPES,
    st.sampled_from(['action == Action::"rows"', 'action in [Action::"rows", Action::"read"]', "action"]),
    st.sampled_from(["resource", "resource is Row", 'resource in Dataset::"t"']),
    st.sampled_from(["when", "unless"]),
    EXPRESSIONS,
).map(lambda r: f"{r[0]} ({r[1]}, {r[2]}, {r[3]}) {r[4]} {{ {r[5]} }};")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.lists(RULES, min_size=1, max_size=4).map("\n".join), st.sampled_from(["ann", "bob"]), st.sampled_from(["train", "bill"]))
def test_compiled_rules_keep_what_cedar_permits(rules: str, who: str, purpose: str) -> None:
    try:
        kept = compiled(rules, who, purpose)
    except InputError as error:  # Cedar's validator refuses some: a comparison that is always false, an attribute without `has`
        if "does not fit the data" not in str(error):
            raise
        return
    assert kept == asked(rules, who, purpose)


def test_an_empty_cell_opens_nothing() -> None:
    permit = 'permit (principal, action == Action::"rows", resource)'
    assert compiled(f"{permit} when {{ resource.n == 2 }};") == [2, 6]
    assert compiled(f"{permit} unless {{ resource.n == 2 }};") == [0, 1, 3, 5, 7]  # not 4, which is empty
    assert compiled(f"{permit} unless {{ principal.names.contains(resource.s) }};", "bob") == [0, 1, 2, 4, 5, 6, 7]
    forbid = 'forbid (principal, action == Action::"rows", resource) when { resource.n == 2 };'
    assert compiled(f"{permit};\n{forbid}") == [0, 1, 3, 5, 7]  # Cedar alone would skip the forbid and show row 4


def test_nobody_sees_a_row_that_no_rule_permits() -> None:
    made = Rules(policy('permit (principal, action == Action::"read", resource);'), TYPES)
    assert row_condition(made, TYPES, "ann", "train") == Always(False)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("resource.n + 1 == 2", "add"),
        ("resource.d.toTime() < duration(\"1h\")", "to_time"),
        ("[resource.n].contains(2)", "set of cells"),
    ],
)  # fmt: skip
def test_what_cannot_be_compiled_is_said_with_its_line(expression: str, said: str) -> None:
    rules = f'permit (principal, action == Action::"rows", resource);\npermit (principal, action, resource is Row) when {{ {expression} }};'
    with pytest.raises(InputError, match=said) as told:
        compiled(rules)
    assert str(told.value).startswith("p:2: ")


def test_a_condition_that_grows_too_large_is_refused() -> None:
    part = "resource.n == 1"
    for _ in range(16):
        part = f"(({part} || resource.n == 2) && resource.n == 3)"  # each is compiled to when it is true and to when it is false
    with pytest.raises(InputError, match="too large"):
        compiled(f'permit (principal, action == Action::"rows", resource) when {{ {part} }};')


def test_zoned_moments_are_compared_as_moments(tmp_path: Path) -> None:
    frame = pl.DataFrame({"t": [dt.datetime(2024, 1, 1, 0, 30), dt.datetime(2024, 1, 1, 1, 30)]}).select(
        pl.col("t").dt.replace_time_zone("Europe/Berlin")
    )
    types = dict(frame.schema)
    made = Rules(policy('permit (principal, action == Action::"rows", resource) when { resource.t < datetime("2024-01-01") };'), types)
    assert frame.lazy().filter(to_polars(row_condition(made, types, "ann", "train"))).collect().height == 1
    assert schema_of(made.policy, types)[""]["entityTypes"]["Row"]["shape"]["attributes"]["t"]["name"] == "datetime"
