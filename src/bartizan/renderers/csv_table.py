"""The risk register as CSV (RFC 4180), one row a risk, for a spreadsheet or a register that other risks live in too.

Probabilities are numbers in [0, 1] for at least one loss within a year. No cell is ever taken for a formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from bartizan.model.report import Report
from bartizan.model.risks import Risk
from bartizan.renderers.escape import csv_cell
from bartizan.renderers.summary import decision_line, ranked, threat_title, titles_of

SUFFIX = ".csv"
MEDIA_TYPE = "text/csv"
COLUMNS = (
    "risk", "threat", "threat_title", "asset", "asset_title", "impact", "inherent", "inherent_low", "inherent_high", "inherent_level",
    "residual", "residual_low", "residual_high", "residual_level", "certain", "status", "owner", "due", "decision",
    "evidence", "stale_evidence", "why", "next_step", "state",
)  # fmt: skip


def render(report: Report) -> str:
    """The register, worst risk first, with a header row."""
    names = titles_of(report)
    rows = (_row(risk, threat_title(report, risk.threat), names.get(risk.asset, risk.asset)) for risk in ranked(report.risks))
    return table(COLUMNS, rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A header and rows as CSV with every cell made harmless."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([csv_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def _row(risk: Risk, title: str, asset: str) -> tuple[object, ...]:
    before, after = risk.inherent, risk.residual
    return (
        risk.id, risk.threat, title, risk.asset, asset, risk.impact, before.mean, before.low, before.high, before.level,
        after.mean, after.low, after.high, after.level, risk.certain, risk.status, risk.owner, risk.due, decision_line(risk),
        _records(risk.evidence), _records(risk.stale),
        risk.why, risk.next_step, risk.state,
    )  # fmt: skip


def _records(evidence: Sequence[int]) -> str:
    return " ".join(str(n) for n in evidence)
