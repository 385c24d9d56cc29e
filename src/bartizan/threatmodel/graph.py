"""The declared system as a graph: nodes, the flows between them, their relations both ways, and the zones they stand in.

Data moves along declared flows and along the relations in `CARRIES`, from who calls to what is called. A missing flow is no flow. A
missing relation may name any node in `MAY_NAME`: it is a possible edge, kept apart from the declared ones, and makes its inverse unknown
at the nodes that it may name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bartizan.model.errors import InputError, Place, UnknownName
from bartizan.model.system import (
    SYSTEM_ID,
    Actor,
    Asset,
    Dataset,
    Element,
    Flow,
    Kind,
    Stage,
    System,
    Zone,
    elements_of,
    kind_of,
)
from bartizan.model.traits import RELATIONS, TRAIT_KINDS

CARRIES = ("serves", "uses", "tools", "retrieves_from", "delegates_to")
"""Relations along which requests, and with them an attacker's content, move to the named node."""

_CALLED = frozenset({Kind.MODEL, Kind.LLM_APP, Kind.AGENT, Kind.SERVICE})
_DATA = frozenset({Kind.DATASET})
MAY_NAME: dict[str, frozenset[Kind]] = {
    "trained_on": _DATA,
    "tested_on": _DATA,
    "serves": _CALLED | {Kind.TOOL, Kind.PIPELINE},
    "uses": _CALLED | {Kind.ENDPOINT},
    "tools": frozenset({Kind.TOOL, Kind.SERVICE}),
    "retrieves_from": _DATA | {Kind.STORE},
    "delegates_to": frozenset({Kind.AGENT, Kind.LLM_APP}),
    "produces": _DATA | {Kind.MODEL, Kind.CONTAINER},
    "runs": frozenset(Kind) - {Kind.SYSTEM, Kind.ACTOR, Kind.DATASET, Kind.CLUSTER},
    "derived_from": _DATA,
}
"""What a relation may turn out to name where it is not declared."""
STAGES: dict[str, frozenset[Stage]] = {
    "trained_on": frozenset({Stage.TRAIN, Stage.VALIDATION, Stage.FEEDBACK, Stage.LOGS}),
    "tested_on": frozenset({Stage.TEST, Stage.VALIDATION}),
}
"""The declared use of a data set says which of these relations may name it."""
USERS = frozenset({Kind.LLM_APP, Kind.AGENT})
"""The kinds at which an undeclared `uses` is unknown: they cannot work without a model. Any other kind may use something or nothing, and
its `uses` is drawn like a flow: where it is not drawn, there is none."""


@dataclass(slots=True, eq=False)
class Node:
    """A node with its surroundings. `related` maps each relation's name to nodes, or to None where the manifest does not say."""

    index: int
    id: str
    kind: Kind
    item: Element
    zone: Zone | None
    inflows: list[Edge] = field(default_factory=list)
    outflows: list[Edge] = field(default_factory=list)
    related: dict[str, list[Node] | None] = field(default_factory=dict)

    @property
    def at(self) -> Place | None:
        return self.item.at


@dataclass(slots=True, eq=False)
class Edge:
    """A flow with its ends. `crosses` is whether they stand in different zones; None where a zone is not declared."""

    index: int
    id: str
    item: Flow
    sender: Node
    receiver: Node
    crosses: bool | None
    kind: None = None

    @property
    def at(self) -> Place | None:
        return self.item.at


