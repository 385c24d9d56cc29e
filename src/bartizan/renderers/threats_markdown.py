"""The threat model as Markdown for a pull request: what fires and why, what hangs on a question, and each threat explained once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bartizan.model.system import System
from bartizan.model.threats import Question, Threat, ThreatModel
from bartizan.renderers.escape import cut, markdown
from bartizan.renderers.threat_rows import STRIDE_WORDS, ThreatRow, rows

MEDIA_TYPE = "text/markdown"
SUFFIX = ".md"
NAME = 80
"""Longest name, in characters."""
TEXT = 400
"""Longest sentence, in characters."""


def render(system: System, model: ThreatModel, threats: Mapping[str, Threat]) -> str:
    """Tables of the certain and the possible threats in the order of the ranking, the open questions, then each threat that occurs."""
    found = rows(system, model, threats)
    lines = [f"# Threats to {_name(model.system)}", "", _summary(model), ""]
    certain = [row for row in found if row.instance.certain]
    possible = [row for row in found if not row.instance.certain]
    if certain:
        lines += [
            "## Threats that fire",
            "",
            *_table(("Threat", "Against", "STRIDE", "Priority", "Fires because"), map(_certain, certain)),
            "",
        ]
    if possible:
        head = ("Threat", "Against", "STRIDE", "Priority", "Known so far", "Open")
        lines += ["## Threats that may fire", "", *_table(head, map(_possible, possible)), ""]
    if model.questions:
        lines += ["## Questions", "", *_table(("Of", "Field", "Question", "Place"), map(_question, model.questions)), ""]
    if found:
        lines += ["## The threats explained", ""]
        for threat in dict.fromkeys(row.threat.id for row in found):
            lines += [*_explained(threats[threat], [row for row in found if row.threat.id == threat]), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _summary(model: ThreatModel) -> str:
    if not model.instances:
        return "No threat of the catalogue applies to what the manifest declares."
    certain, possible = len(model.certain), len(model.possible)
    told = f"{certain} {'threat fires' if certain == 1 else 'threats fire'}"
    if not possible:
        return f"{told}."
    questions = len(model.questions)
    return f"{told}; {possible} more may, depending on {questions} open {'question' if questions == 1 else 'questions'}."


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for cells in body:
        yield f"| {' | '.join(cells)} |"


def _certain(row: ThreatRow) -> tuple[str, ...]:
    return (*_head(row), _facts(row.instance.because))


def _possible(row: ThreatRow) -> tuple[str, ...]:
    open_ = ", ".join(dict.fromkeys(f"{_name(q.element)}: {_name(q.field)}" for q in row.instance.questions))
    return (*_head(row), _facts(row.instance.because), open_)


def _head(row: ThreatRow) -> tuple[str, ...]:
    return (_name(row.threat.title), f"{_name(row.instance.element)} ({row.kind})", row.stride, f"{row.instance.priority:.1f}")


def _question(question: Question) -> tuple[str, ...]:
    place = "" if question.at is None else _name(str(question.at))
    return (_name(question.element), _name(question.field), _text(question.text), place)


def _explained(threat: Threat, found: Sequence[ThreatRow]) -> Iterator[str]:
    yield f"### {_name(threat.title)}"
    yield ""
    yield _text(threat.summary)
    yield ""
    against = (f"{_name(row.instance.element)}{'' if row.instance.certain else ' (open)'}" for row in found)
    words = ", ".join(STRIDE_WORDS[letter] for letter in threat.stride)
    yield f"- Against: {', '.join(against)}"
    yield f"- STRIDE: {words}"
    yield f"- Example: {_text(threat.example)}"
    for mitigation in threat.mitigations:
        yield f"- Mitigation: {_text(mitigation)}"
    if threat.refs:
        yield f"- References: {', '.join(_name(ref) for ref in threat.refs)}"


def _facts(because: Sequence[str]) -> str:
    return "; ".join(_text(fact) for fact in because)


def _name(text: str) -> str:
    return markdown(cut(text, NAME))


def _text(text: str) -> str:
    return markdown(cut(text, TEXT))
