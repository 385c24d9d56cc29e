"""The bill of materials of a declared system: its nodes, their files, their packages, and what was found. Pure logic over the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from bartizan.model.bill import Attested, Bill, FileHash, Metric, Part, PartKind, Step
from bartizan.model.findings import Finding, Verdict
from bartizan.model.risks import Evidence
from bartizan.model.system import Asset, Dataset, Kind, System, declaration
from bartizan.model.threats import Threat

KINDS = {
    Kind.MODEL: PartKind.MODEL,
    Kind.CONTAINER: PartKind.CONTAINER,
    Kind.CLUSTER: PartKind.PLATFORM,
    Kind.ENDPOINT: PartKind.SERVICE,
    Kind.SERVICE: PartKind.SERVICE,
    Kind.STORE: PartKind.SERVICE,
    Kind.REGISTRY: PartKind.SERVICE,
}
"""What a node is in a bill; other nodes are applications."""

_NEEDS = ("serves", "uses", "tools", "retrieves_from", "delegates_to", "runs")
_ELSEWHERE = frozenset(
    {"id", "kind", "title", "uri", "owner", "source", "url", "task", "sensitivity", "licence", "revision", "trained_on", "tested_on",
     "derived_from", *_NEEDS}
)  # fmt: skip
"""Fields that have a place of their own in a bill, or none."""


def bill_of(
    system: System,
    files: Mapping[str, Sequence[FileHash]],
    packages: Mapping[str, Sequence[Part]],
    evidence: Iterable[Evidence],
    threats: Mapping[str, Threat],
    *,
    made: str,
    tool: str,
    version: str = "",
) -> Bill:
    """The bill of `system`. `files` and `packages` are what was read for each node, by its id; `evidence` is current evidence."""
    known = tuple(evidence)
    findings = [(record, finding) for record in known for finding in record.findings]
    libraries = {part.ref: part for found in packages.values() for part in found}
    nodes = [_dataset(node, files.get(node.id, ())) for node in system.datasets]
    own = {node.id: [part.ref for part in packages.get(node.id, ())] for node in system.assets}
    nodes += [_asset(node, files.get(node.id, ()), own[node.id], findings, system) for node in system.assets if _is_part(node)]
    bases = [_base(node) for node in system.assets if node.base_model]
    parts = {part.ref: part for part in (*nodes, *bases, *libraries.values())}
    return Bill(
        system=system.name,
        version=version,
        purpose=system.purpose or "",
        owner=system.owner or "",
        tool=tool,
        made=made,
        parts=tuple(sorted((_known_only(part, parts) for part in parts.values()), key=lambda part: part.ref)),
        steps=tuple(_steps(system, parts)),
        attested=tuple(_attested(findings, parts, threats)),
    )


def _is_part(node: Asset) -> bool:
    """Pipelines are steps, not parts."""
    return node.kind is not Kind.PIPELINE


def _facts(node: Asset | Dataset) -> dict[str, str]:
    said = {name: value for name, value in declaration(node).items() if name not in _ELSEWHERE and value not in (None, [], {})}
    return {name: _plain(value) for name, value in sorted(said.items())}


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else msgspec.json.encode(value, order="deterministic").decode()


def _dataset(node: Dataset, files: Sequence[FileHash]) -> Part:
    return Part(
        ref=node.id, kind=PartKind.DATA, name=node.id, version=node.revision or "", title=node.title or "", licence=node.licence or "",
        source=node.source or "", sensitivity=str(node.sensitivity or ""), files=tuple(sorted(files)), ancestors=node.derived_from or (),
        facts=_facts(node),
    )  # fmt: skip


def _asset(
    node: Asset, files: Sequence[FileHash], packages: Sequence[str], findings: Sequence[tuple[Evidence, Finding]], system: System
) -> Part:
    origins = {*(node.trained_on or ()), *(node.tested_on or ())}
    fields = [
        field for field in _NEEDS if field != "runs" or node.kind is not Kind.DEPENDENCIES
    ]  # packages do not need what is built on them
    needs = [name for field in fields for name in getattr(node, field) or ()]
    needs += [other.id for other in system.assets if node.id in (other.runs or ()) and other.kind is Kind.DEPENDENCIES]
    return Part(
        ref=node.id, kind=KINDS.get(node.kind, PartKind.APPLICATION), name=node.id, version=node.revision or "", title=node.title or "",
        owner=node.owner or "", source=node.source or "", url=node.url or "", task=str(node.task or ""), files=tuple(sorted(files)),
        needs=tuple(sorted({*needs, *packages} - origins)), ancestors=(_base_ref(node),) if node.base_model else (),
        trained_on=node.trained_on or (), tested_on=node.tested_on or (), metrics=tuple(_metrics(node, findings)),
        facts=_facts(node) | {"kind": str(node.kind)},
    )  # fmt: skip


def _base_ref(node: Asset) -> str:
    return f"base:{node.base_model}"


def _base(node: Asset) -> Part:
    """The model that `node` was made from, as far as it is known."""
    return Part(
        ref=_base_ref(node), kind=PartKind.MODEL, name=node.base_model or "", version=node.revision or "", source=node.source or "",
        facts={"kind": "base model"},
    )  # fmt: skip


def _metrics(node: Asset, findings: Sequence[tuple[Evidence, Finding]]) -> list[Metric]:
    found = {
        (finding.check, m.name): Metric(name=m.name, value=m.value, low=m.low, high=m.high, check=finding.check)
        for _, finding in findings
        if finding.asset == node.id and finding.verdict is not Verdict.UNKNOWN
        for m in finding.measures
    }
    return [found[key] for key in sorted(found)]


def _known_only(part: Part, parts: Mapping[str, Part]) -> Part:
    """`part` without references to what is no part, such as pipelines."""
    kept = {field: tuple(r for r in getattr(part, field) if r in parts) for field in ("needs", "ancestors", "trained_on", "tested_on")}
    return msgspec.structs.replace(part, **kept)


def _steps(system: System, parts: Mapping[str, Part]) -> list[Step]:
    """One step per pipeline: what it produces, from what those models were trained on and what it uses."""
    models = {node.id: node for node in system.assets}
    steps = []
    for node in system.assets:
        if node.kind is not Kind.PIPELINE:
            continue
        outputs = tuple(id for id in node.produces or () if id in parts)
        sources = [id for output in outputs for id in (models[output].trained_on if output in models else None) or ()]
        inputs = tuple(dict.fromkeys(id for id in (*(node.uses or ()), *sources) if id in parts))
        steps.append(Step(ref=node.id, name=node.title or node.id, code=node.code or "", inputs=inputs, outputs=outputs))
    return steps


def _attested(findings: Sequence[tuple[Evidence, Finding]], parts: Mapping[str, Part], threats: Mapping[str, Threat]) -> list[Attested]:
    """What passed and what failed; what is inconclusive or unknown attests nothing."""
    made = [
        Attested(
            threat=finding.threat,
            title=threats[finding.threat].title if finding.threat in threats else finding.threat,
            part=finding.asset,
            check=finding.check,
            holds=finding.verdict is Verdict.PASS,
            text=finding.title,
            evidence=record.digest,
        )
        for record, finding in findings
        if finding.verdict in (Verdict.PASS, Verdict.FAIL) and finding.asset in parts
    ]
    return sorted(dict.fromkeys(made), key=lambda a: (a.threat, a.part, a.check, a.text, a.evidence))
