"""The findings as SARIF 2.1.0 (OASIS), for code scanning: rules are threats, results are findings that did not pass.

A result stands at its first place, else at the line of the manifest that declares the node. A failed check is a result of kind `fail`; an
inconclusive one and one that could not run are `open`: there is too little to decide. Fingerprints are made of threat, asset and check, so
that they outlive moved lines. An accepted risk is a suppression with its justification.
"""

from __future__ import annotations

import hashlib
import urllib.parse
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bartizan.model.errors import Place
from bartizan.model.findings import Finding, Measure, Severity, Verdict
from bartizan.model.report import Report
from bartizan.model.risks import Risk, Status
from bartizan.model.system import Level, element
from bartizan.model.threats import Threat
from bartizan.renderers.escape import cut
from bartizan.renderers.summary import pressing, threat_title, titles_of
from bartizan.renderers.wording import counted, interval, printable, quantity

SUFFIX = ".sarif"
MEDIA_TYPE = "application/sarif+json"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "bartizanThreatAssetCheck/v1"
ROOT = "%SRCROOT%"

_LEVELS = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "note", Severity.INFO: "note"}
_SCORES = {Level.CRITICAL: 9.5, Level.HIGH: 8.0, Level.MEDIUM: 5.5, Level.LOW: 2.5}

Json = dict[str, Any]


def render(report: Report) -> str:
    """One SARIF log with one run, as indented JSON, ending in a newline."""
    shown = [f for f in pressing(report.findings) if f.verdict is not Verdict.PASS]
    risks = {(r.threat, r.asset): r for r in report.risks}
    rules = sorted({f.threat for f in shown})
    seen: Counter[str] = Counter()
    results = [_result(report, f, rules.index(f.threat), risks.get((f.threat, f.asset)), seen) for f in shown]
    driver = {"name": "bartizan", "version": _text(report.version), "rules": [_rule(report, id, shown, risks) for id in rules]}
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"bartizan/{urllib.parse.quote(_text(report.system.name), safe='')[:200]}/"},
        "originalUriBaseIds": {ROOT: {"description": {"text": "The folder that holds the manifest."}}},
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {"manifest": _text(report.manifest), "generated": _text(report.generated)},
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log), indent=2).decode() + "\n"


def _rule(report: Report, id: str, shown: Sequence[Finding], risks: Mapping[tuple[str, str], Risk]) -> Json:
    """A threat as a rule; its security-severity is that of its worst result."""
    threat = report.threats.get(id)
    score = max(_score(f, risks.get((f.threat, f.asset))) for f in shown if f.threat == id)
    worst = max((f.severity for f in shown if f.threat == id), key=lambda s: s.rank)
    rule: Json = {
        "id": _text(id, 250),
        "shortDescription": {"text": _text(threat_title(report, id), 250)},
        "defaultConfiguration": {"level": _LEVELS[worst]},
        "properties": {"security-severity": f"{score:.1f}", "tags": ["security"]},
    }
    if threat is not None:
        rule |= {"fullDescription": {"text": _text(threat.summary, 1000)}, "help": {"text": _message(_help(threat))}}
        rule["properties"]["tags"] += [_text(tag, 100) for tag in (threat.family, *(f"STRIDE-{s}" for s in threat.stride), *threat.refs)]
        rule["properties"]["tags"] = sorted(set(rule["properties"]["tags"]))
    return rule


def _help(threat: Threat) -> str:
    return "\n".join([threat.summary, f"Example: {threat.example}", *(f"- {step}" for step in threat.mitigations)])


