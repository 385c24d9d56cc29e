"""Three-valued evaluation of predicates over the graph of a system: true, false, or unknown (None) where a fact is not declared.

The connectives are Kleene's strong ones (S. C. Kleene, Introduction to Metamathematics, 1952, section 64): a known part that decides the
outcome decides it whatever else is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from bartizan.catalog import predicates as p
from bartizan.catalog.vocabulary import Fact, Modality, Relation
from bartizan.model.system import AI_KINDS, Asset, Dataset, Kind, Subject, Task, Trust
from bartizan.model.traits import RELATIONS
from bartizan.threatmodel.graph import Edge, Graph, Node
from bartizan.threatmodel.reach import Reach

Truth: TypeAlias = bool | None
Item: TypeAlias = Node | Edge

MODALITIES: dict[Task, Modality] = {
    Task.TABULAR_CLASSIFICATION: Modality.TABULAR,
    Task.TABULAR_REGRESSION: Modality.TABULAR,
    Task.RECOMMENDATION: Modality.TABULAR,
    Task.ANOMALY_DETECTION: Modality.TABULAR,
    Task.FORECASTING: Modality.TABULAR,
    Task.IMAGE_CLASSIFICATION: Modality.IMAGE,
    Task.OBJECT_DETECTION: Modality.IMAGE,
    Task.IMAGE_GENERATION: Modality.IMAGE,
    Task.BIOMETRIC: Modality.IMAGE,
    Task.AUDIO: Modality.AUDIO,
    Task.TEXT_CLASSIFICATION: Modality.TEXT,
    Task.TEXT_GENERATION: Modality.TEXT,
    Task.EMBEDDING: Modality.TEXT,
    Task.REINFORCEMENT_LEARNING: Modality.OTHER,
    Task.OTHER: Modality.OTHER,
}
INVERSES: dict[str, str] = {inverse: field for field, (_, inverse) in RELATIONS.items()}
"""The field whose declarations, on other nodes, make an inverse relation."""
OUTSIDE = frozenset({Trust.NONE, Trust.PARTNER})
"""Trust of the zones that are not the organisation's own."""
_PERSONS = frozenset({Subject.PERSON, Subject.CHILD})
_LANGUAGE = frozenset({Kind.LLM_APP, Kind.AGENT})


def conjunction(values: Iterable[Truth]) -> Truth:
    """Kleene's strong 'and'; true for no values."""
    outcome: Truth = True
    for value in values:
        if value is False:
            return False
        if value is None:
            outcome = None
    return outcome


def disjunction(values: Iterable[Truth]) -> Truth:
    """Kleene's strong 'or'; false for no values."""
    outcome: Truth = False
    for value in values:
        if value is True:
            return True
        if value is None:
            outcome = None
    return outcome


def negation(value: Truth) -> Truth:
    """Kleene's 'not': unknown stays unknown."""
    return None if value is None else not value


class Reaching:
    """A reachability question asked of the whole graph: what certainly reaches, and what does so if unknown facts turn out that way."""

    def __init__(self, graph: Graph, sources: Sequence[Truth], through: Sequence[Truth] | None) -> None:
        def chosen(values: Sequence[Truth], *wanted: Truth) -> list[int]:
            return [i for i, value in enumerate(values) if value in wanted]

        surely = chosen(sources, True)
        self.sure = Reach(graph.successors, surely, None if through is None else chosen(through, True))
        self.possible = self.sure
        if graph.open_fields or None in sources or (through is not None and None in through):
            maybe = [*surely, *chosen(sources, None)]
            self.possible = Reach(graph.possible_successors, maybe, None if through is None else chosen(through, True, None))

    def truth(self, target: int) -> Truth:
        if target in self.sure:
            return True
        return None if target in self.possible else False


