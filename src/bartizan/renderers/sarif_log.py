"""A SARIF 2.1.0 log of a scan: results with a rule, a level, a text, and a line or a byte offset in a file."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable
from typing import Any

import msgspec

from bartizan import __version__
from bartizan.model.errors import Place, one_line

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

Json = dict[str, Any]


def result(rule: str, level: str, text: str, place: Place, *, offset: int | None = None, fix: str = "") -> Json:
    """One result. `level` is error, warning or note; `offset` counts bytes from the file's beginning, for files without lines."""
    region: Json = {"startLine": place.line} if place.line else {}
    if offset is not None:
        region = {"byteOffset": offset, "byteLength": 1}
    location: Json = {"artifactLocation": {"uri": urllib.parse.quote(place.file, errors="surrogateescape")}} | (
        {"region": region} if region else {}
    )
    message = {"text": one_line(text, 1000)} | ({"markdown": f"{one_line(text, 1000)}\n\n{fix}"} if fix else {})
    return {"ruleId": one_line(rule, 200), "level": level, "message": message, "locations": [{"physicalLocation": location}]}


def log(results: Iterable[Json], titles: dict[str, str] | None = None) -> str:
    """The log as indented JSON, ending in a newline; rules are those that have results, with `titles` where they are given."""
    found = list(results)
    rules = sorted({str(r["ruleId"]) for r in found})
    for entry in found:
        entry["ruleIndex"] = rules.index(str(entry["ruleId"]))
    described = [{"id": id} | ({"shortDescription": {"text": titles[id]}} if titles and id in titles else {}) for id in rules]
    driver = {"name": "bartizan", "version": __version__, "rules": described}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": found}
    return msgspec.json.format(msgspec.json.encode({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}), indent=2).decode() + "\n"
