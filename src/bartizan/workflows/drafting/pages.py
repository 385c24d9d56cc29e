"""The text of the draft: what is known as fields, what is not as questions in comments."""

from __future__ import annotations

import json
import re
import typing
from collections import Counter
from collections.abc import Collection, Sequence
from enum import Enum

from bartizan.documents.scalars import ANSWERS, NULLS
from bartizan.model.errors import one_line
from bartizan.model.system import Asset, Dataset, Kind, System
from bartizan.model.traits import TRAIT_KINDS
from bartizan.workflows.drafting.part import Part

_HEAD = """\
# Drafted from what this folder holds. A field stands here only where a file proves it; the comment above it says which.
# A line '# field: ?' is a question: answer it by removing the '#' and writing the value, or leave it. What is unknown
# stays unknown: it raises the question again in `bartizan threats` and never counts as safe.
"""

_SYSTEM = {
    "purpose": "What is it for?",
    "owner": "Who answers for it?",
    "role": "What is your organisation's role in it?",
    "impact": "How bad can the consequences of its errors be for those it decides about?",
    "affects_persons": "Does it decide or advise about persons?",
    "high_risk": "Is it high-risk under the EU AI Act?",
    "oversight": "How do people oversee its decisions?",
    "logging": "How are its decisions recorded?",
    "monitoring": "What is watched in operation?",
    "incident_plan": "Where is the plan for incidents?",
}
_DATASET = {
    "stage": "What is it used for?",
    "label": "Which column is to be predicted?",
    "sensitivity": "How confidential is it?",
    "subjects": "Whom is it about?",
    "origin": "Where does it come from?",
    "licence": "Under which licence may it be used?",
    "writers": "Who can change it?",
    "retention": "After how many days is it deleted?",
}
_ASSET = {
    "zone": "In which zone does it run?",
    "task": "What does it do?",
    "framework": "Which library made it?",
    "source": "Who made it?",
    "revision": "Which exact version is it?",
    "third_party": "Is it made or run by somebody else?",
    "trained_on": "Which data sets was it trained on?",
    "tested_on": "Which data sets was it tested on?",
    "online_learning": "Does it go on learning while it is used?",
    "output": "What does a caller get to see of a prediction?",
    "serves": "Which assets does it serve?",
    "url": "Where does it answer? (http://host:port/path)",
    "authn": "How do callers prove who they are?",
    "authz": "How is it decided what a caller may do?",
    "quota": "Which limits hold for one caller? ({requests_per_minute: 60})",
    "uses": "Which models does it use?",
    "tools": "Which tools can it call?",
    "retrieves_from": "Which stores does it read from?",
    "effects": "What can a call of it do?",
    "approval": "Does a person approve each call?",
    "memory": "What does it remember?",
    "autonomy": "How far does it act by itself?",
    "renders": "What shows its output (html, markdown, a terminal, ...)?",
    "executes_code": "Is code that it writes run?",
    "untrusted_content": "Does it read content that outsiders write?",
    "holds": "What does it keep?",
    "acl": "How finely is access decided?",
    "encrypted": "Is it encrypted at rest?",
    "signed": "Is what it holds signed and verified?",
    "produces": "Which assets does it make?",
    "runs": "Which assets does it run?",
}
_UNASKED: dict[Kind, tuple[str, ...]] = {
    Kind.DEPENDENCIES: ("zone", "source", "revision", "uses"),
    Kind.MODEL: ("uses",),
    Kind.LLM_APP: ("source", "revision"),
    Kind.AGENT: ("source", "revision"),
}
"""Fields that are not asked of a kind, although they fit; of every other kind: source, revision and uses."""
_NOT_OF_OTHERS = ("framework", "online_learning", "trained_on", "tested_on", "signed", "zone")
"""Fields that nobody can answer for a model behind somebody else's interface."""
_OF_SERVERS = ("zone", "url", "authn", "authz", "quota")
"""Fields that say nothing of a tool that is a function of its application."""
_LONG = 6
"""More words than these that a field may hold are not repeated for every entry."""
_SHOWN = 3
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./@+-]*(?: [A-Za-z0-9_./@+-]+)*")


def page(name: str, datasets: Sequence[Part], assets: Sequence[Part], remarks: Sequence[str]) -> str:
    """The whole manifest."""
    lines = [_HEAD + "".join(f"# {one_line(remark)}\n" for remark in remarks), "bartizan: 1", "", "system:", f"  name: {_written(name)}"]
    lines += [f"  {_question(System, field, text)}" for field, text in _SYSTEM.items()]
    lines += ["", "# Which parts of the world does it touch, and how far is each trusted? (none, partner, internal, restricted)"]
    lines += ["# zones:", "#   - {id: internet, trust: none}", "", "# Who uses it, from where, and what do they get to see?"]
    lines += ["# actors:", "#   - {id: customer, zone: internet, can: [query], sees: [label]}", ""]
    lines += _section("datasets", datasets) + _section("assets", assets) + _flows(assets)
    return "\n".join(lines) + "\n"


