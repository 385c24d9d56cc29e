"""Kinds that a user adds: patterns with words and check digits in YAML, and recognisers written for Presidio.

    rules:
      - kind: customer_number
        pattern: "C-[0-9]{8}"
        words: [customer, client]
        check: luhn

A pattern that could hold up a scan for long is refused (`patterns`). A registry of Presidio is read in the place of `rules` too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from bartizan.areas.pii import presidio
from bartizan.areas.pii.checksums import luhn, mod_11_2, mod_11_10, mod_97, verhoeff
from bartizan.areas.pii.hits import Hit, resolve
from bartizan.areas.pii.patterns import bounded
from bartizan.areas.pii.scan import scan_text, scan_texts
from bartizan.documents import Located, convert, parse, read
from bartizan.model.errors import InputError, UnknownName

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
    """A finder out of a recogniser of Presidio that needs no language model; its kinds are written in lower case.

    Its context words raise scores as they do in Presidio. Raises `InputError` where one of its patterns could take very long.
    """
    own = type(given).__module__.startswith("presidio_analyzer.predefined_recognizers")
    for pattern in () if own else getattr(given, "patterns", None) or ():
        if _of_python(pattern.regex):  # others keep to the time limit that Presidio has for them
            bounded(pattern.regex, str(given.supported_entities[0]).lower())
    context = tuple(getattr(given, "context", None) or ())

    def find(text: str) -> Iterator[Hit]:
        for result in given.analyze(text, given.supported_entities, None) or ():
            score = presidio.with_context(text, result.start, float(result.score), context)
            if score > 0:
                value = text[result.start : result.end]
                yield Hit(result.entity_type.lower(), result.start, result.end, value, min(1.0, score), "a recogniser of Presidio")

    return find


def _of_python(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


class Rules:
    """The built-in kinds and those of the user, scanned together."""

    def __init__(self, rules: Sequence[UserRule] = (), recognisers: Sequence[Recogniser | presidio.Recogniser] = ()) -> None:
        self._finders = [_finder(rule) for rule in rules]
        self._finders += [given.find if isinstance(given, presidio.Recogniser) else recogniser(given) for given in recognisers]

    @classmethod
    def load(cls, path: Path) -> Rules:
        """The rules, or the recognisers of Presidio, in a YAML file. Raises `InputError` with file and line for what is wrong in it."""
        return cls._of(read(path))

    @classmethod
    def parse(cls, text: str, name: str = "rules") -> Rules:
        """The same for a YAML text."""
        return cls._of(parse(text, name))

    @classmethod
    def _of(cls, located: Located) -> Rules:
        if presidio.is_registry(located):
            return cls(recognisers=presidio.registry(located).recognisers)
        return cls(convert(located, _Document).rules)

    def scan_text(self, text: str, *, hint: str = "", least: float = 0.5) -> tuple[Hit, ...]:
        """As `scan_text`, with the user's kinds; where two overlap the higher score stays."""
        return self._joined(text, scan_text(text, hint=hint, least=least), least)

    def scan_texts(self, texts: Sequence[str], *, hint: str = "", least: float = 0.5) -> list[tuple[Hit, ...]]:
        """`scan_text` of each."""
        built_in = scan_texts(texts, hint=hint, least=least)
        return [self._joined(text, hits, least) for text, hits in zip(texts, built_in, strict=True)]

    def _joined(self, text: str, hits: tuple[Hit, ...], least: float) -> tuple[Hit, ...]:
        own = [hit for find in self._finders for hit in find(text) if hit.score >= least]
        return resolve([*hits, *own]) if own else hits


def _finder(rule: UserRule) -> Callable[[str], Iterator[Hit]]:
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,60}", rule.kind):
        raise InputError(f"'{rule.kind}' is no name of a kind", cure="use lower case and underscores")
    if rule.check is not None and rule.check not in CHECKS:
        raise UnknownName("check", rule.check, sorted(CHECKS))
    pattern = bounded(rule.pattern, rule.kind)
    if pattern.pattern.match("") is not None:
        raise InputError(f"the pattern of '{rule.kind}' matches nothing at all", cure="ask for at least one character")
    words = re.compile("|".join(rf"(?<!\w){re.escape(word)}" for word in rule.words), re.IGNORECASE) if rule.words else None
    test = CHECKS[rule.check] if rule.check else None

    def find(text: str) -> Iterator[Hit]:
        for start, end in pattern.search(text):
            value = text[start:end]
            if test is not None and not _passes(test, value):
                continue
            if words is None or words.search(text[max(text.rfind("\n", 0, start) + 1, start - 60) : start]):
                yield Hit(rule.kind, start, end, value, rule.score, "a rule of the user")

    return find


def _passes(test: Callable[[str], bool], written: str) -> bool:
    """Does the check hold for the digits of `written`, or for its letters and digits where the check is of both?"""
    bare = "".join(c for c in written.upper() if c.isascii() and (c.isdigit() or (c.isalpha() and test in _OF_LETTERS)))
    try:
        return bool(bare) and test(bare)
    except ValueError:  # a letter where the check has room for none
        return False
