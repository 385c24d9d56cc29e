"""How often a node is attacked and with what budget: the zones and actors whose flows reach it, and the quotas that bind on the way."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping

import msgspec

from bartizan.governance import assumptions
from bartizan.model.findings import Verdict
from bartizan.model.risks import Evidence
from bartizan.model.system import SYSTEM_ID, Actor, Asset, Dataset, System, Trust, elements_of

ENFORCED = "enforced_queries_per_day"
"""Key in the details of a passing finding: the queries a day that one caller was found to be held to at this asset, as a number.

Only a check that saw the limit bind may set it: what the manifest merely declares as `quota` lowers nothing.
"""

_CARRIES = ("serves", "uses", "tools", "retrieves_from", "delegates_to")


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """Who attacks a node: the median campaigns a year with the spread of their logarithm, the attempts of one campaign, and why."""

    campaigns: float
    spread: float
    attempts: int
    why: str
    evidence: tuple[int, ...] = ()


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """Limits that evidence has shown to bind: queries a day by asset, and the records that showed it."""

    limits: Mapping[str, float] = {}
    evidence: Mapping[str, tuple[int, ...]] = {}


def enforced_quotas(current: Iterable[Evidence]) -> Quotas:
    """The quotas that passing findings found enforced; where several speak of one asset, the lowest."""
    limits: dict[str, float] = {}
    seqs: dict[str, tuple[int, ...]] = {}
    for record in current:
        for finding in record.findings:
            limit = finding.details.get(ENFORCED)
            if finding.verdict is not Verdict.PASS or isinstance(limit, bool) or not isinstance(limit, int | float) or not limit >= 0:
                continue
            limits[finding.asset] = min(float(limit), limits.get(finding.asset, math.inf))
            seqs[finding.asset] = tuple(sorted({*seqs.get(finding.asset, ()), record.seq}))
    return Quotas(limits=limits, evidence=seqs)


class Approaches:
    """The ways from actors to nodes of one system, searched once per actor and set of quotas."""

    def __init__(self, system: System) -> None:
        self._trust = {zone.id: zone.trust for zone in system.zones}
        self._elements = {e.id: e for e in elements_of(system)}
        self._actors = {actor.id: actor for actor in system.actors}
        self._after: dict[str, set[str]] = {}
        for flow in system.flows:
            self._after.setdefault(flow.source, set()).add(flow.target)
        for asset in system.assets:
            for field in _CARRIES:
                self._after.setdefault(asset.id, set()).update(getattr(asset, field) or ())
        written = [(a.id, a.writers) for a in system.assets] + [(d.id, d.writers) for d in system.datasets]
        for id, writers in written:
            for writer in writers or ():
                self._after.setdefault(writer, set()).add(id)
        self._before: dict[str, set[str]] = {}
        for source, targets in self._after.items():
            for target in targets:
                self._before.setdefault(target, set()).add(source)
        self._least = self._least_trusts()

    def _zone_trust(self, id: str) -> Trust | None:
        """The declared trust of a node's zone; an actor without a zone is trusted by nobody."""
        node = self._elements.get(id)
        zone = node.zone if isinstance(node, Actor | Asset | Dataset) else None
        known = self._trust.get(zone) if zone else None
        return Trust.NONE if known is None and isinstance(node, Actor) else known

    def _least_trusts(self) -> dict[str, Trust]:
        """For each node the least trust among its own zone and those of all nodes that reach it; absent where none is declared."""
        found: dict[str, Trust] = {}
        for trust in Trust:
            stack = [id for id in self._elements if self._zone_trust(id) is trust]
            while stack:
                id = stack.pop()
                if id not in found:
                    found[id] = trust
                    stack.extend(self._after.get(id, ()))
        return found

    def trust(self, element: str, path: Iterable[str] = ()) -> Trust:
        """The least trusted zone from which the node can be attacked; `none` where its own zone is not declared."""
        if element == SYSTEM_ID:
            return min((t for t in self._least.values()), key=lambda t: t.rank, default=Trust.NONE)
        if self._zone_trust(element) is None and not self._before.get(element):
            return Trust.NONE
        return min((self._least.get(id, Trust.NONE) for id in (element, *path)), key=lambda t: t.rank)

    def rates(self, limits: Mapping[str, float]) -> dict[str, dict[str, float]]:
        """Queries a day that each actor can bring to each node it reaches: its budget, and on the widest way the narrowest quota."""
        return {id: self._spread(actor, limits) for id, actor in self._actors.items()}

    def _spread(self, actor: Actor, limits: Mapping[str, float]) -> dict[str, float]:
        declared = actor.budget.queries_per_day if actor.budget else None
        budget = assumptions.QUERIES_PER_DAY if declared is None else float(declared)
        reached: dict[str, float] = {}
        queue = [(-budget, actor.id)]
        while queue:
            negative, id = heapq.heappop(queue)
            if id in reached:
                continue
            reached[id] = -negative
            for after in self._after.get(id, ()):
                if after not in reached:
                    heapq.heappush(queue, (-min(-negative, limits.get(after, math.inf)), after))
        return reached

    def exposure(
        self, element: str, path: tuple[str, ...], rates: Mapping[str, Mapping[str, float]], quotas: Quotas, *, by_queries: bool
    ) -> Exposure:
        """Campaigns and attempts against one node, with the rates of `rates(quotas.limits)`; attempts spend queries if `by_queries`.

        An actor attacks through the entrance that lets most through; the best equipped actor sets the attempts.
        """
        reaching = [self._actors[id] for id, reached in rates.items() if element in reached or element == SYSTEM_ID]
        declared = [a.budget.campaigns_per_year for a in reaching if a.budget and a.budget.campaigns_per_year is not None]
        trust = self.trust(element, path)
        if declared and len(declared) == len(reaching):
            campaigns, spread, source = math.fsum(declared), assumptions.DECLARED_SPREAD, "declared for the actors that reach it"
        else:
            campaigns, spread = max(assumptions.CAMPAIGNS_PER_YEAR[trust], math.fsum(declared)), assumptions.CAMPAIGN_SPREAD
            source = f"least trusted approach: {trust.value}"
        rate = max((rates[a.id][element] for a in reaching if element in rates[a.id] and a.id != element), default=None)
        if rate is not None and by_queries:
            attempts = int(rate * assumptions.CAMPAIGN_DAYS / assumptions.QUERIES_PER_ATTEMPT)
            budget = f"up to {rate:,.0f} queries a day"
        else:
            attempts, budget = (
                assumptions.ATTEMPTS_WITHOUT_QUERIES,
                "not by queries" if rate is not None else "no actor reaches it by a flow",
            )
        attempts = max(1, min(assumptions.MOST_ATTEMPTS, attempts))
        why = f"about {campaigns:g} campaigns a year ({source}), {attempts} attempts each ({budget})"
        seqs = {seq for id in self._upstream(element) for seq in quotas.evidence.get(id, ())} if quotas.evidence else set()
        return Exposure(campaigns=campaigns, spread=spread, attempts=attempts, why=why, evidence=tuple(sorted(seqs)))

    def _upstream(self, element: str) -> set[str]:
        """The node and all from which it can be reached."""
        found, stack = {element}, [element]
        while stack:
            for before in self._before.get(stack.pop(), ()):
                if before not in found:
                    found.add(before)
                    stack.append(before)
        return found
