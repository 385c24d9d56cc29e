"""The threat model as a table for spreadsheets (RFC 4180): one row per threat and node, no cell that could act as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from bartizan.model.system import System
from bartizan.model.threats import Threat, ThreatModel
from bartizan.renderers.escape import csv_cell
from bartizan.renderers.threat_rows import ThreatRow, rows

MEDIA_TYPE = "text/csv"
SUFFIX = ".csv"

COLUMNS = (
    *("risk", "threat", "element", "kind", "certain", "priority", "title", "family", "ai", "stride", "maturity"),
    *("because", "path", "questions", "example", "mitigations", "controls", "refs", "file", "line"),
)


def render(system: System, model: ThreatModel, threats: Mapping[str, Threat]) -> str:
    """A header and a row for each instance in the order of the ranking; several values in a cell are separated by semicolons."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows(system, model, threats):
        writer.writerow([csv_cell(value) for value in _cells(row)])
    return out.getvalue()


def _cells(row: ThreatRow) -> tuple[object, ...]:
    instance, threat = row.instance, row.threat
    return (
        row.risk,
        instance.threat,
        instance.element,
        row.kind.value,
        instance.certain,
        instance.priority,
        threat.title,
        threat.family,
        threat.ai,
        row.stride,
        threat.maturity.value,
        "; ".join(instance.because),
        " -> ".join(instance.path),
        "; ".join(f"{q.element}.{q.field}: {q.text}" for q in instance.questions),
        threat.example,
        "; ".join(threat.mitigations),
        "; ".join(threat.controls),
        "; ".join(threat.refs),
        row.at.file if row.at else None,
        row.at.line if row.at else None,
    )
