"""Reads a CycloneDX document (JSON, 1.4 to 1.7) as a bill of materials. What we wrote comes back whole; of others, what a bill knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bartizan.adapters.files import read_bytes
from bartizan.model.bill import Attested, Bill, FileHash, Metric, Part, PartKind, Step
from bartizan.model.errors import InputError, one_line

MAX_BYTES = 256 * 1024 * 1024
MAX_DEPTH = 64
OWN = "bartizan:"

Json = dict[str, Any]


def read_bill(path: Path) -> Bill:
    """The bill in the file at `path`. Raises `InputError` where it is no CycloneDX document in JSON."""
    try:
        document = json.loads(read_bytes(path.parent, path, MAX_BYTES))
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no JSON: {one_line(str(error), 100)}", place=path.name) from None
    if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
        raise InputError("is no CycloneDX document", place=path.name, cure="pass a bill that `bartizan bom` or another tool wrote as JSON")
    try:
        return _bill(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"is damaged: {type(error).__name__}: {one_line(str(error), 100)}", place=path.name) from None


def _tables(value: object) -> list[Json]:
    """The objects of a list; nothing for None. Raises `TypeError` for anything else, which would hide what the bill holds."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise TypeError(f"{one_line(json.dumps(value), 40)} stands where a list of objects belongs")
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _bill(document: Json) -> Bill:
    metadata = document.get("metadata") or {}
    root = metadata.get("component") or {}
    needs = {str(d.get("ref")): tuple(map(str, d.get("dependsOn") or ())) for d in _tables(document.get("dependencies"))}
    parts = [_part(c, needs) for c in _components(document.get("components"), 0)]
    parts += [_service(s, needs) for s in _tables(document.get("services"))]
    tools = metadata.get("tools")
    tool = next(iter(_tables(tools.get("components") if isinstance(tools, dict) else tools)), {})
    return Bill(
        system=_text(root.get("name")),
        version=_text(root.get("version")),
        purpose=_text(root.get("description")),
        owner=_text((root.get("supplier") or {}).get("name")),
        tool=f"{_text(tool.get('name'))} {_text(tool.get('version'))}".strip(),
        made=_text(metadata.get("timestamp")),
        parts=tuple(sorted(parts, key=lambda part: part.ref)),
        steps=tuple(_step(w) for formula in _tables(document.get("formulation")) for w in _tables(formula.get("workflows"))),
        attested=tuple(_attested(document)),
    )


def _components(value: object, depth: int) -> Iterator[Json]:
    """Components and those inside them, files left out: they belong to what they stand in."""
    for entry in _tables(value):
        if entry.get("type") != "file":
            yield entry
            if depth < MAX_DEPTH:
                yield from _components(entry.get("components"), depth + 1)


def _facts(entry: Json) -> dict[str, str]:
    """Our properties under their names, those of others under theirs in full."""
    return {_text(p.get("name")).removeprefix(OWN): _text(p.get("value")) for p in _tables(entry.get("properties"))}


def _part(entry: Json, needs: dict[str, tuple[str, ...]]) -> Part:
    facts = _facts(entry)
    ancestors = tuple(facts.pop(name) for name in sorted((f for f in facts if f.startswith("ancestor.")), key=_number))
    source = facts.pop("source", "")
    for link in _tables(entry.get("externalReferences")):
        source = _text(link.get("url")) if link.get("type") == "distribution" else source
    url = next((_text(link.get("url")) for link in _tables(entry.get("externalReferences")) if link.get("type") == "website"), "")
    card = entry.get("modelCard") or {}
    roles = [(_text(p.get("name")), _text(p.get("value"))) for p in _tables(card.get("properties"))]
    trained = tuple(value for name, value in roles if name == f"{OWN}trained_on")
    tested = tuple(value for name, value in roles if name == f"{OWN}tested_on")
    parameters = card.get("modelParameters") or {}
    if not roles:
        trained = tuple(_text(d.get("ref")) for d in _tables(parameters.get("datasets")) if d.get("ref"))
    ref = _text(entry.get("bom-ref")) or _text(entry.get("purl")) or f"{entry['type']}:{entry['name']}"
    known = {*ancestors, *trained, *tested}
    return Part(
        ref=ref, kind=_kind(entry.get("type")), name=_text(entry.get("name")), version=_text(entry.get("version")),
        title=_text(entry.get("description")), purl=_text(entry.get("purl")), licence=_licence(entry),
        owner=_text((entry.get("supplier") or {}).get("name")), source=source, url=url, task=_text(parameters.get("task")),
        sensitivity=next((_text(d.get("classification")) for d in _tables(entry.get("data"))), ""),
        files=tuple(_file(c) for c in _tables(entry.get("components")) if c.get("type") == "file"),
        needs=tuple(n for n in needs.get(ref, ()) if n not in known), ancestors=ancestors, trained_on=trained, tested_on=tested,
        metrics=tuple(_metric(m) for m in _tables((card.get("quantitativeAnalysis") or {}).get("performanceMetrics"))), facts=facts,
    )  # fmt: skip


