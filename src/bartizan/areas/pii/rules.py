"""Kinds that a user adds: patterns with words and check digits in YAML, and recognisers written for Presidio.

    rules:
      - kind: customer_number
        pattern: "C-[0-9]{8}"
        words: [customer, client]
        check: luhn

A pattern is tried within single lines of at most `LINE` characters, so that a careless one cannot hold up a scan for long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from bartizan.areas.pii.checksums import luhn, mod_11_2, mod_11_10, mod_97, verhoeff
from bartizan.areas.pii.hits import Hit, resolve
from bartizan.areas.pii.scan import scan_text
from bartizan.documents import convert, parse, read
from bartizan.model.errors import InputError, UnknownName

LINE = 2000
_OF_LETTERS = (mod_97, mod_11_2)
CHECKS: dict[str, Callable[[str], bool]] = {
    "luhn": luhn,
    "verhoeff": verhoeff,
    "mod-97": mod_97,
    "mod-11-10": mod_11_10,
    "mod-11-2": mod_11_2,
}


class UserRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of the user's own: where `pattern` matches, one of `words` stands before it (if any are named) and `check` holds."""

    kind: str
    pattern: str
    words: tuple[str, ...] = ()
    check: str | None = None
    score: float = 0.8


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rules: tuple[UserRule, ...]


class Recogniser(Protocol):
    """What Presidio calls an entity recogniser: the part of it that is used here."""

    supported_entities: list[str]

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any) -> Sequence[Any] | None:
        """Results with `entity_type`, `start`, `end` and `score`."""
        ...


def recogniser(given: Recogniser) -> Callable[[str], Iterator[Hit]]:
    """A finder out of a recogniser of Presidio that needs no language model; its kinds are written in lower case."""

    def find(text: str) -> Iterator[Hit]:
        for result in given.analyze(text, given.supported_entities, None) or ():
            yield Hit(
                result.entity_type.lower(),
                result.start,
                result.end,
                text[result.start : result.end],
                min(1.0, max(0.01, float(result.score))),
                "a recogniser of Presidio",
            )

    return find


class Rules:
    """The built-in kinds and those of the user, scanned together."""

    def __init__(self, rules: Sequence[UserRule] = (), recognisers: Sequence[Recogniser] = ()) -> None:
        self._finders = [_finder(rule) for rule in rules] + [recogniser(given) for given in recognisers]

    @classmethod
    def load(cls, path: Path) -> Rules:
        """The rules in a YAML file. Raises `InputError` with file and line for what is wrong in it."""
        return cls(convert(read(path), _Document).rules)

    @classmethod
    def parse(cls, text: str, name: str = "rules") -> Rules:
        """The rules in a YAML text."""
        return cls(convert(parse(text, name), _Document).rules)

    def scan_text(self, text: str, *, hint: str = "", least: float = 0.5) -> tuple[Hit, ...]:
        """As `scan_text`, with the user's kinds; where two overlap the higher score stays."""
        own = [hit for find in self._finders for hit in find(text) if hit.score >= least]
        return resolve([*scan_text(text, hint=hint, least=least), *own])


def _finder(rule: UserRule) -> Callable[[str], Iterator[Hit]]:
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,60}", rule.kind):
        raise InputError(f"'{rule.kind}' is no name of a kind", cure="use lower case and underscores")
    if rule.check is not None and rule.check not in CHECKS:
        raise UnknownName("check", rule.check, sorted(CHECKS))
    try:
        pattern = re.compile(rule.pattern)
        words = re.compile("|".join(rf"(?<!\w){re.escape(word)}" for word in rule.words), re.IGNORECASE) if rule.words else None
    except re.error as error:
        raise InputError(f"the pattern of '{rule.kind}' is wrong: {error}") from None
    if pattern.match("") is not None:
        raise InputError(f"the pattern of '{rule.kind}' matches nothing at all", cure="ask for at least one character")
    test = CHECKS[rule.check] if rule.check else None

    def find(text: str) -> Iterator[Hit]:
        for start in _lines(text):
            line = text[start : start + LINE]
            for found in pattern.finditer(line):
                if (test is None or _passes(test, found[0])) and (
                    words is None or words.search(line[max(0, found.start() - 60) : found.start()])
                ):
                    yield Hit(rule.kind, start + found.start(), start + found.end(), found[0], rule.score, "a rule of the user")

    return find


def _lines(text: str) -> Iterator[int]:
    """Where each line begins, and each further stretch of one longer than `LINE`; a stretch ends with the line."""
    start = 0
    for line in text.splitlines(keepends=True):
        yield from range(start, start + len(line), LINE)
        start += len(line)


def _passes(test: Callable[[str], bool], written: str) -> bool:
    """Does the check hold for the digits of `written`, or for its letters and digits where the check is of both?"""
    bare = "".join(c for c in written.upper() if c.isascii() and (c.isdigit() or (c.isalpha() and test in _OF_LETTERS)))
    try:
        return bool(bare) and test(bare)
    except ValueError:  # a letter where the check has room for none
        return False
