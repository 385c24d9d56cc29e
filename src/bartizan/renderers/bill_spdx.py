"""A bill of materials as SPDX 3.0.1 (JSON-LD) with the profiles for AI packages and data sets."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from bartizan.model.bill import Bill, Part, PartKind
from bartizan.model.errors import one_line

CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
SUFFIX = ".spdx3.json"
MEDIA_TYPE = "application/spdx+json"

_PURPOSES = {
    PartKind.MODEL: "model", PartKind.DATA: "data", PartKind.LIBRARY: "library", PartKind.CONTAINER: "container",
    PartKind.PLATFORM: "platform",
}  # fmt: skip
_CREATION = "_:creation"

Json = dict[str, Any]


def render(bill: Bill) -> str:
    """The document as indented JSON, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode({"@context": CONTEXT, "@graph": list(_graph(bill))}), indent=2).decode() + "\n"


class _Names:
    """Names of elements, all below one for the bill."""

    def __init__(self, bill: Bill) -> None:
        self._base = "urn:bartizan:" + urllib.parse.quote(bill.system or "system", safe="")
        self._count = 0

    def of(self, ref: str) -> str:
        """The name of the element called `ref`."""
        return f"{self._base}:{urllib.parse.quote(ref, safe='')}"

    def next(self, kind: str) -> str:
        """A fresh name."""
        self._count += 1
        return f"{self._base}:{kind}-{self._count}"


def _graph(bill: Bill) -> Iterator[Json]:
    names = _Names(bill)
    made = bill.made or "1970-01-01T00:00:00Z"
    agent, tool = names.of("agent"), names.of("tool")
    yield {"type": "CreationInfo", "@id": _CREATION, "specVersion": "3.0.1", "created": made, "createdBy": [agent], "createdUsing": [tool]}
    elements = [
        _element("Organization", agent, bill.owner or bill.system),
        _element("Tool", tool, bill.tool or "bartizan"),
        *(element for part in bill.parts for element in _part(part, names)),
        *_licences(bill, names),
        *_relations(bill, names),
    ]
    roots = [names.of(part.ref) for part in bill.parts if part.kind is not PartKind.LIBRARY] or [agent]
    document = _element("SpdxDocument", names.of("document"), bill.system)
    yield document | {
        "profileConformance": ["core", "software", "ai", "dataset", "simpleLicensing"],
        "rootElement": roots,
        "element": [e["spdxId"] for e in elements],
    }
    yield from elements


def _element(type: str, id: str, name: str) -> Json:
    return {"type": type, "spdxId": id, "creationInfo": _CREATION, "name": one_line(name, 300) or "unnamed"}


def _part(part: Part, names: _Names) -> Iterator[Json]:
    """The element of a part, and those of its files."""
    types = {PartKind.MODEL: "ai_AIPackage", PartKind.DATA: "dataset_DatasetPackage"}
    made = _element(types.get(part.kind, "software_Package"), names.of(part.ref), part.name)
    made |= {"software_primaryPurpose": _PURPOSES.get(part.kind, "application")}
    optional = {"software_packageVersion": part.version, "software_packageUrl": part.purl, "description": part.title}
    made |= {key: value for key, value in optional.items() if value}
    where = next((text for text in (part.source, part.url) if "://" in text), "")
    made |= {"software_downloadLocation": where} if where else {}
    if part.kind is PartKind.MODEL:
        made |= _model(part)
    if part.kind is PartKind.DATA:
        made |= {"dataset_datasetType": ["noAssertion"]}
    if part.facts:
        made["comment"] = "; ".join(f"{name}: {value}" for name, value in sorted(part.facts.items()))
    yield made
    for file in part.files:
        hashed = {"type": "Hash", "algorithm": "sha256", "hashValue": file.sha256}
        yield _element("software_File", names.of(f"{part.ref}/file:{file.path}"), file.path) | {"verifiedUsing": [hashed]}


def _model(part: Part) -> Json:
    metrics = [
        {"type": "DictionaryEntry", "key": f"{m.check}: {m.name}", "value": f"{m.value:.6g} ({m.low:.6g} to {m.high:.6g})"}
        for m in part.metrics
    ]
    fields = {
        "ai_domain": [part.task] if part.task else [],
        "ai_typeOfModel": [part.facts["framework"]] if "framework" in part.facts else [],
        "ai_metric": metrics,
    }
    return {key: value for key, value in fields.items() if value}


def _licences(bill: Bill, names: _Names) -> Iterator[Json]:
    """A licence expression and its relation for every part that declares one; what is no SPDX expression stays in the comment alone."""
    for part in bill.parts:
        try:
            expression = str(canonicalize_license_expression(part.licence)) if part.licence else ""
        except InvalidLicenseExpression:
            continue
        if expression:
            id = names.next("licence")
            licence = {"type": "simplelicensing_LicenseExpression", "spdxId": id, "creationInfo": _CREATION}
            yield licence | {"simplelicensing_licenseExpression": expression}
            yield _relation(names, part.ref, "hasDeclaredLicense", [id])


def _relations(bill: Bill, names: _Names) -> Iterator[Json]:
    for part in bill.parts:
        rows = (("dependsOn", part.needs), ("trainedOn", part.trained_on), ("testedOn", part.tested_on), ("descendantOf", part.ancestors))
        for kind, refs in rows:
            if refs:
                yield _relation(names, part.ref, kind, [names.of(ref) for ref in refs])
        if part.files:
            yield _relation(names, part.ref, "contains", [names.of(f"{part.ref}/file:{file.path}") for file in part.files])
    for step in bill.steps:
        for output in step.outputs:
            if step.inputs:
                yield _relation(names, output, "hasInput", [names.of(ref) for ref in step.inputs])


def _relation(names: _Names, start: str, kind: str, to: Sequence[str]) -> Json:
    return {
        "type": "Relationship",
        "spdxId": names.next("relationship"),
        "creationInfo": _CREATION,
        "from": names.of(start),
        "relationshipType": kind,
        "to": list(to),
    }
