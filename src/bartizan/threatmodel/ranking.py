"""Which threats come first: what is at stake, how near an attacker is, how common the attack is, and whether AI makes it possible.

The order is for reading; the risk of each threat is computed elsewhere, from evidence. What is unknown is not taken for harmless: an
undeclared impact counts as high, undeclared exposure as half of full exposure.
"""

from __future__ import annotations

from bartizan.model.system import Asset, Dataset, Kind, Level, Origin, Trust
from bartizan.model.threats import Maturity, Threat
from bartizan.threatmodel.evaluation import Evaluator
from bartizan.threatmodel.graph import Node

IMPACT, EXPOSURE, MATURITY, AI = 4.0, 3.0, 2.0, 1.0
"""Weights; a priority is between 0 and their sum, 10."""

_MATURITY = {Maturity.THEORETICAL: 0.0, Maturity.DEMONSTRATED: 0.5, Maturity.COMMON: 1.0}
_OUTSIDE = frozenset({Origin.PUBLIC, Origin.SCRAPED, Origin.USERS})
_UNKNOWN = 0.5


class Ranking:
    """Priorities of threats against the nodes of one graph."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._exposure: dict[int, float] = {}

    def priority(self, threat: Threat, node: Node) -> float:
        """0 to 10, higher first."""
        own = node.item.impact if isinstance(node.item, Asset) else None
        impact = own or self._evaluator.graph.system.impact or Level.HIGH
        stakes = IMPACT * impact.rank / Level.CRITICAL.rank
        nearness = EXPOSURE * self.exposure(node)
        return round(stakes + nearness + MATURITY * _MATURITY[threat.maturity] + AI * threat.ai, 3)

    def exposure(self, node: Node) -> float:
        """1 in a zone without trust, less with every hop from one, 0 where no path leads here; the system is as exposed as its parts."""
        if node.index not in self._exposure:
            self._exposure[node.index] = self._measure(node)
        return self._exposure[node.index]

    def _measure(self, node: Node) -> float:
        if node.kind is Kind.SYSTEM:
            parts = (n for n in self._evaluator.graph.nodes[1:] if n.kind is not Kind.ACTOR)
            return max(map(self.exposure, parts), default=_UNKNOWN)
        if node.zone is not None and node.zone.trust is Trust.NONE:
            return 1.0
        way = next(self._evaluator.exposure.sure.ways(node.index), None)
        if way is not None:
            return 1 / (1 + 0.25 * (len(way.path) - 1))
        if isinstance(node.item, Dataset) and node.item.origin in _OUTSIDE:
            return 0.8
        return _UNKNOWN if self._evaluator.exposed(node) is None else 0.0
