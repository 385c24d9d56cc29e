"""Facts in words: the sentences under "fires because", and the questions where a fact is not declared."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

from bartizan.catalog.questions import question_of
from bartizan.catalog.vocabulary import FACTS, Fact, Relation, Sort
from bartizan.model.system import Authn, Kind, Logging, Oversight, Stage, Subject
from bartizan.model.traits import RELATIONS
from bartizan.threatmodel.evaluation import Item
from bartizan.threatmodel.graph import Edge, Node


class Weight(IntEnum):
    """How much a fact tells a reader, most first."""

    DECIDES = 0
    LACKS = 1
    """What a node has not, or is not: said where nothing decides by being there."""
    KIND = 2
    """What anybody can see from the name of the threat: that a node is a model, that the system has AI."""


SHOWN = 60
"""Longest value, in characters, that a sentence repeats."""

_TRUTHS = {
    "affects_persons": ("affects persons", "affects no persons"),
    "approval": ("waits for approval", "does not wait for approval"),
    "authenticated": ("is authenticated", "is not authenticated"),
    "compressed": ("is compressed", "is not compressed"),
    "crosses_boundary": ("crosses a trust boundary", "stays within a zone"),
    "encrypted": ("is encrypted", "is not encrypted"),
    "executes_code": ("executes code", "executes no code"),
    "explanations": ("explains its decisions", "does not explain its decisions"),
    "exposed": ("can be reached from a zone without trust", "cannot be reached from a zone without trust"),
    "federated": ("is trained by federated learning", "is not trained by federated learning"),
    "fine_tuned": ("is fine-tuned", "is not fine-tuned"),
    "has_agent": ("has an agent", "has no agent"),
    "has_ai": ("has an AI asset", "has no AI asset"),
    "has_llm": ("has a language model", "has no language model"),
    "high_risk": ("is high-risk", "is not high-risk"),
    "isolated": ("is isolated", "is not isolated"),
    "logs_personal_data": ("logs personal data", "logs no personal data"),
    "multi_tenant": ("serves several tenants", "serves one tenant"),
    "online_learning": ("learns online", "does not learn online"),
    "outside_writers": ("can be written by an actor from outside", "is written by nobody from outside"),
    "personal_data": ("is about persons", "is not about persons"),
    "physical_input": ("takes input from sensors", "takes no input from sensors"),
    "reproducible": ("can be reproduced", "cannot be reproduced"),
    "rollback": ("can be rolled back", "cannot be rolled back"),
    "shared_accelerator": ("shares its accelerator", "does not share its accelerator"),
    "signed": ("is signed", "is not signed"),
    "third_party": ("belongs to a third party", "is the organisation's own"),
    "untrusted": ("carries untrusted content", "carries no untrusted content"),
    "untrusted_content": ("reads untrusted content", "reads no untrusted content"),
    "watermark": ("carries a watermark", "carries no watermark"),
}
"""A truth value in words; a field that is not here is said by its name."""

_RISKS = frozenset(
    {
        "affects_persons",
        "compressed",
        "crosses_boundary",
        "executes_code",
        "exposed",
        "federated",
        "fine_tuned",
        "has_agent",
        "has_llm",
        "high_risk",
        "logs_personal_data",
        "multi_tenant",
        "online_learning",
        "outside_writers",
        "personal_data",
        "physical_input",
        "shared_accelerator",
        "third_party",
        "untrusted",
        "untrusted_content",
    }
)
"""Facts that tell something where they are true; that they are not is no reason for a threat."""

_NOUNS = {
    "authenticated": "authentication",
    "encrypted": "encryption",
    "runs": "list of what it runs",
    "signed": "signature",
    "third_party": "maker",
}
"""What is missing where a field, named by an adjective or a verb, is not declared."""

_ORIGINS = {
    Kind.MODEL: "is loaded from",
    Kind.CONTAINER: "is built from",
    Kind.CLUSTER: "is configured in",
    Kind.DEPENDENCIES: "takes its packages from",
}
"""What a path in the manifest is to the node that names it."""

_STATES: dict[tuple[str, Any], str] = {
    ("logging", Logging.NONE): "the system keeps no log of its decisions (logging none)",
    ("logging", Logging.PLAIN): "the log of decisions can be altered unnoticed (logging plain)",
    ("oversight", Oversight.NONE): "nobody oversees what the system decides (oversight none)",
    ("monitoring", ()): "nothing of the system is watched (monitoring empty)",
}
"""Values of the system that a plain 'has' would not explain."""

_FORWARD = {inverse: forward for forward, inverse in RELATIONS.values()}
"""The relation that a relation is the inverse of."""

_LINKS = {
    "training_sets": ("is trained on {}", "data it is trained on"),
    "trains": ("trains {}", "model trained on it"),
    "test_sets": ("is tested on {}", "data it is tested on"),
    "tests": ("tests {}", "model tested on it"),
    "served": ("serves {}", "node it serves"),
    "served_by": ("is served by {}", "node that serves it"),
    "used": ("uses {}", "node it uses"),
    "used_by": ("is used by {}", "node that uses it"),
    "tool_set": ("has the tool {}", "tool"),
    "tool_of": ("is a tool of {}", "node that has it as a tool"),
    "retrieval_stores": ("retrieves from {}", "store it retrieves from"),
    "retrieved_by": ("is retrieved by {}", "node that retrieves from it"),
    "delegates": ("delegates to {}", "node it delegates to"),
    "delegated_by": ("takes tasks from {}", "node that delegates to it"),
    "products": ("produces {}", "product"),
    "produced_by": ("is produced by {}", "node that produces it"),
    "hosted": ("runs {}", "node it runs"),
    "hosted_by": ("is run by {}", "node that runs it"),
    "parents": ("is derived from {}", "data it is derived from"),
    "children": ("is the origin of {}", "data derived from it"),
    "assets": ("has {}", "asset"),
    "datasets": ("has {}", "data set"),
    "actors": ("has {}", "actor"),
    "inflows": ("gets {}", "flow to it"),
    "outflows": ("sends {}", "flow from it"),
}
"""A relation in words: the sentence to one other node, and what there is none of."""


def name(item: Item) -> str:
    """How a sentence calls a node or flow."""
    return "the system" if item.kind is Kind.SYSTEM else item.id


def of_kind(item: Item) -> str:
    """`scorer is a model`."""
    if item.kind is None:
        return f"{name(item)} is a flow"
    article = "an" if item.kind.value[0] in "aeiou" else "a"
    return "it concerns the system as a whole" if item.kind is Kind.SYSTEM else f"{name(item)} is {article} {item.kind.value}"


def of_fact(fact: Fact, item: Item, value: Any) -> str:
    """The fact as it is: `api has authn none`, `loans is about persons`."""
    subject = name(item)
    if isinstance(value, bool):
        yes, no = _TRUTHS.get(fact.name, (f"has {_words(fact.name)}", f"has no {_words(fact.name)}"))
        return f"{subject} {yes if value else no}"
    if fact.name in RELATIONS and value:
        return f"{subject} {_LINKS[RELATIONS[fact.name][0]][0].format(_short(_list(value)))}"
    if (fact.name, value) in _STATES:
        return _STATES[fact.name, value]
    match fact.name:
        case "kind":
            return of_kind(item)
        case "uri":
            return f"{subject} {_ORIGINS.get(item.kind, 'is kept in') if item.kind else 'is at'} {_short(value)}"
        case "monitoring":
            return f"the system is watched for {_list(value)} alone"
        case "trust" if isinstance(item, Node) and item.zone is not None:
            return f"{subject} stands in {item.zone.id} (trust {value})"
        case "task" | "modality":
            return f"{subject} does {value}" if fact.name == "task" else f"{subject} takes {value} input"
        case "subjects":
            nouns = {Subject.NONE: "nobody", Subject.PERSON: "persons", Subject.CHILD: "children", Subject.ORGANISATION: "organisations"}
            return f"{subject} is about {_list(tuple(nouns[s] for s in value))}"
        case "authn" if value is not Authn.NONE:
            return f"{subject} has authn {value}, declared and not yet verified"
        case "stage":
            return f"{subject} is {'log' if value is Stage.LOGS else value} data"
        case "sensitivity":
            return f"{subject} is {value}"
    shown = _list(value) if isinstance(value, tuple) else str(value)
    return f"{subject} has {_words(fact.name)} {_short(shown)}"


def weight_of(fact: Fact, value: Any) -> Weight:
    """How much it tells that the fact has this value (None: that it is not declared)."""
    if fact.name in ("has_ai", "kind"):
        return Weight.KIND
    if fact.name in _RISKS and not value:
        return Weight.KIND if value is None else Weight.LACKS
    return Weight.DECIDES


def of_standing(node: Node, ai: list[str]) -> str | None:
    """Something true about a node of which nothing else decides: its path, what it belongs to, or where it stands; None if unsaid."""
    if node.kind is Kind.SYSTEM:
        return f"the system has AI in it: {_short(_list(tuple(ai)))}" if ai else None
    uri = getattr(node.item, "uri", None)
    if uri:
        return of_fact(FACTS["uri"], node, uri)
    for relation, others in node.related.items():
        if others and relation in _LINKS:
            return f"{node.id} {_LINKS[relation][0].format(_short(_list(tuple(n.id for n in others))))}"
    return None if node.zone is None else of_fact(FACTS["trust"], node, node.zone.trust)


def of_declaration(fact: Fact, item: Item, said: bool) -> str:
    """`loans declares no retention`."""
    if fact.name == "owner" and not said:
        return f"{name(item)} names no owner"
    return f"{name(item)} declares {'' if said else 'no '}{_NOUNS.get(fact.name, _words(fact.name))}"


def of_link(relation: Relation, item: Item, other: Item) -> str:
    """`scorer is trained on loans`."""
    if isinstance(item, Edge) or relation.name not in _LINKS:
        return of_kind(other)
    return f"{name(item)} {_LINKS[relation.name][0].format(name(other))}"


def of_absence(relation: Relation, item: Item) -> str:
    """`scorer has no store it retrieves from`; of a relation that other nodes declare, `nothing in the system uses scorer`."""
    if relation.name in _FORWARD and not isinstance(item, Edge):
        return f"nothing in the system {_LINKS[_FORWARD[relation.name]][0].format(name(item))}"
    return f"{name(item)} has no {_LINKS[relation.name][1] if relation.name in _LINKS else _words(relation.name)}"


def of_path(source: Node, target: Node, path: tuple[str, ...], *, certain: bool = True) -> str:
    """`applicant (internet, trust none) reaches scorer: applicant -> api -> scorer`."""
    where = f" ({source.zone.id}, trust {source.zone.trust})" if source.zone is not None else ""
    return f"{source.id}{where} {'reaches' if certain else 'may reach'} {target.id}: {' -> '.join(path)}"


def ask(term: Fact | Relation, field: str, item: Item) -> str:
    """The question for a fact or relation that the manifest does not say: the words of the catalogue, or plain ones where it has none."""
    subject = name(item)
    told = question_of(field, item.kind, subject)
    if told is not None:
        return told
    if isinstance(term, Relation):
        return f"Which nodes does {subject} name under {field}? An empty list says none."
    if field == "zone":
        return f"In which zone does {subject} stand?"
    if term.sort is Sort.BOOLEAN and term.fields:
        return f"Is it so that {subject} {_TRUTHS.get(term.name, (f'has {_words(term.name)}', ''))[0]}?"
    choices = f": {', '.join(term.enum)}" if isinstance(term.enum, type) and issubclass(term.enum, StrEnum) and term.fields else ""
    return f"What is the {_words(field)} of {subject}{choices}?"


def _words(name: str) -> str:
    return name.replace("_", " ").replace(".", " ")


def _list(values: tuple[Any, ...]) -> str:
    return ", ".join(str(v) for v in values) if values else "nothing"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