class Evaluator:
    """Evaluates predicates on one graph, remembering what is dear. Predicates must stay alive as long as the evaluator."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._known: dict[tuple[int, int], Truth] = {}
        self._reaching: dict[int, Reaching] = {}
        self._shared: dict[p.Reachable, Reaching] = {}
        self._exposure: Reaching | None = None
        self._derived: dict[str, Callable[[Any], Any]] = {
            "kind": lambda item: item.kind,
            "trust": lambda item: item.zone.trust if item.zone is not None else None,
            "modality": lambda item: MODALITIES.get(item.item.task),
            "personal_data": _personal,
            "outside_writers": self._written_from_outside,
            "exposed": self.exposed,
            "crosses_boundary": lambda item: item.crosses,
            "has_ai": lambda _: self._has(AI_KINDS),
            "has_agent": lambda _: self._has(frozenset({Kind.AGENT})),
            "has_llm": self._has_llm,
        }
        self._forms: dict[type, Callable[[Any, Any], Truth]] = {
            p.Always: lambda _predicate, _item: True,
            p.All: lambda predicate, item: conjunction(self.truth(part, item) for part in predicate.parts),
            p.Any: lambda predicate, item: disjunction(self.truth(part, item) for part in predicate.parts),
            p.Not: lambda predicate, item: negation(self.truth(predicate.part, item)),
            p.IsKind: lambda predicate, item: item.kind in predicate.kinds,
            p.Compare: self._compare,
            p.Declared: self._declared,
            p.Related: self._remembered_related,
            p.Reachable: lambda predicate, item: self.reaching(predicate).truth(item.index) if isinstance(item, Node) else False,
        }

    def truth(self, predicate: p.Predicate, item: Item) -> Truth:
        """Whether the predicate holds for this node or flow."""
        return self._forms[type(predicate)](predicate, item)

    def value(self, fact: Fact, item: Item) -> Any:
        """What the manifest says (or what follows from it), None where it does not say. Only for an item that `fits`."""
        if not fact.fields:
            return self._derived[fact.name](item)
        value: Any = item.item
        for name in fact.fields:
            value = getattr(value, name)
            if value is None:
                return None
        return value

    def related(self, relation: Relation, item: Item) -> Sequence[Item] | None:
        """The nodes or flows that the relation leads to; None where the manifest does not say."""
        if isinstance(item, Edge):
            return (item.sender,) if relation.name == "sender" else (item.receiver,)
        if relation.to_flow:
            return item.inflows if relation.name == "inflows" else item.outflows
        return item.related.get(relation.name, ())

    def reaching(self, predicate: p.Reachable) -> Reaching:
        """The answer to a reachability question for all nodes, computed once for equal questions."""
        found = self._reaching.get(id(predicate))
        if found is None:
            found = self._shared.get(predicate)
            if found is None:
                sources = [self._of_node(predicate.source, node) for node in self.graph.nodes]
                between = predicate.through
                through = None if between is None else [self._of_node(between, node) for node in self.graph.nodes]
                found = self._shared[predicate] = Reaching(self.graph, sources, through)
            self._reaching[id(predicate)] = found
        return found

    @property
    def exposure(self) -> Reaching:
        """What can be reached from a zone without trust."""
        if self._exposure is None:
            self._exposure = Reaching(self.graph, [self._untrusted(node) for node in self.graph.nodes], None)
        return self._exposure

    def exposed(self, node: Node) -> Truth:
        """Whether a node stands in a zone without trust or can be reached from one."""
        return disjunction((self._untrusted(node), self.exposure.truth(node.index)))

    def _untrusted(self, node: Node) -> Truth:
        if node.kind is Kind.SYSTEM:
            return False
        return None if node.zone is None else node.zone.trust is Trust.NONE

    def _of_node(self, predicate: p.Predicate, node: Node) -> Truth:
        return False if node.kind is Kind.SYSTEM else self.truth(predicate, node)

    def _compare(self, predicate: p.Compare, item: Item) -> Truth:
        if not fits(predicate.fact, item):
            return False
        value = self.value(predicate.fact, item)
        if value is None:
            return None
        limit = predicate.values[0]
        match predicate.test:
            case p.Test.IN:
                return _folded(value) in predicate.values
            case p.Test.CONTAINS:
                return any(_folded(v) in predicate.values for v in value)
            case p.Test.EMPTY:
                return (not value) is limit
            case p.Test.AT_LEAST:
                return bool(value >= limit)
            case p.Test.AT_MOST:
                return bool(value <= limit)

    def _declared(self, predicate: p.Declared, item: Item) -> Truth:
        return fits(predicate.fact, item) and (self.value(predicate.fact, item) is not None) is predicate.said

    def _remembered_related(self, predicate: p.Related, item: Item) -> Truth:
        key = (id(predicate), item.index)
        if key not in self._known:
            self._known[key] = self._related(predicate, item)
        return self._known[key]

    def _related(self, predicate: p.Related, item: Item) -> Truth:
        if not fits(predicate.relation, item):
            return False
        found = self.related(predicate.relation, item)
        if found is None:
            return None
        values = self._members(predicate, item, found)
        match predicate.quantifier:
            case p.Quantifier.SOME:
                return disjunction(values)
            case p.Quantifier.EVERY:
                return conjunction(values)
            case p.Quantifier.NONE:
                return negation(disjunction(values))

    def _members(self, predicate: p.Related, item: Item, found: Sequence[Item]) -> Iterator[Truth]:
        """The condition at each known member, then at each possible one: unknown unless the outcome is the same with and without it."""
        for other in found:
            yield self.truth(predicate.where, other)
        for other in self.maybe_related(predicate.relation, item):
            truth = self.truth(predicate.where, other)
            yield None if truth is not (predicate.quantifier is p.Quantifier.EVERY) else truth

    def maybe_related(self, relation: Relation, item: Item) -> Sequence[Node]:
        """The nodes that an inverse relation leads to if what they leave undeclared turns out that way."""
        field = INVERSES.get(relation.name)
        return () if field is None or not isinstance(item, Node) else self.graph.may_name(field, item)

    def writing_actors(self, node: Node) -> Sequence[Node]:
        """The declared writers of a data set that are actors of the manifest; names of roles are not."""
        writers = node.item.writers if isinstance(node.item, Dataset) else None
        known = (self.graph.by_id.get(writer) for writer in writers or ())
        return [actor for actor in known if actor is not None and actor.kind is Kind.ACTOR]

    def _written_from_outside(self, node: Node) -> Truth:
        """Whether an actor from a zone that is not the organisation's own writes into the data set."""
        if not isinstance(node.item, Dataset) or node.item.writers is None:
            return None
        return disjunction(None if a.zone is None else a.zone.trust in OUTSIDE for a in self.writing_actors(node))

    def _has(self, kinds: frozenset[Kind]) -> bool:
        return any(self.graph.of_kind[kind] for kind in kinds)

    def _has_llm(self, _item: Item) -> Truth:
        tasks = [node.item.task for node in self.graph.of_kind[Kind.MODEL] if isinstance(node.item, Asset)]
        generates = disjunction(None if task is None else task is Task.TEXT_GENERATION for task in tasks)
        return disjunction((self._has(_LANGUAGE), generates))


def fits(term: Fact | Relation, item: Item) -> bool:
    """Whether this node or flow can have the fact or relation at all."""
    return term.flow if item.kind is None else item.kind in term.kinds


def _folded(value: Any) -> Any:
    """Texts compare without regard to case and outer space; members of enumerations are compared as they are."""
    return value.strip().casefold() if type(value) is str else value


def _personal(node: Node) -> Truth:
    assert isinstance(node.item, Dataset)
    return None if node.item.subjects is None else not _PERSONS.isdisjoint(node.item.subjects)
