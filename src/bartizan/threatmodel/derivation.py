"""From a declared system and a catalogue of threats to the threat model: which threat fires against which node, why, and in what order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

from bartizan.catalog import predicates
from bartizan.model.errors import Place
from bartizan.model.system import Kind, System
from bartizan.model.threats import Question, Threat, ThreatInstance, ThreatModel
from bartizan.threatmodel.evaluation import Evaluator
from bartizan.threatmodel.explanation import Explanation
from bartizan.threatmodel.graph import Graph, Node
from bartizan.threatmodel.ranking import Ranking


class HasThreats(Protocol):
    """What a catalogue needs to be for `threats_of`."""

    @property
    def threats(self) -> Mapping[str, Threat]: ...


@runtime_checkable
class KeepsPredicates(Protocol):
    """A catalogue that has compiled its predicates already."""

    def predicate(self, id: str) -> predicates.Predicate: ...


def threats_of(system: System, catalog: HasThreats) -> ThreatModel:
    """The threats of `catalog` that fire, or may fire, against the nodes of `system`: each pair once, ranked, the certain first.

    Pure: equal input gives equal output. Raises `InputError` or `UnknownName`, with the place, for a predicate or a graph that does not
    hold together; a threat is never dropped because something about it could not be read.
    """
    evaluator = Evaluator(Graph(system))
    ranking = Ranking(evaluator)
    compiled = _compiled(catalog)
    found = [instance for threat, predicate in compiled for instance in _instances(threat, predicate, evaluator, ranking)]
    ranked = sorted(found, key=lambda i: (not i.certain, -i.priority, i.threat, i.element))
    return ThreatModel(system=system.name, instances=tuple(ranked), questions=_distinct(ranked))


def _compiled(catalog: HasThreats) -> list[tuple[Threat, predicates.Predicate]]:
    threats = [threat for _, threat in sorted(catalog.threats.items())]
    if isinstance(catalog, KeepsPredicates):
        return [(threat, catalog.predicate(threat.id)) for threat in threats]
    return [(threat, predicates.compile(threat.when, threat.against, _at(threat))) for threat in threats]


def _at(threat: Threat) -> predicates.Locate:
    place = threat.at or Place(f"threat {threat.id}")
    return lambda _path: place


def _instances(threat: Threat, predicate: predicates.Predicate, evaluator: Evaluator, ranking: Ranking) -> Iterable[ThreatInstance]:
    for kind in sorted(set(threat.against), key=list(Kind).index):
        for node in evaluator.graph.of_kind[kind]:
            truth = evaluator.truth(predicate, node)
            if truth is not False:
                explanation = Explanation(evaluator)
                explanation.explain(predicate, node)
                yield _instance(threat, node, explanation, certain=truth is True, priority=ranking.priority(threat, node))


def _instance(threat: Threat, node: Node, explanation: Explanation, *, certain: bool, priority: float) -> ThreatInstance:
    return ThreatInstance(
        threat=threat.id,
        element=node.id,
        certain=certain,
        because=explanation.because(node),
        path=explanation.path,
        questions=explanation.questions(),
        priority=priority,
    )


def _distinct(instances: Iterable[ThreatInstance]) -> tuple[Question, ...]:
    """Each unknown fact once; first those on which most hangs, by the sum of the priorities of the threats that ask for them."""
    questions: dict[tuple[str, str], Question] = {}
    stakes: Counter[tuple[str, str]] = Counter()
    for instance in instances:
        for question in instance.questions:
            key = (question.element, question.field)
            questions.setdefault(key, question)
            stakes[key] += round(1000 * instance.priority)
    return tuple(questions[key] for key in sorted(questions, key=lambda key: (-stakes[key], key)))
