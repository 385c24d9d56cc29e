"""The implementation checklist, answered by the states of the controls behind each item."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bartizan.model.report import ChecklistRow, ControlState, Support

if TYPE_CHECKING:
    from bartizan.catalog.catalogue import Catalog


def checklist_of(catalog: Catalog, states: Iterable[ControlState]) -> tuple[ChecklistRow, ...]:
    """One row for each item of the checklist, in its order."""
    by_id = {s.control.id: s for s in states}
    rows = []
    for item in catalog.checklist:
        behind = [by_id[catalog.control(c).id] for c in item.controls]
        support = together(behind)
        seqs = tuple(sorted({seq for s in behind for seq in s.evidence}))
        rows.append(ChecklistRow(item=item, support=support, evidence=seqs, why=in_words(behind)))
    return tuple(rows)


def together(states: Sequence[ControlState]) -> Support:
    """What several controls say as one, never better than the worst that was measured.

    Failing if any fails; verified only if all that apply are; open if only some are verified or any is open; declared if any is claimed.
    """
    applying = [s.support for s in states if s.support is not Support.NOT_APPLICABLE]
    if not applying:
        return Support.NOT_APPLICABLE if states else Support.NONE
    if Support.FAILING in applying:
        return Support.FAILING
    if all(s is Support.VERIFIED for s in applying):
        return Support.VERIFIED
    if Support.OPEN in applying or Support.VERIFIED in applying:
        return Support.OPEN
    return Support.DECLARED if Support.DECLARED in applying else Support.NONE


def in_words(states: Sequence[ControlState]) -> str:
    """How many of the controls that apply are verified, and which are not."""
    applying = [s for s in states if s.support is not Support.NOT_APPLICABLE]
    if not applying:
        return "nothing declared is concerned" if states else "no control stands behind it"
    verified = sum(s.support is Support.VERIFIED for s in applying)
    rest = "; ".join(f"{s.control.title}: {s.support.value}" for s in applying if s.support is not Support.VERIFIED)
    return f"evidence for {verified} of {len(applying)} controls" + (f"; {rest}" if rest else "")
