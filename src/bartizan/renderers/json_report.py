"""The report as JSON for programs.

One object: `schema` is `bartizan-report/v1`; `summary` holds `headline`, `levels`, `statuses`, `verdicts` (counts by name) and
`actions` (`text`, `command`, `level`, `risks`); every other member is the field of `model.report.Report` of that name, with the
fields of its structs under their own names, keys sorted. Left out are the folder of the machine a job ran in, the bytes of
artefacts (the store keeps them under their digest) and the predicates of threats. Within v1 members are added, never renamed or removed.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bartizan.model.report import Report
from bartizan.renderers.summary import actions_of, headline, levels_of, statuses_of, verdicts_of
from bartizan.renderers.wording import encodable

SUFFIX = ".json"
MEDIA_TYPE = "application/json"
SCHEMA = "bartizan-report/v1"


def render(report: Report) -> str:
    """The report as indented JSON with sorted keys, ending in a newline."""
    body: dict[str, Any] = msgspec.to_builtins(report, order="sorted")
    body.pop("pictures")
    for record in body["evidence"]:
        record["job"].pop("root", None)
    for finding in (*(f for record in body["evidence"] for f in record["findings"]), *body["findings"]):
        for artefact in finding["artefacts"]:
            artefact.pop("data", None)
    for threat in body["threats"].values():
        threat.pop("when", None)
    text = msgspec.json.encode({"schema": SCHEMA, "summary": _summary(report), **encodable(body)})
    return msgspec.json.format(text, indent=2).decode() + "\n"


def _summary(report: Report) -> dict[str, Any]:
    summary: dict[str, Any] = encodable(
        msgspec.to_builtins(
            {
                "headline": headline(report),
                "levels": levels_of(report),
                "statuses": statuses_of(report),
                "verdicts": verdicts_of(report),
                "actions": actions_of(report, limit=20),
            }
        )
    )
    return summary
