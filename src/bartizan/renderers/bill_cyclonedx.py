"""A bill of materials as CycloneDX 1.6 or 1.7 (ECMA-424), JSON.

Models carry a model card, data sets their classification, files stand as parts of what they belong to with their SHA-256; pipelines are the
formulation, and what was found is declared as claims and counter-claims on the threats as requirements. The serial number is made of the
content, so that the same bill has the same number whenever it is written.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from bartizan.model.bill import Attested, Bill, Part, PartKind, Step
from bartizan.model.errors import one_line

VERSIONS = ("1.6", "1.7")
SUFFIX = ".cdx.json"
MEDIA_TYPE = "application/vnd.cyclonedx+json"
OWN = "bartizan:"
"""Prefix of our names among the properties (CycloneDX property taxonomy)."""

ROOT = "system"

Json = dict[str, Any]


def render(bill: Bill, version: str = "1.6") -> str:
    """The document as indented JSON, ending in a newline. `version` is one of `VERSIONS`."""
    body: Json = {
        "components": [_component(part, bill) for part in bill.parts if part.kind is not PartKind.SERVICE],
        "services": [_service(part) for part in bill.parts if part.kind is PartKind.SERVICE],
        "dependencies": _dependencies(bill),
        "formulation": [{"workflows": [_workflow(step) for step in bill.steps]}] if bill.steps else [],
    } | _declared(bill)
    root = _without_empty({"type": "application", "bom-ref": ROOT, "name": bill.system, "version": bill.version,
                           "description": bill.purpose, "supplier": _organisation(bill.owner)})  # fmt: skip
    body = _without_empty(body)
    number = uuid.uuid5(uuid.NAMESPACE_URL, hashlib.sha256(msgspec.json.encode([root, body], order="deterministic")).hexdigest())
    name, _, tool_version = bill.tool.partition(" ")
    tools = {"components": [_without_empty({"type": "application", "name": name or "bartizan", "version": tool_version})]}
    head = {
        "$schema": f"http://cyclonedx.org/schema/bom-{version}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": version,
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": _without_empty({"timestamp": bill.made, "tools": tools, "component": root}),
    }
    return msgspec.json.format(msgspec.json.encode(head | body), indent=2).decode() + "\n"


def _without_empty(table: Json) -> Json:
    return {key: value for key, value in table.items() if value not in ("", None, [], {})}


def _organisation(name: str) -> Json:
    return {"name": one_line(name, 200)} if name else {}


def _properties(facts: Mapping[str, str]) -> list[Json]:
    return [{"name": f"{OWN}{name}", "value": value} for name, value in sorted(facts.items())]


def _component(part: Part, bill: Bill) -> Json:
    own = {f"ancestor.{n}": ref for n, ref in enumerate(part.ancestors)} | ({"source": part.source} if "://" not in part.source else {})
    links = [{"type": "distribution", "url": part.source}] if "://" in part.source else []
    links += [{"type": "website", "url": part.url}] if part.url else []
    facts = {name: value for name, value in (part.facts | own).items() if value}
    ancestors = [_ancestor(ref, bill) for ref in part.ancestors]
    return _without_empty(
        {
            "type": str(part.kind),
            "bom-ref": part.ref,
            "supplier": _organisation(part.owner),
            "name": part.name,
            "version": part.version,
            "description": part.title,
            "hashes": [{"alg": "SHA-256", "content": part.files[0].sha256}] if len(part.files) == 1 else [],
            "licenses": licences(part.licence),
            "purl": part.purl,
            "pedigree": {"ancestors": ancestors} if ancestors else {},
            "externalReferences": links,
            "components": [_file(part, file.path, file.size, file.sha256) for file in part.files],
            "modelCard": _model_card(part) if part.kind is PartKind.MODEL else {},
            "data": [_without_empty({"type": "dataset", "name": part.name, "classification": part.sensitivity})]
            if part.kind is PartKind.DATA
            else [],
            "properties": _properties(facts),
        }
    )


def _ancestor(ref: str, bill: Bill) -> Json:
    known = bill.part(ref)
    if known is None:
        return {"type": "data", "name": ref}
    return _without_empty({"type": str(known.kind), "name": known.name, "version": known.version})


def _file(part: Part, path: str, size: int, sha256: str) -> Json:
    return {
        "type": "file",
        "bom-ref": f"{part.ref}/file:{path}",
        "name": path,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        "properties": [{"name": f"{OWN}size", "value": str(size)}],
    }


def licences(text: str) -> list[Json]:
    """`text` as CycloneDX wants it: an SPDX expression where it is one, else a name."""
    if not text:
        return []
    try:
        return [{"expression": str(canonicalize_license_expression(text))}]
    except InvalidLicenseExpression:
        return [{"license": {"name": one_line(text, 200)}}]


def _model_card(part: Part) -> Json:
    datasets = [{"ref": ref} for ref in dict.fromkeys((*part.trained_on, *part.tested_on))]
    metrics = [
        {
            "type": m.name, "value": repr(m.value), "slice": m.check,
            "confidenceInterval": {"lowerBound": repr(m.low), "upperBound": repr(m.high)},
        }
        for m in part.metrics
    ]  # fmt: skip
    roles = [{"name": f"{OWN}trained_on", "value": ref} for ref in part.trained_on]
    roles += [{"name": f"{OWN}tested_on", "value": ref} for ref in part.tested_on]
    return _without_empty(
        {
            "bom-ref": f"{part.ref}/card",
            "modelParameters": _without_empty({"task": part.task, "architectureFamily": part.facts.get("framework"), "datasets": datasets}),
            "quantitativeAnalysis": {"performanceMetrics": metrics} if metrics else {},
            "properties": roles,
        }
    )


def _service(part: Part) -> Json:
    facts = part.facts | ({"source": part.source} if part.source else {})
    facts |= {f"file.{n}": f"{file.sha256} {file.size} {file.path}" for n, file in enumerate(part.files)}
    authn = part.facts.get("authn")
    return _without_empty(
        {
            "bom-ref": part.ref,
            "provider": _organisation(part.owner),
            "name": part.name,
            "version": part.version,
            "description": part.title,
            "endpoints": [part.url] if part.url else [],
            "authenticated": None if authn is None else authn != "none",
            "trustZone": part.facts.get("zone"),
            "licenses": licences(part.licence),
            "properties": _properties(facts),
        }
    )


def _dependencies(bill: Bill) -> list[Json]:
    graph = {part.ref: sorted({*part.needs, *part.trained_on, *part.tested_on, *part.ancestors}) for part in bill.parts}
    below = {ref for needed in graph.values() for ref in needed}
    graph[ROOT] = sorted(part.ref for part in bill.parts if part.ref not in below)
    return [_without_empty({"ref": ref, "dependsOn": graph[ref]}) for ref in sorted(graph)]


def _workflow(step: Step) -> Json:
    return _without_empty(
        {
            "bom-ref": f"step:{step.ref}",
            "uid": step.ref,
            "name": step.name,
            "taskTypes": ["build"],
            "inputs": [{"resource": {"ref": ref}} for ref in step.inputs],
            "outputs": [{"type": "artifact", "resource": {"ref": ref}} for ref in step.outputs],
            "properties": _properties({"code": step.code} if step.code else {}),
        }
    )


def _declared(bill: Bill) -> Json:
    """Claims, counter-claims and evidence on the threats as requirements."""
    if not bill.attested:
        return {}
    claims = [
        {
            "bom-ref": f"claim:{n}", "target": a.part, "predicate": a.text, "reasoning": f"found by the check {a.check}",
            "evidence" if a.holds else "counterEvidence": [f"evidence:{a.evidence}"],
        }
        for n, a in enumerate(bill.attested)
    ]  # fmt: skip
    seen = sorted({a.evidence for a in bill.attested})
    evidence = [{"bom-ref": f"evidence:{e}", "propertyName": f"{OWN}evidence", "description": f"signed record {e}"} for e in seen]
    threats = {a.threat: a.title for a in bill.attested}
    requirements = [{"bom-ref": f"threat:{id}", "identifier": id, "text": title} for id, title in sorted(threats.items())]
    standard = {
        "bom-ref": "standard:threats",
        "name": "Threats that apply to this system",
        "owner": "bartizan",
        "requirements": requirements,
    }
    assessor = {"bom-ref": "assessor", "thirdParty": False, "organization": _organisation(bill.owner or bill.system)}
    attestation = {
        "summary": "What the checks found, threat by threat; it holds for the digests in this bill alone.",
        "assessor": "assessor",
        "map": [_mapped(id, bill.attested) for id in sorted(threats)],
    }
    return {
        "declarations": {"assessors": [assessor], "attestations": [attestation], "claims": claims, "evidence": evidence},
        "definitions": {"standards": [standard]},
    }


def _mapped(threat: str, attested: Sequence[Attested]) -> Json:
    holds = _claims(n for n, a in enumerate(attested) if a.threat == threat and a.holds)
    against = _claims(n for n, a in enumerate(attested) if a.threat == threat and not a.holds)
    rationale = f"{len(holds)} checks passed, {len(against)} failed"
    conformance = {"score": 0.0 if against else 1.0, "rationale": rationale}
    return _without_empty({"requirement": f"threat:{threat}", "claims": holds, "counterClaims": against, "conformance": conformance})


def _claims(numbers: Iterable[int]) -> list[str]:
    return [f"claim:{n}" for n in numbers]
