"""How an undeclared field is asked for: the texts of `data/questions.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

from bartizan import documents
from bartizan.model.system import Kind

FILE = Path(__file__).parent / "data" / "questions.yaml"


class QuestionFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table: a text for each field, or one for each kind of node (`other` for the rest, `flow` for flows)."""

    questions: dict[str, str | dict[str, str]]


@cache
def questions() -> Mapping[str, str | Mapping[str, str]]:
    """The table as it ships, read once."""
    return documents.convert(documents.read(FILE, name="catalog/questions.yaml"), QuestionFile).questions


def question_of(field: str, kind: Kind | None, name: str) -> str | None:
    """The question for `field` of the node of this kind (None: a flow) called `name`; None where the table has no text for it."""
    text = questions().get(field)
    if isinstance(text, Mapping):
        text = text.get("flow" if kind is None else kind.value) or text.get("other")
    return text.replace("{name}", name) if text else None
