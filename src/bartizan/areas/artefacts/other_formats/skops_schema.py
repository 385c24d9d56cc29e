"""skops: a JSON tree of types by name. Judged under the policy that pickles are judged under, as if each type were made or called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bartizan.areas.artefacts.containers.scope import Piece, Scope
from bartizan.areas.artefacts.other_formats.bounded_json import NotJson, parse, walk
from bartizan.areas.artefacts.pickles.analysis import Analysis
from bartizan.areas.artefacts.pickles.judging import judge
from bartizan.areas.artefacts.safety import Use, UseKind

DATA_LOADERS = frozenset({
    "JsonNode", "NdArrayNode", "SparseMatrixNode", "DictNode", "ListNode", "TupleNode", "SetNode", "SliceNode", "BytesNode",
    "BytearrayNode", "MaskedArrayNode", "CachedNode",
})  # fmt: skip
"""Loaders that make plain data."""

NAMED = frozenset({
    "TypeNode", "FunctionNode", "OperatorFuncNode",
})  # fmt: skip
"""Loaders that look a name up without calling it."""


def judge_entries(entries: Mapping[str, Piece], scope: Scope) -> None:
    """Judge the archive's schema."""
    for name, piece in entries.items():
        if name.lower() != "schema.json":
            continue
        try:
            uses = _uses(parse(bytes(piece.data), piece, scope))
        except NotJson as error:
            scope.unsure(f"the schema {error}", piece, 0)
            continue
        ruling = judge(Analysis(uses=tuple(uses), complete=True, end=len(piece.data)), scope.policy)
        scope.rule(ruling.reasons, piece)
        for use in uses:
            entry = scope.policy.entry(use.module, use.name)
            if use.kind is UseKind.BUILD and entry is not None and entry.state_keys:
                scope.unsure(f"puts a state into {use}, which runs parts of its state that are not read here", piece, 0, use)


def _uses(schema: Any) -> dict[Use, None]:
    """The types that a schema makes, as uses at its start."""
    found: dict[Use, None] = {}
    for item in walk(schema):
        name, module, loader = item.get("__class__"), item.get("__module__"), item.get("__loader__", "")
        if isinstance(name, str) and isinstance(module, str) and loader not in DATA_LOADERS:
            found[Use(module, name, _kind(str(loader)), 0)] = None
            if loader == "ObjectNode":
                found[Use(module, name, UseKind.BUILD, 0)] = None
        content = item.get("content")
        if loader in NAMED and isinstance(content, dict) and isinstance(content.get("module_path"), str):
            found[Use(content["module_path"], str(content.get("function")), UseKind.REFERENCE, 0)] = None
    return found


def _kind(loader: str) -> UseKind:
    if loader in NAMED or loader == "MethodNode":
        return UseKind.REFERENCE
    return UseKind.CALL if loader in ("ReduceNode", "PartialNode", "DateTimeNode", "TimedeltaNode") else UseKind.NEW
