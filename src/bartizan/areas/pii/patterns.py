"""Compiles patterns that others wrote, where matching them cannot take long: those that can are refused before they meet a text.

A backtracking engine tries every way to read a text through a pattern. How many ways there are is found from the pattern alone: its
positions and what may follow each (Glushkov 1961), with the number of ways from one to the next. A loop that some word leads through in two
ways doubles the work with each turn (Weber and Seidl 1991); without one, the ways through words that repeat a few characters tell how the
work grows, and the stretch of text that is read at once is kept so short that it stays small.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from bartizan.model.errors import InputError

LONGEST = 2000
"""Characters of a line that a harmless pattern reads at once."""
CAREFUL = 128
"""The same for one whose work grows with the cube of that."""
_WORD = 32  # characters of the words that are tried
_WAYS = 200  # ways through such a word that are still few
_KINDS = 5  # kinds of characters of which words of four are tried
_FEW = 4  # ways that count as one
_PLACES = 400  # positions of a pattern that is still judged
_COPIES = 16  # turns of a counted repetition that are told apart
_STEPS = 400_000
_SAMPLE = "".join(map(chr, range(128))) + "éßÀſЖя中ñ٣²\u00a0\u2028\u212a😀"


@dataclass(frozen=True)
class Bounded:
    """A pattern, and the most characters of a line to search at once."""

    pattern: re.Pattern[str]
    window: int

    def search(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of its matches, within lines, and within stretches of `window` characters of a longer one; none is empty."""
        start = 0
        for line in text.splitlines(keepends=True):
            for offset in range(0, len(line), self.window):
                for found in self.pattern.finditer(line[offset : offset + self.window]):
                    if found.end() > found.start():
                        yield start + offset + found.start(), start + offset + found.end()
            start += len(line)


def bounded(pattern: str, kind: str, flags: int = 0) -> Bounded:
    """`pattern`, compiled. Raises `InputError`, which names `kind`, where it is wrong or could take very long."""
    try:
        compiled = re.compile(pattern, flags)
        tree = import_module("re._parser").parse(pattern, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"the pattern of '{kind}' is wrong: {error}") from None
    try:
        growth = _growth(_Ways(_samples(pattern), compiled.flags).of(tree))
    except _TooLong as reason:
        raise InputError(f"the pattern of '{kind}' could take very long: {reason}", cure="say it without the repetition") from None
    return Bounded(compiled, LONGEST if growth == 0 else CAREFUL)


class _TooLong(Exception):
    """Says why."""


def _samples(pattern: str) -> str:
    return _SAMPLE + "".join(sorted({char for char in pattern if char not in _SAMPLE})[:64])


@dataclass
class _Part:
    """A part of a pattern: in how many ways it can be empty, and in how many it begins and ends at each position."""

    empty: int
    first: Counter[int] = field(default_factory=Counter)
    last: Counter[int] = field(default_factory=Counter)


@dataclass
class _Graph:
    """All positions of a pattern: the sample characters that each stands for, and in how many ways one follows another."""

    chars: list[int]
    follow: Counter[tuple[int, int]]


class _Ways:
    """Reads a parsed pattern. What looks around and what refers back is read as if it were not there, or any character."""

    def __init__(self, samples: str, flags: int) -> None:
        self._samples, self._flags = samples, flags
        self._any = (1 << len(samples)) - 1
        self._graph = _Graph([], Counter())

    def of(self, tree: Any) -> _Graph:
        """Its graph. Raises `_TooLong` for what is too large to judge or repeats nothing."""
        self._sequence(tree)
        return self._graph

    def _sequence(self, nodes: Any) -> _Part:
        whole = _Part(1)
        for node in nodes:
            whole = self._joined(whole, self._part(str(node[0]), node[1]))
        return whole

    def _joined(self, one: _Part, other: _Part) -> _Part:
        self._link(one.last, other.first)
        first = one.first + _times(other.first, one.empty)
        last = other.last + _times(one.last, other.empty)
        return _Part(one.empty * other.empty, first, last)

    def _link(self, last: Counter[int], first: Counter[int]) -> None:
        for p, a in last.items():
            for q, b in first.items():
                self._graph.follow[p, q] += a * b
        if len(self._graph.follow) > 20 * _PLACES:
            raise _TooLong("it is too large to be judged")

    def _part(self, name: str, value: Any) -> _Part:
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            return self._repeated(*value)
        if name == "SUBPATTERN":
            return self._sequence(value[3])
        if name == "ATOMIC_GROUP":
            return self._sequence(value)
        if name == "BRANCH":
            return self._either([self._sequence(branch) for branch in value[1]])
        if name == "GROUPREF_EXISTS":
            return self._either([self._sequence(branch or ()) for branch in value[1:]])
        if name in ("ASSERT", "ASSERT_NOT"):
            self._sequence(value[1])
            return _Part(1)
        return _Part(1) if name == "AT" else self._position(name, value)

    def _either(self, parts: list[_Part]) -> _Part:
        first, last = Counter[int](), Counter[int]()
        for part in parts:
            first += part.first
            last += part.last
        return _Part(sum(part.empty for part in parts), first, last)

    def _repeated(self, low: int, high: int, body: Any) -> _Part:
        whole = _Part(1)
        if high == 0:
            return whole
        for _ in range(min(low, _COPIES)):
            whole = self._joined(whole, one := self._sequence(body))
            if one.empty and low > 1:
                raise _TooLong("it asks several times for what may be empty")
        if high - low <= _COPIES and low <= _COPIES:
            rest = _Part(1)
            for _ in range(high - low):
                rest = self._joined(self._sequence(body), rest)
                rest.empty = 1
            return self._joined(whole, rest)
        turn = self._sequence(body)
        self._link(turn.last, turn.first)
        turn.empty = 1
        return self._joined(whole, turn)

    def _position(self, name: str, value: Any) -> _Part:
        chars = self._chars(name, value)
        if self._flags & re.IGNORECASE:
            held = {char for i, char in enumerate(self._samples) if chars >> i & 1}
            held |= {other for char in held for other in (char.lower(), char.upper())}
            chars = sum(1 << i for i, char in enumerate(self._samples) if char in held)
        self._graph.chars.append(chars)
        if len(self._graph.chars) > _PLACES:
            raise _TooLong("it is too large to be judged")
        number = len(self._graph.chars) - 1
        return _Part(0, Counter((number,)), Counter((number,)))

    def _chars(self, name: str, value: Any) -> int:
        """The sample characters that a node for one character stands for, as bits."""
        if name == "LITERAL":
            return self._where(lambda char: ord(char) == value)
        if name == "NOT_LITERAL":
            return self._where(lambda char: ord(char) != value)
        if name == "RANGE":
            return self._where(lambda char: value[0] <= ord(char) <= value[1])
        if name == "CATEGORY":
            wanted = re.compile(_CATEGORIES[str(value)], self._flags & re.ASCII)
            return self._where(lambda char: wanted.match(char) is not None)
        if name == "IN":
            held = 0
            for item, content in value:
                held |= 0 if str(item) == "NEGATE" else self._chars(str(item), content)
            return self._any & ~held if str(value[0][0]) == "NEGATE" else held
        return self._any

    def _where(self, wanted: Any) -> int:
        return sum(1 << i for i, char in enumerate(self._samples) if wanted(char))


