"""The rows of the HTML page: the report's parts joined to one another, in reading order, each with an anchor that links can name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from markupsafe import Markup

from bartizan.model.errors import Place
from bartizan.model.findings import Finding, Measure
from bartizan.model.report import ChecklistRow, ControlState, Coverage, Gap, Report, Support
from bartizan.model.risks import Evidence, Risk, Step
from bartizan.model.system import Flow, Level, kind_of
from bartizan.model.system import element as element_of
from bartizan.model.threats import Stride, Threat, ThreatInstance
from bartizan.renderers.html_data import DataRow, data_rows
from bartizan.renderers.pictures import Album, Picture
from bartizan.renderers.summary import decision_line, pressing, ranked, sources_of, threat_title, titles_of
from bartizan.renderers.svg_bars import measure_bar, risk_bar, share_bar, step_bar
from bartizan.renderers.wording import encodable, percent

STRIDE_WORDS = {
    Stride.SPOOFING: "Spoofing",
    Stride.TAMPERING: "Tampering",
    Stride.REPUDIATION: "Repudiation",
    Stride.INFORMATION_DISCLOSURE: "Information disclosure",
    Stride.DENIAL_OF_SERVICE: "Denial of service",
    Stride.ELEVATION_OF_PRIVILEGE: "Elevation of privilege",
}

_NOT_IN_AN_ANCHOR = re.compile("[^A-Za-z0-9_-]+")


class Anchors:
    """Ids of the page: readable, stable for the same report, unique, of letters, digits and dashes only."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, prefix: str, name: str) -> str:
        """A new id that starts with `prefix` and resembles `name`."""
        slug = _NOT_IN_AN_ANCHOR.sub("-", name[:60]).strip("-") or "x"
        anchor, n = f"{prefix}-{slug}", 1
        while anchor in self._taken:
            n += 1
            anchor = f"{prefix}-{slug}-{n}"
        self._taken.add(anchor)
        return anchor


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A text and the anchor it leads to; None where the page does not hold the target."""

    text: str
    anchor: str | None


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a waterfall."""

    label: str
    picture: Markup
    mean: float
    level: Level
    note: str
    evidence: tuple[Link, ...]


class RiskRow(msgspec.Struct, frozen=True, kw_only=True):
    anchor: str
    risk: Risk
    title: str
    asset: str
    picture: Markup
    bars: tuple[Bar, ...]
    findings: tuple[Link, ...]
    evidence: tuple[Link, ...]
    stale: tuple[Link, ...]
    threat: Link
    decision: str


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell of the heat map: how many risks, their worst level (None: threats without a risk), the first of them."""

    count: int
    level: Level | None
    anchor: str | None


class HeatRow(msgspec.Struct, frozen=True, kw_only=True):
    asset: str
    kind: str
    cells: tuple[Cell | None, ...]


class ThreatRow(msgspec.Struct, frozen=True, kw_only=True):
    anchor: str
    instance: ThreatInstance
    threat: Threat | None
    title: str
    asset: str
    path: tuple[str, ...]
    stride: tuple[str, ...]
    risk: Link | None
    level: Level | None


class MeasureRow(msgspec.Struct, frozen=True, kw_only=True):
    measure: Measure
    picture: Markup


class FindingRow(msgspec.Struct, frozen=True, kw_only=True):
    anchor: str
    finding: Finding
    asset: str
    threat: str
    measures: tuple[MeasureRow, ...]
    places: tuple[Place, ...]
    record: Evidence | None
    record_anchor: str | None
    details: str
    pictures: tuple[Picture, ...] = ()


class EvidenceRow(msgspec.Struct, frozen=True, kw_only=True):
    anchor: str
    record: Evidence
    findings: tuple[Link, ...]


class FlowRow(msgspec.Struct, frozen=True, kw_only=True):
    number: int | None
    flow: Flow
    source: str
    target: str
    crosses: str


class CoverageCard(msgspec.Struct, frozen=True, kw_only=True):
    coverage: Coverage
    picture: Markup
    rows: tuple[tuple[Any, tuple[Link, ...]], ...]


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the templates of the page go through."""

    risks: tuple[RiskRow, ...]
    heat: tuple[HeatRow, ...]
    threats: tuple[ThreatRow, ...]
    flows: tuple[FlowRow, ...]
    findings: tuple[FindingRow, ...]
    data: tuple[DataRow, ...]
    checklist: tuple[tuple[str, tuple[tuple[ChecklistRow, tuple[Link, ...]], ...]], ...]
    controls: tuple[tuple[ControlState, tuple[Link, ...]], ...]
    coverage: tuple[CoverageCard, ...]
    gaps: tuple[tuple[Gap, str, str], ...]
    evidence: tuple[EvidenceRow, ...]
    risk_anchors: dict[str, str]


Pair = tuple[str, str]