def _result(report: Report, f: Finding, index: int, risk: Risk | None, seen: Counter[str]) -> Json:
    failed = f.verdict is Verdict.FAIL
    first, *others = _places(report, f)
    asset = titles_of(report).get(f.asset, f.asset)
    offsets = f.details.get("offsets", {})
    names = [{"name": _text(asset, 250), "fullyQualifiedName": _text(f.asset, 250), "kind": "resource"}]
    result: Json = {
        "ruleId": _text(f.threat, 250),
        "ruleIndex": index,
        "kind": "fail" if failed else "open",
        "level": _LEVELS[f.severity] if failed else "none",
        "message": {"text": _message(_said(f))},
        "locations": [{"physicalLocation": _physical(first, offsets.get(first.file)), "logicalLocations": names}],
        "partialFingerprints": {FINGERPRINT: _fingerprint(f, seen)},
        "properties": {
            "verdict": f.verdict,
            "check": _text(f.check, 250),
            "severity": f.severity,
            "security-severity": f"{_score(f, risk):.1f}",
            "measures": [_measure(m) for m in f.measures],
            "artefacts": [{"name": _text(a.name, 250), "digest": _text(a.digest, 100)} for a in f.artefacts],
        },
    }
    if others:
        related = [_physical(p, offsets.get(p.file)) for p in others]
        result["relatedLocations"] = [{"id": n, "physicalLocation": place} for n, place in enumerate(related, 1)]
    if risk is not None:
        result["properties"]["risk"] = {
            "id": _text(risk.id, 100),
            "inherent": risk.inherent,
            "residual": risk.residual,
            "status": risk.status,
        }
    if risk is not None and risk.status is Status.ACCEPTED and risk.decision is not None:
        d = risk.decision
        why = _text(f"{d.why} (accepted by {d.by} until {d.until.isoformat()})", 2000)
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": why}]
    return result


def _places(report: Report, f: Finding) -> list[Place]:
    """Where a finding is: its own places, then the line that declares its node, then the manifest as a whole."""
    node = element(report.system, f.asset)
    declared = node.at if node is not None and node.at is not None else None
    places = [*f.places[:100], *([declared] if declared else [])] or [Place(report.manifest)]
    return list(dict.fromkeys(places))


def _physical(place: Place, offset: int | None = None) -> Json:
    """A place as SARIF has it; files without lines have an `offset` in bytes, which a finding gives in `details["offsets"]` by file."""
    location: Json = {"artifactLocation": {"uri": _uri(place.file), "uriBaseId": ROOT}}
    if place.line > 0:
        location["region"] = {"startLine": place.line}
    elif offset is not None and offset >= 0:
        location["region"] = {"byteOffset": offset, "byteLength": 1}
    return location


def _uri(file: str) -> str:
    """A relative URI reference: no scheme, no leading slash, no step upwards, everything else percent-encoded (RFC 3986)."""
    parts = [p for p in _text(file, 1000).replace("\\", "/").split("/") if p not in ("", ".", "..")]
    return urllib.parse.quote("/".join(parts), safe="/") or "."


def _fingerprint(f: Finding, seen: Counter[str]) -> str:
    digest = hashlib.sha256("\0".join((f.threat, f.asset, f.check)).encode("utf-8", "replace")).hexdigest()
    seen[digest] += 1
    return digest if seen[digest] == 1 else f"{digest}:{seen[digest]}"


def _score(f: Finding, risk: Risk | None) -> float:
    """CVSS-like 0 to 10: by the residual level of the risk, or by the finding's own severity where no risk stands."""
    if risk is not None:
        return _SCORES[risk.residual.level]
    return 0.0 if f.severity is Severity.INFO else _SCORES[Level(f.severity.value)]


def _measure(m: Measure) -> Json:
    numbers = {"value": m.value, "low": m.low, "high": m.high, "confidence": m.confidence, "n": m.n, "k": m.k, "limit": m.limit}
    return {"name": _text(m.name, 250), "unit": _text(m.unit, 40), **{key: value for key, value in numbers.items() if value is not None}}


def _said(f: Finding) -> str:
    measures = [f"{m.name}: {quantity(m, m.value)} ({interval(m)}, {counted(m)})." for m in f.measures]
    needed = [f"{f.needed} more trials needed."] if f.needed is not None else []
    return "\n".join([f.title, *([f.why] if f.why else []), *measures, *needed, *([f"Next: {f.remedy}"] if f.remedy else [])])


def _text(text: str, limit: int = 400) -> str:
    return cut(printable(text), limit)


def _message(text: str) -> str:
    """A message string in which nothing is taken for a link (section 3.11.6) or a placeholder (3.11.5)."""
    escaped = _text(text, 4000).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return escaped.replace("{", "{{").replace("}", "}}")