_Floats: TypeAlias = "np.ndarray[tuple[int, int], np.dtype[np.float64]]"
_CATEGORIES = {
    f"CATEGORY_{negation}{name}": pattern
    for name, positive, negative in (("DIGIT", r"\d", r"\D"), ("SPACE", r"\s", r"\S"), ("WORD", r"\w", r"\W"))
    for negation, pattern in (("", positive), ("NOT_", negative))
}


def _times(ways: Counter[int], times: int) -> Counter[int]:
    return Counter({place: count * times for place, count in ways.items()}) if times else Counter()


def _growth(graph: _Graph) -> int:
    """0 where no word has many ways through the pattern, 1 where their number grows with its length. Raises `_TooLong` for more."""
    n = len(graph.chars)
    if not n:
        return 0
    edges = np.zeros((n, n))
    for (p, q), ways in graph.follow.items():
        edges[p, q] = ways
    _no_doubling(edges, graph.chars)
    kinds = _kinds(graph.chars)
    steps = [edges * np.array([chars >> kind & 1 for chars in graph.chars]) for kind in kinds]
    most = half = 1.0
    for word in _words(steps):
        there = np.linalg.matrix_power(word[0], _WORD // 2 // word[1])
        half = max(half, float(there.sum(axis=1).max()))
        most = max(most, float((there @ there).sum(axis=1).max()))
    if most > _WAYS or (half > _FEW and most > 3 * half):
        raise _TooLong(f"it reads {_WORD} characters in {most:.0f} ways")
    return int(most > max(_FEW, 1.5 * half))


def _words(steps: list[_Floats]) -> Iterator[tuple[_Floats, int]]:
    """The ways through words of one or two characters, and of three and four where there are few kinds of them; with their length."""
    yield from ((step, 1) for step in steps)
    pairs = [one @ other for one, other in product(steps, repeat=2)]
    yield from ((pair, 2) for pair in pairs)
    if len(steps) <= _KINDS:
        yield from ((pair @ step, 3) for pair, step in product(pairs, steps))
        yield from ((pair @ other, 4) for pair, other in product(pairs, repeat=2))


def _kinds(chars: list[int]) -> list[int]:
    """One sample character for each set of positions that stand for it, at most forty."""
    seen: dict[tuple[int, ...], int] = {}
    for i in range(max(chars).bit_length()):
        seen.setdefault(tuple(c >> i & 1 for c in chars), i)
    return [kind for held, kind in seen.items() if any(held)][:40]


def _no_doubling(edges: _Floats, chars: list[int]) -> None:
    """Raises `_TooLong` where a word leads from a position back to it in two ways."""
    reach = edges > 0
    for k in range(len(chars)):
        reach |= reach[:, k : k + 1] & reach[k]
    loop = [i for i in range(len(chars)) if reach[i, i]]
    follow = {i: [j for j in loop if edges[i, j] and reach[j, i]] for i in loop}
    if any(edges[i, j] > 1 for i in loop for j in follow[i]):
        raise _TooLong("a repetition within a repetition reads the same text in many ways")
    steps = 0
    ahead: dict[tuple[int, int], list[tuple[int, int]]] = {}
    todo = [(i, i) for i in loop]
    while todo:
        pair = todo.pop()
        if pair in ahead:
            continue
        ahead[pair] = [(p, q) for p in follow[pair[0]] for q in follow[pair[1]] if chars[p] & chars[q]]
        steps += len(ahead[pair])
        if steps > _STEPS:
            raise _TooLong("it is too large to be judged")
        todo += ahead[pair]
    back: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for pair, next_pairs in ahead.items():
        for other in next_pairs:
            back.setdefault(other, []).append(pair)
    for start in loop:
        forward, backward = _reached(ahead, (start, start)), _reached(back, (start, start))
        if any(p != q for p, q in forward & backward):
            raise _TooLong("a repetition reads the same text in many ways")


def _reached(edges: dict[tuple[int, int], list[tuple[int, int]]], start: tuple[int, int]) -> set[tuple[int, int]]:
    """The pairs that `start` leads to."""
    seen = {start}
    todo = [start]
    while todo:
        for other in edges.get(todo.pop(), ()):
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return seen
