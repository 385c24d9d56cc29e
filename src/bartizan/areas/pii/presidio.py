"""Reads recognisers that were written for Presidio, so that they can be used without it: patterns, context words and deny lists.

The file is that of its registry (YAML or JSON, a list under `recognizers`). Scores and context follow Presidio: a context word that one of
the five words before a match holds adds 0.35, and makes it 0.4 at least. Its lemmas are not known here: words count as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bartizan.areas.pii.hits import Hit
from bartizan.areas.pii.patterns import Bounded, bounded
from bartizan.documents import Located, parse, read
from bartizan.model.errors import InputError

FLAGS = re.IGNORECASE | re.MULTILINE | re.DOTALL
"""What Presidio compiles patterns with where nothing else is said."""
_KNOWN_FLAGS = FLAGS | re.ASCII | re.VERBOSE
_BOOST, _LEAST_WITH_CONTEXT, _WORDS_BEFORE = 0.35, 0.4, 5
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Recogniser:
    """One recogniser: its kind in lower case, its patterns with their scores, and the words that raise a score."""

    kind: str
    patterns: tuple[tuple[Bounded, float], ...]
    context: tuple[str, ...] = ()

    def find(self, text: str) -> Iterator[Hit]:
        """Every match; where one pattern and another find the same place, both are reported."""
        for pattern, score in self.patterns:
            for start, end in pattern.search(text):
                raised = with_context(text, start, score, self.context)
                if raised > 0:
                    yield Hit(self.kind, start, end, text[start:end], min(1.0, raised), "a pattern written for Presidio")


@dataclass(frozen=True)
class Registry:
    """The recognisers of a file, and what of it was left out, with the reason."""

    recognisers: tuple[Recogniser, ...]
    left_out: tuple[str, ...]


def with_context(text: str, start: int, score: float, context: Iterable[str]) -> float:
    """`score` as the words before `start` raise it."""
    words = [word.lower() for word in _WORD.findall(text[max(0, start - 200) : start])[-_WORDS_BEFORE:]]
    if any(known.lower() in word for known in context for word in words):
        return min(1.0, max(score + _BOOST, _LEAST_WITH_CONTEXT))
    return score


def load_registry(path: Path, *, language: str | None = None) -> Registry:
    """The registry in a file. Raises `InputError` with the place of what is wrong, and for patterns that could take very long.

    Recognisers for other languages than `language`, where one is given, and those that are code of Presidio are left out.
    """
    return registry(read(path), language)


def parse_registry(text: str, name: str = "recognizers", *, language: str | None = None) -> Registry:
    """The same for a text, which `name` names in errors."""
    return registry(parse(text, name), language)


def is_registry(located: Located) -> bool:
    """Is this document a registry of Presidio?"""
    return isinstance(located.value, dict) and "recognizers" in located.value


def registry(located: Located, language: str | None = None) -> Registry:
    """The same for a document that is read already."""
    entries = located.value.get("recognizers") if isinstance(located.value, dict) else None
    if not isinstance(entries, list):
        raise InputError("is no registry of recognisers", place=located.name, cure="name them in a list under 'recognizers'")
    flags = located.value.get("global_regex_flags", int(FLAGS))
    if not isinstance(flags, int) or flags & ~int(_KNOWN_FLAGS):
        raise InputError("asks for flags that are not known", place=str(located.place(("global_regex_flags",))))
    found: list[Recogniser] = []
    left_out: list[str] = []
    for i, entry in enumerate(entries):
        name = entry.get("name", f"number {i + 1}") if isinstance(entry, dict) else str(entry)
        if not isinstance(entry, dict) or entry.get("type") == "predefined" or not (entry.get("patterns") or entry.get("deny_list")):
            left_out.append(f"{name}: is code of Presidio")
        elif entry.get("enabled") is False:
            left_out.append(f"{name}: is switched off")
        elif language is not None and language not in _languages(entry):
            left_out.append(f"{name}: is for {', '.join(_languages(entry))}")
        else:
            found += _recognisers(entry, flags, str(located.place(("recognizers", i))))
    return Registry(tuple(found), tuple(left_out))


def _languages(entry: dict[str, Any]) -> list[str]:
    named = entry.get("supported_languages") or [entry.get("supported_language") or "en"]
    return [str(one.get("language") if isinstance(one, dict) else one) for one in named]


def _recognisers(entry: dict[str, Any], flags: int, place: str) -> Iterator[Recogniser]:
    entities = entry.get("supported_entities") or [entry.get("supported_entity")]
    if not isinstance(entities, list) or not all(isinstance(entity, str) and re.fullmatch(r"\w{1,64}", entity) for entity in entities):
        raise InputError("a recogniser names no entity", place=place, cure="say supported_entity: NAME")
    context = list(_strings(entry.get("context"), "context", place))
    for one in entry.get("supported_languages") or ():
        context += _strings(one.get("context"), "context", place) if isinstance(one, dict) else ()
    kind = entities[0].lower()  # as Presidio: a pattern's matches are of the first
    patterns = [_pattern(pattern, kind, flags, place) for pattern in entry.get("patterns") or ()]
    denied = _strings(entry.get("deny_list"), "deny_list", place)
    if denied:
        patterns.append((denied_words(denied, flags), _score(entry.get("deny_list_score", 1.0), place)))
    yield Recogniser(kind, tuple(patterns), tuple(context))


def _pattern(pattern: Any, kind: str, flags: int, place: str) -> tuple[Bounded, float]:
    if not isinstance(pattern, dict) or not isinstance(pattern.get("regex"), str):
        raise InputError("a pattern has no regex", place=place)
    return bounded(pattern["regex"], kind, flags), _score(pattern.get("score"), place)


def denied_words(words: Sequence[str], flags: int = int(FLAGS)) -> Bounded:
    """A pattern for any of `words` that stands alone; its time does not depend on the words, which hold no pattern."""
    listed = "|".join(re.escape(word) for word in words)
    return Bounded(re.compile(rf"(?:^|(?<=\W))({listed})(?:(?=\W)|$)", flags), max(2000, 4 * max(map(len, words))))


def _strings(given: Any, name: str, place: str) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(one, str) and one for one in given):
        raise InputError(f"'{name}' is no list of words", place=place)
    return tuple(given)


def _score(given: Any, place: str) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 1:
        raise InputError("a score lies between 0 and 1", place=place)
    return float(given)
