"""The relations between the nodes of a system, both ways, by the names of `model.traits.RELATIONS`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from bartizan.model.system import Actor, Element, System, elements_of
from bartizan.model.traits import RELATIONS

INVERSE: dict[str, str] = {a: b for pair in RELATIONS.values() for a, b in (pair, pair[::-1])}
"""Each relation's name with the name of the same relation read the other way."""

CALLERS, CALLS = "callers", "calls"
"""The relation that flows make: the actors whose flows lead to a node, and the nodes to which an actor's flows lead."""

INVERSE |= {CALLERS: CALLS, CALLS: CALLERS}


class Graph:
    """Nodes by id and, for each relation, the ids that a node is related to, in the order of the manifest."""

    def __init__(self, system: System) -> None:
        self.nodes: dict[str, Element] = {}
        for node in elements_of(system):
            self.nodes.setdefault(node.id, node)
        self.order = {id: place for place, id in enumerate(self.nodes)}
        self._edges: dict[str, dict[str, list[str]]] = {name: {} for name in INVERSE}
        for node in self.nodes.values():
            for field, (forward, inverse) in RELATIONS.items():
                for target in getattr(node, field, None) or ():
                    if target in self.nodes:
                        self._edges[forward].setdefault(node.id, []).append(target)
                        self._edges[inverse].setdefault(target, []).append(node.id)
        for flow in system.flows:
            if isinstance(self.nodes.get(flow.source), Actor) and flow.target in self.nodes:
                self._edges[CALLS].setdefault(flow.source, []).append(flow.target)
                self._edges[CALLERS].setdefault(flow.target, []).append(flow.source)

    def related(self, id: str, relations: Iterable[str]) -> tuple[str, ...]:
        """The ids of the other nodes that `id` reaches over `relations`, followed from node to node; the nearest first.

        So `tests` and `training_sets` lead from a test set to the models tested on it and on to what those were trained on.
        """
        names = tuple(relations)
        found: dict[str, None] = {id: None}
        waiting = deque([id])
        while waiting:
            here = waiting.popleft()
            for target in (target for name in names for target in self._edges[name].get(here, ())):
                if target not in found:
                    found[target] = None
                    waiting.append(target)
        return tuple(found)[1:]

    def readers(self, id: str, relations: Iterable[str]) -> tuple[str, ...]:
        """The ids of the nodes from which `related` over `relations` leads to `id`."""
        return self.related(id, [INVERSE[name] for name in relations])
