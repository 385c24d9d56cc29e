"""Text evasion: characters and words changed within an edit budget and a budget of meaning, against any text classifier, greedy or by beam.

Words are ranked by how much the true class loses when they go (Jin et al., TextFooler, AAAI 2020); each is then tried with look-alike and
mistyped characters (Li et al., TextBugger, NDSS 2019) and with the replacements that the caller offers. Nothing is downloaded: meaning is
guarded by budgets (how many words, how many edits, never short or protected words) and by a similarity that the caller may supply.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from bartizan.model.errors import InputError

Scores = Callable[[list[str]], npt.ArrayLike]
"""Texts -> scores or probabilities (n, k), or labels (n,) as whole numbers."""

Similarity = Callable[[str, str], float]
"""How much of the meaning of the first text the second keeps, 1 for all of it."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

LOOK_ALIKES = {
    "a": "а", "c": "с", "e": "е", "i": "і", "j": "ј", "o": "о", "p": "р", "s": "ѕ", "x": "х", "y": "у",
    "A": "А", "B": "В", "C": "С", "E": "Е", "H": "Н", "I": "І", "K": "К", "M": "М", "O": "О", "P": "Р", "S": "Ѕ", "T": "Т", "X": "Х",
}  # fmt: skip
"""Latin letters and the Cyrillic ones that look like them (Unicode confusables, UTS 39)."""

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_BESIDE = {key: row[max(0, at - 1) : at] + row[at + 1 : at + 2] for row in _ROWS for at, key in enumerate(row)}


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What a change may cost.

    `words`: most words changed, as a share of the text's words (at least one may always change). `edits`: most single-character
    insertions, deletions, replacements and swaps of neighbours in one word; a word taken from `replacements` is not counted by it.
    `shortest`: words with fewer letters stay. `protected` words stay, case aside. `similarity`: least value of the caller's similarity.
    `queries`: most texts that the model is asked about, the first included.
    """

    words: float = 0.2
    edits: int = 1
    shortest: int = 3
    protected: tuple[str, ...] = ()
    similarity: float = 0.8
    queries: int = 500


class TextEvasion(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one text: `text` is the evasion where `found`, else the nearest that was tried.

    `changes` are (place of the word, old, new); `queries` the texts asked; `similarity` the caller's, 1 where there is none; `wrong` says
    that the model erred before any change; `margin` is the true class less the best other one at the end.
    """

    text: str
    found: bool
    wrong: bool
    changes: tuple[tuple[int, str, str], ...]
    queries: int
    similarity: float
    margin: float


def attack_text(
    classifier: Scores,
    text: str,
    label: int,
    *,
    budget: Budget | None = None,
    replacements: Mapping[str, Sequence[str]] | Callable[[str], Sequence[str]] | None = None,
    characters: bool = True,
    similarity: Similarity | None = None,
    beam: int = 1,
) -> TextEvasion:
    """Changes of `text` within `budget` until `classifier` does not say `label` (a class number) any more.

    `replacements` give other words for a word (lower case); `characters` tries misspellings and look-alikes. `beam` partial changes are
    kept at each step: 1 is greedy. Deterministic. Raises `InputError` for a classifier whose answers do not fit and for a budget that is
    none.
    """
    allowed = budget or Budget()
    if not (0 < allowed.words <= 1 and allowed.edits >= 0 and allowed.queries >= 1 and beam >= 1):
        raise InputError("a budget needs a share of words in (0, 1], edits >= 0, queries >= 1 and beam >= 1")
    search = _Search(classifier, text, label, allowed, similarity)
    start = search.ask([text])[0]
    if start < 0:
        return search.told((), start, wrong=True)
    offered = [search.offers(place, replacements, characters) for place in range(len(search.words))]
    return search.run(offered, start, beam)


Change = tuple[int, str]
State = tuple[float, tuple[Change, ...]]


