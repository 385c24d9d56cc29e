"""Facts in words: the sentences under "fires because", and the questions where a fact is not declared."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from bartizan.catalog.questions import question_of
from bartizan.catalog.vocabulary import Fact, Relation, Sort
from bartizan.model.system import RELATIONS, Authn, Kind, Subject
from bartizan.threatmodel.evaluation import Item
from bartizan.threatmodel.graph import Edge, Node

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
    "personal_data": ("is about persons", "is not about persons"),
    "physical_input": ("takes input from sensors", "takes no input from sensors"),
    "reproducible": ("can be reproduced", "cannot be reproduced"),
    "rollback": ("can be rolled back", "cannot be rolled back"),
    "shared_accelerator": ("shares its accelerator", "does not share its accelerator"),
    "signed": ("is signed", "is not signed"),
    "third_party": ("belongs to a third party", "belongs to no third party"),
    "untrusted": ("carries untrusted content", "carries no untrusted content"),
    "untrusted_content": ("reads untrusted content", "reads no untrusted content"),
    "watermark": ("carries a watermark", "carries no watermark"),
}
"""A truth value in words; a field that is not here is said by its name."""

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
    match fact.name:
        case "kind":
            return of_kind(item)
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
            return f"{subject} is {value} data"
        case "sensitivity":
            return f"{subject} is {value}"
    shown = _list(value) if isinstance(value, tuple) else str(value)
    return f"{subject} has {_words(fact.name)} {_short(shown)}"


def of_declaration(fact: Fact, item: Item, said: bool) -> str:
    """`loans declares no retention`."""
    return f"{name(item)} declares {'' if said else 'no '}{_words(fact.name)}"


def of_link(relation: Relation, item: Item, other: Item) -> str:
    """`scorer is trained on loans`."""
    if isinstance(item, Edge) or relation.name not in _LINKS:
        return of_kind(other)
    return f"{name(item)} {_LINKS[relation.name][0].format(name(other))}"


def of_absence(relation: Relation, item: Item) -> str:
    """`scorer has no store it retrieves from`."""
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