def _section(title: str, parts: Sequence[Part]) -> list[str]:
    if not parts:
        return [f"# No {title} were found. Which are there?", f"# {title}:", ""]
    long = _long(parts)
    lines = [f"# {field} is one of: {', '.join(words)}" for field, words in long.items()]
    if all(title == "datasets" and "stage" not in part.said for part in parts):
        return [*lines, f"# {title}:", *(line for part in parts for line in _part(part, long)), ""]
    return [*lines, f"{title}:", *(line for part in parts for line in _part(part, long)), ""]


def _long(parts: Sequence[Part]) -> dict[str, list[str]]:
    """The fields of a section that are asked more than once and take one of so many words that these stand once, at its top."""
    asked = Counter((Dataset if part.kind == "dataset" else Asset, field) for part in parts for field in _questions(part))
    return {field: _choices(shape, field) for (shape, field), times in asked.items() if times > 1 and len(_choices(shape, field)) > _LONG}


def _part(part: Part, long: Collection[str] = ()) -> list[str]:
    """The lines of one entry; a data set whose required stage is not known is a question as a whole."""
    lines = [f"  # {one_line(note)}" for note in part.notes]
    known = {"kind": part.kind, **part.said} if part.kind != "dataset" else part.said
    body = [f"{field}: {_written(value)}" for field, value in known.items()]
    shape = Dataset if part.kind == "dataset" else Asset
    asked = [_question(shape, f, t, part.hints.get(f), shorten=f in long) for f, t in _questions(part).items()]
    if part.kind == "dataset" and "stage" not in part.said:
        body.insert(0, asked.pop(0).removeprefix("# "))
        bare = [text.removeprefix("# ") for text in asked]
        return [*lines, f"  # - id: {_written(part.id)}", *(f"  #   {text}" for text in body), *(f"  #   # {text}" for text in bare)]
    return [*lines, f"  - id: {_written(part.id)}", *(f"    {text}" for text in body + asked)]


def _questions(part: Part) -> dict[str, str]:
    if part.kind == "dataset":
        skipped: tuple[str, ...] = ("label",) if part.said.get("stage") == "rag" else ()
        return {field: text for field, text in _DATASET.items() if field not in part.said and field not in skipped}
    kind = Kind(part.kind)
    skipped = _UNASKED.get(kind, ("source", "revision", "uses"))
    if part.said.get("third_party") is True:
        skipped += _NOT_OF_OTHERS
    if kind is Kind.TOOL and "code" in part.said:
        skipped += _OF_SERVERS
    asked = {f: t for f, t in _ASSET.items() if f not in part.said and kind in TRAIT_KINDS[f] and f not in skipped}
    return asked | ({"runs": "Which assets install these packages?"} if kind is Kind.DEPENDENCIES else {})


def _question(shape: type, field: str, text: str, hint: str | None = None, *, shorten: bool = False) -> str:
    choices = _choices(shape, field)
    if shorten:
        choices = [*choices[:_SHOWN], "... see above"]
    tail = f" ({', '.join(choices)})" if choices else ""
    return f"# {field}: ?  {text}{tail}" + (f"  {one_line(hint, 400)}" if hint else "")


def _choices(shape: type, field: str) -> list[str]:
    """The words that a field may hold, from its annotation."""
    pending = [typing.get_type_hints(shape)[field]]
    while pending:
        hint = pending.pop()
        if isinstance(hint, type) and issubclass(hint, Enum):
            return [str(member.value) for member in hint]
        if hint is bool:
            return ["true", "false"]
        pending += [arm for arm in typing.get_args(hint) if arm is not Ellipsis]
    return []


def _written(value: str | bool | list[str]) -> str:
    """A value as YAML that is read back as itself."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_written(part) for part in value)}]"
    plain = _PLAIN.fullmatch(value) and value not in NULLS and value not in ANSWERS
    return value if plain else json.dumps(value, ensure_ascii=False)


def _flows(assets: Sequence[Part]) -> list[str]:
    served = next((part.id for kind in ("endpoint", "llm-app", "agent") for part in assets if part.kind == kind), "api")
    lines = ["# What data moves between these, over what, and is any of it written by outsiders?", "# flows:"]
    return [*lines, f"#   - {{from: customer, to: {served}, data: [request], protocol: https}}"]