def rows_of(report: Report) -> Rows:
    """Join the parts of a report: anchors first, so that every link knows whether its target is on the page."""
    anchors, names = Anchors(), titles_of(report)
    risks = [(anchors.take("risk", r.id), r) for r in ranked(report.risks)]
    threats = [(anchors.take("threat", f"{i.threat}-{i.element}"), i) for i in report.model.instances]
    findings = [(anchors.take("finding", f"{f.check}-{f.asset}"), f) for f in pressing(report.findings)]
    records = [(anchors.take("evidence", str(e.seq)), e) for e in sorted(report.evidence, key=lambda e: e.seq)]
    seqs = {e.seq: anchor for anchor, e in reversed(records)}
    risk_of = {(r.threat, r.asset): (anchor, r) for anchor, r in reversed(risks)}
    threat_of = {(i.threat, i.element): anchor for anchor, i in reversed(threats)}
    album, sets = Album(report.pictures), [(anchors.take("data", d.id), d) for d in report.system.datasets]
    data = data_rows(findings, sets, album)  # its pictures come first: a picture stands on the page once
    threat_rows = tuple(_threat(report, anchor, i, names, risk_of) for anchor, i in threats)
    return Rows(
        risks=tuple(_risk(report, anchor, r, names, threat_of, findings, seqs) for anchor, r in risks),
        heat=_heat(report, names, risk_of),
        threats=threat_rows,
        flows=_flows(report, names),
        findings=_findings(report, findings, names, seqs, album),
        data=data,
        checklist=_checklist(report.checklist, seqs),
        controls=tuple((c, _links(c.evidence, seqs)) for c in _by_support(report.controls)),
        coverage=tuple(_coverage(c, seqs) for c in report.coverage),
        gaps=tuple((g, threat_title(report, g.threat), names.get(g.asset, g.asset)) for g in report.gaps),
        evidence=tuple(_evidence(anchor, e, findings) for anchor, e in records),
        risk_anchors={r.id: anchor for anchor, r in reversed(risks)},
    )


def _links(evidence: Iterable[int], seqs: Mapping[int, str]) -> tuple[Link, ...]:
    return tuple(Link(text=f"#{n}", anchor=seqs.get(n)) for n in evidence)


def _risk(
    report: Report,
    anchor: str,
    risk: Risk,
    names: Mapping[str, str],
    threat_of: Mapping[Pair, str],
    findings: Sequence[tuple[str, Finding]],
    seqs: Mapping[int, str],
) -> RiskRow:
    title = threat_title(report, risk.threat)
    return RiskRow(
        anchor=anchor,
        risk=risk,
        title=title,
        asset=names.get(risk.asset, risk.asset),
        picture=risk_bar(risk),
        bars=_waterfall(risk, seqs),
        findings=tuple(Link(text=f.title, anchor=a) for a, f in findings if f.threat == risk.threat and f.asset == risk.asset),
        evidence=_links(risk.evidence, seqs),
        stale=_links(risk.stale, seqs),
        threat=Link(text=title, anchor=threat_of.get((risk.threat, risk.asset))),
        decision=decision_line(risk),
    )


def _waterfall(risk: Risk, seqs: Mapping[int, str]) -> tuple[Bar, ...]:
    """Inherent, each step from where the last one ended, residual; a step that only repeats one of the ends is left out."""
    first, last = risk.inherent, risk.residual
    steps, start, end = list(risk.steps), "before anything is counted", ""
    if steps and _repeats(steps[0], "inherent", first.mean):
        start = steps.pop(0).note or start
    if steps and _repeats(steps[-1], "residual", last.mean):
        end = steps.pop().note
    bars = [_bar("Inherent", first.level, 0.0, first.mean, "start", start, (), (first.low, first.high))]
    before = first.mean
    for step in steps:
        kind = "same" if step.mean == before else "down" if step.mean < before else "up"
        bars.append(_bar(step.label, step.level, before, step.mean, kind, step.note, _links(step.evidence, seqs), None))
        before = step.mean
    return (*bars, _bar("Residual", last.level, 0.0, last.mean, last.level, end, (), (last.low, last.high)))


def _repeats(step: Step, name: str, mean: float) -> bool:
    return step.label.lower().startswith(name) and step.mean == mean and not step.evidence


def _bar(
    label: str,
    level: Level,
    before: float,
    mean: float,
    kind: str,
    note: str,
    evidence: tuple[Link, ...],
    ends: tuple[float, float] | None,
) -> Bar:
    low, high = ends or (None, None)
    words = f"{percent(mean)}, {level}" if ends else f"from {percent(before)} to {percent(mean)}, {level}"
    picture = step_bar(kind, before, mean, words, low, high)
    return Bar(label=label, picture=picture, mean=mean, level=level, note=note, evidence=evidence)


def _threat(
    report: Report, anchor: str, instance: ThreatInstance, names: Mapping[str, str], risk_of: Mapping[Pair, tuple[str, Risk]]
) -> ThreatRow:
    threat = report.threats.get(instance.threat)
    found = risk_of.get((instance.threat, instance.element))
    return ThreatRow(
        anchor=anchor,
        instance=instance,
        threat=threat,
        title=threat_title(report, instance.threat),
        asset=names.get(instance.element, instance.element),
        path=tuple(names.get(p, p) for p in instance.path),
        stride=tuple(STRIDE_WORDS[s] for s in threat.stride) if threat else (),
        risk=Link(text=found[1].id, anchor=found[0]) if found else None,
        level=found[1].residual.level if found else None,
    )