def _number(name: str) -> int:
    tail = name.rpartition(".")[2]
    return int(tail) if tail.isdigit() else 0


def _kind(value: object) -> PartKind:
    known = {str(kind) for kind in PartKind}
    return PartKind(value) if isinstance(value, str) and value in known else PartKind.LIBRARY


def _licence(entry: Json) -> str:
    for choice in _tables(entry.get("licenses")):
        inner = choice.get("license") or {}
        return _text(choice.get("expression")) or _text(inner.get("id")) or _text(inner.get("name"))
    return ""


def _file(entry: Json) -> FileHash:
    hashes = {h.get("alg"): _text(h.get("content")) for h in _tables(entry.get("hashes"))}
    size = _facts(entry).get("size", "0")
    return FileHash(path=_text(entry.get("name")), size=int(size) if size.isdigit() else 0, sha256=hashes.get("SHA-256", ""))


def _metric(entry: Json) -> Metric:
    interval = entry.get("confidenceInterval") or {}
    value = float(entry.get("value") or "nan")
    low, high = float(interval.get("lowerBound") or value), float(interval.get("upperBound") or value)
    return Metric(name=_text(entry.get("type")), value=value, low=low, high=high, check=_text(entry.get("slice")))


def _service(entry: Json, needs: dict[str, tuple[str, ...]]) -> Part:
    facts = _facts(entry)
    names = sorted((name for name in facts if name.startswith("file.")), key=_number)
    files = [facts.pop(name).split(" ", 2) for name in names]
    ref = _text(entry.get("bom-ref")) or f"service:{entry['name']}"
    return Part(
        ref=ref, kind=PartKind.SERVICE, name=_text(entry.get("name")), version=_text(entry.get("version")),
        title=_text(entry.get("description")), owner=_text((entry.get("provider") or {}).get("name")), source=facts.pop("source", ""),
        url=next((e for e in entry.get("endpoints") or () if isinstance(e, str)), ""), licence=_licence(entry),
        files=tuple(FileHash(path=path, size=int(size), sha256=digest) for digest, size, path in files), needs=needs.get(ref, ()),
        facts=facts,
    )  # fmt: skip


def _step(entry: Json) -> Step:
    def refs(value: object) -> tuple[str, ...]:
        return tuple(_text((e.get("resource") or {}).get("ref")) for e in _tables(value))

    return Step(
        ref=_text(entry.get("uid")), name=_text(entry.get("name")), code=_facts(entry).get("code", ""), inputs=refs(entry.get("inputs")),
        outputs=refs(entry.get("outputs")),
    )  # fmt: skip


def _attested(document: Json) -> Iterator[Attested]:
    declared, defined = document.get("declarations") or {}, document.get("definitions") or {}
    titles = {
        _text(r.get("bom-ref")): _text(r.get("text")) for s in _tables(defined.get("standards")) for r in _tables(s.get("requirements"))
    }
    threat_of = {
        claim: _text(row.get("requirement"))
        for attestation in _tables(declared.get("attestations"))
        for row in _tables(attestation.get("map"))
        for claim in (*(row.get("claims") or ()), *(row.get("counterClaims") or ()))
    }
    for claim in _tables(declared.get("claims")):
        requirement = threat_of.get(claim.get("bom-ref"), "")
        holds = bool(claim.get("evidence"))
        refs = claim.get("evidence") or claim.get("counterEvidence") or [""]
        yield Attested(
            threat=requirement.removeprefix("threat:"), title=titles.get(requirement, ""), part=_text(claim.get("target")),
            check=_text(claim.get("reasoning")).removeprefix("found by the check "), holds=holds, text=_text(claim.get("predicate")),
            evidence=_text(refs[0]).removeprefix("evidence:"),
        )  # fmt: skip