class _Search:
    """One text under attack: asks, counts and keeps the budgets."""

    def __init__(self, classifier: Scores, text: str, label: int, budget: Budget, similarity: Similarity | None) -> None:
        self.classifier, self.text, self.label, self.budget, self.similarity = classifier, text, label, budget, similarity
        self.words = [match.span() for match in _WORD.finditer(text)]
        self.most = max(1, math.floor(budget.words * len(self.words)))
        self.protected = {word.lower() for word in budget.protected}
        self.queries = 0

    def ask(self, texts: list[str]) -> list[float]:
        """The margin of the true class for each text that the budget still covers."""
        texts = texts[: self.budget.queries - self.queries]
        if not texts:
            return []
        self.queries += len(texts)
        scores = np.asarray(self.classifier(texts))
        if scores.ndim == 1 and len(scores) == len(texts) and scores.dtype.kind in "iub":
            return [1.0 if int(score) == self.label else -1.0 for score in scores]
        if scores.ndim != 2 or len(scores) != len(texts) or not 0 <= self.label < scores.shape[1] or scores.shape[1] < 2:
            raise InputError(f"the classifier gave shape {scores.shape} to {len(texts)} texts; label {self.label}")
        values = scores.astype(np.float64)
        decided, own = values.argmax(axis=1), values[:, self.label].copy()
        values[:, self.label] = -np.inf
        margins = own - values.max(axis=1)
        return [float(max(m, 0.0) if d == self.label else min(m, -1e-12)) for m, d in zip(margins, decided, strict=True)]

    def word(self, place: int) -> str:
        start, end = self.words[place]
        return self.text[start:end]

    def written(self, changes: Sequence[Change]) -> str:
        """The text with `changes`, everything between the words as it was."""
        result = self.text
        for place, new in sorted(changes, reverse=True):
            start, end = self.words[place]
            result = result[:start] + new + result[end:]
        return result

    def offers(
        self, place: int, replacements: Mapping[str, Sequence[str]] | Callable[[str], Sequence[str]] | None, characters: bool
    ) -> list[str]:
        """What the word at `place` may become, without repetition, words before misspellings."""
        word = self.word(place)
        if len(word) < self.budget.shortest or word.lower() in self.protected:
            return []
        given: Sequence[str] = ()
        if replacements is not None:
            given = replacements(word.lower()) if callable(replacements) else replacements.get(word.lower(), ())
        made = [_cased(other, word) for other in given]
        if characters and self.budget.edits > 0:
            made += misspellings(word)
            if self.budget.edits > 1:
                made += [again for once in misspellings(word) for again in misspellings(once)[:6]]
        known = {_cased(other, word) for other in given}
        fits = [new for new in made if new != word and (new in known or edit_distance(word, new) <= self.budget.edits)]
        return list(dict.fromkeys(fits))

    def similar(self, text: str) -> bool:
        return self.similarity is None or self.similarity(self.text, text) >= self.budget.similarity

    def run(self, offered: list[list[str]], start: float, beam: int) -> TextEvasion:
        order = self._ranked([place for place, offers in enumerate(offered) if offers], start)
        states: list[State] = [(start, ())]
        best: State = (start, ())
        for depth in range(self.most):
            grown: dict[tuple[Change, ...], float] = {}
            for _, changes in states:
                done = {place for place, _ in changes}
                open_places = [place for place in order if place not in done]
                for place in open_places[: max(1, beam) * 2 if depth + 1 < self.most else None]:
                    hit = self._tried(changes, place, offered[place], grown)
                    if hit is not None:
                        return self.told(hit[1], hit[0])
                    if beam == 1 and grown and min(grown.values()) < best[0] - 1e-12:
                        break
            if not grown:
                break
            states = sorted((margin, changes) for changes, margin in grown.items())[:beam]
            best = min(best, states[0])
        return self.told(best[1], best[0])

    def _tried(self, changes: tuple[Change, ...], place: int, offers: list[str], grown: dict[tuple[Change, ...], float]) -> State | None:
        """Asks about every offer for one word; the first evasion, or None, with the others noted in `grown`."""
        tried = [tuple(sorted((*changes, (place, new)))) for new in offers]
        tried = [one for one in tried if one not in grown and self.similar(self.written(one))]
        margins = self.ask([self.written(one) for one in tried])
        grown.update(zip(tried, margins, strict=False))
        hits = [(margin, one) for one, margin in zip(tried, margins, strict=False) if margin < 0]
        return min(hits) if hits else None

    def _ranked(self, places: list[int], start: float) -> list[int]:
        """Words by how much the margin falls without them; the text's order where that says nothing."""
        texts = [" ".join((self.text[: self.words[p][0]] + self.text[self.words[p][1] :]).split()) for p in places]
        margins = self.ask(texts[: max(0, self.budget.queries // 3)])
        falls = {place: start - margin for place, margin in zip(places, margins, strict=False)}
        return sorted(places, key=lambda place: (-falls.get(place, 0.0), place))

    def told(self, changes: tuple[Change, ...], margin: float, *, wrong: bool = False) -> TextEvasion:
        text = self.written(changes)
        return TextEvasion(
            text=text,
            found=margin < 0,
            wrong=wrong,
            changes=tuple((place, self.word(place), new) for place, new in changes),
            queries=self.queries,
            similarity=1.0 if self.similarity is None else float(self.similarity(self.text, text)),
            margin=margin,
        )


def random_misspelling(text: str, budget: Budget, random: np.random.Generator) -> str:
    """`text` with as many words misspelt at random as `budget` lets change, each by one slip: the control of an attack."""
    spans = [match.span() for match in _WORD.finditer(text)]
    protected = {word.lower() for word in budget.protected}
    free = [(a, b) for a, b in spans if b - a >= budget.shortest and text[a:b].lower() not in protected]
    most = max(1, math.floor(budget.words * len(spans)))
    chosen = sorted((free[i] for i in random.permutation(len(free))[:most]), reverse=True)
    for start, end in chosen:
        made = misspellings(text[start:end])
        if made:
            text = text[:start] + made[int(random.integers(len(made)))] + text[end:]
    return text


def misspellings(word: str) -> list[str]:
    """`word` with one slip inside it: neighbours swapped, a letter left out, doubled, replaced by a key beside it, or by a look-alike."""
    inner = range(1, max(1, len(word) - 1))
    made = [word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(1, len(word) - 2)]
    made += [word[:at] + word[at + 1 :] for at in inner]
    made += [word[:at] + word[at] + word[at:] for at in inner]
    made += [word[:at] + key + word[at + 1 :] for at in inner for key in _BESIDE.get(word[at].lower(), "")[:1]]
    made += [word[:at] + LOOK_ALIKES[letter] + word[at + 1 :] for at, letter in enumerate(word) if letter in LOOK_ALIKES]
    return [new for new in dict.fromkeys(made) if new != word]


def edit_distance(one: str, other: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _cased(new: str, like: str) -> str:
    """`new` in the case of `like`: all capitals, a capital first, or as it is."""
    if like.isupper() and len(like) > 1:
        return new.upper()
    return new[:1].upper() + new[1:] if like[:1].isupper() else new
