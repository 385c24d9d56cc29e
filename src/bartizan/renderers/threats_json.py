"""The threat model as JSON for programs: stable keys, members are added but never renamed or removed within a version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bartizan.model.errors import Place
from bartizan.model.system import System
from bartizan.model.threats import Question, Threat, ThreatModel
from bartizan.renderers.threat_rows import ThreatRow, rows

MEDIA_TYPE = "application/json"
SUFFIX = ".json"
SCHEMA = "bartizan/threat-model/v1"


def render(system: System, model: ThreatModel, threats: Mapping[str, Threat]) -> str:
    """One object: `schema`, `system`, `counts`, `instances` in the order of the ranking, `threats` that occur by id, `questions`.

    Pure ASCII, so that no character of a foreign name acts on a terminal or in a script tag; strings are otherwise as declared.
    """
    found = rows(system, model, threats)
    used = sorted({row.threat.id for row in found})
    document = {
        "schema": SCHEMA,
        "system": model.system,
        "counts": {"certain": len(model.certain), "possible": len(model.possible), "questions": len(model.questions)},
        "instances": [_instance(row) for row in found],
        "threats": {id: _threat(threats[id]) for id in used},
        "questions": [_question(q) for q in model.questions],
    }
    text = json.dumps(document, indent=2, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026") + "\n"


def _instance(row: ThreatRow) -> dict[str, Any]:
    instance = row.instance
    return {
        "threat": instance.threat,
        "element": instance.element,
        "kind": row.kind.value,
        "risk": row.risk,
        "certain": instance.certain,
        "priority": instance.priority,
        "title": row.threat.title,
        "stride": [letter.value for letter in row.threat.stride],
        "ai": row.threat.ai,
        "because": list(instance.because),
        "path": list(instance.path),
        "questions": [_question(q) for q in instance.questions],
        "at": _place(row.at),
    }


def _threat(threat: Threat) -> dict[str, Any]:
    return {
        "title": threat.title,
        "family": threat.family,
        "ai": threat.ai,
        "stride": [letter.value for letter in threat.stride],
        "maturity": threat.maturity.value,
        "summary": threat.summary,
        "example": threat.example,
        "mitigations": list(threat.mitigations),
        "controls": list(threat.controls),
        "refs": list(threat.refs),
    }


def _question(question: Question) -> dict[str, Any]:
    return {"element": question.element, "field": question.field, "text": question.text, "at": _place(question.at)}


def _place(place: Place | None) -> dict[str, Any] | None:
    return None if place is None else {"file": place.file, "line": place.line}
