"""The rules of a policy in Cedar: read, validated against a schema made from the data's columns, and decided in one batch.

Who asks is a `User` in its `Role`s; what is asked for is a `Column` in its `Tag`s and in the `Dataset`, or for `Action::"rows"` a `Row`
with the cells of the table as attributes; `context.purpose` is a `Purpose`. The actions are `read` (values as they are), `mask` (masked
values), `aggregate` (into figures over groups) and `rows` (which rows at all). https://docs.cedarpolicy.com.

Cedar itself skips a rule that errs while it is evaluated. Here a decision in which anything erred is a denial, and says so.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from bartizan.areas.access.policy import Policy, ancestors
from bartizan.areas.access.tables import cedar_type
from bartizan.model.errors import InputError, MissingExtra, Place, UnknownName, one_line

COLUMN_ACTIONS = ("read", "mask", "aggregate")
ROWS = "rows"
ACTIONS = (*COLUMN_ACTIONS, ROWS)

MOST_TEXT, MOST_TOKENS, DEEPEST = 256 * 1024, 1000, 50
"""Characters of all rules; tokens and nested brackets of one rule. Cedar's parser recurses without a limit of its own."""

_TOKEN = re.compile(r'//[^\n]*|"(?:\\.|[^"\\])*"|[A-Za-z_]\w*|\d+|[^\s\w]|\w')
_POLICY = re.compile(r"\bpolicy(\d+)\b")


class Ruled(msgspec.Struct, frozen=True):
    """The decision on one request: whether it is allowed, and by which rules, or why the rules that erred make it a denial."""

    allowed: bool
    by: tuple[str, ...] = ()
    error: str = ""


