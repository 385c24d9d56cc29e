"""What makes `assess` end with 1: a rule of a few words, from `--fail-on` or the manifest's `appetite.fail_on`.

    fail                 a finding beyond tolerance (the rule where none is given)
    inconclusive         a finding that needs more trials
    unknown              a check that was not run
    risk>=LEVEL          a risk of that level or above: low, medium, high, critical
    threat:ID            any risk of that threat that is open
    never                nothing; stands alone

A comma means or: `fail, risk>=high`. A risk that is accepted, transferred or avoided, by a decision that still holds, violates nothing, and
neither do the findings about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from bartizan.model.errors import InputError, Place, nearest
from bartizan.model.findings import Finding, Verdict
from bartizan.model.risks import Risk, Status
from bartizan.model.system import Level

DEFAULT = "fail"
_VERDICTS = {v.value: v for v in (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.UNKNOWN)}
_LEVELS = {f"risk>={level.value}": level for level in Level}
WORDS = (*_VERDICTS, *_LEVELS, "threat:ID", "never")
"""The words of the language, as an error shows them."""

_UNDECIDED = (Status.OPEN, Status.WITHIN)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed rule: verdicts, the least risk level, and threats that violate it."""

    text: str
    verdicts: frozenset[Verdict] = frozenset()
    level: Level | None = None
    threats: frozenset[str] = frozenset()

    def violations(self, risks: Sequence[Risk], findings: Iterable[Finding]) -> tuple[str, ...]:
        """One line for each finding and risk beyond the rule, findings first; empty where nothing is."""
        decided = {(r.threat, r.asset) for r in risks if r.status not in _UNDECIDED}
        lines = [
            f"{f.verdict.value}: {f.threat} on {f.asset}: {f.title} ({f.check})"
            for f in findings
            if f.verdict in self.verdicts and (f.threat, f.asset) not in decided
        ]
        for risk in risks:
            if risk.status not in _UNDECIDED:
                continue
            level = risk.residual.level
            if self.level is not None and level.rank >= self.level.rank:
                chance = f"{risk.residual.mean:.1%} a year"
                lines.append(f"risk {level.value}, at least {self.level.value}: {risk.threat} on {risk.asset}, {chance} ({risk.id})")
            if risk.threat in self.threats and risk.status is Status.OPEN:
                lines.append(f"open: {risk.threat} on {risk.asset} ({risk.id})")
        return tuple(dict.fromkeys(lines))


def parse(text: str | None, *, threats: Iterable[str] | None = None, place: Place | str | None = None) -> Policy:
    """The policy that `text` says, `DEFAULT` for None. `threats`, where given, are the ids that may be named.

    Raises `InputError` with the known words for an empty rule, an unknown word, an unknown threat, or `never` beside another word.
    """
    shown = DEFAULT if text is None else text
    words = [re.sub(r"\s+", "", part).lower() for part in shown.split(",")]
    if "never" in words and len(words) > 1:
        raise InputError("'never' stands alone in a rule", place=place, cure="leave it out, or leave the rest out")
    verdicts = {_VERDICTS[word] for word in words if word in _VERDICTS}
    levels = [_LEVELS[word] for word in words if word in _LEVELS]
    known = None if threats is None else sorted(threats)
    named = {_threat(word, known, place) for word in words if word.startswith("threat:")}
    for word in words:
        if word not in (*_VERDICTS, *_LEVELS, "never") and not word.startswith("threat:"):
            close = nearest(word, WORDS)
            hint = f"did you mean '{close}'? " if close else ""
            raise InputError(f"unknown rule '{word}'", place=place, cure=f"{hint}known: {', '.join(WORDS)}")
    level = min(levels, key=lambda one: one.rank) if levels else None
    return Policy(text=", ".join(words), verdicts=frozenset(verdicts), level=level, threats=frozenset(named))


def _threat(word: str, known: Sequence[str] | None, place: Place | str | None) -> str:
    id = word.removeprefix("threat:")
    if not id or (known is not None and id not in known):
        close = nearest(id, known or ())
        cure = f"did you mean 'threat:{close}'?" if close else "bartizan catalog lists the threats"
        raise InputError(f"unknown threat '{id}' in the rule", place=place, cure=cure)
    return id
