"""Which trait of an asset fits which kind, and what relations the fields that name other nodes make.

The catalogue's predicates, the manifest's rules and the schema for editors are all made from these two tables.
"""

from __future__ import annotations

from bartizan.model.system import Kind

_ALL = frozenset(Kind) - {Kind.SYSTEM, Kind.ACTOR, Kind.DATASET}
_AI_APPS = frozenset({Kind.LLM_APP, Kind.AGENT})
_SERVED = _AI_APPS | {Kind.ENDPOINT, Kind.SERVICE, Kind.TOOL, Kind.STORE, Kind.REGISTRY}
_LEARNT = frozenset({Kind.MODEL})

TRAIT_KINDS: dict[str, frozenset[Kind]] = {
    **dict.fromkeys(("uri", "digest", "zone", "owner", "impact", "source", "revision", "code", "uses"), _ALL),
    **dict.fromkeys(
        (
            "task",
            "framework",
            "format",
            "exports",
            "trained_on",
            "tested_on",
            "base_model",
            "architecture",
            "adapters",
            "fine_tuned",
            "compressed",
            "online_learning",
            "federated",
            "physical_input",
            "watermark",
            "constraints",
        ),
        _LEARNT,
    ),
    "output": _LEARNT | {Kind.ENDPOINT},
    "shared_accelerator": _LEARNT | {Kind.CLUSTER, Kind.CONTAINER},
    **dict.fromkeys(("serves", "inference"), frozenset({Kind.ENDPOINT, Kind.SERVICE})),
    **dict.fromkeys(("url", "authn", "authz", "quota", "multi_tenant"), _SERVED | {Kind.CLUSTER}),
    **dict.fromkeys(
        ("tools", "retrieves_from", "memory", "autonomy", "renders", "executes_code", "system_prompt", "untrusted_content"),
        _AI_APPS,
    ),
    "delegates_to": frozenset({Kind.AGENT}),
    "effects": frozenset({Kind.TOOL}),
    "approval": frozenset({Kind.TOOL}),
    "third_party": frozenset({Kind.TOOL, Kind.SERVICE, Kind.MODEL, Kind.ENDPOINT}),
    "holds": frozenset({Kind.STORE}),
    "acl": frozenset({Kind.STORE, Kind.REGISTRY}),
    "writers": frozenset({Kind.STORE, Kind.REGISTRY}),
    "encrypted": frozenset({Kind.STORE, Kind.REGISTRY}),
    "signed": frozenset({Kind.REGISTRY, Kind.CONTAINER, Kind.MODEL}),
    **dict.fromkeys(("signature", "signed_by"), _LEARNT),
    "configuration": frozenset({Kind.STORE, Kind.REGISTRY}),
    "produces": frozenset({Kind.PIPELINE}),
    "runs": frozenset({Kind.CONTAINER, Kind.CLUSTER, Kind.DEPENDENCIES, Kind.REPOSITORY}),
    "isolated": frozenset({Kind.CONTAINER, Kind.CLUSTER, Kind.PIPELINE, Kind.TOOL, Kind.AGENT}),
}
"""Which kinds of asset each trait of `Asset` may be declared on."""

RELATIONS: dict[str, tuple[str, str]] = {
    "trained_on": ("training_sets", "trains"),
    "tested_on": ("test_sets", "tests"),
    "serves": ("served", "served_by"),
    "uses": ("used", "used_by"),
    "tools": ("tool_set", "tool_of"),
    "retrieves_from": ("retrieval_stores", "retrieved_by"),
    "delegates_to": ("delegates", "delegated_by"),
    "produces": ("products", "produced_by"),
    "runs": ("hosted", "hosted_by"),
    "derived_from": ("parents", "children"),
}
"""Fields that name other nodes, each with the name of the relation it makes and the name of its inverse."""
