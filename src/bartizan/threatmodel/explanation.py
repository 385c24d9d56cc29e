"""Why a predicate is true or unknown for a node: the deciding facts, the path of flows, and the facts to ask for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, pairwise

from bartizan.catalog import predicates as p
from bartizan.catalog.vocabulary import CONNECTIONS, FACTS, Fact, Relation, Sort
from bartizan.model.system import AI_KINDS, Asset, Dataset, Kind, Trust
from bartizan.model.threats import Question
from bartizan.model.traits import RELATIONS
from bartizan.threatmodel import sentences
from bartizan.threatmodel.evaluation import INVERSES, OUTSIDE, Evaluator, Item, Reaching, fits
from bartizan.threatmodel.graph import Edge, Node

WITNESSES = 3
"""Most related nodes that one explanation names."""
ASKED = 8
"""Most related nodes that one explanation asks about: answers to these settle it or bring up the next ones."""


class Explanation:
    """Collected facts (each once, with its weight), the first path, and the unknown facts that keep the outcome unknown."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self._facts: dict[str, sentences.Weight] = {}
        self.path: tuple[str, ...] = ()
        self.unknown: dict[tuple[str, str], tuple[Fact | Relation, Item]] = {}

    def questions(self) -> tuple[Question, ...]:
        """One question per unknown fact, worded the same whichever threat asks it."""
        return tuple(
            Question(element=element, field=field, text=sentences.ask(term, field, item), at=item.at)
            for (element, field), (term, item) in self.unknown.items()
        )

    def because(self, node: Node) -> tuple[str, ...]:
        """The facts that decide; only where there are none, what is true of `node` beside them, and what it lacks."""
        told = [fact for fact, weight in self._facts.items() if weight is sentences.Weight.DECIDES]
        if told:
            return tuple(told)
        standing = sentences.of_standing(node, [n.id for n in self.evaluator.graph.nodes if n.kind in AI_KINDS])
        lacking = [fact for fact, weight in self._facts.items() if weight is sentences.Weight.LACKS]
        return tuple(dict.fromkeys([*([standing] if standing else []), *lacking])) or (sentences.of_kind(node),)

    def explain(self, predicate: p.Predicate, item: Item) -> None:
        """Add what makes `predicate` the way it is for `item`: facts where it is known, questions where it is not."""
        match predicate:
            case p.All() | p.Any():
                self._connective(predicate, item)
            case p.Not():
                self.explain(predicate.part, item)
            case p.IsKind():
                self._say(sentences.of_kind(item), sentences.Weight.KIND)
            case p.Compare():
                self._fact(predicate.fact, item)
            case p.Declared():
                self._declaration(predicate.fact, item)
            case p.Related():
                self._related(predicate, item)
            case p.Reachable():
                self._reachable(predicate, item)

    def _say(self, sentence: str, weight: sentences.Weight = sentences.Weight.DECIDES) -> None:
        self._facts[sentence] = min(weight, self._facts.get(sentence, weight))

    def _ask(self, term: Fact | Relation, field: str, item: Item) -> None:
        self.unknown.setdefault((item.id, field), (term, item))

    def _connective(self, predicate: p.All | p.Any, item: Item) -> None:
        """The deciding part where one decides; else all parts. Of several unknown parts only the first is asked for."""
        truths = [self.evaluator.truth(part, item) for part in predicate.parts]
        decider = isinstance(predicate, p.Any)
        if decider in truths:
            chosen = [part for part, truth in zip(predicate.parts, truths, strict=True) if truth is decider]
            for part in chosen if decider else chosen[:1]:
                self.explain(part, item)
            return
        asked = False
        for part, truth in zip(predicate.parts, truths, strict=True):
            if truth is None:
                if not asked:
                    self.explain(part, item)
                asked = True
            elif not (decider and None in truths):
                self.explain(part, item)

    def _fact(self, fact: Fact, item: Item) -> None:
        if not fits(fact, item):
            self._say(sentences.of_kind(item), sentences.Weight.KIND)
            return
        value = self.evaluator.value(fact, item)
        if fact.name == "exposed" and isinstance(item, Node):
            self._exposed(item, value)
        elif fact.name == "outside_writers" and value and isinstance(item, Node):
            for actor in self.evaluator.writing_actors(item):
                if actor.zone is not None and actor.zone.trust in OUTSIDE:
                    self._say(f"{actor.id} ({actor.zone.id}, trust {actor.zone.trust}) writes into {item.id}")
        elif value is not None:
            self._say(sentences.of_fact(fact, item, value), sentences.weight_of(fact, value))
        elif fact.name == "outside_writers" and isinstance(item, Node) and isinstance(item.item, Dataset) and item.item.writers is not None:
            for actor in self.evaluator.writing_actors(item):
                if actor.zone is None:
                    self._ask(fact, "zone", actor)
        elif fact.name == "crosses_boundary" and not isinstance(item, Node):
            for end in (item.sender, item.receiver):
                if end.zone is None:
                    self._ask(fact, "zone", end)
        elif fact.name == "has_llm":
            untold = (n for n in self.evaluator.graph.of_kind[Kind.MODEL] if isinstance(n.item, Asset) and n.item.task is None)
            for node in islice(untold, ASKED):
                self._ask(FACTS["task"], "task", node)
        else:
            self._ask(fact, fact.field, item)

    def _declaration(self, fact: Fact, item: Item) -> None:
        """The value where there is one, the silence where there is none."""
        if not fits(fact, item):
            self._say(sentences.of_kind(item), sentences.Weight.KIND)
            return
        value = self.evaluator.value(fact, item)
        if value is None or fact.sort is Sort.PART:
            self._say(sentences.of_declaration(fact, item, value is not None), sentences.weight_of(fact, None))
        else:
            self._say(sentences.of_fact(fact, item, value), sentences.weight_of(fact, value))

    def _exposed(self, node: Node, exposed: bool | None) -> None:
        if exposed is False:
            self._say(sentences.of_fact(FACTS["exposed"], node, False), sentences.Weight.LACKS)
        elif node.zone is not None and node.zone.trust is Trust.NONE:
            self._say(sentences.of_fact(FACTS["trust"], node, node.zone.trust))
        else:
            asked = len(self.unknown)
            for source, _ in self._ways(self.evaluator.exposure, node, exposed):
                if source.zone is None:
                    self._ask(FACTS["trust"], "zone", source)
            if exposed is None and node.zone is None and asked == len(self.unknown):
                self._ask(FACTS["trust"], "zone", node)

    def _related(self, predicate: p.Related, item: Item) -> None:
        relation = predicate.relation
        if not fits(relation, item):
            self._say(sentences.of_kind(item), sentences.Weight.KIND)
            return
        found = self.evaluator.related(relation, item)
        if found is None:
            self._ask(relation, relation.field or relation.name, item)
        elif not found and self.evaluator.truth(predicate, item) is not None:
            self._say(sentences.of_absence(relation, item), sentences.Weight.LACKS)
        else:
            self._members(predicate, item, found)

    def _members(self, predicate: p.Related, item: Item, found: Sequence[Item]) -> None:
        """The members that decide, or keep it undecided: true ones decide `some` and `none`, false ones `every`."""
        decisive = predicate.quantifier is not p.Quantifier.EVERY
        truths = [(self.evaluator.truth(predicate.where, other), other) for other in found]
        deciding = [other for truth, other in truths if truth is decisive]
        open_ = [other for truth, other in truths if truth is None]
        if not deciding and not open_ and self.evaluator.truth(predicate, item) is None:
            self._possible_members(predicate, item)
            return
        chosen = deciding[:WITNESSES] or open_[:ASKED] or [other for _, other in truths[:WITNESSES]]
        for other in chosen:
            if (isinstance(other, Node) and other.kind is not Kind.SYSTEM) or isinstance(predicate.where, p.Always):
                kind = isinstance(item, Edge)
                self._say(sentences.of_link(predicate.relation, item, other), sentences.Weight.KIND if kind else sentences.Weight.DECIDES)
            self.explain(predicate.where, other)

    def _possible_members(self, predicate: p.Related, item: Item) -> None:
        """Ask the nodes that may have `item` as a member of theirs."""
        field = INVERSES[predicate.relation.name]
        settled = predicate.quantifier is p.Quantifier.EVERY
        others = self.evaluator.maybe_related(predicate.relation, item)
        for other in islice((o for o in others if self.evaluator.truth(predicate.where, o) is not settled), ASKED):
            self._ask(CONNECTIONS[RELATIONS[field][0]], field, other)

    def _reachable(self, predicate: p.Reachable, item: Item) -> None:
        truth = self.evaluator.truth(predicate, item)
        if truth is False or not isinstance(item, Node):
            self._say(f"nothing of that sort reaches {sentences.name(item)}", sentences.Weight.LACKS)
            return
        for source, middle in self._ways(self.evaluator.reaching(predicate), item, truth):
            if not _speaks_of_trust(predicate.source) or source.zone is None:
                self.explain(predicate.source, source)
            if predicate.through is not None and middle is not None:
                self.explain(predicate.through, middle)

    def _ways(self, reaching: Reaching, node: Node, truth: bool | None) -> list[tuple[Node, Node | None]]:
        """Say by which path `node` is reached; give the ends whose facts matter: one way where it is certain, all known ones where not."""
        nodes = self.evaluator.graph.nodes
        ways = list((reaching.sure if truth else reaching.possible).ways(node.index))
        for way in ways[:1]:
            path = tuple(nodes[i].id for i in way.path if i < len(nodes))
            self.path = self.path or path
            self._say(sentences.of_path(nodes[way.source], node, path, certain=bool(truth)))
        chosen = ways[:1] if truth else [way for way in ways if not self._asks_for_link(way.path)]
        return [(nodes[way.source], None if way.through is None else nodes[way.through]) for way in chosen]

    def _asks_for_link(self, path: tuple[int, ...]) -> bool:
        """Ask for the first relation on the path that is not declared; whether there is one."""
        graph = self.evaluator.graph
        for before, index in pairwise(path):
            if index >= len(graph.nodes):
                field = graph.open_fields[index - len(graph.nodes)]
                self._ask(CONNECTIONS[RELATIONS[field][0]], field, graph.nodes[before])
                return True
        return False


def _speaks_of_trust(predicate: p.Predicate) -> bool:
    """Whether the sentence of the path, which names zone and trust of its source, already says it."""
    return isinstance(predicate, p.Compare) and predicate.fact.name in ("trust", "zone")
