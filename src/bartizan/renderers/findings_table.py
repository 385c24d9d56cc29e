"""The findings as CSV (RFC 4180): one row for each measure of each finding, or one for a finding that measured nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bartizan.model.findings import Finding, Measure
from bartizan.model.report import Report
from bartizan.renderers.csv_table import table
from bartizan.renderers.summary import pressing, sources_of, threat_title, titles_of

SUFFIX = ".findings.csv"
MEDIA_TYPE = "text/csv"
COLUMNS = (
    "verdict", "severity", "check", "threat", "threat_title", "asset", "asset_title", "title", "why", "remedy", "needed", "measure",
    "value", "low", "high", "confidence", "n", "k", "clusters", "unit", "limit", "higher_is_worse", "null_control",
    "method", "places", "record",
)  # fmt: skip


def render(report: Report) -> str:
    """The findings, what failed first, with a header row."""
    return table(COLUMNS, _rows(report, titles_of(report)))


def _rows(report: Report, names: Mapping[str, str]) -> Iterator[tuple[object, ...]]:
    sources = sources_of(report)
    for f in pressing(report.findings):
        record = sources.get((f.check, f.asset, f.threat))
        title, asset = threat_title(report, f.threat), names.get(f.asset, f.asset)
        for measure in f.measures or (None,):
            yield (*_finding(f, title, asset), *_measure(measure), " ".join(str(p) for p in f.places), record.seq if record else None)


def _finding(f: Finding, title: str, asset: str) -> tuple[object, ...]:
    return f.verdict, f.severity, f.check, f.threat, title, f.asset, asset, f.title, f.why, f.remedy, f.needed


def _measure(m: Measure | None) -> tuple[object, ...]:
    if m is None:
        return (None,) * 13
    return m.name, m.value, m.low, m.high, m.confidence, m.n, m.k, m.clusters, m.unit, m.limit, m.higher_is_worse, m.null, m.method