class Graph:
    """Nodes in the order of the manifest, the system first; `successors[i]` are the indices of the nodes that node i sends to.

    Raises `UnknownName` where a flow, relation or zone names nothing, `InputError` where two nodes share an id.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self.zones = {zone.id: zone for zone in system.zones}
        self.nodes = [Node(i, e.id, kind_of(e), e, self._zone(e)) for i, e in enumerate(elements_of(system))]
        self.by_id = {node.id: node for node in self.nodes}
        if len(self.by_id) < len(self.nodes):
            twice = next(id for id, count in Counter(node.id for node in self.nodes).items() if count > 1)
            raise InputError(f"two nodes are called '{twice}'", place=self.by_id[twice].at, cure="give each its own id")
        self.of_kind: dict[Kind, list[Node]] = {kind: [] for kind in Kind}
        for node in self.nodes:
            self.of_kind[node.kind].append(node)
        self._sent: list[dict[int, None]] = [{} for _ in self.nodes]
        self.edges = [self._edge(i, flow) for i, flow in enumerate(system.flows, len(self.nodes))]
        self.untold: dict[str, list[Node]] = {name: [] for name in RELATIONS}
        self._relate()
        self.successors = [tuple(sent) for sent in self._sent]
        self.open_fields = tuple(name for name in CARRIES if self.untold[name])
        self.possible_successors = self._possible()

    def _zone(self, element: Element) -> Zone | None:
        if isinstance(element, System) or element.zone is None:
            return None
        if element.zone not in self.zones:
            raise UnknownName("zone", element.zone, list(self.zones), place=element.at)
        return self.zones[element.zone]

    def _find(self, id: str, place: Place | None) -> Node:
        node = self.by_id.get(id)
        if node is None or node.kind is Kind.SYSTEM:
            raise UnknownName("node", id, [node.id for node in self.nodes[1:]], place=place)
        return node

    def _edge(self, index: int, flow: Flow) -> Edge:
        sender, receiver = self._find(flow.source, flow.at), self._find(flow.target, flow.at)
        crosses = None if sender.zone is None or receiver.zone is None else sender.zone.id != receiver.zone.id
        edge = Edge(index, f"{sender.id} -> {receiver.id}", flow, sender, receiver, crosses)
        sender.outflows.append(edge)
        receiver.inflows.append(edge)
        self._sent[sender.index][receiver.index] = None
        return edge

    def _relate(self) -> None:
        whole = self.nodes[0]
        assert whole.id == SYSTEM_ID
        for name, type in (("assets", Asset), ("datasets", Dataset), ("actors", Actor)):
            whole.related[name] = [node for node in self.nodes if isinstance(node.item, type)]
        for node in self.nodes[1:]:
            node.related["system"] = [whole]
            for name, (forward, inverse) in RELATIONS.items():
                named: Iterable[str] | None = getattr(node.item, name, None)
                if named is None and node.kind in TRAIT_KINDS.get(name, _DATA) and (name != "uses" or node.kind in USERS):
                    self.untold[name].append(node)
                node.related[forward] = None if named is None else [self._find(id, node.at) for id in dict.fromkeys(named)]
                for other in node.related[forward] or ():
                    inverses = other.related.setdefault(inverse, [])
                    assert inverses is not None
                    inverses.append(node)
                    if name in CARRIES:
                        self._sent[node.index][other.index] = None

    def may_name(self, field: str, node: Node) -> Sequence[Node]:
        """The nodes that do not declare the relation `field` and could name `node` in it."""
        untold = self.untold[field]
        return [other for other in untold if other is not node] if untold and _fits(field, node) else ()

    def _possible(self) -> list[tuple[int, ...]]:
        """The declared edges and the possible ones; the latter lead through one further index for each of `open_fields`, in their order."""
        if not self.open_fields:
            return self.successors
        extra: list[tuple[int, ...]] = [()] * len(self.nodes)
        for index, name in enumerate(self.open_fields, len(self.nodes)):
            for node in self.untold[name]:
                extra[node.index] = (*extra[node.index], index)
        junctions = [tuple(node.index for node in self.nodes if _fits(name, node)) for name in self.open_fields]
        return [*(known + more for known, more in zip(self.successors, extra, strict=True)), *junctions]


def _fits(field: str, node: Node) -> bool:
    """Whether an undeclared `field` may name this node."""
    if node.kind not in MAY_NAME[field]:
        return False
    return not isinstance(node.item, Dataset) or field not in STAGES or node.item.stage in STAGES[field]
