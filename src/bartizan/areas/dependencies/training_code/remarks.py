"""A remark on a line of code, and the rule that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bartizan.methods.python_source import Source
from bartizan.model.errors import Place
from bartizan.model.findings import Severity


@dataclass(frozen=True)
class Remark:
    """What stands at `place`, under which rule, and what to write instead. `allowed` is the reason given for leaving it, if any."""

    rule: str
    place: Place
    text: str
    fix: str
    severity: Severity
    allowed: str = ""


@dataclass(frozen=True)
class Rule:
    """One rule on Python code: `find` yields the line and the text of each remark; `fix` says what to write instead."""

    id: str
    title: str
    fix: str
    severity: Severity
    find: Callable[[Source], Iterator[tuple[int, str]]]