def _heat(report: Report, names: Mapping[str, str], risk_of: Mapping[Pair, tuple[str, Risk]]) -> tuple[HeatRow, ...]:
    """Assets by STRIDE letters, the assets with the worst cells first."""
    cells: dict[str, dict[Stride, list[tuple[str, Risk] | None]]] = {}
    for instance in report.model.instances:
        threat = report.threats.get(instance.threat)
        for letter in threat.stride if threat else ():
            risks = cells.setdefault(instance.element, {}).setdefault(letter, [])
            risks.append(risk_of.get((instance.threat, instance.element)))
    rows = []
    for id, found in cells.items():
        node = element_of(report.system, id)
        kind = str(kind_of(node)) if node is not None else ""
        rows.append(HeatRow(asset=names.get(id, id), kind=kind, cells=tuple(_cell(found.get(letter, [])) for letter in Stride)))
    return tuple(sorted(rows, key=lambda row: (sorted(-_weight(c) for c in row.cells), row.asset)))


def _weight(cell: Cell | None) -> float:
    return 0.0 if cell is None else (cell.level.rank + 1 if cell.level else 0.5)


def _cell(found: Sequence[tuple[str, Risk] | None]) -> Cell | None:
    if not found:
        return None
    known = [f for f in found if f is not None]
    if not known:
        return Cell(count=len(found), level=None, anchor=None)
    anchor, worst = max(known, key=lambda f: (f[1].residual.level.rank, f[1].residual.mean, f[1].id))
    return Cell(count=len(found), level=worst.residual.level, anchor=anchor)


def _flows(report: Report, names: Mapping[str, str]) -> tuple[FlowRow, ...]:
    """Flows in the manifest's order, numbered as in the diagram, with the trust boundary that each one crosses."""
    system = report.system
    zones = {z.id: z.title or z.id for z in system.zones}
    zone_of = {e.id: getattr(e, "zone", None) for e in (*system.actors, *system.datasets, *system.assets)}
    rows, number = [], 0
    for flow in system.flows:
        drawn = flow.source in zone_of and flow.target in zone_of
        number += drawn
        ends = zone_of.get(flow.source), zone_of.get(flow.target)
        crosses = " → ".join(zones.get(z, z) if z else "zone not declared" for z in ends) if ends[0] != ends[1] else ""
        source, target = names.get(flow.source, flow.source), names.get(flow.target, flow.target)
        rows.append(FlowRow(number=number if drawn else None, flow=flow, source=source, target=target, crosses=crosses))
    return tuple(rows)


def _findings(
    report: Report, findings: Sequence[tuple[str, Finding]], names: Mapping[str, str], seqs: Mapping[int, str], album: Album
) -> tuple[FindingRow, ...]:
    sources = sources_of(report)
    rows = []
    for anchor, f in findings:
        record = sources.get((f.check, f.asset, f.threat))
        details = msgspec.json.format(msgspec.json.encode(encodable(f.details), order="deterministic"), indent=2).decode()
        rows.append(
            FindingRow(
                anchor=anchor,
                finding=f,
                asset=names.get(f.asset, f.asset),
                threat=threat_title(report, f.threat),
                measures=tuple(MeasureRow(measure=m, picture=measure_bar(m)) for m in f.measures),
                places=f.places,
                record=record,
                record_anchor=seqs.get(record.seq) if record else None,
                details=details if f.details else "",
                pictures=album.take([f]),
            )
        )
    return tuple(rows)


def _evidence(anchor: str, record: Evidence, findings: Sequence[tuple[str, Finding]]) -> EvidenceRow:
    held = {(f.check, f.asset, f.threat) for f in record.findings}
    links = tuple(Link(text=f.title, anchor=a) for a, f in findings if (f.check, f.asset, f.threat) in held)
    return EvidenceRow(anchor=anchor, record=record, findings=links)


def _checklist(
    rows: Sequence[ChecklistRow], seqs: Mapping[int, str]
) -> tuple[tuple[str, tuple[tuple[ChecklistRow, tuple[Link, ...]], ...]], ...]:
    groups: dict[str, list[tuple[ChecklistRow, tuple[Link, ...]]]] = {}
    for row in rows:
        groups.setdefault(row.item.group, []).append((row, _links(row.evidence, seqs)))
    return tuple((group, tuple(items)) for group, items in groups.items())


def _by_support(controls: Iterable[ControlState]) -> list[ControlState]:
    order = {s: i for i, s in enumerate((Support.FAILING, Support.OPEN, Support.DECLARED, Support.VERIFIED, Support.NONE))}
    return sorted(controls, key=lambda c: (order.get(c.support, 9), c.control.title, c.control.id))


def _coverage(coverage: Coverage, seqs: Mapping[int, str]) -> CoverageCard:
    rows = tuple((row, _links(row.evidence, seqs)) for row in coverage.rows)
    return CoverageCard(coverage=coverage, picture=share_bar(coverage.supported, coverage.total), rows=rows)