class Rules:
    """The rules of `policy`, ready for decisions about a table with the columns `types` (name to Polars type).

    Raises `InputError` with the line for rules that Cedar cannot read or that do not fit the table, `UnknownName` for an unknown user,
    role, purpose, tag, column or action in them, `MissingExtra`.
    """

    def __init__(self, policy: Policy, types: Mapping[str, Any]) -> None:
        self._cedar = _cedarpy()
        self.policy = policy
        self.columns = tuple(types)
        for name, column in policy.columns.items():
            if name not in types:
                raise UnknownName("column", name, list(types), of=f"policy '{policy.name}'", place=column.at)
        self.lines = _guarded(policy)
        self.static = self._parsed()
        self._check_names()
        schema = json.dumps(schema_of(policy, types))
        self._check_types(schema)
        try:
            self._schema = self._cedar.Schema.from_json_str(schema)
            self._entities = self._cedar.Entities.from_json_str(json.dumps(entities_of(policy, self.columns)), self._schema)
        except ValueError as error:
            raise InputError(f"who and what there is does not fit together: {error}", place=policy.at) from None

    def decide(self, principal: str, purpose: str, actions: Sequence[str] = COLUMN_ACTIONS) -> dict[str, dict[str, Ruled]]:
        """For each column and each of `actions`, whether `principal` may do that for `purpose`. Raises `UnknownName`."""
        self.policy.principal(principal)
        context = {"purpose": {"__entity": _uid("Purpose", self.policy.purpose(purpose))}}
        asked = [(column, action) for column in self.columns for action in actions]
        requests = [
            {"principal": _uid("User", principal), "action": _uid("Action", a), "resource": _uid("Column", c), "context": context}
            for c, a in asked
        ]
        found: dict[str, dict[str, Ruled]] = {column: {} for column in self.columns}
        answers = self._cedar.is_authorized_batch(requests, self._set, self._entities, self._schema)
        for (column, action), answer in zip(asked, answers, strict=True):
            found[column][action] = self._ruled(answer)
        return found

    def rules_for(self, action: str) -> Iterator[tuple[str, Any]]:
        """The rules (id and typed tree) whose scope may hold for `action`."""
        for id, rule in self.static.items():
            scope = rule.action
            named = (
                {scope.entity.id} if hasattr(scope, "entity") else {e.id for e in scope.entities} if hasattr(scope, "entities") else None
            )
            if named is None or action in named:
                yield id, rule

    def without_purpose(self, action: str) -> tuple[str, ...]:
        """The permits for `action` that do not ask for which purpose."""
        return tuple(id for id, rule in self.rules_for(action) if rule.effect == "permit" and not _mentions_purpose(rule.clauses))

    def place(self, id: str) -> Place:
        """Where the rule `id` begins."""
        return Place(self.policy.first.file, self.policy.first.line + self.lines[int(id.removeprefix("policy"))])

    def name(self, id: str) -> str:
        """What people call the rule: its `@id`, or the line where it begins."""
        return str(self.static[id].annotations.get("id") or f"line {self.place(id).line}")

    def _ruled(self, answer: Any) -> Ruled:
        errors = [one_line(str(error), 200) for error in answer.diagnostics.errors]
        if errors:
            return Ruled(False, error=self._told(errors[0]))
        return Ruled(bool(answer.allowed), tuple(self.name(id) for id in answer.diagnostics.reasons))

    def _told(self, text: str) -> str:
        """What Cedar says, with the names that people know instead of those that it gives to rules."""
        plain = re.sub(r"for policy `policy\d+`, ", "", text)
        return _POLICY.sub(lambda found: self.name(found[0]) if found[0] in self.static else found[0], plain).replace("`", "'")

    def _parsed(self) -> dict[str, Any]:
        try:
            self._set = self._cedar.PolicySet.from_str(self.policy.policies)
            tree = self._cedar.policies_to_pst(self.policy.policies)
        except ValueError as error:
            raise InputError(f"Cedar cannot read the rules: {error}", place=self._broken(), cure="see docs.cedarpolicy.com") from None
        if tree.templates or len(tree.static_policies) != len(self.lines):
            raise InputError("rules with places to fill in (?principal) are not read", place=self.policy.first, cure="write each rule out")
        return {f"policy{n}": tree.static_policies[f"policy{n}"] for n in range(len(self.lines))}

    def _broken(self) -> Place:
        """The first rule that Cedar cannot read by itself."""
        rows = self.policy.policies.split("\n")
        for start, end in zip(self.lines, [*self.lines[1:], len(rows)], strict=True):
            try:
                self._cedar.PolicySet.from_str("\n".join(rows[start:end]))
            except ValueError:
                return Place(self.policy.first.file, self.policy.first.line + start)
        return self.policy.first

    def _check_names(self) -> None:
        known = {
            "User": list(self.policy.principals),
            "Role": list(self.policy.roles),
            "Purpose": list(self.policy.purposes),
            "Tag": sorted(self.policy.tags),
            "Column": list(self.columns),
            "Dataset": [self.policy.name],
            "Action": list(ACTIONS),
        }
        for id, rule in self.static.items():
            for uid in sorted(self._cedar.pst.entity_uids(rule), key=str):
                kind = str(uid.type)
                if kind not in known:
                    raise UnknownName("kind of entity", kind, [*known, "Row"], of=f"rule '{self.name(id)}'", place=self.place(id))
                if uid.id not in known[kind]:
                    raise UnknownName(kind.lower(), uid.id, known[kind], of=f"rule '{self.name(id)}'", place=self.place(id))

    def _check_types(self, schema: str) -> None:
        try:
            result = self._cedar.validate_policies(self.policy.policies, schema)
        except ValueError as error:
            raise InputError(f"the rules cannot be checked: {error}", place=self.policy.first) from None
        if not result.validation_passed:
            first = result.errors[0]
            place = self.place(first.policy_id) if first.policy_id in self.static else self.policy.first
            cure = "Cedar compares whole numbers, text, true or false, and dates" if "ttribute" in first.error else None
            raise InputError(f"rule does not fit the data: {self._told(str(first.error))}", place=place, cure=cure)


def schema_of(policy: Policy, types: Mapping[str, Any]) -> dict[str, Any]:
    """The Cedar schema (as JSON) of the people, purposes and tags in `policy` and of a table with the columns `types`."""
    cells = {name: _cedar_shape(kind) for name, dtype in types.items() if (kind := cedar_type(dtype)) is not None}
    users: dict[str, dict[str, Any]] = {}
    for who, principal in policy.principals.items():
        for name, value in principal.attributes.items():
            shape = _attribute_shape(value)
            if users.setdefault(name, shape) != shape:
                raise InputError(f"attribute '{one_line(name, 60)}' of '{who}' has another type elsewhere", place=principal.at)
    for name, shape in list(users.items()):
        users[name] = shape | {"required": all(name in principal.attributes for principal in policy.principals.values())}
    record = {"type": "Record", "attributes": {"purpose": {"type": "Entity", "name": "Purpose"}}}
    column = {"principalTypes": ["User"], "resourceTypes": ["Column"], "context": record}
    return {
        "": {
            "entityTypes": {
                "Role": {"memberOfTypes": ["Role"]},
                "User": {"memberOfTypes": ["Role"], "shape": {"type": "Record", "attributes": users}},
                "Purpose": {},
                "Tag": {},
                "Dataset": {},
                "Column": {"memberOfTypes": ["Tag", "Dataset"]},
                "Row": {"memberOfTypes": ["Dataset"], "shape": {"type": "Record", "attributes": cells}},
            },
            "actions": {
                **{action: {"appliesTo": column} for action in COLUMN_ACTIONS},
                ROWS: {"appliesTo": {**column, "resourceTypes": ["Row"]}},
            },
        }
    }


