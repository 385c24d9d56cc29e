"""Which clauses of a framework the evidence speaks to: counts with their denominators, never a claim to fulfil the framework."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bartizan.governance.checklist import together
from bartizan.model.report import ClauseRow, ControlState, Coverage, Support

if TYPE_CHECKING:
    from bartizan.catalog.catalogue import Catalog


def coverage_of(catalog: Catalog, states: Iterable[ControlState]) -> tuple[Coverage, ...]:
    """One coverage for each framework of the catalogue, in its order.

    A clause is backed by the controls that name it (`Control.clauses`), that it names (`Clause.controls`), or that a crosswalk pairs with
    it, wholly or in part. It counts as supported only while all of these that apply are verified. Retired clauses are not counted; what
    refers to one counts for its successor. Raises `InputError` or `UnknownName` for a reference that leads nowhere.
    """
    by_id = {s.control.id: s for s in states}
    behind = _controls_by_clause(catalog)
    found = []
    for framework in catalog.frameworks.values():
        rows = []
        for clause in framework.clauses:
            if clause.retired:
                continue
            controls = tuple(sorted(behind.get((framework.id, clause.id), set())))
            backing = [by_id[c] for c in controls]
            seqs = tuple(sorted({seq for s in backing for seq in s.evidence}))
            rows.append(ClauseRow(clause=clause, support=together(backing), controls=controls, evidence=seqs))
        supported = sum(row.support is Support.VERIFIED for row in rows)
        mapped = sum(bool(row.controls) for row in rows)
        found.append(Coverage(framework=framework, rows=tuple(rows), supported=supported, mapped=mapped, total=len(rows)))
    return tuple(found)


def _controls_by_clause(catalog: Catalog) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}

    def pair(reference: str, controls: Iterable[str]) -> None:
        framework, clause = catalog.reference(reference)
        found.setdefault((framework.id, clause.id), set()).update(catalog.control(c).id for c in controls)

    for control in catalog.controls.values():
        for reference in control.clauses:
            pair(reference, (control.id,))
    for framework in catalog.frameworks.values():
        for clause in framework.clauses:
            if clause.controls:
                pair(f"{framework.id}:{clause.id}", clause.controls)
    for crosswalk in catalog.crosswalks:
        for link in crosswalk.links:
            for reference in link.refs:
                pair(reference, link.controls)
    return found