def entities_of(policy: Policy, columns: Sequence[str]) -> list[dict[str, Any]]:
    """All roles, principals, purposes, tags and columns as Cedar entities."""
    made = [_entity("Dataset", policy.name)]
    made += [_entity("Role", name, ("Role", above)) for name, above in policy.roles.items()]
    made += [_entity("User", name, ("Role", one.roles), one.attributes) for name, one in policy.principals.items()]
    made += [_entity("Purpose", name) for name in policy.purposes]
    made += [_entity("Tag", name) for name in sorted(policy.tags)]
    for name in columns:
        tags = policy.columns[name].tags if name in policy.columns else ()
        entity = _entity("Column", name, ("Tag", tags))
        entity["parents"].append(_uid("Dataset", policy.name))
        made.append(entity)
    return made


def roles_of(policy: Policy, principal: str) -> frozenset[str]:
    """The roles of `principal` and all above them."""
    return ancestors(policy.roles, policy.principals[principal].roles)


def _entity(
    kind: str, id: str, parents: tuple[str, Sequence[str]] = ("", ()), attributes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {"uid": _uid(kind, id), "attrs": dict(attributes or {}), "parents": [_uid(parents[0], name) for name in parents[1]]}


def _uid(kind: str, id: str) -> dict[str, str]:
    return {"type": kind, "id": id}


def _cedar_shape(kind: str) -> dict[str, Any]:
    return {"type": "Extension", "name": kind} if kind == "datetime" else {"type": kind}


def _attribute_shape(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"type": "Boolean"}
    if isinstance(value, list | tuple):
        return {"type": "Set", "element": {"type": "String"}}
    return {"type": "Long"} if isinstance(value, int) else {"type": "String"}


def _mentions_purpose(node: Any) -> bool:
    """Whether `context.purpose` stands anywhere in a typed tree."""
    open_ones = [node]
    while open_ones:
        part = open_ones.pop()
        if isinstance(part, tuple | frozenset):
            open_ones.extend(part)
        elif isinstance(part, Mapping):
            open_ones.extend(part.values())
        elif dataclasses.is_dataclass(part):
            if type(part).__name__ == "GetAttr" and getattr(part, "attr", "") == "purpose":
                return True
            open_ones.extend(getattr(part, field.name) for field in dataclasses.fields(part))
    return False


def _guarded(policy: Policy) -> list[int]:
    """The line (from 0) at which each rule begins. Refuses what could exhaust the stack of Cedar's parser."""
    text = policy.policies
    if len(text) > MOST_TEXT:
        raise InputError(f"the rules are longer than {MOST_TEXT} characters", place=policy.first)
    starts: list[int] = []
    tokens = depth = 0
    for found in _TOKEN.finditer(text):
        part = found[0]
        if part.startswith("//"):
            continue
        if tokens == 0:
            starts.append(text.count("\n", 0, found.start()))
        tokens += 1
        depth += (part in "([{") - (part in ")]}")
        if tokens > MOST_TOKENS or depth > DEEPEST:
            place = Place(policy.first.file, policy.first.line + starts[-1])
            raise InputError("this rule is too long or nested too deep", place=place, cure="split it into several rules")
        if part == ";":
            tokens = depth = 0
    if not starts:
        raise InputError("there is no rule, so nobody may read anything", place=policy.first, cure="write a permit")
    return starts


def _cedarpy() -> Any:
    try:
        import cedarpy
        import cedarpy.pst
    except ImportError:
        raise MissingExtra("access", "cedarpy") from None
    return cedarpy
